//! A directory that is looked at and left as it is.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::op::{FileName, Op};

/// One directory, for reading alone: nothing is created, locked, synced, written or removed.
///
/// Barriers and the lock succeed without doing anything, so that the open sequence can be followed up to its
/// decisions; the operations that come behind them, all of which write, fail with
/// [`io::ErrorKind::ReadOnlyFilesystem`].
#[derive(Debug)]
pub struct ReadOnlyDisk {
    dir: PathBuf,
    files: BTreeMap<FileName, File>,
}

impl ReadOnlyDisk {
    /// The directory `dir`. Nothing is touched before the first operation.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), files: BTreeMap::new() }
    }

    /// The directory.
    #[cfg(feature = "cli")]
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn open(&mut self, file: FileName) -> io::Result<u64> {
        let handle = File::open(self.dir.join(file.to_string()))?;
        let len = handle.metadata()?.len();
        self.files.insert(file, handle);
        Ok(len)
    }
}

impl Disk for ReadOnlyDisk {
    fn perform(&mut self, op: &mut Op) -> io::Result<u64> {
        match op {
            Op::SyncParent | Op::SyncDir | Op::SyncData { .. } => Ok(0),
            Op::Lock => fs::metadata(&self.dir).map(|_| 0),
            Op::List { names } => {
                for entry in fs::read_dir(&self.dir)? {
                    names.push(entry?.file_name().to_string_lossy().into_owned());
                }
                Ok(0)
            }
            Op::Open { file } => self.open(*file),
            Op::ReadAt { file, offset, buf } => {
                let handle = self.files.get(file).ok_or_else(|| io::Error::other("the file is not open"))?;
                read_at(handle, buf, *offset)
            }
            Op::Close { file } => {
                self.files.remove(file);
                Ok(0)
            }
            _ => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
        }
    }

    fn reader(&self) -> Self {
        Self::new(&self.dir)
    }
}

/// Whether some process has the log in `dir` open.
///
/// Asks for the lock, shared and without waiting, and gives it back at once if it comes. A log that is being opened
/// at that very moment finds it taken; nothing on the disk changes.
pub fn is_in_use(dir: &Path) -> io::Result<bool> {
    let file = match File::open(dir.join(FileName::Lock.to_string())) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<u64> {
    let mut read = 0;
    while read < buf.len() {
        match file.read_at(&mut buf[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(bytes) => read += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read as u64)
}
