//! Files and folders.

mod file;
mod medium;
mod underway;

use std::ffi::OsString;
use std::fs;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use samestep_provider_traits::{
    DirEntry, FileKind, Metadata, OpenOptions, Space, StorageProvider, relative_path,
};

pub use file::TokioFile;
use medium::Disk;

/// The files below one folder, on tokio's blocking pool.
///
/// A call whose future is dropped after its first poll may still take effect, in whole.
#[derive(Clone, Debug)]
pub struct TokioStorageProvider {
    root: Arc<Path>,
}

impl TokioStorageProvider {
    /// Files below the folder `root`, which must exist by the time it is used.
    ///
    /// Links inside it are followed, also those that lead out of it.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into().into() }
    }

    /// The path below the root.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(self.root.join(relative_path(path)?))
    }

    /// Does `work` with the path below the root, on a thread that may block.
    fn at<T, W>(&self, path: &Path, work: W) -> impl Future<Output = io::Result<T>> + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce(&Path) -> io::Result<T> + Send + 'static,
    {
        let path = self.resolve(path);
        async move {
            let path = path?;
            on_pool(move || work(&path)).await
        }
    }
}

impl StorageProvider for TokioStorageProvider {
    type File = TokioFile;
    type Lock = TokioLock;

    /// As the trait says. A folder is refused with [`IsADirectory`](io::ErrorKind::IsADirectory), a path whose
    /// parent is a file with [`NotADirectory`](io::ErrorKind::NotADirectory).
    fn open(&self, path: &Path, options: OpenOptions) -> impl Future<Output = io::Result<TokioFile>> + use<> {
        let opened = self.at(path, move |path| Disk::open(path, options));
        async move {
            let (disk, alignment) = opened.await?;
            Ok(TokioFile::new(Arc::new(disk), options, alignment))
        }
    }

    fn create_dir_all(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        self.at(path, |path| fs::create_dir_all(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        let to = self.resolve(to);
        self.at(from, move |from| fs::rename(from, to?))
    }

    fn remove(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        self.at(path, |path| fs::remove_file(path))
    }

    fn list(&self, path: &Path) -> impl Future<Output = io::Result<Vec<DirEntry>>> + use<> {
        self.at(path, |path| {
            let mut entries = fs::read_dir(path)?
                .map(|entry| {
                    let entry = entry?;
                    Ok(DirEntry { name: entry.file_name(), kind: kind_of(entry.file_type()?) })
                })
                .collect::<io::Result<Vec<_>>>()?;
            entries.sort_unstable_by(|one, other| bytes_of(&one.name).cmp(bytes_of(&other.name)));
            Ok(entries)
        })
    }

    fn metadata(&self, path: &Path) -> impl Future<Output = io::Result<Metadata>> + use<> {
        self.at(path, |path| fs::metadata(path).map(|metadata| metadata_of(&metadata)))
    }

    fn sync_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        self.at(path, |path| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let folder = rustix::io::retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?;
            fs::File::from(folder).sync_all()
        })
    }

    /// As the trait says, by `flock` or what the platform has in its place.
    fn lock(&self, path: &Path) -> impl Future<Output = io::Result<TokioLock>> + use<> {
        self.at(path, |path| {
            let file =
                fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
            file.try_lock()?;
            Ok(TokioLock { _file: file })
        })
    }

    fn space(&self) -> impl Future<Output = io::Result<Space>> + use<> {
        self.at(Path::new(""), |root| {
            let found = rustix::io::retry_on_intr(|| rustix::fs::statvfs(root))?;
            let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
            Ok(Space::new(bytes(found.f_blocks), bytes(found.f_bavail)))
        })
    }
}

/// A held lock. Freed when dropped.
#[derive(Debug)]
pub struct TokioLock {
    /// The lock belongs to this open file, and goes with it.
    _file: fs::File,
}

/// Does `work` on a thread that may block.
async fn on_pool<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(payload) => std::panic::resume_unwind(payload),
            Err(error) => Err(io::Error::other(error)),
        },
    }
}

fn metadata_of(metadata: &fs::Metadata) -> Metadata {
    Metadata::new(kind_of(metadata.file_type()), metadata.len())
}

fn kind_of(kind: fs::FileType) -> FileKind {
    if kind.is_file() {
        FileKind::File
    } else if kind.is_dir() {
        FileKind::Directory
    } else {
        FileKind::Other
    }
}

/// The order of names is that of their bytes; that of `OsString` is not said to be.
fn bytes_of(name: &OsString) -> &[u8] {
    name.as_encoded_bytes()
}
