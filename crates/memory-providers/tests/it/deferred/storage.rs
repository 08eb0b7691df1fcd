//! Files whose operations take a random time.

use std::future::Future;
use std::io;
use std::path::Path;
use std::rc::Rc;

use samestep_memory_providers::{MemoryFile, MemoryLock, MemoryStorageProvider};
use samestep_provider_traits::{
    Alignment, BufResult, DirEntry, File, GuardedBuf, IoBuf, IoBufMut, Metadata, OpenOptions, Space,
    StorageProvider,
};

use super::wait::Presence;
use super::writes::Writes;
use super::{Defect, Deferral};

/// The files of a deferred world.
#[derive(Clone, Debug)]
pub(crate) struct DeferredStorage {
    inner: MemoryStorageProvider,
    deferral: Deferral,
}

impl DeferredStorage {
    pub(super) fn new(inner: MemoryStorageProvider, deferral: Deferral) -> Self {
        Self { inner, deferral }
    }
}

impl StorageProvider for DeferredStorage {
    type File = DeferredFile;
    type Lock = MemoryLock;

    fn open(
        &self,
        path: &Path,
        options: OpenOptions,
    ) -> impl Future<Output = io::Result<DeferredFile>> + use<> {
        let (opened, deferral) = (self.deferral.defer(self.inner.open(path, options)), self.deferral.clone());
        async move { Ok(DeferredFile { inner: opened.await?, deferral, writes: Rc::default() }) }
    }

    fn create_dir_all(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        self.deferral.defer(self.inner.create_dir_all(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        self.deferral.defer(self.inner.rename(from, to))
    }

    fn remove(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        self.deferral.defer(self.inner.remove(path))
    }

    fn list(&self, path: &Path) -> impl Future<Output = io::Result<Vec<DirEntry>>> + use<> {
        self.deferral.defer(self.inner.list(path))
    }

    fn metadata(&self, path: &Path) -> impl Future<Output = io::Result<Metadata>> + use<> {
        self.deferral.defer(self.inner.metadata(path))
    }

    fn sync_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        self.deferral.defer(self.inner.sync_dir(path))
    }

    fn lock(&self, path: &Path) -> impl Future<Output = io::Result<MemoryLock>> + use<> {
        self.deferral.defer(self.inner.lock(path))
    }

    fn space(&self) -> impl Future<Output = io::Result<Space>> + use<> {
        self.deferral.defer(self.inner.space())
    }
}

/// An open file of a deferred world.
#[derive(Clone, Debug)]
pub(crate) struct DeferredFile {
    inner: MemoryFile,
    deferral: Deferral,
    writes: Rc<Writes>,
}

impl DeferredFile {
    fn sync<F: Future<Output = io::Result<()>> + 'static>(
        &self,
        synced: F,
    ) -> impl Future<Output = io::Result<()>> + use<F> {
        let (deferral, writes) = (self.deferral.clone(), Rc::clone(&self.writes));
        async move {
            if deferral.defect == Defect::SyncBeforeData {
                return Ok(());
            }
            writes.settle().await;
            writes.take_orphan_error()?;
            deferral.defer(synced).await
        }
    }
}

impl File for DeferredFile {
    fn read_at<B: IoBufMut>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        self.deferral.defer(self.inner.read_at(buf, offset))
    }

    fn write_at<B: IoBuf>(&self, buf: B, offset: u64) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let file = self.clone();
        async move {
            let (presence, number) = (Presence::default(), file.writes.begin());
            let _guard = presence.guard();
            let (deferral, writes) = (file.deferral.clone(), Rc::clone(&file.writes));
            let operation = async move {
                let is_reused = file.deferral.defect == Defect::BufferReusedInFlight && !presence.is_there();
                let (count, buf) = if is_reused {
                    // What a kernel would store that reads an address after the buffer there was freed.
                    let garbage = vec![GuardedBuf::POISON; buf.bytes_init()];
                    (file.inner.write_at(garbage, offset).await.0, buf)
                } else {
                    file.inner.write_at(buf, offset).await
                };
                let count = match count {
                    Err(error) if !presence.is_there() => {
                        writes.keep_error(&error);
                        Err(error)
                    }
                    count => count,
                };
                writes.end(number);
                (count, buf)
            };
            deferral.defer(operation).await
        }
    }

    fn sync_data(&self) -> impl Future<Output = io::Result<()>> + use<> {
        self.sync(self.inner.sync_data())
    }

    fn sync_all(&self) -> impl Future<Output = io::Result<()>> + use<> {
        self.sync(self.inner.sync_all())
    }

    fn allocate(&self, length: u64) -> impl Future<Output = io::Result<()>> + use<> {
        self.deferral.defer(self.inner.allocate(length))
    }

    fn set_len(&self, length: u64) -> impl Future<Output = io::Result<()>> + use<> {
        self.deferral.defer(self.inner.set_len(length))
    }

    fn metadata(&self) -> impl Future<Output = io::Result<Metadata>> + use<> {
        self.deferral.defer(self.inner.metadata())
    }

    async fn close(self) -> io::Result<()> {
        self.writes.settle().await;
        self.inner.close().await?;
        self.writes.take_orphan_error()
    }

    fn alignment(&self) -> Alignment {
        self.inner.alignment()
    }

    fn is_direct(&self) -> bool {
        self.inner.is_direct()
    }
}
