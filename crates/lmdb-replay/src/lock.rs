//! The lock file of a log: who has it, and taking it.
//!
//! Two protocols are kept at once. Vere 3.0 writes its process id into the file and holds nothing; Vere 3.1 and
//! later hold a POSIX record lock (`fcntl`, `F_SETLK`) on the first byte while they run. A lock taken here does
//! both, so that either sees it. Nobody is ever killed for the lock.
//!
//! POSIX record locks belong to a process, and all of those on an inode are gone when the process closes any
//! descriptor of it. So this module keeps one descriptor an inode, shared by all guards in the process, and never
//! opens a file to look at its lock while the process itself holds one on it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::{Flock, FlockType, Pid, fcntl_getlk, test_kill_process};

use crate::lock::held::{Held, Inode};

pub(crate) mod held;
mod process;

/// Who has a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockState {
    /// Nobody, and there is no lock file, or an empty one.
    Free,
    /// Nobody. A lock file is there, as a process left it that ended without its shutdown.
    Stale(Stale),
    /// A process has it.
    Held(Holder),
}

/// Why a lock file that is there locks nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stale {
    /// It names a process that is no more.
    #[error("left by process {pid}, which is no more")]
    Dead {
        /// The process.
        pid: u32,
    },
    /// It names a living process that started after it was written: another one with a reused id.
    #[error("left by process {pid}, whose id another one has now")]
    Reused {
        /// The process.
        pid: u32,
    },
    /// It holds no process id, as after a full disk.
    #[error("it holds no process id")]
    Garbage,
    /// It names a living process that does not hold it in a way that can be told from a stranger with a reused id;
    /// the caller said to go on.
    #[error("it names process {pid}, and was taken all the same as asked for")]
    Forced {
        /// The process.
        pid: u32,
    },
}

/// A process that has a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its id, unless it runs where ids are others (another machine, another container).
    pub pid: Option<u32>,
    /// How that is known.
    pub evidence: Evidence,
}

/// How it is known that a process has a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evidence {
    /// It holds a record lock on the lock file: Vere from 3.1 on, and this crate.
    RecordLock,
    /// Its id stands in the lock file, and it lives: Vere 3.0. Ids are reused, so it can be a stranger.
    ProcessId,
    /// It holds a record lock on LMDB's own lock file: any program that has the environment open.
    Environment,
}

/// Whether a living process whose id stands in the lock file, and no more, is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessIds {
    /// It is, as it may be a ship of Vere 3.0.
    Honour,
    /// It is not: the caller knows that it is a stranger. A record lock is honoured all the same.
    Ignore,
}

/// Looks who has the lock file at `path`. Takes nothing and changes nothing.
pub fn probe(path: &Path) -> io::Result<LockState> {
    let Some(inode) = Inode::of_path(path)? else { return Ok(LockState::Free) };
    if held::find(inode).is_some() {
        return Ok(LockState::Held(Holder { pid: Some(own_pid()), evidence: Evidence::RecordLock }));
    }
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LockState::Free),
        Err(error) => return Err(error),
    };
    if let Some(holder) = record_lock(&file, Evidence::RecordLock)? {
        return Ok(LockState::Held(holder));
    }
    read_state(&file)
}

/// Looks who has the LMDB environment whose lock file is at `path`, by the record lock that every program with
/// LMDB's locks on holds there while it has the environment open.
///
/// `None` also if this process has it open.
pub fn probe_environment(path: &Path) -> io::Result<Option<Holder>> {
    let Some(inode) = Inode::of_path(path)? else { return Ok(None) };
    // Opening and closing the file here would end LMDB's own locks.
    if held::is_environment(inode) {
        return Ok(None);
    }
    record_lock(&File::open(path)?, Evidence::Environment)
}

/// Keeps writers off the log while it lives. Created by [`read`].
#[derive(Debug)]
pub struct ReadGuard {
    /// What was found in a lock file that locks nothing.
    stale: Option<Stale>,
    /// The lock, unless there is no lock file: then there is nothing to hold, and nothing is created.
    held: Option<Arc<Held>>,
}

impl ReadGuard {
    /// Whether a lock is held. Without a lock file none is, as reading creates nothing: a ship that starts
    /// meanwhile is not held off.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// What was found in a lock file that locks nothing.
    pub fn stale(&self) -> Option<&Stale> {
        self.stale.as_ref()
    }
}

/// Takes the lock file at `path` for reading: other readers may have it too, a writer may not.
///
/// Nothing is created or changed. On a medium that allows no locks the guard holds none.
///
/// # Errors
///
/// [`LockError::InUse`] with the holder, [`LockError::Io`].
pub fn read(path: &Path, ids: ProcessIds) -> Result<ReadGuard, LockError> {
    let failed = |source| LockError::Io { path: path.to_owned(), source };
    for _ in 0..ATTEMPTS {
        let Some(inode) = Inode::of_path(path).map_err(failed)? else {
            return Ok(ReadGuard { stale: None, held: None });
        };
        if let Some(held) = held::find(inode) {
            if held.is_writer() {
                return Err(in_use(path, Some(own_pid()), Evidence::RecordLock));
            }
            return Ok(ReadGuard { stale: None, held: Some(held) });
        }
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(failed)?,
        };
        take(path, &file, FlockOperation::NonBlockingLockShared)?;
        let stale = judge(path, &file, ids)?;
        let held = held::register(Held::new(file, false).map_err(failed)?);
        if Inode::of_path(path).map_err(failed)? == Some(held.inode()) {
            return Ok(ReadGuard { stale, held: Some(held) });
        }
    }
    Err(LockError::Moving { path: path.to_owned() })
}

/// Keeps readers and writers off the log while it lives. Created by [`write()`].
///
/// Dropping it removes the lock file, as Vere does.
#[derive(Debug)]
pub struct WriteGuard {
    path: PathBuf,
    stale: Option<Stale>,
    held: Arc<Held>,
}

impl WriteGuard {
    /// What was found in a lock file that locked nothing.
    pub fn stale(&self) -> Option<&Stale> {
        self.stale.as_ref()
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        // While the lock is held: who opened the file before finds, after locking it, that it is no more there.
        if Inode::of_path(&self.path).ok().flatten() == Some(self.held.inode()) {
            // A file that stays names a dead process and locks nothing.
            let _removed = std::fs::remove_file(&self.path);
        }
    }
}

/// Takes the lock file at `path` for writing, creates it if need be, and writes this process's id into it.
///
/// # Errors
///
/// [`LockError::InUse`] with the holder, [`LockError::Io`].
pub fn write(path: &Path, ids: ProcessIds) -> Result<WriteGuard, LockError> {
    let failed = |source| LockError::Io { path: path.to_owned(), source };
    for _ in 0..ATTEMPTS {
        if let Some(inode) = Inode::of_path(path).map_err(failed)?
            && held::find(inode).is_some()
        {
            return Err(in_use(path, Some(own_pid()), Evidence::RecordLock));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o666);
        let file = options.open(path).map_err(failed)?;
        take(path, &file, FlockOperation::NonBlockingLockExclusive)?;
        if Inode::of_path(path).map_err(failed)? != Some(Inode::of_file(&file).map_err(failed)?) {
            continue;
        }
        let stale = judge(path, &file, ids)?;
        let text = format!("{}\n", own_pid());
        // A shorter text over a longer one, then cut: at no time is the file empty, over which Vere 3.0 would
        // end itself.
        file.write_all_at(text.as_bytes(), 0).map_err(failed)?;
        file.set_len(text.len() as u64).map_err(failed)?;
        let held = held::register(Held::new(file, true).map_err(failed)?);
        return Ok(WriteGuard { path: path.to_owned(), stale, held });
    }
    Err(LockError::Moving { path: path.to_owned() })
}

/// Why a log could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process has the log: stop it, or wait until it ends.
    #[error("{}: in use{}", path.display(), described(holder))]
    InUse {
        /// The lock file.
        path: PathBuf,
        /// Who has it.
        holder: Holder,
    },
    /// The lock file was replaced again and again while it was being locked.
    #[error("{}: replaced again and again while it was being locked; try again", path.display())]
    Moving {
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file cannot be opened, locked or written.
    #[error("{}: cannot be locked", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn described(holder: &Holder) -> String {
    let pid = holder.pid.map_or_else(String::new, |pid| format!(" by process {pid}"));
    let how = match holder.evidence {
        Evidence::RecordLock => "which holds the lock",
        Evidence::ProcessId => {
            "whose id stands in the lock file; if that is a stranger with a reused id, say so by --force"
        }
        Evidence::Environment => "which has the LMDB environment open, as a running ship has",
    };
    format!("{pid}, {how}")
}

fn in_use(path: &Path, pid: Option<u32>, evidence: Evidence) -> LockError {
    LockError::InUse { path: path.to_owned(), holder: Holder { pid, evidence } }
}

fn take(path: &Path, file: &File, operation: FlockOperation) -> Result<(), LockError> {
    let failed = |source| LockError::Io { path: path.to_owned(), source };
    match fcntl_lock(file, operation) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
            let holder = record_lock(file, Evidence::RecordLock).map_err(failed)?;
            // It may have been given up meanwhile: who it was is not known then.
            Err(in_use(path, holder.and_then(|holder| holder.pid), Evidence::RecordLock))
        }
        Err(error) => Err(failed(error.into())),
    }
}

/// Whether the text of a lock file that was just locked is in the way.
fn judge(path: &Path, file: &File, ids: ProcessIds) -> Result<Option<Stale>, LockError> {
    match read_state(file).map_err(|source| LockError::Io { path: path.to_owned(), source })? {
        LockState::Free => Ok(None),
        LockState::Stale(stale) => Ok(Some(stale)),
        LockState::Held(Holder { pid: Some(pid), .. }) if ids == ProcessIds::Ignore => {
            Ok(Some(Stale::Forced { pid }))
        }
        LockState::Held(holder) => Err(LockError::InUse { path: path.to_owned(), holder }),
    }
}

/// What the text of a lock file says, which nobody holds a record lock on.
fn read_state(file: &File) -> io::Result<LockState> {
    let mut text = Vec::new();
    file.take(TEXT_BYTES_MAX).read_to_end(&mut text)?;
    if text.is_empty() {
        return Ok(LockState::Free);
    }
    let pid = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse::<u32>().ok());
    let Some(pid) = pid.filter(|pid| (1..i32::MAX.unsigned_abs()).contains(pid)) else {
        return Ok(LockState::Stale(Stale::Garbage));
    };
    if pid == own_pid() {
        // Nobody else can be this process: it was left by one with the same id.
        return Ok(LockState::Stale(Stale::Dead { pid }));
    }
    let id = Pid::from_raw(pid.cast_signed()).expect("a process id is not 0");
    match test_kill_process(id) {
        Err(rustix::io::Errno::SRCH) => Ok(LockState::Stale(Stale::Dead { pid })),
        _ if process::started_after(pid, file.metadata()?.modified()?) == Some(true) => {
            Ok(LockState::Stale(Stale::Reused { pid }))
        }
        // One of another user lives too.
        _ => Ok(LockState::Held(Holder { pid: Some(pid), evidence: Evidence::ProcessId })),
    }
}

/// The other process that holds a record lock anywhere in the file, if any.
fn record_lock(file: &File, evidence: Evidence) -> io::Result<Option<Holder>> {
    let lock = fcntl_getlk(file, &Flock::from(FlockType::WriteLock))?;
    let pid = |lock: Flock| lock.pid.and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok());
    let lock = lock.filter(|lock| lock.typ != FlockType::Unlocked);
    Ok(lock.map(|lock| Holder { pid: pid(lock), evidence }))
}

#[expect(clippy::disallowed_methods, reason = "the id is what a lock file holds")]
fn own_pid() -> u32 {
    std::process::id()
}

/// How often a lock file that is replaced meanwhile is locked again.
const ATTEMPTS: usize = 16;
/// More than a process id needs.
const TEXT_BYTES_MAX: u64 = 64;
