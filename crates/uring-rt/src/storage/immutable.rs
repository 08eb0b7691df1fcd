//! Files that are written once, and from then on only read.

use std::ffi::OsString;
use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};

use samestep_provider_traits::{File, OpenOptions, StorageProvider, relative_path};

use super::UringStorage;
use super::file::UringFile;
use super::many::{Merging, ReadMany, ReadView};
use super::streams::{StreamReader, StreamWriter, Streaming};

/// Writes a file that is there when it is whole: from [`UringStorage::create_immutable`].
///
/// Until [`Self::seal`] it has the name of the file with `.unsealed` behind it, which stays if this is dropped before, or
/// the machine fails; the next writer of the file writes it anew. Two at a time must not write the same file.
pub struct ImmutableWriter {
    storage: UringStorage,
    path: PathBuf,
    unsealed: PathBuf,
    file: UringFile,
    writer: StreamWriter,
}

/// A file that changes no more: from [`ImmutableWriter::seal`] or [`UringStorage::open_immutable`]. Clones are handles to
/// the same open file.
///
/// It is read past the page cache where the file system has that, and reads at the same time of the same bytes
/// [are one](UringFile::read_shared). Its length is known without asking; that nobody changes the file all the same, by
/// other means, is the caller's to see to.
#[derive(Clone)]
pub struct ImmutableFile {
    file: UringFile,
    len: u64,
}

impl UringStorage {
    /// Begins to write the file at `path`, in chunks as `streaming` says.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) if there is something at `path`; those of the open.
    pub fn create_immutable(
        &self,
        path: &Path,
        streaming: Streaming,
    ) -> impl Future<Output = io::Result<ImmutableWriter>> + use<> {
        let (storage, path) = (self.clone(), relative_path(path));
        async move {
            let path = path?;
            match storage.metadata(&path).await {
                Ok(_) => return Err(ErrorKind::AlreadyExists.into()),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            let unsealed = unsealed(&path);
            let file = storage.open_past_cache(&unsealed, OpenOptions::read_write().create_empty()).await?;
            let writer = file.stream_writer(streaming);
            Ok(ImmutableWriter { storage, path, unsealed, file, writer })
        }
    }

    /// Opens a file that nobody changes.
    pub fn open_immutable(&self, path: &Path) -> impl Future<Output = io::Result<ImmutableFile>> + use<> {
        let (storage, path) = (self.clone(), relative_path(path));
        async move {
            let file = storage.open_past_cache(&path?, OpenOptions::read_only()).await?;
            let len = file.metadata().await?.len;
            Ok(ImmutableFile { file, len })
        }
    }

    /// For direct I/O, or without where there is none.
    async fn open_past_cache(&self, path: &Path, options: OpenOptions) -> io::Result<UringFile> {
        match self.open(path, options.direct()).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => self.open(path, options).await,
            opened => opened,
        }
    }
}

impl ImmutableWriter {
    /// Takes all of `bytes`; waits only while as many writes are under way as may be.
    ///
    /// # Errors
    ///
    /// That of a write that was started by this call or an earlier one; all later calls fail, too.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write(bytes).await
    }

    /// Bytes that were taken so far.
    pub fn position(&self) -> u64 {
        self.writer.position()
    }

    /// Waits until all that was taken is durable, and gives the file its name, which is durable, too, when this ends.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) if another was faster; those of the writes, of the sync and of the
    /// names. There is no file at the path then, or one that is whole.
    pub async fn seal(self) -> io::Result<ImmutableFile> {
        let Self { storage, path, unsealed, file, writer } = self;
        let len = writer.position();
        writer.finish().await?;
        // Unlike a rename this replaces nothing.
        storage.hard_link(&unsealed, &path).await?;
        storage.remove(&unsealed).await?;
        storage.sync_dir(path.parent().unwrap_or(Path::new(""))).await?;
        Ok(ImmutableFile { file, len })
    }
}

impl ImmutableFile {
    /// How long it is, in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes of a range, fewer behind the end, without a copy; see [`UringFile::read_shared`].
    ///
    /// # Panics
    ///
    /// If the range ends before it starts.
    pub fn read(&self, range: Range<u64>) -> impl Future<Output = io::Result<ReadView>> + use<> {
        let within = range.start.min(self.len)..range.end.min(self.len);
        assert!(range.start <= range.end, "{range:?} ends before it starts");
        self.file.read_shared(within)
    }

    /// Reads many ranges, see [`UringFile::read_many`].
    ///
    /// # Panics
    ///
    /// If a range ends before it starts.
    pub fn read_many(
        &self,
        ranges: impl IntoIterator<Item = Range<u64>, IntoIter: 'static>,
        merging: Merging,
    ) -> ReadMany {
        self.file.read_many(ranges, merging)
    }

    /// Reads a range from front to back, see [`UringFile::stream_reader`].
    pub fn stream_reader(&self, range: Range<u64>, streaming: Streaming) -> StreamReader {
        self.file.stream_reader(range.start.min(self.len)..range.end.min(self.len), streaming)
    }

    /// Closes it. Other handles read no more.
    pub async fn close(self) -> io::Result<()> {
        self.file.close().await
    }
}

impl fmt::Debug for ImmutableWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImmutableWriter")
            .field("path", &self.path)
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ImmutableFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImmutableFile").field("len", &self.len).finish_non_exhaustive()
    }
}

/// The name of a file that is not whole yet.
fn unsealed(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".unsealed");
    name.into()
}
