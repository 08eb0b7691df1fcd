//! What every model of the world is handed: the time, the events to come, decisions, and the record.

use std::fmt;
use std::task::Waker;

use crate::choice::Choices;
use crate::fault::{FaultFamily, FaultLog};
use crate::queue::{EventId, Queue};
use crate::time::SimTime;
use crate::trace::{At, TaskId, Trace, Traced};

/// A node, numbered from 0 in the order in which nodes were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    pub(crate) to_wake: Vec<Waker>,
    pub(crate) to_drop: Vec<Waker>,
}

impl<E> Kernel<E> {
    /// Puts in an event that is due `nanos` nanoseconds from now.
    pub(crate) fn schedule(&mut self, nanos: u64, event: E) -> EventId {
        self.events.put(self.now.after_nanos(nanos), event)
    }

    /// Records an event of the current task and node; see [`Trace::event`].
    pub(crate) fn record(&mut self, words: [u64; 4], what: impl FnOnce() -> Traced) {
        let at = At { time: self.now, node: self.node, task: self.task, choices_made: self.choices.made() };
        self.trace.event(at, words, what);
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
    pub(crate) fn wake(&mut self, waker: Option<Waker>) {
        self.to_wake.extend(waker);
    }

    /// Drops `waker` as soon as nothing is borrowed.
    pub(crate) fn discard(&mut self, waker: Option<Waker>) {
        self.to_drop.extend(waker);
    }
}
