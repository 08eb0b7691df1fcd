//! Files and folders.

use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::BufResult;
use crate::io_buf::{IoBuf, IoBufMut};

/// The files of one node.
///
/// Paths are relative to the provider's root, so that nodes do not see each other's files; `""` is the root
/// itself. A path that is absolute or contains `..` is refused with
/// [`InvalidInput`](io::ErrorKind::InvalidInput); implementations check with [`relative_path`].
///
/// # What survives a power cut
///
/// The bytes of a file after [`File::sync_data`]; its name after [`Self::sync_dir`] of the folder it is in; a
/// new folder's name after `sync_dir` of the folder above. A rename or removal is durable after `sync_dir` of
/// each folder it touched, and until then either the old or the new name is there, never neither (of a rename)
/// and never half a name. What was not synced may be there, in part, or not.
pub trait StorageProvider: Clone + 'static {
    /// An open file.
    type File: File;
    /// A held lock, see [`Self::lock`].
    type Lock: 'static;

    /// Opens the file at `path`.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound), [`AlreadyExists`](io::ErrorKind::AlreadyExists) by
    /// [`Creation`]; [`Unsupported`](io::ErrorKind::Unsupported) if direct I/O was asked for and is not to be
    /// had here.
    fn open(
        &self,
        path: &Path,
        options: OpenOptions,
    ) -> impl Future<Output = io::Result<Self::File>> + use<Self>;

    /// Creates the folder at `path` and those above it; no error if it is there. Not durable yet.
    fn create_dir_all(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<Self>;

    /// Gives the file or folder at `from` the name `to`, in place of a file that has it. Atomic.
    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + use<Self>;

    /// Removes the file at `path`. Handles that are open keep working on its bytes.
    fn remove(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<Self>;

    /// What the folder at `path` holds, in the order of the names' bytes.
    fn list(&self, path: &Path) -> impl Future<Output = io::Result<Vec<DirEntry>>> + use<Self>;

    /// What is at `path`.
    fn metadata(&self, path: &Path) -> impl Future<Output = io::Result<Metadata>> + use<Self>;

    /// Makes the names in the folder at `path` durable: those created, renamed and removed so far.
    fn sync_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<Self>;

    /// Takes the lock at `path`, a file that is created if need be. One holder at a time, over all handles,
    /// providers and processes; freed when the lock is dropped or its process ends. The file stays.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if it is held. Never waits.
    fn lock(&self, path: &Path) -> impl Future<Output = io::Result<Self::Lock>> + use<Self>;

    /// Room on the device below the root.
    fn space(&self) -> impl Future<Output = io::Result<Space>> + use<Self>;
}

/// An open file, read and written at offsets in bytes. Clones are handles to the same open file.
///
/// Any number of operations may be under way. Of operations on the same bytes, a read may see a write that is
/// not over, and two writes leave the bytes of either; order them by awaiting the first. Operations end in any
/// order.
pub trait File: Clone + 'static {
    /// Reads from `offset` into the front of `buf`, at most its [`bytes_total`](IoBufMut::bytes_total), and
    /// tells how many bytes. May be short; 0 is the end of the file (or no room).
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the file is direct and buffer, offset or length do not
    /// keep [`Self::alignment`].
    fn read_at<B: IoBufMut>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, B>> + use<Self, B>;

    /// Writes the front of `buf` at `offset` and tells how many bytes, at least one unless `buf` is empty. May
    /// be short. Behind the end the file grows, a gap reads as zeros. Not durable before a sync.
    ///
    /// After a dropped call any bytes of `buf` may have landed, and may still; [`Self::sync_data`] waits for
    /// them.
    ///
    /// # Errors
    ///
    /// [`StorageFull`](io::ErrorKind::StorageFull) if there is no room; bytes from the front may have been
    /// written, and the call may be repeated. [`InvalidInput`](io::ErrorKind::InvalidInput) as for
    /// [`Self::read_at`].
    fn write_at<B: IoBuf>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, B>> + use<Self, B>;

    /// Makes durable the bytes of all writes that began before this call, and the length needed to read them.
    /// Waits for those whose futures were dropped.
    ///
    /// # Errors
    ///
    /// The device's; or that of a dropped write, which is reported once. After a failed sync it is not known
    /// which bytes are durable, and no retry can tell: every later sync of this open file fails too.
    fn sync_data(&self) -> impl Future<Output = io::Result<()>> + use<Self>;

    /// As [`Self::sync_data`], and all metadata too.
    fn sync_all(&self) -> impl Future<Output = io::Result<()>> + use<Self>;

    /// Makes the file at least `length` bytes long, with room on the device for all of them. New bytes read as
    /// zeros; old ones stay.
    ///
    /// # Errors
    ///
    /// [`StorageFull`](io::ErrorKind::StorageFull) if there is no room; the length is then the old one or
    /// between both, and no byte that was there is lost.
    fn allocate(&self, length: u64) -> impl Future<Output = io::Result<()>> + use<Self>;

    /// Makes the file `length` bytes long: cuts it, or lets it grow by zeros that may take no room yet.
    fn set_len(&self, length: u64) -> impl Future<Output = io::Result<()>> + use<Self>;

    /// What the file is now.
    fn metadata(&self) -> impl Future<Output = io::Result<Metadata>> + use<Self>;

    /// Waits for all that is under way on the file, closes it for all handles, and reports the error of a
    /// dropped write. Makes nothing durable.
    fn close(self) -> impl Future<Output = io::Result<()>> + use<Self>;

    /// What buffers, offsets and lengths must be multiples of.
    fn alignment(&self) -> Alignment;

    /// Whether reads and writes go past the page cache.
    fn is_direct(&self) -> bool;

    /// Writes all of `buf` at `offset`, by as many writes as it takes.
    ///
    /// # Errors
    ///
    /// As [`Self::write_at`].
    fn write_all_at<B: IoBuf>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<(), B>> + use<Self, B> {
        let file = self.clone();
        async move {
            let total = buf.bytes_init();
            let mut rest = buf.slice(0..total);
            let mut at = offset;
            while rest.bytes_init() > 0 {
                let outcome;
                (outcome, rest) = file.write_at(rest, at).await;
                match outcome {
                    Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), rest.into_inner()),
                    Ok(written) => {
                        rest = rest.advance(written);
                        at += written as u64;
                    }
                    Err(error) => return (Err(error), rest.into_inner()),
                }
            }
            (Ok(()), rest.into_inner())
        }
    }

    /// Fills all of `buf` from `offset`, by as many reads as it takes.
    ///
    /// # Errors
    ///
    /// As [`Self::read_at`], and [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the file ends before.
    fn read_exact_at<B: IoBufMut>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<(), B>> + use<Self, B> {
        let file = self.clone();
        async move {
            let total = buf.bytes_total();
            let mut rest = buf.slice_mut(0..total);
            let mut at = offset;
            while rest.bytes_total() > 0 {
                let outcome;
                (outcome, rest) = file.read_at(rest, at).await;
                match outcome {
                    Ok(0) => return (Err(io::ErrorKind::UnexpectedEof.into()), rest.into_inner()),
                    Ok(read) => {
                        rest = rest.advance(read);
                        at += read as u64;
                    }
                    Err(error) => return (Err(error), rest.into_inner()),
                }
            }
            (Ok(()), rest.into_inner())
        }
    }

    /// [`Self::write_all_at`], then [`Self::sync_data`]: the write is durable when this is over. A ring links
    /// the two, so that it costs one submission.
    ///
    /// # Errors
    ///
    /// Those of both.
    fn write_all_and_sync<B: IoBuf>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<(), B>> + use<Self, B> {
        let file = self.clone();
        async move {
            match file.write_all_at(buf, offset).await {
                (Ok(()), buf) => (file.sync_data().await, buf),
                failed => failed,
            }
        }
    }
}

/// How a file is opened: what for, whether it must be there, and whether past the page cache.
///
/// ```
/// # use samestep_provider_traits::{Access, Creation, OpenOptions};
/// let options = OpenOptions::read_write().create();
/// assert_eq!((options.access(), options.creation()), (Access::ReadWrite, Creation::IfMissing));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpenOptions {
    access: Access,
    creation: Creation,
    direct: bool,
}

impl OpenOptions {
    /// For reading; the file must be there.
    pub const fn read_only() -> Self {
        Self { access: Access::Read, creation: Creation::Never, direct: false }
    }

    /// For reading and writing; the file must be there unless one of the calls below says otherwise.
    pub const fn read_write() -> Self {
        Self { access: Access::ReadWrite, creation: Creation::Never, direct: false }
    }

    /// Creates the file if it is missing.
    pub const fn create(self) -> Self {
        Self { creation: Creation::IfMissing, ..self }
    }

    /// Creates the file, which must not be there.
    pub const fn create_new(self) -> Self {
        Self { creation: Creation::New, ..self }
    }

    /// Creates the file, or empties the one that is there.
    pub const fn create_empty(self) -> Self {
        Self { creation: Creation::Empty, ..self }
    }

    /// Past the page cache; buffers, offsets and lengths must then keep [`File::alignment`].
    pub const fn direct(self) -> Self {
        Self { direct: true, ..self }
    }

    /// What for.
    pub const fn access(self) -> Access {
        self.access
    }

    /// Whether it must be there.
    pub const fn creation(self) -> Creation {
        self.creation
    }

    /// Whether past the page cache.
    pub const fn is_direct(self) -> bool {
        self.direct
    }
}

/// What a file is opened for. Complete by definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reading. Writes fail with [`PermissionDenied`](io::ErrorKind::PermissionDenied).
    Read,
    /// Reading and writing.
    ReadWrite,
}

/// Whether opening a file may create it. Complete by definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Creation {
    /// It must be there, else [`NotFound`](io::ErrorKind::NotFound).
    Never,
    /// It is created if it is missing.
    IfMissing,
    /// It must not be there, else [`AlreadyExists`](io::ErrorKind::AlreadyExists).
    New,
    /// It is created if it is missing, else emptied.
    Empty,
}

/// What buffers, offsets and lengths of a file's I/O must be multiples of, each at least 1 and a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Alignment {
    /// Of a buffer's address in memory.
    pub memory_bytes: usize,
    /// Of an operation's offset and length.
    pub offset_bytes: u64,
}

impl Alignment {
    /// No constraint: that of a file whose I/O goes through the page cache.
    pub const NONE: Self = Self { memory_bytes: 1, offset_bytes: 1 };
}

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirEntry {
    /// Its name in the folder.
    pub name: OsString,
    /// What it is.
    pub kind: FileKind,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// A file.
    File,
    /// A folder.
    Directory,
    /// Something else: a link, a device, a socket.
    Other,
}

/// What a file or folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// Length in bytes; of a folder, whatever the platform says.
    pub len: u64,
}

impl Metadata {
    /// Metadata of something of this kind and length in bytes.
    pub const fn new(kind: FileKind, len: u64) -> Self {
        Self { kind, len }
    }
}

/// Room on a device, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Space {
    /// In all.
    pub total: u64,
    /// What this process may still use.
    pub available: u64,
}

impl Space {
    /// Room of `available` out of `total` bytes.
    pub const fn new(total: u64, available: u64) -> Self {
        Self { total, available }
    }
}

/// Checks that `path` stays below the root it is relative to, and drops its `.` components.
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) if it is absolute or contains `..`.
pub fn relative_path(path: &Path) -> io::Result<PathBuf> {
    let mut relative = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => relative.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                let message = format!("path {} leaves the provider's root", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
        }
    }
    Ok(relative)
}
