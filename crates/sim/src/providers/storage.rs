//! Files and folders of a node.

use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use samestep_provider_traits::{
    Alignment, BufResult, DirEntry, File, IoBuf, IoBufMut, Metadata, OpenOptions, Space, StorageProvider,
    relative_path,
};

use crate::disk::{Answer, Answered, FileId, LockId, OperationId, Request};
use crate::world::registry::{Home, enter, try_enter};

/// The files of one boot of a node, on its simulated disk; see [`StorageConfiguration`] for what that does.
///
/// A crash closes all files, frees all locks, and loses what was not synced, in the ways that real disks do. Direct
/// I/O is to be had, with the disk's sectors as alignment. What a handle of an earlier boot is asked for fails with
/// [`NotConnected`](ErrorKind::NotConnected).
///
/// [`StorageConfiguration`]: crate::StorageConfiguration
#[derive(Clone, Copy, Debug)]
pub struct SimStorageProvider {
    home: Home,
}

/// An open file of a [`SimStorageProvider`].
#[derive(Clone)]
pub struct SimFile {
    open: Rc<OpenFile>,
}

/// A held lock of a [`SimStorageProvider`], freed when it is dropped and when its node goes down.
pub struct SimLock {
    home: Home,
    lock: LockId,
}

/// What all handles to one open file share.
struct OpenFile {
    home: Home,
    file: FileId,
    direct: Option<Alignment>,
}

impl SimStorageProvider {
    pub(crate) const fn of(home: Home) -> Self {
        Self { home }
    }

    /// A request about a checked path.
    fn at(&self, path: &Path, request: impl FnOnce(std::path::PathBuf) -> Request) -> io::Result<Call> {
        relative_path(path).map(|path| Call::new(self.home, request(path)))
    }
}

impl StorageProvider for SimStorageProvider {
    type File = SimFile;
    type Lock = SimLock;

    fn open(&self, path: &Path, options: OpenOptions) -> impl Future<Output = io::Result<SimFile>> + use<> {
        let (home, call) = (self.home, self.at(path, |path| Request::Open { path, options }));
        async move {
            let Answer::File(file) = call?.await? else { unreachable!("a file was opened") };
            let direct =
                options.is_direct().then(|| enter(home.world, |core| core.disks.direct_alignment(file.node)));
            Ok(SimFile { open: Rc::new(OpenFile { home, file, direct }) })
        }
    }

    fn create_dir_all(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        done(self.at(path, |path| Request::CreateDirAll { path }))
    }

    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        let to = relative_path(to);
        done(to.and_then(|to| self.at(from, |from| Request::Rename { from, to })))
    }

    fn remove(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        done(self.at(path, |path| Request::Remove { path }))
    }

    fn list(&self, path: &Path) -> impl Future<Output = io::Result<Vec<DirEntry>>> + use<> {
        let call = self.at(path, |path| Request::List { path });
        async move {
            let Answer::List(entries) = call?.await? else { unreachable!("a folder was listed") };
            Ok(entries)
        }
    }

    fn metadata(&self, path: &Path) -> impl Future<Output = io::Result<Metadata>> + use<> {
        metadata(self.at(path, |path| Request::Metadata { path }))
    }

    fn sync_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        done(self.at(path, |path| Request::SyncDir { path }))
    }

    fn lock(&self, path: &Path) -> impl Future<Output = io::Result<SimLock>> + use<> {
        let (home, call) = (self.home, self.at(path, |path| Request::Lock { path }));
        async move {
            let Answer::Lock(lock) = call?.await? else { unreachable!("a lock was taken") };
            Ok(SimLock { home, lock })
        }
    }

    fn space(&self) -> impl Future<Output = io::Result<Space>> + use<> {
        let call = Call::new(self.home, Request::Space);
        async move {
            let Answer::Space(space) = call.await? else { unreachable!("room was asked for") };
            Ok(space)
        }
    }
}

impl SimFile {
    fn call(&self, request: impl FnOnce(FileId) -> Request) -> Call {
        Call::new(self.open.home, request(self.open.file))
    }
}

impl OpenFile {
    /// Checks the address of a buffer for direct I/O. What else must be aligned is the disk's to check.
    fn check_address(&self, address: *const u8) -> io::Result<()> {
        let Some(alignment) = self.direct else { return Ok(()) };
        if address.addr().is_multiple_of(alignment.memory_bytes) {
            return Ok(());
        }
        let message = format!("direct I/O needs buffers at multiples of {} bytes", alignment.memory_bytes);
        Err(io::Error::new(ErrorKind::InvalidInput, message))
    }
}

impl File for SimFile {
    fn read_at<B: IoBufMut>(
        &self,
        mut buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let open = Rc::clone(&self.open);
        async move {
            let bytes = buf.bytes_total();
            let checked = if bytes == 0 { Ok(()) } else { open.check_address(buf.stable_ptr()) };
            if let Err(error) = checked {
                return (Err(error), buf);
            }
            let mut call = Call::new(open.home, Request::Read { file: open.file, offset, bytes });
            let Answered { outcome, buffer } = Submitted(&mut call, &[]).await;
            let count = outcome.map(|_| buf.fill_from(&buffer));
            // No borrow of the world is held while the program's buffer is filled.
            try_enter(open.home.world, |core| core.disks.give_buffer(buffer));
            (count, buf)
        }
    }

    fn write_at<B: IoBuf>(&self, buf: B, offset: u64) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let open = Rc::clone(&self.open);
        async move {
            let bytes = buf.as_bytes();
            let checked = if bytes.is_empty() { Ok(()) } else { open.check_address(bytes.as_ptr()) };
            if let Err(error) = checked {
                return (Err(error), buf);
            }
            let mut call = Call::new(open.home, Request::Write { file: open.file, offset });
            let Answered { outcome, buffer } = Submitted(&mut call, bytes).await;
            try_enter(open.home.world, |core| core.disks.give_buffer(buffer));
            let count = outcome.map(|answer| match answer {
                Answer::Count(count) => count,
                _ => unreachable!("bytes were written"),
            });
            (count, buf)
        }
    }

    fn sync_data(&self) -> impl Future<Output = io::Result<()>> + use<> {
        done(Ok(self.call(|file| Request::Sync { file })))
    }

    /// As [`sync_data`](File::sync_data), which leaves out nothing of what a file has here: a length, without which its
    /// bytes cannot be read. It has no times, and its names are its folder's.
    fn sync_all(&self) -> impl Future<Output = io::Result<()>> + use<> {
        done(Ok(self.call(|file| Request::Sync { file })))
    }

    fn allocate(&self, length: u64) -> impl Future<Output = io::Result<()>> + use<> {
        done(Ok(self.call(|file| Request::Allocate { file, length })))
    }

    fn set_len(&self, length: u64) -> impl Future<Output = io::Result<()>> + use<> {
        done(Ok(self.call(|file| Request::SetLen { file, length })))
    }

    fn metadata(&self) -> impl Future<Output = io::Result<Metadata>> + use<> {
        metadata(Ok(self.call(|file| Request::FileMetadata { file })))
    }

    fn close(self) -> impl Future<Output = io::Result<()>> + use<> {
        let call = self.call(|file| Request::Close { file });
        async move {
            let outcome = done(Ok(call)).await;
            drop(self);
            outcome
        }
    }

    fn alignment(&self) -> Alignment {
        self.open.direct.unwrap_or(Alignment::NONE)
    }

    fn is_direct(&self) -> bool {
        self.open.direct.is_some()
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        let file = self.file;
        try_enter(self.home.world, |core| core.disks.drop_file(file));
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let lock = self.lock;
        try_enter(self.home.world, |core| core.disks.unlock(lock));
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile").field("node", &self.open.file.node).finish_non_exhaustive()
    }
}

impl fmt::Debug for SimLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimLock").finish_non_exhaustive()
    }
}

async fn done(call: io::Result<Call>) -> io::Result<()> {
    call?.await.map(drop)
}

async fn metadata(call: io::Result<Call>) -> io::Result<Metadata> {
    let Answer::Metadata(metadata) = call?.await? else { unreachable!("metadata were asked for") };
    Ok(metadata)
}

/// An operation: begun by the first poll, and left to itself when dropped.
struct Call {
    home: Home,
    stage: Stage,
}

enum Stage {
    New(Request),
    UnderWay(OperationId),
    Over,
}

impl Call {
    fn new(home: Home, request: Request) -> Self {
        Self { home, stage: Stage::New(request) }
    }

    fn poll_with(&mut self, bytes: &[u8], cx: &Context<'_>) -> Poll<Answered> {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let Some(node) = self.home.node else {
            let error = io::Error::new(ErrorKind::Unsupported, "the test itself has no disk: take a node's");
            return Poll::Ready(Answered { outcome: Err(error), buffer: Vec::new() });
        };
        let (boot, waker) = (self.home.boot, cx.waker().clone());
        let (polled, id) = enter(self.home.world, |core| {
            let id = match stage {
                Stage::New(request) => core.disks.submit(&mut core.kernel, (node, boot), request, bytes),
                Stage::UnderWay(id) => id,
                Stage::Over => panic!("a future was polled after its end"),
            };
            (core.disks.poll(&mut core.kernel, id, waker), id)
        });
        if polled.is_pending() {
            self.stage = Stage::UnderWay(id);
        }
        polled
    }
}

impl Future for Call {
    type Output = io::Result<Answer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_with(&[], cx).map(|answered| answered.outcome)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Stage::UnderWay(id) = self.stage {
            try_enter(self.home.world, |core| core.disks.abandon(&mut core.kernel, id));
        }
    }
}

/// A call with the bytes that it writes.
struct Submitted<'a>(&'a mut Call, &'a [u8]);

impl Future for Submitted<'_> {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answered> {
        let bytes = self.1;
        self.0.poll_with(bytes, cx)
    }
}
