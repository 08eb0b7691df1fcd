//! What an open file is to this crate: calls that block, on any thread.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use samestep_provider_traits::{Access, Alignment, Creation, Metadata, OpenOptions};

/// An open file, and in tests one whose calls fail when they are to.
pub(super) trait Medium: fmt::Debug + Send + Sync + 'static {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    fn sync(&self, extent: SyncExtent) -> io::Result<()>;
    fn allocate(&self, length: u64) -> io::Result<()>;
    fn set_len(&self, length: u64) -> io::Result<()>;
    fn metadata(&self) -> io::Result<Metadata>;
}

/// What a sync makes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncExtent {
    /// Bytes, and the length needed to read them.
    Data,
    /// All metadata, too.
    All,
}

/// A file of the operating system.
#[derive(Debug)]
pub(super) struct Disk {
    file: fs::File,
    /// Held for reading by all who change bytes, and for writing by who fills the room behind the end, which
    /// must not overwrite what others write there meanwhile.
    growth: RwLock<()>,
}

impl Disk {
    /// Opens the file at `path`, and tells what its I/O must be aligned to.
    pub(super) fn open(path: &Path, options: OpenOptions) -> io::Result<(Self, Alignment)> {
        let mut flags = OFlags::CLOEXEC;
        flags |= match options.access() {
            Access::Read => OFlags::RDONLY,
            Access::ReadWrite => OFlags::RDWR,
        };
        flags |= match options.creation() {
            Creation::Never => OFlags::empty(),
            Creation::IfMissing => OFlags::CREATE,
            Creation::New => OFlags::CREATE | OFlags::EXCL,
            Creation::Empty => OFlags::CREATE | OFlags::TRUNC,
        };
        if options.is_direct() {
            flags |= direct_flag()?;
        }
        let open = || rustix::fs::open(path, flags, Mode::from_raw_mode(0o666));
        let file = match rustix::io::retry_on_intr(open) {
            Ok(file) => fs::File::from(file),
            // What a file system says that has no direct I/O; a malformed path is told the same way, but not
            // without the flag.
            Err(Errno::INVAL) if options.is_direct() => return Err(no_direct_io()),
            Err(errno) => return Err(errno.into()),
        };
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let alignment = if options.is_direct() { direct_alignment(&file)? } else { Alignment::NONE };
        Ok((Self { file, growth: RwLock::new(()) }, alignment))
    }

    /// Writes zeros from the end to `length`, for platforms and file systems that reserve no room otherwise.
    fn fill_to(&self, length: u64) -> io::Result<()> {
        let _no_others_write = self.growth.write().unwrap_or_else(PoisonError::into_inner);
        let zeros = vec![0; FILL_BYTES];
        let mut end = self.file.metadata()?.len();
        while end < length {
            let count = usize::try_from(length - end).map_or(FILL_BYTES, |rest| rest.min(FILL_BYTES));
            end += retry(|| self.file.write_at(&zeros[..count], end))? as u64;
        }
        Ok(())
    }
}

impl Medium for Disk {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        retry(|| self.file.read_at(bytes, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let _end_may_move = self.growth.read().unwrap_or_else(PoisonError::into_inner);
        retry(|| self.file.write_at(bytes, offset))
    }

    fn sync(&self, extent: SyncExtent) -> io::Result<()> {
        match extent {
            SyncExtent::Data => self.file.sync_data(),
            SyncExtent::All => self.file.sync_all(),
        }
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        if length == 0 {
            return Ok(());
        }
        match reserve(&self.file, length) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => self.fill_to(length),
            outcome => outcome.map_err(exact),
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let _end_may_move = self.growth.read().unwrap_or_else(PoisonError::into_inner);
        self.file.set_len(length).map_err(exact)
    }

    fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata().map(|metadata| super::metadata_of(&metadata))
    }
}

/// Takes room on the device for the first `length` bytes, where the file system can without writing them.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn reserve(file: &fs::File, length: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};

    Ok(rustix::io::retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, length))?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn reserve(_: &fs::File, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Repeats `call` while signals interrupt it.
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome.map_err(exact),
        }
    }
}

/// The error with the kind that the traits name: to a program a full quota is a full disk.
fn exact(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::QuotaExceeded => io::Error::new(io::ErrorKind::StorageFull, error),
        _ => error,
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[expect(clippy::unnecessary_wraps, reason = "other platforms have no such flag")]
fn direct_flag() -> io::Result<OFlags> {
    Ok(OFlags::DIRECT)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn direct_flag() -> io::Result<OFlags> {
    Err(no_direct_io())
}

fn no_direct_io() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "no direct I/O to be had here")
}

/// What the file system says of direct I/O on `file` (Linux 6.1 and later), or a page, which all disks in use
/// keep.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn direct_alignment(file: &fs::File) -> io::Result<Alignment> {
    use rustix::fs::{AtFlags, StatxFlags};

    let found = match rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN) {
        Ok(found) => found,
        // Before Linux 4.11, or in a sandbox that does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => return Ok(PAGE),
        Err(errno) => return Err(errno.into()),
    };
    if found.stx_mask & StatxFlags::DIOALIGN.bits() == 0 {
        return Ok(PAGE);
    }
    match (found.stx_dio_mem_align, found.stx_dio_offset_align) {
        // The file system took the flag and does not keep it.
        (_, 0) => Err(no_direct_io()),
        (memory, offset) if memory.is_power_of_two() && offset.is_power_of_two() => {
            Ok(Alignment { memory_bytes: memory as usize, offset_bytes: offset.into() })
        }
        _ => Ok(PAGE),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn direct_alignment(_: &fs::File) -> io::Result<Alignment> {
    Err(no_direct_io())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const PAGE: Alignment = Alignment { memory_bytes: 4096, offset_bytes: 4096 };

/// Zeros per write when room is reserved by writing it.
const FILL_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use samestep_provider_traits::OpenOptions;

    use super::{Disk, FILL_BYTES};

    #[test]
    fn zeros_fill_the_room_behind_the_end_alone() {
        let root = tempfile::tempdir().unwrap();
        let (disk, _) = Disk::open(&root.path().join("f"), OpenOptions::read_write().create_new()).unwrap();
        disk.file.write_all_at(b"kept", 0).unwrap();
        let length = 2 * FILL_BYTES + 1;
        for asked in [length, 3, 0] {
            disk.fill_to(asked as u64).unwrap();
            let read = std::fs::read(root.path().join("f")).unwrap();
            assert_eq!((&read[..4], read.len()), (&b"kept"[..], length));
            assert!(read[4..].iter().all(|byte| *byte == 0));
        }
    }
}
