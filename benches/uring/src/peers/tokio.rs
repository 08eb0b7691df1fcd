//! tokio: its own net, timers and channel; files by its pool of threads, as it has nothing else for them.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, LocalSet, spawn_blocking, spawn_local};

use super::{Access, CHANNEL_VALUES, DIRECT, ECHO_BYTES, Join, Peer, Setup};
use crate::pages::Pages;

/// tokio on one thread.
#[derive(Clone)]
pub(crate) struct Tokio;

impl Peer for Tokio {
    type Join = Join<JoinHandle<u64>>;
    type File = Arc<File>;
    type Listener = TcpListener;
    type Stream = TcpStream;

    fn run<F>(_: Setup, work: impl FnOnce(Self) -> F) -> F::Output
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        LocalSet::new().block_on(&runtime.expect("a runtime can be had"), async { work(Self).await })
    }

    fn spawn(&self, future: impl Future<Output = u64> + 'static) -> Self::Join {
        Join(spawn_local(future))
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        tokio::time::sleep(duration)
    }

    async fn open(&self, path: &Path, access: Access) -> Arc<File> {
        let flags = if access == Access::Direct { DIRECT } else { 0 };
        let mut options = OpenOptions::new();
        Arc::new(options.read(true).write(true).custom_flags(flags).open(path).expect("the file is there"))
    }

    buffers_of_pages!(Arc<File>);

    async fn read(&self, file: &Arc<File>, mut buf: Pages, offset: u64) -> (usize, Pages) {
        let file = Arc::clone(file);
        let read = spawn_blocking(move || (file.read_at(buf.bytes_mut(), offset), buf));
        let (count, buf) = read.await.expect("it does not panic");
        (count.expect("it can be read"), buf)
    }

    async fn write(&self, file: &Arc<File>, buf: Pages, offset: u64) -> (usize, Pages) {
        let file = Arc::clone(file);
        let write = spawn_blocking(move || (file.write_at(buf.bytes(), offset), buf));
        let (count, buf) = write.await.expect("it does not panic");
        (count.expect("it can be written"), buf)
    }

    async fn sync(&self, file: &Arc<File>) {
        let file = Arc::clone(file);
        let sync = spawn_blocking(move || file.sync_data());
        sync.await.expect("it does not panic").expect("it can be synced");
    }

    async fn write_and_sync(&self, file: &Arc<File>, buf: Pages, offset: u64) -> (usize, Pages) {
        let file = Arc::clone(file);
        let write = spawn_blocking(move || {
            let count = file.write_at(buf.bytes(), offset);
            (count.and_then(|count| file.sync_data().map(|()| count)), buf)
        });
        let (count, buf) = write.await.expect("it does not panic");
        (count.expect("it can be written and synced"), buf)
    }

    async fn bind(&self) -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
        let port = listener.local_addr().expect("it is bound").port();
        (listener, port)
    }

    async fn accept(&self, listener: &TcpListener) -> TcpStream {
        listener.accept().await.expect("a connection comes").0
    }

    #[expect(clippy::manual_async_fn, reason = "the future borrows nothing")]
    fn echo(&self, mut stream: TcpStream) -> impl Future<Output = u64> + 'static {
        async move {
            let (mut buf, mut sum) = ([0; ECHO_BYTES], 0);
            loop {
                let count = stream.read(&mut buf).await.expect("the peer ends it well");
                if count == 0 {
                    return sum;
                }
                stream.write_all(&buf[..count]).await.expect("the peer takes it");
                sum += count as u64;
            }
        }
    }

    channels!(mpsc::Sender<u64>, mpsc::Receiver<u64>, mpsc::channel(CHANNEL_VALUES));
}
