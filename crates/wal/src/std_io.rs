//! The driver over `std::fs`: positional reads and writes, an advisory lock, real barriers.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::disk::Disk;
use crate::id::{LogId, SegmentId};
use crate::map::Maps;
use crate::op::{FileName, Op};

/// One directory of a file system, as `std` reaches it. Unix only.
///
/// Relies on the kernel for what it promises: a returned `fdatasync` means that data and length are on the medium,
/// a returned `fsync` of a directory that its names are.
#[derive(Debug)]
pub struct StdDisk {
    dir: PathBuf,
    files: BTreeMap<FileName, File>,
    /// Sealed segments that are mapped, for this handle and its readers.
    maps: Maps,
    /// Directories that were created on the way to `dir`: their names are to be made durable, too.
    created: Vec<PathBuf>,
}

impl StdDisk {
    /// The directory `dir`, which need not exist. Nothing is touched before the first operation.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), files: BTreeMap::new(), maps: Maps::default(), created: Vec::new() }
    }

    /// The mapped segments.
    pub(crate) fn maps(&self) -> &Maps {
        &self.maps
    }

    pub(crate) fn path(&self, file: FileName) -> PathBuf {
        self.dir.join(file.to_string())
    }

    fn file(&self, file: FileName) -> io::Result<&File> {
        self.files.get(&file).ok_or_else(|| io::Error::other(format!("{file} is not open")))
    }

    fn create_dir(&mut self) -> io::Result<u64> {
        let missing = self.dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists());
        self.created = missing.map(Path::to_path_buf).collect();
        fs::create_dir_all(&self.dir)?;
        Ok(0)
    }

    fn sync_parent(&mut self) -> io::Result<u64> {
        let dirs = self.created.split_off(0);
        for dir in dirs.iter().map(PathBuf::as_path).chain([self.dir.as_path()]) {
            let parent = match dir.parent() {
                Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
                Some(parent) => parent,
                None => continue,
            };
            File::open(parent)?.sync_all()?;
        }
        Ok(0)
    }

    fn lock(&mut self) -> io::Result<u64> {
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
        let file = options.open(self.path(FileName::Lock))?;
        match file.try_lock() {
            Ok(()) => {
                self.files.insert(FileName::Lock, file);
                Ok(0)
            }
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let names =
            fs::read_dir(&self.dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn read_at(&self, file: FileName, offset: u64, buf: &mut [u8]) -> io::Result<u64> {
        let file = self.file(file)?;
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

    fn write_zeros(&self, file: FileName, len: u64) -> io::Result<u64> {
        let file = self.file(file)?;
        let step = len.min(ZEROS_BYTES);
        let zeros = vec![0; usize::try_from(step).map_err(io::Error::other)?];
        let mut offset = 0;
        while offset < len {
            let bytes = step.min(len - offset);
            file.write_all_at(&zeros[..usize::try_from(bytes).map_err(io::Error::other)?], offset)?;
            offset += bytes;
        }
        Ok(len)
    }
}

impl Disk for StdDisk {
    fn perform(&mut self, op: &mut Op) -> io::Result<u64> {
        match op {
            Op::CreateDir => self.create_dir(),
            Op::SyncParent => self.sync_parent(),
            Op::SyncDir => File::open(&self.dir)?.sync_all().map(|()| 0),
            Op::Lock => self.lock(),
            Op::List { names } => {
                *names = self.list()?;
                Ok(0)
            }
            Op::Open { file } => {
                let handle = open(&self.path(*file))?;
                let len = handle.metadata()?.len();
                self.files.insert(*file, handle);
                Ok(len)
            }
            Op::Create { file } => {
                let options = OpenOptions::new().read(true).write(true).create(true).truncate(true).clone();
                let handle = options.open(self.path(*file))?;
                self.files.insert(*file, handle);
                Ok(0)
            }
            Op::ReadAt { file, offset, buf } => self.read_at(*file, *offset, buf),
            Op::WriteAt { file, offset, buf } => {
                self.file(*file)?.write_all_at(buf, *offset).map(|()| buf.len() as u64)
            }
            Op::WriteZeros { file, len, may_be_hole: true } => self.file(*file)?.set_len(*len).map(|()| 0),
            Op::WriteZeros { file, len, may_be_hole: false } => self.write_zeros(*file, *len),
            Op::SyncData { file } => self.file(*file)?.sync_data().map(|()| 0),
            Op::SetLen { file, len } => self.file(*file)?.set_len(*len).map(|()| 0),
            Op::Remove { file } => {
                self.files.remove(file);
                if let FileName::Segment(id) = file {
                    self.maps.remove(*id);
                }
                fs::remove_file(self.path(*file)).map(|()| 0)
            }
            Op::Close { file } => {
                self.files.remove(file);
                Ok(0)
            }
        }
    }

    fn reader(&self) -> Self {
        Self { maps: self.maps.clone(), ..Self::new(&self.dir) }
    }

    fn in_memory(&self, segment: SegmentId) -> Option<Bytes> {
        self.maps.get(segment)
    }
}

/// Opens a file to read and write; one that is read-only, as mapped segments are, to read.
fn open(path: &Path) -> io::Result<File> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(path),
        outcome => outcome,
    }
}

impl LogId {
    /// A random identity, from the kernel's random device `/dev/urandom`. Unix only.
    ///
    /// # Errors
    ///
    /// If the device cannot be read, for instance in a jail without `/dev`: then give [`LogId::new`] 16 bytes
    /// from another source.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; 16];
        io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut bytes)?;
        Ok(Self::new(bytes))
    }
}

/// How much is zeroed by one call.
const ZEROS_BYTES: u64 = 1 << 20;
