//! Files and folders: on the ring as far as a kernel of the floor has operations for them, the rest on threads.

mod closing;
mod copy;
mod devices;
mod file;
mod immutable;
mod many;
mod shared;
mod streams;
mod writes;

use std::ffi::{CString, OsString};
use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags};
use samestep_provider_traits::{
    Access, Creation, DirEntry, FileKind, Metadata, OpenOptions, Space, StorageProvider, relative_path,
};

pub(crate) use devices::Devices;
pub use file::UringFile;
pub use immutable::{ImmutableFile, ImmutableWriter};
pub use many::{Merging, ReadMany, ReadView};
pub use streams::{StreamReader, StreamWriter, Streaming};

use crate::core::Core;
use crate::op::Op;
use crate::sys::{Completion, OnDrop, Owner, Prepared, RingId, Stat, TAG_UNTOLD, own};

/// The files below one folder.
#[derive(Clone)]
pub struct UringStorage {
    core: Rc<Core>,
    root: Rc<Root>,
}

/// The folder, and the owner of operations that are relative to it.
struct Root(Arc<OwnedFd>);

/// Holds a lock until it is dropped.
#[derive(Debug)]
pub struct UringLock {
    _fd: OwnedFd,
}

impl UringStorage {
    pub(crate) fn open_root(core: Rc<Core>, root: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(root, flags, Mode::empty())?;
        Ok(Self { core, root: Rc::new(Root(Arc::new(fd))) })
    }

    /// Gives the file at `from` a second name, which must be free. It is durable after a sync of the folder.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) if there is something at `to`, and those of `linkat`.
    pub fn hard_link(&self, from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        let (storage, from, to) = (self.clone(), c_path(from), c_path(to));
        async move { storage.operate(Prepared::link_at(&*storage.root, from?, to?)).await.map(|_| ()) }
    }

    /// Makes a file in `folder` that has no name, for reading and writing: it is gone when it is closed, or with the
    /// process. For what is larger than memory and nobody else's. Of `options` all but direct I/O is without meaning.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](ErrorKind::Unsupported) if the file system has no such files, or no direct I/O.
    pub fn create_unnamed(
        &self,
        folder: &Path,
        options: OpenOptions,
    ) -> impl Future<Output = io::Result<UringFile>> + use<> {
        let (storage, folder) = (self.clone(), c_path(folder));
        let named = OpenOptions::read_write();
        let options = if options.is_direct() { named.direct() } else { named };
        async move {
            // So that nobody can give it a name, either.
            let flags = open_flags(options) | OFlags::TMPFILE | OFlags::EXCL;
            storage.open_file(folder?, flags, options).await
        }
    }

    /// Removes an empty folder. It is gone for good after a sync of the one it was in.
    ///
    /// # Errors
    ///
    /// [`DirectoryNotEmpty`](ErrorKind::DirectoryNotEmpty), and those of `unlinkat`.
    pub fn remove_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        let (storage, path) = (self.clone(), c_path(path));
        async move { storage.operate(Prepared::remove_dir_at(&*storage.root, path?)).await.map(|_| ()) }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// Starts an operation that is relative to the root.
    async fn operate(&self, prepared: Prepared) -> io::Result<u32> {
        let owner = Rc::clone(&self.root) as Rc<dyn Owner>;
        Op::start(&self.core, RingId::Main, prepared, Some(owner), TAG_UNTOLD, OnDrop::Leave).await.result()
    }

    /// As [`Self::operate`] for those whose result is a descriptor.
    async fn open_at(&self, path: CString, flags: OFlags, mode: u32) -> io::Result<OwnedFd> {
        let flags = i32::try_from(flags.bits()).expect("open flags are few");
        let prepared = Prepared::open_at(&*self.root, path, flags, mode);
        let owner = Rc::new(Opening(Rc::clone(&self.root))) as Rc<dyn Owner>;
        let op = Op::start(&self.core, RingId::Main, prepared, Some(owner), TAG_UNTOLD, OnDrop::Leave);
        op.await.result().map(own)
    }

    async fn open_file(self, path: CString, flags: OFlags, options: OpenOptions) -> io::Result<UringFile> {
        let fd = match self.open_at(path, flags, NEW_FILE_MODE).await {
            // What a file system says that has no direct I/O.
            Err(error) if options.is_direct() && error.kind() == ErrorKind::InvalidInput => {
                return Err(no_direct_io());
            }
            fd => Arc::new(fd?),
        };
        UringFile::new(self.core, fd, options).await
    }

    async fn stat(&self, path: CString) -> io::Result<Box<Stat>> {
        let prepared = Prepared::statx(&*self.root, path);
        let owner = Rc::clone(&self.root) as Rc<dyn Owner>;
        let op = Op::start(&self.core, RingId::Main, prepared, Some(owner), TAG_UNTOLD, OnDrop::Leave);
        let (result, (stat, _)) = op.await.take::<(Box<Stat>, CString)>();
        result.map(|_| stat)
    }

    /// Runs `job` on a thread, with the root folder.
    async fn on_thread<T: Send + 'static>(
        &self,
        job: impl FnOnce(&OwnedFd) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let root = Arc::clone(&self.root.0);
        self.core.pool.run(move || job(&root)).await?
    }
}

impl StorageProvider for UringStorage {
    type File = UringFile;
    type Lock = UringLock;

    fn open(&self, path: &Path, options: OpenOptions) -> impl Future<Output = io::Result<UringFile>> + use<> {
        let (storage, path) = (self.clone(), c_path(path));
        async move { storage.open_file(path?, open_flags(options), options).await }
    }

    fn create_dir_all(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        let (storage, path) = (self.clone(), relative_path(path));
        async move {
            let path = path?;
            let folders: Vec<&Path> =
                path.ancestors().filter(|folder| !folder.as_os_str().is_empty()).collect();
            for folder in folders.into_iter().rev() {
                let made = storage
                    .operate(Prepared::mk_dir_at(&*storage.root, c_path(folder)?, NEW_FOLDER_MODE))
                    .await;
                match made {
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                        let stat = storage.stat(c_path(folder)?).await?;
                        if kind_of(stat.file_type()) != FileKind::Directory {
                            return Err(error);
                        }
                    }
                    made => drop(made?),
                }
            }
            Ok(())
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        let (storage, from, to) = (self.clone(), c_path(from), c_path(to));
        async move { storage.operate(Prepared::rename_at(&*storage.root, from?, to?)).await.map(|_| ()) }
    }

    fn remove(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        let (storage, path) = (self.clone(), c_path(path));
        async move { storage.operate(Prepared::unlink_at(&*storage.root, path?)).await.map(|_| ()) }
    }

    fn list(&self, path: &Path) -> impl Future<Output = io::Result<Vec<DirEntry>>> + use<> {
        let (storage, path) = (self.clone(), c_path(path));
        async move {
            let path = path?;
            storage.on_thread(move |root| list(root, &path)).await
        }
    }

    fn metadata(&self, path: &Path) -> impl Future<Output = io::Result<Metadata>> + use<> {
        let (storage, path) = (self.clone(), c_path(path));
        async move { storage.stat(path?).await.map(|stat| metadata_of(&stat)) }
    }

    fn sync_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        let (storage, path) = (self.clone(), c_path(path));
        async move {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let folder = Rc::new(Root(Arc::new(storage.open_at(path?, flags, 0).await?)));
            let prepared = Prepared::fsync(&*folder);
            let op =
                Op::start(&storage.core, RingId::Main, prepared, Some(folder), TAG_UNTOLD, OnDrop::Leave);
            op.await.result().map(|_| ())
        }
    }

    fn lock(&self, path: &Path) -> impl Future<Output = io::Result<UringLock>> + use<> {
        let (storage, path) = (self.clone(), c_path(path));
        async move {
            let path = path?;
            let lock = storage.on_thread(move |root| {
                let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
                let fd = rustix::fs::openat(root, &path, flags, Mode::from_raw_mode(NEW_FILE_MODE))?;
                rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive)?;
                Ok(UringLock { _fd: fd })
            });
            lock.await
        }
    }

    fn space(&self) -> impl Future<Output = io::Result<Space>> + use<> {
        let storage = self.clone();
        async move {
            let space = storage.on_thread(|root| Ok(rustix::fs::fstatvfs(root)?)).await?;
            let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
            Ok(Space::new(bytes(space.f_blocks), bytes(space.f_bavail)))
        }
    }
}

impl fmt::Debug for UringStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UringStorage").finish_non_exhaustive()
    }
}

impl AsRawFd for Root {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Owner for Root {
    fn completed(self: Rc<Self>, _: Completion) {}
}

/// An open under way.
struct Opening(#[expect(dead_code, reason = "keeps the folder open meanwhile")] Rc<Root>);

impl Owner for Opening {
    /// Nobody waits for the file any more.
    fn completed(self: Rc<Self>, completion: Completion) {
        if completion.owned.is_some()
            && let Ok(opened) = u32::try_from(completion.result)
        {
            drop(own(opened));
        }
    }
}

fn open_flags(options: OpenOptions) -> OFlags {
    let access = match options.access() {
        Access::Read => OFlags::RDONLY,
        Access::ReadWrite => OFlags::RDWR,
    };
    let creation = match options.creation() {
        Creation::Never => OFlags::empty(),
        Creation::IfMissing => OFlags::CREATE,
        Creation::New => OFlags::CREATE | OFlags::EXCL,
        Creation::Empty => OFlags::CREATE | OFlags::TRUNC,
    };
    let direct = if options.is_direct() { OFlags::DIRECT } else { OFlags::empty() };
    access | creation | direct | OFlags::CLOEXEC
}

/// The entries of a folder, in the order of their names' bytes.
fn list(root: &OwnedFd, path: &CString) -> io::Result<Vec<DirEntry>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(root, path, flags, Mode::empty())?;
    let mut entries = Vec::new();
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        // Some file systems do not tell here.
        let kind = match entry.file_type() {
            rustix::fs::FileType::Unknown => {
                kind_of(rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode & libc::S_IFMT)
            }
            known => kind_of(known.as_raw_mode()),
        };
        entries.push(DirEntry { name: OsString::from_vec(name.to_bytes().to_vec()), kind });
    }
    entries.sort();
    Ok(entries)
}

fn metadata_of(stat: &Stat) -> Metadata {
    Metadata::new(kind_of(stat.file_type()), stat.len())
}

fn kind_of(file_type: u32) -> FileKind {
    match file_type & libc::S_IFMT {
        libc::S_IFREG => FileKind::File,
        libc::S_IFDIR => FileKind::Directory,
        _ => FileKind::Other,
    }
}

/// The checked path, as the kernel takes it: relative to the root, which itself is `.`.
fn c_path(path: &Path) -> io::Result<CString> {
    let path = relative_path(path)?;
    let bytes = path.as_os_str().as_bytes();
    let bytes = if bytes.is_empty() { b"." } else { bytes };
    CString::new(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))
}

fn no_direct_io() -> io::Error {
    io::Error::new(ErrorKind::Unsupported, "the file system has no direct I/O")
}

/// Before the umask.
const NEW_FILE_MODE: u32 = 0o666;
const NEW_FOLDER_MODE: u32 = 0o777;
