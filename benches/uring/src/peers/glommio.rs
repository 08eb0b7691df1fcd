//! glommio: direct files, its streams, its shared channels.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::channels::shared_channel::{
    ConnectedReceiver, ConnectedSender, SharedReceiver, SharedSender, new_bounded,
};
use glommio::io::{
    BufferedFile, DmaBuffer, DmaFile, DmaStreamReaderBuilder, DmaStreamWriterBuilder, OpenOptions, ReadResult,
};
use glommio::net::{TcpListener, TcpStream};
use glommio::timer::Timer;
use glommio::{LocalExecutorBuilder, Placement, Task, spawn_local};

use super::{Access, CHANNEL_VALUES, ECHO_BYTES, Peer, SPIN, Setup};
use crate::figures::{Clock, Figures};
use crate::files::{self, Direction, STREAM_CHUNKS};

/// glommio on one thread.
#[derive(Clone)]
pub(crate) struct Glommio;

/// An open file, of which only direct ones are written.
#[derive(Clone)]
pub(crate) enum File {
    Cached(Rc<BufferedFile>),
    Direct(Rc<DmaFile>),
}

/// What it reads into is its own, and what it writes from, too.
pub(crate) enum Buf {
    Empty(usize),
    Read(ReadResult),
    Written(Rc<DmaBuffer>),
}

impl Peer for Glommio {
    type Join = Task<u64>;
    type File = File;
    type Buf = Buf;
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Tx = SharedSender<u64>;
    type Rx = SharedReceiver<u64>;
    type Sender = ConnectedSender<u64>;
    type Receiver = ConnectedReceiver<u64>;

    fn run<F>(setup: Setup, work: impl FnOnce(Self) -> F) -> F::Output
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let builder = match setup {
            Setup::Spinning(processor) => {
                LocalExecutorBuilder::new(Placement::Fixed(processor)).spin_before_park(SPIN)
            }
            Setup::Plain | Setup::Timers => LocalExecutorBuilder::new(Placement::Unbound),
        };
        builder.make().expect("a runtime can be had").run(work(Self))
    }

    fn spawn(&self, future: impl Future<Output = u64> + 'static) -> Task<u64> {
        spawn_local(future)
    }

    #[expect(clippy::manual_async_fn, reason = "the future borrows nothing")]
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        async move {
            Timer::new(duration).await;
        }
    }

    async fn open(&self, path: &Path, access: Access) -> File {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        match access {
            Access::Cached => {
                File::Cached(Rc::new(options.buffered_open(path).await.expect("the file is there")))
            }
            Access::Direct => File::Direct(Rc::new(options.dma_open(path).await.expect("the file is there"))),
        }
    }

    fn buf(&self, _: &File, len: usize) -> Buf {
        Buf::Empty(len)
    }

    fn bytes(buf: &Buf) -> &[u8] {
        match buf {
            Buf::Empty(_) => &[],
            Buf::Read(read) => read,
            Buf::Written(written) => written.as_bytes(),
        }
    }

    fn bytes_mut(buf: &mut Buf) -> &mut [u8] {
        if let Buf::Empty(len) = *buf {
            *buf = Buf::Written(Rc::new(glommio::allocate_dma_buffer(len)));
        }
        match buf {
            Buf::Written(written) => Rc::get_mut(written).expect("its write is over").as_bytes_mut(),
            Buf::Empty(_) | Buf::Read(_) => panic!("what was read is not written"),
        }
    }

    async fn read(&self, file: &File, buf: Buf, offset: u64) -> (usize, Buf) {
        let len = match &buf {
            Buf::Empty(len) => *len,
            Buf::Read(read) => read.len(),
            Buf::Written(_) => panic!("what was written is not read into"),
        };
        drop(buf);
        let read = match file {
            File::Cached(file) => file.read_at(offset, len).await,
            File::Direct(file) => file.read_at_aligned(offset, len).await,
        };
        let read = read.expect("it can be read");
        (read.len(), Buf::Read(read))
    }

    async fn write(&self, file: &File, buf: Buf, offset: u64) -> (usize, Buf) {
        let (File::Direct(file), Buf::Written(bytes)) = (file, buf) else {
            panic!("direct files are written")
        };
        let count = file.write_rc_at(Rc::clone(&bytes), offset).await.expect("it can be written");
        (count, Buf::Written(bytes))
    }

    async fn sync(&self, file: &File) {
        let File::Direct(file) = file else { panic!("direct files are synced") };
        file.fdatasync().await.expect("it can be synced");
    }

    async fn bind(&self) -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
        let port = listener.local_addr().expect("it is bound").port();
        (listener, port)
    }

    async fn accept(&self, listener: &TcpListener) -> TcpStream {
        listener.accept().await.expect("a connection comes")
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

    fn channel() -> (Self::Tx, Self::Rx) {
        new_bounded(CHANNEL_VALUES)
    }

    async fn connect(tx: Self::Tx, rx: Self::Rx) -> (Self::Sender, Self::Receiver) {
        // Each waits for its other end, which is on the other thread.
        let tx = spawn_local(tx.connect());
        let rx = rx.connect().await;
        (tx.await, rx)
    }

    async fn send(sender: &mut Self::Sender, value: u64) {
        sender.send(value).await.expect("the other end is there");
    }

    async fn receive(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.recv().await
    }
}

/// A file from front to back by its streams.
pub(crate) async fn stream(peer: Glommio, path: PathBuf, direction: Direction, chunk: usize) -> Figures {
    let File::Direct(file) = peer.open(&path, Access::Direct).await else { panic!("it is opened so") };
    let length = files::blocks_of(&path) * files::BLOCK_BYTES as u64;
    let chunks = usize::try_from(STREAM_CHUNKS).expect("it is small");
    let mut at = 0;
    let clock = Clock::start();
    match direction {
        Direction::Read => {
            let builder = DmaStreamReaderBuilder::from_rc(file).with_buffer_size(chunk);
            let mut reader = builder.with_read_ahead(chunks).build();
            while at < length {
                let read = reader.get_buffer_aligned(chunk as u64).await.expect("it can be read");
                files::check_chunk(&read, at);
                at += read.len() as u64;
            }
            reader.close().await.expect("it can be closed");
        }
        Direction::Write => {
            let file = Rc::try_unwrap(file).expect("nobody else has it");
            let builder = DmaStreamWriterBuilder::new(file).with_buffer_size(chunk);
            let mut writer = builder.with_write_behind(chunks).build();
            let mut bytes = vec![0; chunk];
            while at < length {
                files::mark_chunk(&mut bytes, at);
                writer.write_all(&bytes).await.expect("it can be written");
                at += chunk as u64;
            }
            writer.close().await.expect("it can be synced");
        }
    }
    assert_eq!(at, length, "the whole file");
    clock.stop(length / chunk as u64)
}
