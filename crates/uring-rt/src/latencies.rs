//! How long operations take and tasks wait for their turns: of every so many, if it was asked for.

use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;

use crate::clock::monotonic;
use crate::histogram::Histogram;

/// What an operation does, as far as its duration is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum OperationKind {
    /// Reads of files. One that is done in parts is one.
    Read,
    /// Writes of files. One that is done in parts is one.
    Write,
    /// Making files durable. Of a sync that is linked to a write, the write is in it.
    Sync,
    /// Sends of any kind, to the kernel's taking the bytes; without a copy, to its letting go of the buffer.
    Send,
    /// Receives of any kind, until the first bytes come: this is mostly how long the peer said nothing.
    Receive,
    /// Until the first connection comes: this is mostly how long nobody came.
    Accept,
    /// Until the peer has accepted.
    Connect,
    /// Opening, closing, renaming, removing, telling about, making room: all else about files.
    Metadata,
}

impl OperationKind {
    pub(crate) const ALL: [Self; 8] = [
        Self::Read,
        Self::Write,
        Self::Sync,
        Self::Send,
        Self::Receive,
        Self::Accept,
        Self::Connect,
        Self::Metadata,
    ];

    /// In lower case, as it is a label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Send => "send",
            Self::Receive => "receive",
            Self::Accept => "accept",
            Self::Connect => "connect",
            Self::Metadata => "metadata",
        }
    }
}

/// How long operations of one kind took, from being asked for to their end's being seen; that they waited for room in a ring
/// or for their turn on a device is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OperationLatency {
    /// Which.
    pub kind: OperationKind,
    /// Of every so many as [`latency_sampling`](crate::RuntimeBuilder::latency_sampling) was told.
    pub latency: Histogram,
}

/// Draws every so many, and tells the time of those.
#[derive(Clone, Debug)]
pub(crate) struct Sampler {
    every: NonZeroU32,
    left: u32,
}

impl Sampler {
    /// The first is drawn, and then each that is `every` behind.
    pub(crate) fn new(every: NonZeroU32) -> Self {
        Self { every, left: 1 }
    }

    /// The time now, never zero, if this one is drawn.
    pub(crate) fn draw(&mut self) -> Option<u64> {
        self.left -= 1;
        if self.left > 0 {
            return None;
        }
        self.left = self.every.get();
        Some(self.now_ns())
    }

    /// Nanoseconds since some start, not zero.
    #[expect(clippy::unused_self, reason = "only who samples reads the clock")]
    pub(crate) fn now_ns(&self) -> u64 {
        u64::try_from(monotonic().as_nanos()).unwrap_or(u64::MAX).max(1)
    }
}

/// How long the tasks of a queue wait from when they are woken to when they are polled. One is looked at at a time, so
/// that a task needs no room for it.
#[derive(Debug)]
pub(crate) struct Delays {
    sampler: RefCell<Sampler>,
    /// The task that is looked at, by its address, and since when it is ready.
    watched: Cell<Option<(usize, u64)>>,
    counted: RefCell<Histogram>,
}

impl Delays {
    pub(crate) fn new(every: NonZeroU32) -> Self {
        let sampler = RefCell::new(Sampler::new(every));
        Self { sampler, watched: Cell::new(None), counted: RefCell::default() }
    }

    /// A task is ready.
    pub(crate) fn woken(&self, task: usize) {
        if self.watched.get().is_none()
            && let Some(since_ns) = self.sampler.borrow_mut().draw()
        {
            self.watched.set(Some((task, since_ns)));
        }
    }

    /// A task has left the queue.
    pub(crate) fn taken(&self, task: usize) {
        let Some((watched, since_ns)) = self.watched.get() else { return };
        if watched == task {
            self.watched.set(None);
            self.counted.borrow_mut().record(self.sampler.borrow().now_ns().saturating_sub(since_ns));
        }
    }

    pub(crate) fn counted(&self) -> Histogram {
        self.counted.borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::{Delays, OperationKind, Sampler};

    #[test]
    fn kinds_are_in_order() {
        for (index, kind) in OperationKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index, "{}", kind.name());
        }
    }

    #[test]
    fn every_so_many_are_drawn() {
        let mut sampler = Sampler::new(NonZeroU32::new(3).unwrap());
        let drawn: Vec<bool> = (0..7).map(|_| sampler.draw().is_some()).collect();
        assert_eq!(drawn, [true, false, false, true, false, false, true]);
    }

    /// The one that is looked at is told by its address.
    #[test]
    fn one_task_is_looked_at_at_a_time() {
        let delays = Delays::new(NonZeroU32::MIN);
        delays.woken(16);
        delays.woken(32);
        delays.taken(32);
        assert_eq!(delays.counted().count(), 0, "it was not this one");
        delays.taken(16);
        assert_eq!(delays.counted().count(), 1);
        delays.taken(16);
        assert_eq!(delays.counted().count(), 1, "it is over");
    }
}
