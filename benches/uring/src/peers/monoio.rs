//! monoio, on its ring; channels are tokio's, which wake across threads by monoio's feature `sync`.

use std::future::Future;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use monoio::fs::{File, OpenOptions};
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};
use monoio::{IoUringDriver, RuntimeBuilder};
use tokio::sync::mpsc;

use super::{Access, CHANNEL_VALUES, DIRECT, ECHO_BYTES, Peer, Setup};
use crate::pages::Pages;

/// monoio on one thread.
#[derive(Clone)]
pub(crate) struct Monoio;

impl Peer for Monoio {
    type Join = monoio::task::JoinHandle<u64>;
    type File = Rc<File>;
    type Listener = TcpListener;
    type Stream = TcpStream;

    fn run<F>(setup: Setup, work: impl FnOnce(Self) -> F) -> F::Output
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let builder = RuntimeBuilder::<IoUringDriver>::new();
        if setup == Setup::Timers {
            builder.enable_timer().build().expect("a runtime can be had").block_on(work(Self))
        } else {
            builder.build().expect("a runtime can be had").block_on(work(Self))
        }
    }

    fn spawn(&self, future: impl Future<Output = u64> + 'static) -> Self::Join {
        monoio::spawn(future)
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        monoio::time::sleep(duration)
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
        let (count, buf) = file.write_at(buf, offset).await;
        (count.expect("it can be written"), buf)
    }

    async fn sync(&self, file: &Rc<File>) {
        file.sync_data().await.expect("it can be synced");
    }

    async fn bind(&self) -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
        let port = listener.local_addr().expect("it is bound").port();
        (listener, port)
    }

    async fn accept(&self, listener: &TcpListener) -> TcpStream {
        listener.accept().await.expect("a connection comes").0
    }

    #[expect(clippy::manual_async_fn, reason = "the future borrows nothing")]
    fn echo(&self, mut stream: TcpStream) -> impl Future<Output = u64> + 'static {
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
                (sent, buf) = stream.write_all(buf).await;
                sent.expect("the peer takes it");
                sum += count as u64;
            }
        }
    }

    channels!(mpsc::Sender<u64>, mpsc::Receiver<u64>, mpsc::channel(CHANNEL_VALUES));
}
