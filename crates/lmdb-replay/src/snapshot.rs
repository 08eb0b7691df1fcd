//! Snapshots of our own: a state with its event and mug, checksummed, two of them in turn.
//!
//! A file is, little-endian: `magic "SAMESNAP" | version u32 = 1 | mug u32 | event u64 | log [u8; 16] |
//! state length u64 | XXH3-128 of the state [u8; 16] | XXH3-64 of all before it u64 | state`. Checksums guard against
//! accidents, not against forgers.
//!
//! A save writes the slot that does not hold the newest sound snapshot: into a temporary file, which is synced,
//! renamed, and its folder synced. Whenever the process ends, the newest one or the one before it is whole.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::durable;

/// Which log a state belongs to, so that those of two logs are not mixed up. What it says is the caller's affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogTag(pub [u8; 16]);

/// A folder with snapshots of one machine.
#[derive(Clone, Debug)]
pub struct SnapshotStore {
    dir: PathBuf,
    tag: LogTag,
}

/// A state after an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last event in it.
    pub number: u64,
    /// The mug of the state.
    pub mug: u32,
    /// The state, as [`Machine::snapshot`](crate::Machine::snapshot) gave it.
    pub state: Vec<u8>,
}

/// What a store holds.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The newest sound snapshot that was asked for.
    pub snapshot: Option<Snapshot>,
    /// Why others could not be used.
    pub damaged: Vec<SnapshotError>,
}

impl SnapshotStore {
    /// The store in the folder `dir`, which is made by the first save, of the log that `tag` names.
    pub fn new(dir: impl Into<PathBuf>, tag: LogTag) -> Self {
        Self { dir: dir.into(), tag }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The newest sound snapshot of event `number_max` or an earlier one.
    ///
    /// Damage is in the result: a snapshot that is damaged falls back to the one before it.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Io`] if a file is there and cannot be read, [`SnapshotError::OtherLog`] if one belongs to
    /// another log: then the folder is the wrong one.
    pub fn load(&self, number_max: u64) -> Result<Loaded, SnapshotError> {
        let mut loaded = Loaded::default();
        for slot in SLOTS {
            match self.read(slot) {
                Ok(Some(snapshot)) => {
                    let newest = loaded.snapshot.as_ref().map(|newest| newest.number);
                    if snapshot.number <= number_max && Some(snapshot.number) > newest {
                        loaded.snapshot = Some(snapshot);
                    }
                }
                Ok(None) => {}
                Err(error @ SnapshotError::Damaged { .. }) => loaded.damaged.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok(loaded)
    }

    /// Saves a state. It is durable on return, and the newest sound one before it is untouched.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Io`]; [`SnapshotError::OtherLog`] if the folder holds snapshots of another log. What was there
    /// is there.
    pub fn save(&self, snapshot: &Snapshot) -> Result<PathBuf, SnapshotError> {
        self.save_through(snapshot, &mut |_| Ok(()))
    }

    /// Saves a state, and asks `reach` before each step.
    fn save_through(
        &self,
        snapshot: &Snapshot,
        reach: &mut dyn FnMut(SaveStep) -> io::Result<()>,
    ) -> Result<PathBuf, SnapshotError> {
        let slot = self.slot_for_save()?;
        let path = self.dir.join(slot);
        let temporary = self.dir.join(TEMPORARY);
        let bytes = [&self.encode_header(snapshot)[..], &snapshot.state].concat();
        let mut save = || {
            reach(SaveStep::CreateDir)?;
            if !self.dir.is_dir() {
                fs::create_dir_all(&self.dir)?;
                if let Some(parent) = self.dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                    durable::sync_dir(parent)?;
                }
            }
            reach(SaveStep::Create)?;
            let mut file = File::create(&temporary)?;
            let (front, back) = bytes.split_at(bytes.len() / 2);
            reach(SaveStep::WriteFront)?;
            file.write_all(front)?;
            reach(SaveStep::WriteBack)?;
            file.write_all(back)?;
            reach(SaveStep::Sync)?;
            file.sync_all()?;
            reach(SaveStep::Rename)?;
            fs::rename(&temporary, &path)?;
            reach(SaveStep::SyncDir)?;
            durable::sync_dir(&self.dir)
        };
        save().map_err(|source| SnapshotError::Io { path: path.clone(), source })?;
        Ok(path)
    }

    /// The slot that does not hold the newest sound snapshot.
    fn slot_for_save(&self) -> Result<&'static str, SnapshotError> {
        let mut newest: Option<(u64, usize)> = None;
        for (at, slot) in SLOTS.into_iter().enumerate() {
            match self.read(slot) {
                Ok(Some(snapshot)) => newest = newest.max(Some((snapshot.number, at))),
                Ok(None) | Err(SnapshotError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(SLOTS[newest.map_or(0, |(_, at)| 1 - at)])
    }

    fn read(&self, slot: &str) -> Result<Option<Snapshot>, SnapshotError> {
        let path = self.dir.join(slot);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(SnapshotError::Io { path, source }),
        }
        self.decode(&path, bytes).map(Some)
    }

    fn encode_header(&self, snapshot: &Snapshot) -> [u8; HEADER_BYTES] {
        let state_bytes = snapshot.state.len() as u64;
        let fields: [&[u8]; 7] = [
            &MAGIC,
            &VERSION.to_le_bytes(),
            &snapshot.mug.to_le_bytes(),
            &snapshot.number.to_le_bytes(),
            &self.tag.0,
            &state_bytes.to_le_bytes(),
            &xxh3_128(&snapshot.state).to_le_bytes(),
        ];
        let mut header = [0; HEADER_BYTES];
        let sum = header.len() - 8;
        header[..sum].copy_from_slice(&fields.concat());
        let checksum = xxh3_64(&header[..sum]);
        header[sum..].copy_from_slice(&checksum.to_le_bytes());
        header
    }

    fn decode(&self, path: &Path, mut bytes: Vec<u8>) -> Result<Snapshot, SnapshotError> {
        let damaged = |problem| SnapshotError::Damaged { path: path.to_owned(), problem };
        let header: [u8; HEADER_BYTES] =
            *bytes.first_chunk().ok_or(damaged(SnapshotProblem::Length { bytes: bytes.len() as u64 }))?;
        let sum = HEADER_BYTES - 8;
        if xxh3_64(&header[..sum]) != word(&header, sum) {
            return Err(damaged(SnapshotProblem::Header));
        }
        let version = half_word(&header, 8);
        if header[..8] != MAGIC || version != VERSION {
            return Err(damaged(SnapshotProblem::Version { found: version }));
        }
        if header[24..40] != self.tag.0 {
            return Err(SnapshotError::OtherLog { path: path.to_owned() });
        }
        let state = bytes.split_off(HEADER_BYTES);
        if word(&header, 40) != state.len() as u64 {
            return Err(damaged(SnapshotProblem::Length { bytes: bytes.len() as u64 + state.len() as u64 }));
        }
        if xxh3_128(&state).to_le_bytes() != header[48..64] {
            return Err(damaged(SnapshotProblem::State));
        }
        Ok(Snapshot { number: word(&header, 16), mug: half_word(&header, 12), state })
    }
}

/// What a save does, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SaveStep {
    CreateDir,
    Create,
    WriteFront,
    WriteBack,
    Sync,
    Rename,
    SyncDir,
}

/// Why a snapshot could not be saved or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// A file cannot be read or written.
    #[error("{}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is damaged. The one before it may be sound.
    #[error("{}: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How.
        problem: SnapshotProblem,
    },
    /// A file belongs to another log: give another folder.
    #[error("{} is a snapshot of another log: give another folder", path.display())]
    OtherLog {
        /// The file.
        path: PathBuf,
    },
}

/// How a snapshot is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotProblem {
    /// The file ends too early or too late.
    #[error("a length of {bytes} bytes is not what it says")]
    Length {
        /// Its length.
        bytes: u64,
    },
    /// The checksum of the header differs.
    #[error("its header is damaged, or it is no snapshot")]
    Header,
    /// A newer release made it.
    #[error("version {found} is not known")]
    Version {
        /// The version.
        found: u32,
    },
    /// The checksum of the state differs.
    #[error("its state is damaged")]
    State,
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("a header has the length of a header"))
}

fn half_word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("a header has the length of a header"))
}

const MAGIC: [u8; 8] = *b"SAMESNAP";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 72;
const SLOTS: [&str; 2] = ["a.snapshot", "b.snapshot"];
const TEMPORARY: &str = "new.tmp";

#[cfg(test)]
mod tests;
