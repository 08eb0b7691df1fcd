//! What a runtime runs on, which features of the kernel it uses, and why.

use std::fmt;

/// What a runtime runs on: see [`Runtime::info`](crate::Runtime::info).
#[derive(Clone, Debug)]
pub struct RuntimeInfo {
    pub(crate) driver: Driver,
    pub(crate) kernel: String,
    pub(crate) choices: Vec<Choice>,
}

impl RuntimeInfo {
    /// What carries out the operations.
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// The kernel's release, as `uname -r` says it. For people: nothing is decided by it.
    pub fn kernel(&self) -> &str {
        &self.kernel
    }

    /// Each feature of the kernel that this crate knows of: used or not, and why.
    pub fn choices(&self) -> &[Choice] {
        &self.choices
    }
}

impl fmt::Display for RuntimeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "driver    {}", self.driver)?;
        writeln!(f, "kernel    {}", self.kernel)?;
        for choice in &self.choices {
            writeln!(f, "{choice}")?;
        }
        Ok(())
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

/// A feature of the kernel's io_uring.
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
        }
    }
}
