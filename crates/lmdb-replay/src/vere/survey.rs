//! What a pier is made of, at a glance: no event is read but the first and the last of each epoch.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::data_file::DataFile;
use crate::epochs::{EpochDir, Layout};
use crate::error::{OpenError, ReadError};
use crate::format::Meta;
use crate::vere::meta::{Identity, MetaRecord};
use crate::vere::pier::{DiskVersion, Pier};
use crate::vere::snapshot_event;
use crate::vere::text::TextFile;

/// What a pier is made of.
#[derive(Debug)]
#[non_exhaustive]
pub struct Survey {
    /// How events are kept.
    pub disk: DiskVersion,
    /// The data file in `.urb/log`: META beside the epochs, or the flat log.
    pub top: Result<DataSurvey, DataError>,
    /// The epochs, oldest first. In a flat log those of a migration that was begun, if any.
    pub epochs: Vec<EpochSurvey>,
    /// The live snapshot.
    pub snapshot: SnapshotFiles,
}

/// What an epoch is made of.
#[derive(Debug)]
#[non_exhaustive]
pub struct EpochSurvey {
    /// The name of its folder.
    pub name: String,
    /// Its number: the last event before it.
    pub number: u64,
    /// Its folder.
    pub path: PathBuf,
    /// `epoc.txt`: the version of its format, 1 or 2.
    pub epoc: TextFile,
    /// `vere.txt`: the runtime that made it. For people; nothing depends on it.
    pub vere: TextFile,
    /// Its data file.
    pub data: Result<DataSurvey, DataError>,
    /// The snapshot from which it starts: none in epoch 0.
    pub snapshot: SnapshotFiles,
}

/// What a data file holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DataSurvey {
    /// Its length in bytes.
    pub bytes: u64,
    /// The state it is in.
    pub state: Meta,
    /// The table META.
    pub meta: MetaRecord,
    /// Whether there is a table of events. A fresh epoch has none.
    pub has_events: bool,
    /// How many events the table counts.
    pub entries: u64,
    /// The first and the last event.
    pub bounds: Option<(u64, u64)>,
}

/// Why nothing is known of a data file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It can be opened, but META or the ends of its events cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The files of a snapshot. What they hold only the runtime knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotFiles {
    /// Those that are there, with their lengths in bytes.
    pub files: Vec<(String, u64)>,
    /// The event it is of, if the layout is one of those where that is known.
    pub event: Option<u64>,
}

impl SnapshotFiles {
    /// Lists those of [`SNAPSHOT_FILES`] that are in `dir`.
    pub(crate) fn in_dir(dir: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        for name in SNAPSHOT_FILES {
            match fs::metadata(dir.join(name)) {
                Ok(metadata) => files.push((name.to_owned(), metadata.len())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let mut snapshot = Self { files, event: None };
        // A patch that was not applied may be of a later event.
        if !snapshot.has_patch() {
            snapshot.event = snapshot_event::of(dir)?;
        }
        Ok(snapshot)
    }

    /// Whether a whole snapshot is there: `image.bin`, or `north.bin` and `south.bin`.
    pub fn is_whole(&self) -> bool {
        let has = |name| self.files.iter().any(|(found, _)| found == name);
        has("image.bin") || has("north.bin") && has("south.bin")
    }

    /// Whether a save was interrupted: its patch is still there and belongs to the snapshot.
    pub fn has_patch(&self) -> bool {
        self.files.iter().any(|(name, _)| PATCH_FILES.contains(&name.as_str()))
    }
}

impl Survey {
    /// Looks at the pier. Damage is in the result.
    ///
    /// # Errors
    ///
    /// Only if a folder or a text file cannot be read.
    pub fn of(pier: &Pier) -> io::Result<Self> {
        let log_dir = pier.log_dir();
        let epochs =
            Layout::VERE.epochs_in(&log_dir)?.iter().map(EpochSurvey::of).collect::<io::Result<_>>()?;
        Ok(Self {
            disk: pier.disk_version(),
            top: DataSurvey::of(&log_dir.join(Layout::VERE.data_file)),
            epochs,
            snapshot: SnapshotFiles::in_dir(&pier.snapshot_dir())?,
        })
    }

    /// Whose log it is: what the file beside the epochs says, or the first epoch whose META can be read.
    pub fn identity(&self) -> Option<Identity> {
        let epochs = self.epochs.iter().filter_map(|epoch| epoch.data.as_ref().ok());
        self.top.as_ref().ok().into_iter().chain(epochs).find_map(|data| data.meta.identity())
    }

    /// The first event of the log, as far as the ends of its files tell.
    pub fn first(&self) -> Option<u64> {
        self.bounds().map(|(first, _)| first).next()
    }

    /// The last event of the log, as far as the ends of its files tell.
    pub fn last(&self) -> Option<u64> {
        self.bounds().map(|(_, last)| last).last()
    }

    fn bounds(&self) -> impl Iterator<Item = (u64, u64)> {
        let is_flat = self.disk != DiskVersion::Epochs;
        let flat = self.top.as_ref().ok().filter(|_| is_flat);
        let epochs =
            self.epochs.iter().filter(move |_| !is_flat).filter_map(|epoch| epoch.data.as_ref().ok());
        flat.into_iter().chain(epochs).filter_map(|data| data.bounds)
    }
}

impl EpochSurvey {
    fn of(epoch: &EpochDir) -> io::Result<Self> {
        let name = epoch.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self {
            name,
            number: epoch.number,
            path: epoch.path.clone(),
            epoc: TextFile::read(&epoch.path.join(EPOC_FILE), EPOC_BYTES_MAX)?,
            vere: TextFile::read(&epoch.path.join(VERE_FILE), VERE_BYTES_MAX)?,
            data: DataSurvey::of(&epoch.path.join(Layout::VERE.data_file)),
            snapshot: SnapshotFiles::in_dir(&epoch.path)?,
        })
    }

    /// The version of its format, if that is known.
    pub fn version(&self) -> Option<u8> {
        match self.epoc.text()? {
            "1" => Some(1),
            "2" => Some(2),
            _ => None,
        }
    }
}

impl DataSurvey {
    pub(crate) fn of(path: &Path) -> Result<Self, DataError> {
        let file = DataFile::open(path)?;
        let meta = MetaRecord::read(&file)?;
        let table = file.table(Layout::VERE.events_table.as_bytes())?;
        let bounds = match table {
            Some(table) => file.events(table)?.bounds()?,
            None => None,
        };
        Ok(Self {
            bytes: file.byte_len(),
            state: *file.meta(),
            meta,
            has_events: table.is_some(),
            entries: table.map_or(0, |table| table.record.entries),
            bounds,
        })
    }
}

/// The version of an epoch's format.
pub(crate) const EPOC_FILE: &str = "epoc.txt";
/// The runtime that made an epoch.
pub(crate) const VERE_FILE: &str = "vere.txt";
/// Vere reads less than 7 bytes of one, and less than 127 of the other.
const EPOC_BYTES_MAX: u64 = 6;
const VERE_BYTES_MAX: u64 = 126;
/// The files of a snapshot, those of an interrupted save last.
pub(crate) const SNAPSHOT_FILES: [&str; 5] =
    ["north.bin", "south.bin", "image.bin", "control.bin", "memory.bin"];
const PATCH_FILES: [&str; 2] = ["control.bin", "memory.bin"];
