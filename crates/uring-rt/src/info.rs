//! What a runtime runs on, which features of the kernel it uses, and why.

use std::fmt;

use crate::dma::ArenaInfo;

/// What a runtime runs on: see [`Runtime::info`](crate::Runtime::info).
#[derive(Clone, Debug)]
pub struct RuntimeInfo {
    pub(crate) cpu: Option<u32>,
    pub(crate) driver: Driver,
    pub(crate) kernel: String,
    pub(crate) choices: Vec<Choice>,
    pub(crate) devices: Vec<DeviceInfo>,
    pub(crate) arena: ArenaInfo,
    pub(crate) workers_max: Option<u32>,
}

impl RuntimeInfo {
    /// What carries out the operations.
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// The one processor that the shard runs on, if it was [placed](crate::Placement).
    pub fn cpu(&self) -> Option<u32> {
        self.cpu
    }

    /// The kernel's release, as `uname -r` says it. For people: nothing is decided by it.
    pub fn kernel(&self) -> &str {
        &self.kernel
    }

    /// Each feature of the kernel that this crate knows of: used or not, and why.
    pub fn choices(&self) -> &[Choice] {
        &self.choices
    }

    /// The devices of the files that were opened for direct I/O so far, in the order of their numbers.
    pub fn devices(&self) -> &[DeviceInfo] {
        &self.devices
    }

    /// How many threads of the kernel do what would block, of each of the two kinds it has; `None` if the kernel decides.
    /// See [`RuntimeBuilder::kernel_workers`](crate::RuntimeBuilder::kernel_workers).
    pub fn workers_max(&self) -> Option<u32> {
        self.workers_max
    }

    /// The memory from which [`Runtime::alloc_dma`](crate::Runtime::alloc_dma) takes its buffers.
    pub fn arena(&self) -> ArenaInfo {
        self.arena
    }
}

impl fmt::Display for RuntimeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "driver    {}", self.driver)?;
        writeln!(f, "kernel    {}", self.kernel)?;
        if let Some(cpu) = self.cpu {
            writeln!(f, "cpu       {cpu}")?;
        }
        for choice in &self.choices {
            writeln!(f, "{choice}")?;
        }
        for device in &self.devices {
            writeln!(f, "{device}")?;
        }
        if let Some(count) = self.workers_max {
            writeln!(f, "{:<24}{count}", "workers at most")?;
        }
        writeln!(f, "{}", self.arena)
    }
}

/// What carries out a runtime's operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Driver {
    /// The kernel's io_uring, 6.1 or later.
    Ring,
    /// Plain system calls: sockets when they are ready, files on a few threads. The same meaning, more slowly; for
    /// machines on which io_uring is blocked.
    Threads,
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ring => "io_uring",
            Self::Threads => "threads",
        })
    }
}

/// A device below files with direct I/O.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Its major and minor number.
    pub number: (u32, u32),
    /// Whether it is polled, or why not.
    pub polling: Polling,
    /// Polled reads and writes are done in parts of at most so many bytes.
    pub part_bytes_max: u32,
}

impl fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("device {}:{}", self.number.0, self.number.1);
        let used = if self.polling == Polling::Polled { "yes" } else { "no" };
        write!(f, "{name:<24}{used:<5}{}", self.polling)
    }
}

/// Whether reads and writes of a file are polled: completed by asking the device rather than by its interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Polling {
    /// They are.
    Polled,
    /// The file goes through the page cache.
    Buffered,
    /// The builder was asked for none.
    SwitchedOff,
    /// The driver has no ring.
    NoRing,
    /// The device has no queue that could be polled.
    NoPollQueue,
    /// The kernel knows of no block device below the file system.
    NoDevice,
    /// The device or its file system refused a read or write, which then went the other way, as all since do.
    Refused,
}

impl fmt::Display for Polling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Polled => "the device is asked for its completions",
            Self::Buffered => "the file goes through the page cache",
            Self::SwitchedOff => "the builder was asked for none",
            Self::NoRing => "no ring for it can be had",
            Self::NoPollQueue => "the device has no queue that could be polled",
            Self::NoDevice => "the file system is on no block device",
            Self::Refused => "the device or its file system refused to be polled",
        })
    }
}

/// Whether a feature of the kernel is used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    feature: Feature,
    is_used: bool,
    reason: &'static str,
}

impl Choice {
    pub(crate) const fn used(feature: Feature, reason: &'static str) -> Self {
        Self { feature, is_used: true, reason }
    }

    pub(crate) const fn unused(feature: Feature, reason: &'static str) -> Self {
        Self { feature, is_used: false, reason }
    }

    /// The feature.
    pub fn feature(&self) -> Feature {
        self.feature
    }

    /// Whether it is used.
    pub fn is_used(&self) -> bool {
        self.is_used
    }

    /// What it is used for, or why it is not.
    pub fn reason(&self) -> &'static str {
        self.reason
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used = if self.is_used { "yes" } else { "no" };
        write!(f, "{:<24}{used:<5}{}", self.feature.name(), self.reason)
    }
}

/// A feature of the kernel, most of its io_uring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Feature {
    /// `SINGLE_ISSUER`, `DEFER_TASKRUN` and `TASKRUN_FLAG` (6.1).
    DeferredTaskRun,
    /// `NO_SQARRAY` (6.6).
    NoSubmissionArray,
    /// The ring in the thread's own table (5.18).
    RegisteredRing,
    /// `ENTER_NO_IOWAIT` (6.15).
    NoIoWait,
    /// Buffers that receives pick from (5.19).
    BufferRing,
    /// `REGISTER_SEND_MSG_RING` (6.13): a completion that another thread puts into a ring.
    RingMessage,
    /// A second ring, whose events ask a running task to yield.
    LatencyRing,
    /// A ring for devices that are polled, made when a file on such a device is opened for direct I/O.
    PollRing,
    /// `FTRUNCATE` (6.9): files are cut on the ring.
    Truncate,
    /// `REGISTER_IOWQ_MAX_WORKERS` (5.15), see [`RuntimeInfo::workers_max`].
    WorkerLimit,
    /// A table of files in the ring (5.1): those that are open for direct I/O are looked up once, the first 256.
    RegisteredFiles,
    /// Memory for files that is looked up once, see [`RuntimeInfo::arena`].
    RegisteredBuffers,
    /// `REGISTER_CLONE_BUFFERS` (6.12): once for all rings.
    ClonedBuffers,
    /// The thread on one processor, by `sched_setaffinity`: see [`Placement`](crate::Placement).
    PinnedThread,
    /// Looking around before sleep.
    SpinBeforePark,
}

impl Feature {
    /// The feature's name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::DeferredTaskRun => "deferred task run",
            Self::NoSubmissionArray => "no submission array",
            Self::RegisteredRing => "registered ring",
            Self::NoIoWait => "no iowait",
            Self::BufferRing => "buffer ring",
            Self::RingMessage => "ring message",
            Self::LatencyRing => "latency ring",
            Self::PollRing => "poll ring",
            Self::Truncate => "truncate",
            Self::WorkerLimit => "worker limit",
            Self::PinnedThread => "pinned thread",
            Self::SpinBeforePark => "spin before park",
            Self::RegisteredFiles => "registered files",
            Self::RegisteredBuffers => "registered buffers",
            Self::ClonedBuffers => "cloned buffers",
        }
    }
}
