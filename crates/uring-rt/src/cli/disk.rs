//! A file on a disk, and loads of reads and writes on it, for commands that measure.

use std::cell::Cell;
use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::{AlignedBuf, File, OpenOptions, Providers, RandomProvider, StorageProvider};

use super::CommandError;
use crate::clock::monotonic;
use crate::schedule::Direction;
use crate::{TaskQueue, UringFile, UringJoinHandle, UringProviders};

/// A folder of a command's own, with one file, and gone with this.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: PathBuf,
    bytes: u64,
    is_gone: Cell<bool>,
}

/// Reads or writes at random places, so many at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    pub(super) direction: Direction,
    pub(super) bytes: usize,
    pub(super) depth: usize,
}

/// What a work has done.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) operations: u64,
    pub(super) bytes: u64,
    pub(super) lasted: Duration,
    /// Of each, in no order.
    pub(super) latencies: Vec<Duration>,
}

/// A work under way.
pub(super) struct Working {
    is_over: Rc<Cell<bool>>,
    began: Duration,
    workers: Vec<UringJoinHandle<io::Result<Done>>>,
}

/// Tells what a command is at.
pub(super) struct Progress {
    is_live: bool,
    began: Duration,
    lasts: Duration,
}

impl Scratch {
    /// Makes a folder for `command` in `folder`, in which a file of so many bytes will be.
    ///
    /// # Errors
    ///
    /// Those of the folder; and if the file would take more than half of what is free.
    pub(super) fn new(folder: &Path, command: &str, bytes: u64) -> Result<Self, CommandError> {
        let told = |error: io::Error| CommandError::new(format!("{}: {error}", folder.display()));
        let space = rustix::fs::statvfs(folder).map_err(|errno| told(errno.into()))?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if bytes > free / 2 {
            let (wanted, free) = (Bytes(bytes), Bytes(free));
            return Err(CommandError::new(format!(
                "{}: a file of {wanted} would take more than half of the {free} that are free: ask for less by --size-mib, \
                 or name another folder",
                folder.display()
            )));
        }
        let own = folder.join(format!("samestep-{command}.{}", monotonic().as_nanos()));
        std::fs::create_dir(&own).map_err(told)?;
        Ok(Self { folder: own, bytes, is_gone: Cell::new(false) })
    }

    /// Where the file is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Opens the file for direct I/O; the first time it is written in full.
    pub(super) async fn open(&self, world: &UringProviders) -> Result<UringFile, CommandError> {
        let options = OpenOptions::read_write().create().direct();
        let file = match world.storage().open(Path::new(FILE_NAME), options).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                let folder = self.folder.parent().unwrap_or(&self.folder).display();
                return Err(CommandError::new(format!(
                    "{folder}: the file system has no direct I/O, and what goes through the page cache is not scheduled: \
                     name a folder on the disk that matters"
                )));
            }
            file => file?,
        };
        if file.metadata().await?.len < self.bytes {
            file.allocate(self.bytes).await?;
            // Not only allocated: a device, or a file system, tells of what was never written without looking.
            let mut buf = noise(world, FILL_BYTES);
            for at in (0..self.bytes).step_by(FILL_BYTES) {
                let outcome;
                (outcome, buf) = file.write_all_at(buf, at).await;
                outcome?;
            }
            file.sync_all().await?;
        }
        Ok(file)
    }

    /// Takes the names of folder and file away. What is open goes on, and is gone with this process, however it ends.
    pub(super) fn hide(&self) -> io::Result<()> {
        self.is_gone.set(true);
        std::fs::remove_dir_all(&self.folder)
    }

    /// Starts a work on the file, as tasks of `queue`.
    pub(super) fn start(
        &self,
        world: &UringProviders,
        file: &UringFile,
        queue: TaskQueue,
        work: Work,
    ) -> Working {
        let is_over = Rc::new(Cell::new(false));
        let places = (self.bytes / work.bytes as u64).max(1);
        let worker = |number: usize| {
            let random = world.random().fork(&format!("{work:?} {number}"));
            let (file, is_over, mut buf) = (file.clone(), Rc::clone(&is_over), noise(world, work.bytes));
            world.task().spawn_into(queue, "worker", async move {
                let mut done = Done::default();
                while !is_over.get() {
                    let at = random.random_range(0..places) * work.bytes as u64;
                    let began = monotonic();
                    let outcome;
                    (outcome, buf) = match work.direction {
                        Direction::Read => file.read_exact_at(buf, at).await,
                        Direction::Write => file.write_all_at(buf, at).await,
                    };
                    outcome?;
                    // What was begun in time and ended later is of another time.
                    if !is_over.get() {
                        done.latencies.push(monotonic() - began);
                    }
                }
                Ok(done)
            })
        };
        let workers = (0..work.depth).map(worker).collect();
        Working { is_over, began: monotonic(), workers }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.is_gone.get()
            && let Err(error) = self.hide()
        {
            eprintln!("samestep-uring: {} could not be removed: {error}", self.folder.display());
        }
    }
}

impl Working {
    /// Ends it, and tells what it has done so far.
    pub(super) async fn stop(self, work: Work) -> Result<Done, CommandError> {
        self.is_over.set(true);
        let mut all = Done { lasted: monotonic() - self.began, ..Done::default() };
        for worker in self.workers {
            let done = worker.await.map_err(io::Error::other)??;
            all.latencies.extend(done.latencies);
        }
        all.operations = all.latencies.len() as u64;
        all.bytes = all.operations * work.bytes as u64;
        Ok(all)
    }
}

impl Done {
    /// Nanoseconds that the device took for each, with as many at a time as there were.
    pub(super) fn each_ns(&self) -> u64 {
        u64::try_from(self.lasted.as_nanos()).unwrap_or(u64::MAX) / self.operations.max(1)
    }

    pub(super) fn per_s(&self) -> u64 {
        SECOND_NS / self.each_ns().max(1)
    }

    pub(super) fn bytes_per_s(&self) -> u64 {
        let ns = self.lasted.as_nanos().max(1);
        u64::try_from(u128::from(self.bytes) * u128::from(SECOND_NS) / ns).unwrap_or(u64::MAX)
    }

    /// The latency that so many of a thousand do not exceed; nothing if nothing was done.
    pub(super) fn rank(&self, per_mille: usize) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        sorted.get((sorted.len().saturating_sub(1)) * per_mille / 1000).copied().unwrap_or_default()
    }
}

impl Progress {
    /// Of a command that takes so long.
    pub(super) fn new(lasts: Duration) -> Self {
        Self { is_live: io::stderr().is_terminal(), began: monotonic(), lasts }
    }

    /// What it is doing from here on.
    pub(super) fn tell(&self, what: impl fmt::Display) {
        let left = self.lasts.saturating_sub(monotonic() - self.began).as_secs();
        let (begin, end) = if self.is_live { ("\r\x1b[K", "") } else { ("", "\n") };
        eprint!("{begin}{left:>5} s to go: {what}{end}");
        let _ = io::stderr().flush();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_live {
            eprint!("\r\x1b[K");
        }
    }
}

/// Bytes, for people.
pub(super) struct Bytes(pub(super) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = match self.0 {
            0..MIB => (KIB, "KiB"),
            MIB..GIB => (MIB, "MiB"),
            _ => (GIB, "GiB"),
        };
        write!(f, "{}.{} {name}", self.0 / unit, self.0 % unit * 10 / unit)
    }
}

/// Bytes that no device takes for nothing.
fn noise(world: &UringProviders, len: usize) -> AlignedBuf {
    let mut buf = AlignedBuf::zeroed(len, PAGE_BYTES);
    world.random().fill_bytes(&mut buf);
    buf
}

const FILE_NAME: &str = "data";
const FILL_BYTES: usize = 1 << 20;
const PAGE_BYTES: usize = 4096;
const SECOND_NS: u64 = 1_000_000_000;
const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
