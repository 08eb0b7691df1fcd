//! What every model of the world is handed: the time, the events to come, decisions, and the record.

use std::fmt;
use std::mem;
use std::task::Waker;

use serde::{Deserialize, Serialize};

use crate::choice::Choices;
use crate::fault::{FaultFamily, FaultLog};
use crate::queue::{EventId, Queue};
use crate::time::SimTime;
use crate::trace::{At, DiskOperation, TaskId, Trace, Traced};
use crate::world::waker::TaskRef;

/// A node, numbered from 0 in the order in which nodes were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub(crate) u32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.0)
    }
}

/// The part of the world that its models share. `E` is the event that the world dispatches to them.
///
/// Models never call a waker and never drop one: they hand both to [`Self::wake`] and [`Self::discard`], and the
/// world does it when nothing is borrowed.
#[derive(Debug)]
pub(crate) struct Kernel<E> {
    pub(crate) now: SimTime,
    pub(crate) node: Option<NodeId>,
    pub(crate) task: Option<TaskId>,
    pub(crate) events: Queue<E>,
    pub(crate) choices: Choices,
    pub(crate) trace: Trace,
    pub(crate) faults: FaultLog,
    /// Tasks of worlds that are to be woken.
    pub(crate) woken: Vec<TaskRef>,
    /// Other wakers to be called, and those to be dropped, which are the user's code: with nothing borrowed.
    pub(crate) to_wake: Vec<Waker>,
    pub(crate) to_drop: Vec<Waker>,
    pub(crate) waits: Vec<Wait>,
}

/// What a task waits for, for dumps of a world in which nothing happens any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// A timer.
    Timer { until: SimTime },
    /// The end of another task.
    Join { task: TaskId },
    /// A socket to be opened, or a name's addresses.
    Lookup,
    /// A connection that somebody makes.
    Accept { listener: u64 },
    /// A connection of its own.
    Connect { connection: u64 },
    /// Bytes of a connection, or its end.
    Read { connection: u64 },
    /// Room for bytes in a connection.
    Write { connection: u64 },
    /// A datagram.
    Datagram { socket: u64 },
    /// An operation on a file.
    Disk { operation: DiskOperation, file: u64 },
}

impl<E> Kernel<E> {
    /// Time 0, no events.
    pub(crate) fn new(choices: Choices, trace: Trace, faults: FaultLog) -> Self {
        Self {
            now: SimTime::ZERO,
            node: None,
            task: None,
            events: Queue::new(),
            choices,
            trace,
            faults,
            woken: Vec::new(),
            to_wake: Vec::new(),
            to_drop: Vec::new(),
            waits: Vec::new(),
        }
    }

    /// Puts in an event that is due `nanos` nanoseconds from now.
    #[inline]
    pub(crate) fn schedule(&mut self, nanos: u64, event: E) -> EventId {
        self.events.put(self.now.after_nanos(nanos), event)
    }

    /// As [`Self::schedule`], for what comes whether or not the program does anything, such as the next fault: a
    /// world in which nothing else is to come stands still.
    pub(crate) fn schedule_background(&mut self, nanos: u64, event: E) -> EventId {
        self.events.put_background(self.now.after_nanos(nanos), event)
    }

    /// The task that is polled now waits for this, among others. To be told at each poll that gives
    /// [`Poll::Pending`](std::task::Poll::Pending).
    #[inline]
    pub(crate) fn wait(&mut self, wait: Wait) {
        self.waits.push(wait);
    }

    /// Records an event of the current task and node; see [`Trace::event`].
    #[inline]
    pub(crate) fn record(&mut self, words: [u64; 4], what: impl FnOnce() -> Traced) {
        self.record_on(self.node, words, what);
    }

    /// As [`Self::record`], of another node.
    #[inline]
    pub(crate) fn record_on(&mut self, node: Option<NodeId>, words: [u64; 4], what: impl FnOnce() -> Traced) {
        let at = At { time: self.now, node, task: self.task, choices_made: self.choices.made() };
        self.trace.take(at, words);
        if self.trace.is_keeping() && self.trace.mark() {
            self.keep(node, what());
        }
    }

    /// Apart, so that who does not keep events does not prepare for it.
    #[cold]
    #[inline(never)]
    fn keep(&mut self, node: Option<NodeId>, what: Traced) {
        self.trace.keep(self.now, node, self.task, what);
    }

    /// Records and counts a fault that acted on `node`.
    pub(crate) fn fault(
        &mut self,
        family: FaultFamily,
        node: Option<NodeId>,
        detail: impl FnOnce() -> String,
    ) {
        self.faults.acted(self.now, family, node, detail);
        let node = u64::from(node.map_or(u32::MAX, |node| node.0));
        self.record([u64::from(b'F'), family as u64, node, 0], || Traced::Fault { family });
    }

    /// Wakes `waker` as soon as nothing is borrowed.
    #[inline]
    pub(crate) fn wake(&mut self, waker: Option<Waker>) {
        let Some(waker) = waker else { return };
        match TaskRef::of(&waker) {
            // Dropping such a waker does nothing.
            Some(task) => {
                mem::forget(waker);
                self.woken.push(task);
            }
            None => self.wake_other(waker),
        }
    }

    #[cold]
    fn wake_other(&mut self, waker: Waker) {
        self.to_wake.push(waker);
    }

    /// Whether no waker is to be called or dropped.
    #[inline]
    pub(crate) const fn is_quiet(&self) -> bool {
        self.woken.is_empty() && self.to_wake.is_empty() && self.to_drop.is_empty()
    }

    /// Drops `waker` as soon as nothing is borrowed.
    #[inline]
    pub(crate) fn discard(&mut self, waker: Option<Waker>) {
        let Some(waker) = waker else { return };
        match TaskRef::of(&waker) {
            Some(_) => mem::forget(waker),
            None => self.to_drop.push(waker),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timer { until } => write!(f, "a timer until {until}"),
            Self::Join { task } => write!(f, "the end of {task}"),
            Self::Lookup => f.write_str("a socket to be opened, or the addresses of a name"),
            Self::Accept { listener } => write!(f, "a connection to listener {listener}"),
            Self::Connect { connection } => write!(f, "connection {connection} to be made"),
            Self::Read { connection } => write!(f, "bytes of connection {connection}"),
            Self::Write { connection } => write!(f, "room in connection {connection}"),
            Self::Datagram { socket } => write!(f, "a datagram for socket {socket}"),
            Self::Disk { operation, file } => write!(f, "{operation:?} of file {file}"),
        }
    }
}
