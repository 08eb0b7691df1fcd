//! Events as tests see and make them: the names of the simulation seed.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Something that happens at a point of time. Put in by [`SimWorld::schedule_event`](crate::SimWorld::schedule_event),
/// it does what is written here; the world's own events are recorded as [`Traced`](crate::Traced).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Wakes a task.
    Timer {
        /// The task's number, see [`SimJoinHandle::id`](crate::SimJoinHandle::id).
        task_id: u64,
    },
    /// Something happens on a connection; nothing, if it is no more.
    Network {
        /// Which, see [`SimTcpStream::connection`](crate::SimTcpStream::connection).
        connection_id: u64,
        /// What.
        operation: NetworkOperation,
    },
    /// A connection, or a socket that listens, changes its state; nothing, if it is no more.
    Connection {
        /// Which: the number of a connection, see [`SimTcpStream::connection`](crate::SimTcpStream::connection). Of
        /// [`BindComplete`](ConnectionStateChange::BindComplete), see
        /// [`SimTcpListener::number`](crate::SimTcpListener::number).
        id: u64,
        /// How.
        state: ConnectionStateChange,
    },
    /// All tasks are woken, so that they may end.
    Shutdown,
}

/// What happens on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkOperation {
    /// Bytes are sent to the end that was connected to, behind all that the end that connected has written, and as if
    /// it had written them. Those for which the stream has no room are lost.
    DataDelivery {
        /// The bytes.
        data: Vec<u8>,
    },
    /// What is on its way, either way, comes now, unless something stops it.
    ProcessSendBuffer,
}

/// How a connection, or a socket that listens, changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionStateChange {
    /// What came to a socket that listens can be accepted now.
    BindComplete,
    /// An attempt to connect goes on now, also one that would hang for ever.
    ConnectionReady,
    /// A connection that stands still, and all that its links hold up, goes on now.
    ClogClear,
    /// Partitions that close a link of the connection are over.
    PartitionRestore,
}

/// An event, and when it is due. Ordered so that of two the earlier is the greater, and of those at the same time
/// the one with the lower number, as a [`BinaryHeap`] wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduledEvent {
    time: Duration,
    event: Event,
    /// Tells it from others that are due at the same time: the lower comes first.
    pub sequence: u64,
}

impl ScheduledEvent {
    /// `event`, due at `time`; `sequence` tells it from others that are due then.
    pub const fn new(time: Duration, event: Event, sequence: u64) -> Self {
        Self { time, event, sequence }
    }

    /// When it is due.
    pub const fn time(&self) -> Duration {
        self.time
    }

    /// What is due.
    pub const fn event(&self) -> &Event {
        &self.event
    }

    /// What is due.
    pub fn into_event(self) -> Event {
        self.event
    }
}

impl Ord for ScheduledEvent {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.time, other.sequence).cmp(&(self.time, self.sequence))
    }
}

impl PartialOrd for ScheduledEvent {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Events by time, and those at the same time by number. For tests of their own; the world has its own queue.
#[derive(Clone, Debug, Default)]
pub struct EventQueue {
    heap: BinaryHeap<ScheduledEvent>,
}

impl EventQueue {
    /// No events.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts in an event.
    pub fn schedule(&mut self, event: ScheduledEvent) {
        self.heap.push(event);
    }

    /// Takes the earliest event.
    pub fn pop_earliest(&mut self) -> Option<ScheduledEvent> {
        self.heap.pop()
    }

    /// The earliest event.
    pub fn peek_earliest(&self) -> Option<&ScheduledEvent> {
        self.heap.peek()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.heap.len()
    }
}
