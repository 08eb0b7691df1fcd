//! The storage face of a disk in memory.

mod disk;
mod file;
mod tree;

use std::fmt;
use std::future::{Future, ready};
use std::io;
use std::path::{Path, PathBuf};

use samestep_provider_traits::{DirEntry, Metadata, OpenOptions, Space, StorageProvider, relative_path};

pub use disk::MemoryDisk;
pub use file::MemoryFile;

/// The files of a [`MemoryWorld`](crate::MemoryWorld), on its [`MemoryDisk`].
///
/// Operations are over when they are first polled. Direct I/O is not to be had.
#[derive(Clone, Debug)]
pub struct MemoryStorageProvider {
    disk: MemoryDisk,
}

impl MemoryStorageProvider {
    pub(crate) fn new(disk: MemoryDisk) -> Self {
        Self { disk }
    }

    pub(crate) fn disk(&self) -> &MemoryDisk {
        &self.disk
    }

    /// A future that does `operate` on the disk at the checked `path` when it is first polled.
    fn at<T, F: FnOnce(&MemoryDisk, &Path) -> io::Result<T>>(
        &self,
        path: &Path,
        operate: F,
    ) -> impl Future<Output = io::Result<T>> + use<T, F> {
        let (disk, path) = (self.disk.clone(), relative_path(path));
        async move { operate(&disk, &path?) }
    }
}

impl StorageProvider for MemoryStorageProvider {
    type File = MemoryFile;
    type Lock = MemoryLock;

    fn open(
        &self,
        path: &Path,
        options: OpenOptions,
    ) -> impl Future<Output = io::Result<MemoryFile>> + use<> {
        self.at(path, move |disk, path| MemoryFile::open(disk, path, options))
    }

    fn create_dir_all(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        self.at(path, |disk, path| disk.change(|tree| tree.create_dir_all(path)))
    }

    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        let to = relative_path(to);
        self.at(from, move |disk, from| {
            let to = to?;
            disk.change(|tree| tree.rename(from, &to))
        })
    }

    fn remove(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        self.at(path, |disk, path| disk.change(|tree| tree.remove(path)))
    }

    fn list(&self, path: &Path) -> impl Future<Output = io::Result<Vec<DirEntry>>> + use<> {
        self.at(path, |disk, path| disk.look(|tree| tree.list(path)))
    }

    fn metadata(&self, path: &Path) -> impl Future<Output = io::Result<Metadata>> + use<> {
        self.at(path, |disk, path| disk.look(|tree| Ok(tree.metadata(tree.find(path)?))))
    }

    fn sync_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        self.at(path, |disk, path| disk.change(|tree| tree.sync_dir(path)))
    }

    fn lock(&self, path: &Path) -> impl Future<Output = io::Result<MemoryLock>> + use<> {
        self.at(path, |disk, path| {
            let node = disk.change(|tree| tree.find_or_create(path))?;
            disk.look(|tree| tree.lock(node))?;
            Ok(MemoryLock { disk: disk.clone(), node, path: path.to_owned() })
        })
    }

    fn space(&self) -> impl Future<Output = io::Result<Space>> + use<> {
        ready(Ok(self.disk.space()))
    }
}

/// A held lock, freed when dropped.
pub struct MemoryLock {
    disk: MemoryDisk,
    node: tree::NodeId,
    path: PathBuf,
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.disk.unlock(self.node);
    }
}

impl fmt::Debug for MemoryLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLock").field("path", &self.path).finish_non_exhaustive()
    }
}
