//! tokio-uring; channels are tokio's.

use std::future::Future;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_uring::buf::BoundedBuf;
use tokio_uring::fs::{File, OpenOptions};
use tokio_uring::net::{TcpListener, TcpStream};

use super::{Access, CHANNEL_VALUES, DIRECT, ECHO_BYTES, Join, Peer, Setup};
use crate::pages::Pages;

/// tokio-uring on one thread.
#[derive(Clone)]
pub(crate) struct TokioUring;

impl Peer for TokioUring {
    type Join = Join<JoinHandle<u64>>;
    type File = Rc<File>;
    type Listener = TcpListener;
    type Stream = TcpStream;

    fn run<F>(_: Setup, work: impl FnOnce(Self) -> F) -> F::Output
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        tokio_uring::start(work(Self))
    }

    fn spawn(&self, future: impl Future<Output = u64> + 'static) -> Self::Join {
        Join(tokio_uring::spawn(future))
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        tokio::time::sleep(duration)
    }

    async fn open(&self, path: &Path, access: Access) -> Rc<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(if access == Access::Direct { DIRECT } else { 0 });
        Rc::new(options.open(path).await.expect("the file is there"))
    }

    buffers_of_pages!(Rc<File>);

    async fn read(&self, file: &Rc<File>, buf: Pages, offset: u64) -> (usize, Pages) {
        let (count, buf) = file.read_at(buf, offset).await;
        (count.expect("it can be read"), buf)
    }

    async fn write(&self, file: &Rc<File>, buf: Pages, offset: u64) -> (usize, Pages) {
        let (count, buf) = file.write_at(buf, offset).submit().await;
        (count.expect("it can be written"), buf)
    }

    async fn sync(&self, file: &Rc<File>) {
        file.sync_data().await.expect("it can be synced");
    }

    async fn bind(&self) -> (TcpListener, u16) {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).expect("loopback has ports");
        let port = listener.local_addr().expect("it is bound").port();
        (listener, port)
    }

    async fn accept(&self, listener: &TcpListener) -> TcpStream {
        listener.accept().await.expect("a connection comes").0
    }

    #[expect(clippy::manual_async_fn, reason = "the future borrows nothing")]
    fn echo(&self, stream: TcpStream) -> impl Future<Output = u64> + 'static {
        async move {
            let (mut buf, mut sum) = (Vec::with_capacity(ECHO_BYTES), 0);
            loop {
                let count;
                (count, buf) = stream.read(buf).await;
                let count = count.expect("the peer ends it well");
                if count == 0 {
                    return sum;
                }
                let sent;
                let slice;
                (sent, slice) = stream.write_all(buf.slice(..count)).await;
                buf = slice.into_inner();
                sent.expect("the peer takes it");
                sum += count as u64;
            }
        }
    }

    channels!(mpsc::Sender<u64>, mpsc::Receiver<u64>, mpsc::channel(CHANNEL_VALUES));
}
