//! What a measurement tells, the same for whoever is measured.

use std::fmt;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::Result;

/// Of one measurement.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    /// How many operations there were.
    pub(crate) operations: u64,
    /// What only some rows have, by name.
    pub(crate) more: Vec<(String, f64)>,
    pub(crate) wall: Duration,
    /// Of a processor, by all threads of the process, in user space and in the kernel.
    pub(crate) processor: Duration,
}

/// Runs while something is measured.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    used: Duration,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { used: processor_time(), start: Instant::now() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn stop(self, operations: u64) -> Figures {
        let (wall, processor) = (self.start.elapsed(), processor_time() - self.used);
        Figures { operations, more: Vec::new(), wall, processor }
    }
}

impl Figures {
    pub(crate) fn with(mut self, name: &str, value: f64) -> Self {
        self.more.push((name.to_owned(), value));
        self
    }

    /// Adds how often `io_uring_enter` was called for an operation, by the counts before and after, if there are any.
    pub(crate) fn with_enters(self, before: Option<u64>, after: Option<u64>) -> Self {
        let (Some(before), Some(after)) = (before, after) else { return self };
        let enters = (after - before) as f64 / self.operations as f64;
        self.with(ENTERS, enters)
    }

    /// Reads what [`fmt::Display`] has written.
    pub(crate) fn read(line: &str) -> Result<Self> {
        let mut words = line.split_whitespace();
        let mut next = || -> Result<u64> { Ok(words.next().ok_or("no figures")?.parse()?) };
        let (operations, wall, processor) = (next()?, next()?, next()?);
        let more = words.map(|word| {
            let (name, value) = word.split_once('=').ok_or("a figure without a name")?;
            Ok((name.to_owned(), value.parse()?))
        });
        Ok(Self {
            operations,
            more: more.collect::<Result<_>>()?,
            wall: Duration::from_nanos(wall),
            processor: Duration::from_nanos(processor),
        })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.operations, self.wall.as_nanos(), self.processor.as_nanos())?;
        self.more.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

/// That this process has had so far.
pub(crate) fn processor_time() -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(tv_sec.unsigned_abs(), u32::try_from(tv_nsec).unwrap_or_default())
}

/// Calls of `io_uring_enter` an operation, as the runtime counts them.
pub(crate) const ENTERS: &str = "enters";
