//! Who is measured, as the rows see them: each in a file of its own.

/// The parts of a [`Peer`] that all runtimes have in common which bring no buffers for direct files.
#[cfg(feature = "peers")]
macro_rules! buffers_of_pages {
    ($file:ty) => {
        type Buf = Pages;

        fn buf(&self, _: &$file, len: usize) -> Pages {
            Pages::new(len)
        }

        fn bytes(buf: &Pages) -> &[u8] {
            buf.bytes()
        }

        fn bytes_mut(buf: &mut Pages) -> &mut [u8] {
            buf.bytes_mut()
        }
    };
}

/// And of those whose channels need nothing done on their thread. Who brings none has tokio's, which wakes by any wakers.
macro_rules! channels {
    ($sender:ty, $receiver:ty, $channel:expr) => {
        type Tx = $sender;
        type Rx = $receiver;
        type Sender = $sender;
        type Receiver = $receiver;

        fn channel() -> (Self::Tx, Self::Rx) {
            $channel
        }

        async fn connect(tx: Self::Tx, rx: Self::Rx) -> (Self::Sender, Self::Receiver) {
            (tx, rx)
        }

        async fn send(sender: &mut Self::Sender, value: u64) {
            sender.send(value).await.expect("the other end is there");
        }

        async fn receive(receiver: &mut Self::Receiver) -> Option<u64> {
            receiver.recv().await
        }
    };
}

#[cfg(feature = "peers")]
mod compio;
pub(crate) mod fio;
#[cfg(feature = "peers")]
pub(crate) mod glommio;
#[cfg(feature = "peers")]
mod monoio;
pub(crate) mod ours;
#[cfg(feature = "peers")]
mod tokio;
#[cfg(feature = "peers")]
mod tokio_uring;

use std::fmt::Debug;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

pub(crate) use self::ours::Ours;
#[cfg(feature = "peers")]
pub(crate) use self::{
    compio::Compio, glommio::Glommio, monoio::Monoio, tokio::Tokio, tokio_uring::TokioUring,
};

/// A runtime, by a handle. A row is written once over this trait, and a runtime's part of it as its users would write
/// it. What goes wrong panics: a measurement is a process of its own.
pub(crate) trait Peer: Clone + 'static {
    /// A task that gives a number.
    type Join: Future<Output = u64>;
    type File: Clone + 'static;
    /// For direct reads and writes.
    type Buf: 'static;
    type Listener: 'static;
    type Stream: 'static;
    /// Ends of a channel between threads, and the same once they are on their thread.
    type Tx: Send + 'static;
    type Rx: Send + 'static;
    type Sender: 'static;
    type Receiver: 'static;

    /// Makes a runtime on this thread, and runs `work` on it.
    fn run<F>(setup: Setup, work: impl FnOnce(Self) -> F) -> F::Output
    where
        F: Future + 'static,
        F::Output: 'static;

    fn spawn(&self, future: impl Future<Output = u64> + 'static) -> Self::Join;

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static;

    /// Opens a file that is there, for reading and writing.
    async fn open(&self, path: &Path, access: Access) -> Self::File;

    fn buf(&self, file: &Self::File, len: usize) -> Self::Buf;

    fn bytes(buf: &Self::Buf) -> &[u8];

    /// The bytes of a buffer that is to be written.
    fn bytes_mut(buf: &mut Self::Buf) -> &mut [u8];

    /// Fills the buffer from the file, and tells how many bytes that were.
    async fn read(&self, file: &Self::File, buf: Self::Buf, offset: u64) -> (usize, Self::Buf);

    async fn write(&self, file: &Self::File, buf: Self::Buf, offset: u64) -> (usize, Self::Buf);

    async fn sync(&self, file: &Self::File);

    /// Writes, and makes durable what was written.
    async fn write_and_sync(&self, file: &Self::File, buf: Self::Buf, offset: u64) -> (usize, Self::Buf) {
        let written = self.write(file, buf, offset).await;
        self.sync(file).await;
        written
    }

    /// Listens on a port of loopback, and tells which.
    async fn bind(&self) -> (Self::Listener, u16);

    async fn accept(&self, listener: &Self::Listener) -> Self::Stream;

    /// Sends back whatever comes until there is no more, and tells how many bytes that were.
    fn echo(&self, stream: Self::Stream) -> impl Future<Output = u64> + 'static;

    fn channel() -> (Self::Tx, Self::Rx);

    async fn connect(tx: Self::Tx, rx: Self::Rx) -> (Self::Sender, Self::Receiver);

    async fn send(sender: &mut Self::Sender, value: u64);

    async fn receive(receiver: &mut Self::Receiver) -> Option<u64>;

    /// Calls of `io_uring_enter` so far, if it counts them.
    fn enters(&self) -> Option<u64> {
        None
    }
}

/// The handle of a task whose runtime tells whether it was cancelled.
pub(crate) struct Join<H>(H);

impl<H, E> Future for Join<H>
where
    H: Future<Output = Result<u64, E>> + Unpin,
    E: Debug,
{
    type Output = u64;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u64> {
        Pin::new(&mut self.0).poll(cx).map(|ended| ended.expect("it is not cancelled"))
    }
}

/// How a runtime is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    /// As by default. Where timers are an option, there are none.
    Plain,
    /// With timers.
    Timers,
    /// Looks around for a millisecond before it sleeps, on this processor.
    Spinning(usize),
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// For reads through the page cache, or of a device.
    Cached,
    /// For direct reads and writes.
    Direct,
}

/// As long as runtimes that can look around before they sleep.
pub(crate) const SPIN: Duration = Duration::from_millis(1);
/// `O_DIRECT`, as the standard library takes it.
#[cfg(feature = "peers")]
pub(crate) const DIRECT: i32 = rustix::fs::OFlags::DIRECT.bits().cast_signed();
/// What a connection's buffer holds.
pub(crate) const ECHO_BYTES: usize = 64;
/// What a channel between threads has room for.
pub(crate) const CHANNEL_VALUES: usize = 64;
