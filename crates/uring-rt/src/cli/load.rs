//! The load of a soak: files, sockets, timers, calls of other shards, and any of them given up at any time.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::{
    File, JoinHandle, NetworkProvider, OpenOptions, Providers, RandomProvider, SeededRandom, StorageProvider,
    TaskProvider, TcpListener, TcpStream, TimeProvider,
};

use super::CommandError;
use crate::clock::monotonic;
use crate::sync::{CancelToken, Gate};
use crate::{Shard, UringListener, UringProviders, UringStream};

/// How often what was done.
#[derive(Debug, Default)]
pub(super) struct Counts {
    files: Cell<u64>,
    sockets: Cell<u64>,
    timers: Cell<u64>,
    calls: Cell<u64>,
    cancels: Cell<u64>,
}

impl Counts {
    /// File operations, messages, timers, calls, and what was given up.
    pub(super) fn read(&self) -> [u64; 5] {
        [&self.files, &self.sockets, &self.timers, &self.calls, &self.cancels].map(Cell::get)
    }
}

fn count(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

/// Works until it is time, and ends with all that it began over.
pub(super) async fn work(
    shard: &Shard,
    counts: &Counts,
    folder: &Path,
    seed: u64,
    until: Duration,
) -> Result<(), CommandError> {
    let world = shard.providers(folder, seed.wrapping_add(shard.number() as u64))?;
    let listener = world.network().bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).await?;
    let address = listener.local_addr()?;
    let (over, inside) = (CancelToken::new(), Gate::new());
    let server = world.task().spawn("server", serve(world.clone(), listener, over.clone(), inside.clone()));
    let mut works = Vec::new();
    for number in 0..WORKERS {
        let random = world.random().fork(&format!("worker {number}"));
        let worker = Worker { world: world.clone(), shard: shard.clone(), random, until };
        // Each counts for itself, as tasks do not borrow.
        let own = Rc::new(Counts::default());
        let task = match number % 4 {
            0 => {
                let (own, path) = (Rc::clone(&own), PathBuf::from(format!("{}-{number}", shard.number())));
                world.task().spawn("files", async move { worker.use_files(&path, &own).await })
            }
            1 => {
                let own = Rc::clone(&own);
                world.task().spawn("sockets", async move { worker.use_sockets(address, &own).await })
            }
            2 => {
                let own = Rc::clone(&own);
                world.task().spawn("timers", async move { worker.use_timers(&own).await })
            }
            _ => {
                let own = Rc::clone(&own);
                world.task().spawn("calls", async move { worker.use_calls(&own).await })
            }
        };
        works.push((task, own));
    }
    let mut failed = None;
    for (task, own) in works {
        if let Err(error) = task.await.map_err(io::Error::other).and_then(|outcome| outcome) {
            failed.get_or_insert(error);
        }
        let totals = [&counts.files, &counts.sockets, &counts.timers, &counts.calls, &counts.cancels];
        for (total, one) in totals.into_iter().zip(own.read()) {
            total.set(total.get() + one);
        }
    }
    over.cancel();
    server.await.map_err(io::Error::other)??;
    inside.close().await;
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// Sends everything back, on each connection until its end, which may come in the middle of a message.
async fn serve(
    world: UringProviders,
    listener: UringListener,
    over: CancelToken,
    inside: Gate,
) -> io::Result<()> {
    while let Some(accepted) = over.run(listener.accept()).await {
        let (stream, _) = accepted?;
        let pass = inside.enter().map_err(io::Error::other)?;
        drop(world.task().spawn("echo", async move {
            let _pass = pass;
            // Who resets the connection is done with it.
            let _ = echo(&stream).await;
        }));
    }
    listener.close().await
}

async fn echo(stream: &UringStream) -> io::Result<()> {
    let mut buf = vec![0; 8192];
    loop {
        let outcome;
        (outcome, buf) = stream.read(buf).await;
        if outcome? == 0 {
            return stream.shutdown().await;
        }
        let outcome;
        (outcome, buf) = stream.write_all(buf).await;
        outcome?;
        buf.resize(8192, 0);
    }
}

struct Worker {
    world: UringProviders,
    shard: Shard,
    random: SeededRandom,
    until: Duration,
}

impl Worker {
    fn is_over(&self) -> bool {
        monotonic() >= self.until
    }

    /// Gives `future` up after a short time, now and then.
    async fn perhaps<F: Future>(&self, counts: &Counts, future: F) -> Option<F::Output> {
        if !self.random.random_bool(0.2) {
            return Some(future.await);
        }
        let patience = self.random.random_range(Duration::ZERO..Duration::from_micros(300));
        let outcome = self.world.time().timeout(patience, future).await.ok();
        if outcome.is_none() {
            count(&counts.cancels);
        }
        outcome
    }

    /// Writes blocks, each filled with its number, and reads them back: a write that was given up is there or is not.
    async fn use_files(&self, path: &Path, counts: &Counts) -> io::Result<()> {
        while !self.is_over() {
            let storage = self.world.storage();
            let file = storage.open(path, OpenOptions::read_write().create()).await?;
            let mut is_written = [false; BLOCKS];
            for _ in 0..self.random.random_range(1..100_u32) {
                let block = self.random.random_range(0..BLOCKS);
                let offset = (block * BLOCK_BYTES) as u64;
                let number = u8::try_from(block + 1).expect("a few blocks");
                match self.random.random_range(0..8_u8) {
                    0..4 => {
                        let written = file.write_all_at(vec![number; BLOCK_BYTES], offset);
                        if let Some((outcome, _)) = self.perhaps(counts, written).await {
                            outcome?;
                            is_written[block] = true;
                        }
                    }
                    4..7 => {
                        let read = file.read_at(vec![0; BLOCK_BYTES], offset);
                        let Some((outcome, bytes)) = self.perhaps(counts, read).await else { continue };
                        let is_whole = outcome? == BLOCK_BYTES && bytes.iter().all(|byte| *byte == number);
                        if is_written[block] && !is_whole {
                            return Err(io::Error::other("a block is not as it was written"));
                        }
                    }
                    _ => {
                        if let Some(outcome) = self.perhaps(counts, file.sync_data()).await {
                            outcome?;
                        }
                    }
                }
                count(&counts.files);
            }
            file.close().await?;
            storage.remove(path).await?;
        }
        Ok(())
    }

    /// Says messages and wants them back; connections are given up at any time.
    async fn use_sockets(&self, server: SocketAddr, counts: &Counts) -> io::Result<()> {
        while !self.is_over() {
            let connecting = self.world.network().connect(server);
            let Some(stream) = self.perhaps(counts, connecting).await else { continue };
            let stream = stream?;
            for _ in 0..self.random.random_range(1..30_u32) {
                let mut message = vec![0; self.random.random_range(1..6000_usize)];
                self.random.fill_bytes(&mut message);
                let talk = async {
                    stream.write_all(message.clone()).await.0?;
                    let (outcome, back) = stream.read_exact(vec![0; message.len()]).await;
                    outcome.map(|()| back)
                };
                // A message that was given up leaves bytes that nobody knows the number of.
                let Some(back) = self.perhaps(counts, talk).await else { break };
                if back? != message {
                    return Err(io::Error::other("other bytes came back than were sent"));
                }
                count(&counts.sockets);
            }
            if self.random.random_bool(0.5) {
                stream.close().await?;
            }
        }
        Ok(())
    }

    /// Sleeps, and never less than it was to.
    async fn use_timers(&self, counts: &Counts) -> io::Result<()> {
        while !self.is_over() {
            let sleeps = self.random.random_range(Duration::ZERO..Duration::from_millis(3));
            let start = monotonic();
            let slept = self.perhaps(counts, self.world.time().sleep(sleeps)).await;
            if slept.is_some() && monotonic() - start < sleeps {
                return Err(io::Error::other("a timer fired early"));
            }
            count(&counts.timers);
            // Tasks that are ended from outside, in whatever they do.
            let time = self.world.time().clone();
            let task = self.world.task().spawn("victim", async move {
                loop {
                    time.sleep(Duration::from_micros(100)).await;
                }
            });
            self.world.task().yield_now().await;
            task.abort();
            if task.await.is_ok() {
                return Err(io::Error::other("a task without an end has ended"));
            }
        }
        Ok(())
    }

    /// Calls any shard, its own included.
    async fn use_calls(&self, counts: &Counts) -> io::Result<()> {
        let group = self.shard.caller().service_group("soak", 4);
        while !self.is_over() {
            let target = self.random.random_range(0..self.shard.count());
            let number = self.random.next_u64();
            let call = self.shard.caller().submit_in(&group, target, move || async move { !number });
            if let Some(answer) = self.perhaps(counts, call).await
                && answer.map_err(io::Error::other)? != !number
            {
                return Err(io::Error::other("another call was answered"));
            }
            count(&counts.calls);
            if self.random.random_bool(0.05) {
                self.world.time().sleep(Duration::from_millis(1)).await;
            }
        }
        Ok(())
    }
}

const WORKERS: usize = 8;
const BLOCKS: usize = 64;
const BLOCK_BYTES: usize = 4096;
