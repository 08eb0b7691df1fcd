//! Ours.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::{
    File as _, NetworkProvider, OpenOptions, Providers, StorageProvider, TaskProvider, TcpListener,
    TcpStream, TimeProvider,
};
use samestep_uring_rt::{
    DmaBuffer, DriverChoice, Runtime, ShardReceiver, ShardSender, StatsReader, Streaming, UringFile,
    UringJoinHandle, UringListener, UringProviders, UringStream, shard_channel,
};

use super::{Access, CHANNEL_VALUES, ECHO_BYTES, Join, Peer, SPIN, Setup};
use crate::figures::{Clock, Figures};
use crate::files::{self, Direction, STREAM_CHUNKS};
use crate::machine;

/// samestep-uring-rt as its users have it.
#[derive(Clone)]
pub(crate) struct Ours {
    world: UringProviders,
    stats: StatsReader,
}

impl Peer for Ours {
    type Join = Join<UringJoinHandle<u64>>;
    type File = UringFile;
    type Buf = DmaBuffer;
    type Listener = UringListener;
    type Stream = UringStream;

    fn run<F>(setup: Setup, work: impl FnOnce(Self) -> F) -> F::Output
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let mut builder = Runtime::builder().driver(DriverChoice::RingOrThreads);
        if let Setup::Spinning(processor) = setup {
            machine::pin(processor);
            builder = builder.spin_before_park(SPIN);
        }
        let runtime = builder.build().expect("a runtime can be had, if of threads");
        let world = runtime.providers("/", 1).expect("the root is a folder");
        let output = runtime.block_on(work(Self { world, stats: runtime.stats_reader() }));
        runtime.shutdown().expect("all has ended");
        output
    }

    fn spawn(&self, future: impl Future<Output = u64> + 'static) -> Self::Join {
        Join(self.world.task().spawn("", future))
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        self.world.time().sleep(duration)
    }

    async fn open(&self, path: &Path, access: Access) -> UringFile {
        let options = match access {
            Access::Cached => OpenOptions::read_write(),
            Access::Direct => OpenOptions::read_write().direct(),
        };
        // Below the root, where this world's files are.
        let path = path.strip_prefix("/").expect("paths are absolute");
        let is_open = Rc::new(Cell::new(false));
        let waiting = self.spawn(let_threads_run(self.world.clone(), Rc::clone(&is_open)));
        let file = self.world.storage().open(path, options).await.expect("the file is there");
        is_open.set(true);
        waiting.await;
        file
    }

    fn buf(&self, _: &UringFile, len: usize) -> DmaBuffer {
        self.world.storage().alloc_dma(len)
    }

    fn bytes(buf: &DmaBuffer) -> &[u8] {
        buf
    }

    fn bytes_mut(buf: &mut DmaBuffer) -> &mut [u8] {
        buf
    }

    async fn read(&self, file: &UringFile, buf: DmaBuffer, offset: u64) -> (usize, DmaBuffer) {
        let (count, buf) = file.read_at(buf, offset).await;
        (count.expect("it can be read"), buf)
    }

    async fn write(&self, file: &UringFile, buf: DmaBuffer, offset: u64) -> (usize, DmaBuffer) {
        let (count, buf) = file.write_at(buf, offset).await;
        (count.expect("it can be written"), buf)
    }

    async fn sync(&self, file: &UringFile) {
        file.sync_data().await.expect("it can be synced");
    }

    async fn write_and_sync(&self, file: &UringFile, buf: DmaBuffer, offset: u64) -> (usize, DmaBuffer) {
        let (ended, buf) = file.write_all_and_sync(buf, offset).await;
        ended.expect("it can be written and synced");
        (buf.len(), buf)
    }

    async fn bind(&self) -> (UringListener, u16) {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = self.world.network().bind(address).await.expect("loopback has ports");
        let port = listener.local_addr().expect("it is bound").port();
        (listener, port)
    }

    async fn accept(&self, listener: &UringListener) -> UringStream {
        listener.accept().await.expect("a connection comes").0
    }

    #[expect(clippy::manual_async_fn, reason = "the future borrows nothing")]
    fn echo(&self, stream: UringStream) -> impl Future<Output = u64> + 'static {
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

    channels!(ShardSender<u64>, ShardReceiver<u64>, shard_channel(CHANNEL_VALUES));

    fn enters(&self) -> Option<u64> {
        Some(self.stats.read().enters)
    }
}

/// A file from front to back by our streams.
pub(crate) async fn stream(
    ours: Ours,
    path: std::path::PathBuf,
    direction: Direction,
    chunk_bytes: usize,
) -> Figures {
    let file = ours.open(&path, Access::Direct).await;
    let length = files::blocks_of(&path) * files::BLOCK_BYTES as u64;
    let streaming =
        Streaming { chunk_bytes, chunks_max: usize::try_from(STREAM_CHUNKS).expect("it is small") };
    let mut at = 0;
    let clock = Clock::start();
    match direction {
        Direction::Read => {
            let mut reader = file.stream_reader(0..length, streaming);
            while let Some(chunk) = reader.next_chunk().await {
                let chunk = chunk.expect("it can be read");
                files::check_chunk(&chunk, at);
                at += chunk.len() as u64;
            }
        }
        Direction::Write => {
            let mut writer = file.stream_writer(streaming);
            let mut chunk = vec![0; chunk_bytes];
            while at < length {
                files::mark_chunk(&mut chunk, at);
                writer.write(&chunk).await.expect("it can be written");
                at += chunk_bytes as u64;
            }
            writer.finish().await.expect("it can be synced");
        }
    }
    assert_eq!(at, length, "the whole file");
    clock.stop(length / chunk_bytes as u64)
}

/// Sleeps now and then until the file is open. A thread looks its device up, and valgrind, which runs one thread at a time,
/// does not know that one which waits for a ring does not run.
async fn let_threads_run(world: UringProviders, is_open: Rc<Cell<bool>>) -> u64 {
    while !is_open.get() {
        std::thread::sleep(Duration::from_millis(1));
        world.task().yield_now().await;
    }
    0
}
