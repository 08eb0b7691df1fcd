//! Open files.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use samestep_provider_traits::{
    Access, AlignedBuf, Alignment, BufResult, File, IoBuf, IoBufMut, Metadata, OpenOptions,
};

use super::medium::{Medium, SyncExtent};
use super::underway::{Effect, Operation, Underway};

/// An open file.
///
/// Reads and writes block, so they run on tokio's blocking pool. Buffers need not be `Send`, so bytes are copied
/// between them and a block that goes to the pool in their place, at most 1 MiB in one call: reads and writes
/// may be short. The buffer of a dropped call is freed at once.
#[derive(Clone, Debug)]
pub struct TokioFile {
    open: Rc<Open>,
}

#[derive(Debug)]
struct Open {
    /// `None` once a handle closed it.
    medium: RefCell<Option<Arc<dyn Medium>>>,
    underway: Underway,
    /// Held during a sync. One at a time, as the kernel reports a failure to one of those under way, and tells
    /// the others that all went well.
    earlier_syncs: Arc<Mutex<EarlierSyncs>>,
    access: Access,
    is_direct: bool,
    alignment: Alignment,
}

/// Whether a sync of this open file has failed.
#[derive(Debug, Default)]
struct EarlierSyncs {
    failure: Option<(io::ErrorKind, String)>,
}

impl TokioFile {
    pub(super) fn new(medium: Arc<dyn Medium>, options: OpenOptions, alignment: Alignment) -> Self {
        let open = Open {
            medium: RefCell::new(Some(medium)),
            underway: Underway::default(),
            earlier_syncs: Arc::default(),
            access: options.access(),
            is_direct: options.is_direct(),
            alignment,
        };
        Self { open: Rc::new(open) }
    }

    async fn sync(self, extent: SyncExtent) -> io::Result<()> {
        let open = &self.open;
        open.underway.earlier_changes().await;
        open.underway.take_unseen_error()?;
        let earlier_syncs = Arc::clone(&open.earlier_syncs);
        let sync = open.begin(Effect::Look, move |medium| {
            let mut earlier = earlier_syncs.lock().unwrap_or_else(PoisonError::into_inner);
            earlier.check()?;
            medium.sync(extent).inspect_err(|error| earlier.failure = Some((error.kind(), error.to_string())))
        })?;
        sync.await
    }
}

impl EarlierSyncs {
    fn check(&self) -> io::Result<()> {
        match &self.failure {
            None => Ok(()),
            Some((kind, message)) => {
                Err(io::Error::new(*kind, format!("an earlier sync of this file failed: {message}")))
            }
        }
    }
}

impl Open {
    /// Begins `work` on the pool.
    fn begin<T: Send + 'static>(
        &self,
        effect: Effect,
        work: impl FnOnce(&dyn Medium) -> io::Result<T> + Send + 'static,
    ) -> io::Result<Operation<T>> {
        if effect == Effect::Change && self.access == Access::Read {
            let message = "the file was opened for reading only";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        let Some(medium) = self.medium.borrow().clone() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the file was closed by a handle to it"));
        };
        Ok(self.underway.begin(effect, move || work(&*medium)))
    }

    /// Checks what a direct file demands of a read or write, of the caller's buffer too, although the pool sees
    /// a copy: a program must not find out on the ring.
    fn check_alignment(&self, buf: &impl IoBuf, len: usize, offset: u64) -> io::Result<()> {
        let Alignment { memory_bytes, offset_bytes } = self.alignment;
        let is_kept = buf.stable_ptr().addr().is_multiple_of(memory_bytes)
            && offset.is_multiple_of(offset_bytes)
            && (len as u64).is_multiple_of(offset_bytes);
        if is_kept {
            return Ok(());
        }
        let message = format!("{len} bytes at {offset} do not keep {:?}", self.alignment);
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    }

    /// A block of `len` bytes that the pool may use in place of a buffer.
    fn block(&self, len: usize) -> AlignedBuf {
        AlignedBuf::zeroed(len.min(COPY_BYTES_MAX), self.alignment.memory_bytes)
    }
}

impl File for TokioFile {
    fn read_at<B: IoBufMut>(
        &self,
        mut buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let open = Rc::clone(&self.open);
        async move {
            let len = buf.bytes_total();
            let begun = open.check_alignment(&buf, len, offset).and_then(|()| {
                let mut block = open.block(len);
                open.begin(Effect::Look, move |medium| {
                    medium.read_at(&mut block, offset).map(|count| (count, block))
                })
            });
            let outcome = match begun {
                Ok(read) => read.await.map(|(count, block)| buf.fill_from(&block[..count])),
                Err(error) => Err(error),
            };
            (outcome, buf)
        }
    }

    fn write_at<B: IoBuf>(&self, buf: B, offset: u64) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let open = Rc::clone(&self.open);
        async move {
            let bytes = buf.as_bytes();
            let begun = open.check_alignment(&buf, bytes.len(), offset).and_then(|()| {
                let mut block = open.block(bytes.len());
                let len = block.len();
                block.copy_from_slice(&bytes[..len]);
                open.begin(Effect::Change, move |medium| medium.write_at(&block, offset))
            });
            let outcome = match begun {
                Ok(write) => write.await,
                Err(error) => Err(error),
            };
            (outcome, buf)
        }
    }

    fn sync_data(&self) -> impl Future<Output = io::Result<()>> + use<> {
        self.clone().sync(SyncExtent::Data)
    }

    fn sync_all(&self) -> impl Future<Output = io::Result<()>> + use<> {
        self.clone().sync(SyncExtent::All)
    }

    /// As the trait says: by `fallocate` on Linux, elsewhere and where the file system has none by writing
    /// zeros behind the end. Writes wait for the latter, and holes before the old end stay.
    fn allocate(&self, length: u64) -> impl Future<Output = io::Result<()>> + use<> {
        let open = Rc::clone(&self.open);
        async move { open.begin(Effect::Change, move |medium| medium.allocate(length))?.await }
    }

    fn set_len(&self, length: u64) -> impl Future<Output = io::Result<()>> + use<> {
        let open = Rc::clone(&self.open);
        async move { open.begin(Effect::Change, move |medium| medium.set_len(length))?.await }
    }

    fn metadata(&self) -> impl Future<Output = io::Result<Metadata>> + use<> {
        let open = Rc::clone(&self.open);
        async move { open.begin(Effect::Look, <dyn Medium>::metadata)?.await }
    }

    /// As the trait says. Calls of other handles fail from then on with
    /// [`InvalidInput`](io::ErrorKind::InvalidInput). What the operating system says to closing a file is not
    /// told, as std has no way to ask.
    async fn close(self) -> io::Result<()> {
        let medium = self.open.medium.take();
        self.open.underway.all_earlier().await;
        if let Some(medium) = medium {
            super::on_pool(move || {
                drop(medium);
                Ok(())
            })
            .await?;
        }
        self.open.underway.take_unseen_error()
    }

    fn alignment(&self) -> Alignment {
        self.open.alignment
    }

    fn is_direct(&self) -> bool {
        self.open.is_direct
    }
}

impl Drop for Open {
    /// Closing the last handle to a file that was removed frees its blocks, which takes its time on a large one.
    fn drop(&mut self) {
        let Some(medium) = self.medium.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || drop(medium));
        }
    }
}

/// Bytes that one call copies at most: what a blocking thread does at a time, and the memory that many calls take.
/// A multiple of every alignment.
const COPY_BYTES_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests;
