//! A pier that is held, for reading or for writing.

use std::io;
use std::path::{Path, PathBuf};

use crate::data_file::DataFile;
use crate::epochs::{EpochDir, Layout};
use crate::error::{OpenError, ReadError};
use crate::lock::{self, Holder, LockError, ProcessIds, ReadGuard, Stale, WriteGuard};
use crate::log::{EpochLog, LogError};
use crate::vere::meta::MetaRecord;

/// A pier: the folder of one ship.
///
/// While the value lives its lock file is held, so that no ship starts under a reader, and no reader under a writer.
#[derive(Debug)]
pub struct Pier {
    root: PathBuf,
    disk: DiskVersion,
    guard: Guard,
}

/// How events are kept on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskVersion {
    /// One flat log in `.urb/log`: runtimes up to 2.12.
    Flat,
    /// A flat log whose migration to epochs was begun: it holds the truth until that is done.
    Migrating,
    /// Epochs: runtimes from 3.0 on.
    Epochs,
}

/// What a pier is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Looking: nothing is created or changed, and other readers may look too.
    Read,
    /// Changing.
    Write,
}

#[derive(Debug)]
enum Guard {
    Read(ReadGuard),
    Write(WriteGuard),
}

impl Pier {
    /// Opens the pier at `root` and holds its lock file.
    ///
    /// Reading creates nothing: in a pier without a lock file nothing is held, and [`Self::is_held`] says so.
    ///
    /// # Errors
    ///
    /// [`PierError::NoLog`] if there is no log, [`PierError::Lock`] and [`PierError::EnvironmentInUse`] if somebody
    /// else has the pier, [`PierError::Open`] or [`PierError::NoVersion`] if what tells the disk version is damaged
    /// and nothing else tells it.
    pub fn open(root: &Path, access: Access, ids: ProcessIds) -> Result<Self, PierError> {
        let log_dir = root.join(LOG_DIR);
        if !log_dir.is_dir() {
            return Err(PierError::NoLog { path: log_dir });
        }
        let path = root.join(LOCK_FILE);
        let guard = match access {
            Access::Read => Guard::Read(lock::read(&path, ids)?),
            Access::Write => Guard::Write(lock::write(&path, ids)?),
        };
        check_environments(&log_dir)?;
        let disk = disk_version(&log_dir)?;
        Ok(Self { root: root.to_owned(), disk, guard })
    }

    /// Holds the lock file of a pier that has no log yet.
    pub(crate) fn lock_new(root: &Path, ids: ProcessIds) -> Result<Self, PierError> {
        let guard = Guard::Write(lock::write(&root.join(LOCK_FILE), ids)?);
        Ok(Self { root: root.to_owned(), disk: DiskVersion::Epochs, guard })
    }

    /// Looks again how events are kept, as after a migration.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn reload(&mut self) -> Result<(), PierError> {
        self.disk = disk_version(&self.log_dir())?;
        Ok(())
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the log, `.urb/log`.
    pub fn log_dir(&self) -> PathBuf {
        self.root.join(LOG_DIR)
    }

    /// The folder of the live snapshot, `.urb/chk`.
    pub fn snapshot_dir(&self) -> PathBuf {
        self.root.join(SNAPSHOT_DIR)
    }

    /// How events are kept.
    pub fn disk_version(&self) -> DiskVersion {
        self.disk
    }

    /// Whether the lock file is held. If not, a ship that starts meanwhile is not kept off.
    pub fn is_held(&self) -> bool {
        match &self.guard {
            Guard::Read(guard) => guard.is_held(),
            Guard::Write(_) => true,
        }
    }

    /// What was found in a lock file that locked nothing.
    pub fn stale_lock(&self) -> Option<&Stale> {
        match &self.guard {
            Guard::Read(guard) => guard.stale(),
            Guard::Write(guard) => guard.stale(),
        }
    }

    /// Fails if somebody opened the log since this value was made, as can happen where nothing is held.
    ///
    /// # Errors
    ///
    /// As those of [`Self::open`] about somebody else.
    pub fn check_still_alone(&self) -> Result<(), PierError> {
        if !self.is_held() {
            drop(lock::read(&self.root.join(LOCK_FILE), ProcessIds::Honour)?);
        }
        check_environments(&self.log_dir())
    }

    /// The folders that hold events, oldest first: one that stands for the flat log, or the epochs.
    ///
    /// # Errors
    ///
    /// [`PierError::Io`], and those of the flat log, whose first event tells its number.
    pub fn epochs(&self) -> Result<Vec<EpochDir>, PierError> {
        let log_dir = self.log_dir();
        if self.disk == DiskVersion::Epochs {
            let epochs = Layout::VERE.epochs_in(&log_dir);
            return epochs.map_err(|source| PierError::Io { path: log_dir, source });
        }
        let path = log_dir.join(Layout::VERE.data_file);
        let file = DataFile::open(&path).map_err(|source| PierError::Open { path: path.clone(), source })?;
        let table = file.table(Layout::VERE.events_table.as_bytes());
        let bounds = table.and_then(|table| match table {
            Some(table) => file.events(table)?.bounds(),
            None => Ok(None),
        });
        let bounds = bounds.map_err(|source| PierError::Read { path, source })?;
        // A flat log that was chopped holds its last event only.
        let number = bounds.map_or(0, |(first, _)| first.saturating_sub(1));
        Ok(vec![EpochDir { number, path: log_dir }])
    }

    /// The whole log.
    ///
    /// # Errors
    ///
    /// As [`Self::epochs`]; [`PierError::Log`] if two folders mean one epoch.
    pub fn log(&self) -> Result<EpochLog, PierError> {
        Ok(EpochLog::from_epochs(self.epochs()?, Layout::VERE)?)
    }

    pub(crate) fn write_guard(&self) -> &WriteGuard {
        match &self.guard {
            Guard::Write(guard) => guard,
            Guard::Read(_) => panic!("a pier is changed only if it was opened for that"),
        }
    }
}

/// Why a pier could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PierError {
    /// There is no log: it is no pier.
    #[error("{} is not there: the folder is no pier", path.display())]
    NoLog {
        /// The folder of the log.
        path: PathBuf,
    },
    /// Somebody has the pier, or its lock cannot be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A program has one of the environments open, as a running ship has: stop it.
    #[error("{}: in use{}", path.display(), by(holder))]
    EnvironmentInUse {
        /// LMDB's lock file.
        path: PathBuf,
        /// Who has it.
        holder: Holder,
    },
    /// A data file cannot be opened.
    #[error("{}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// A data file cannot be read.
    #[error("{}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Where and how.
        source: ReadError,
    },
    /// The flat log, or the file beside the epochs, does not say which version it has, and there are no epochs.
    #[error("{}: META gives no disk version, and there are no epochs: verify, then salvage", path.display())]
    NoVersion {
        /// The file.
        path: PathBuf,
    },
    /// The epochs do not make one log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A file or folder cannot be read or written.
    #[error("{}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn by(holder: &Holder) -> String {
    holder.pid.map_or_else(String::new, |pid| format!(" by process {pid}"))
}

/// Fails if another process has one of the environments of the log open.
pub(crate) fn check_environments(log_dir: &Path) -> Result<(), PierError> {
    let io = |path: &Path, source| PierError::Io { path: path.to_owned(), source };
    let epochs = Layout::VERE.epochs_in(log_dir).map_err(|source| io(log_dir, source))?;
    for dir in epochs.iter().map(|epoch| epoch.path.as_path()).chain([log_dir]) {
        let path = dir.join(ENVIRONMENT_LOCK_FILE);
        if let Some(holder) = lock::probe_environment(&path).map_err(|source| io(&path, source))? {
            return Err(PierError::EnvironmentInUse { path, holder });
        }
    }
    Ok(())
}

/// The disk version, by the META table beside the epochs, or by there being epochs if that one is damaged.
fn disk_version(log_dir: &Path) -> Result<DiskVersion, PierError> {
    let path = log_dir.join(Layout::VERE.data_file);
    let epochs = Layout::VERE.epochs_in(log_dir);
    let has_epochs = !epochs.map_err(|source| PierError::Io { path: path.clone(), source })?.is_empty();
    let record = match DataFile::open(&path) {
        Ok(file) => MetaRecord::read(&file).map_err(|source| PierError::Read { path: path.clone(), source }),
        Err(source) => Err(PierError::Open { path: path.clone(), source }),
    };
    match record.map(|record| record.version) {
        Ok(Some(1)) => Ok(DiskVersion::Flat),
        Ok(Some(2)) => Ok(DiskVersion::Migrating),
        Ok(Some(_)) => Ok(DiskVersion::Epochs),
        // The epochs say as much, and verify names the damage.
        Ok(None) | Err(_) if has_epochs => Ok(DiskVersion::Epochs),
        Ok(None) => Err(PierError::NoVersion { path }),
        Err(error) => Err(error),
    }
}

/// The lock file of a pier.
pub(crate) const LOCK_FILE: &str = ".vere.lock";
/// The log's folder in a pier.
pub(crate) const LOG_DIR: &str = ".urb/log";
/// The live snapshot's folder in a pier.
pub(crate) const SNAPSHOT_DIR: &str = ".urb/chk";
/// LMDB's own lock file.
pub(crate) const ENVIRONMENT_LOCK_FILE: &str = "lock.mdb";
