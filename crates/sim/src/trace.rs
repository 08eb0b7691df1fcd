//! What happened in a run: a rolling hash of all of it, and, if asked for, each event.
//!
//! The hash is the run's identity: two runs of one seed are the same if and only if it is. It covers time, node,
//! task, kind and contents of each event, and the number of decisions made by then.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::kernel::NodeId;
use crate::marks::Marks;
use crate::time::SimTime;

/// A task, by the order in which the run's tasks were started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId(pub(crate) u64);

impl TaskId {
    /// The number, from 0.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.0)
    }
}

/// One event of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TraceEvent {
    /// Its number in the run, from 0.
    pub number: u64,
    /// When.
    pub time: SimTime,
    /// On which node, if on one.
    pub node: Option<NodeId>,
    /// In which task, if in one.
    pub task: Option<TaskId>,
    /// What.
    pub what: Traced,
}

/// What an event was.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Traced {
    /// A node booted; `boot` counts its boots from 0.
    NodeBooted {
        /// How often it had booted before.
        boot: u32,
    },
    /// A node is no more, until it boots again.
    NodeDown,
    /// A node stands still.
    NodePaused,
    /// A node goes on.
    NodeResumed,
    /// A task was started.
    TaskStarted {
        /// The new one.
        started: TaskId,
    },
    /// A task ran until it had to wait.
    TaskPolled,
    /// A task ended.
    TaskEnded {
        /// Whether it panicked.
        panicked: bool,
    },
    /// A timer was due.
    TimerFired,
    /// A program drew a number.
    Drew {
        /// The number.
        value: u64,
    },
    /// An attempt to connect.
    Connecting {
        /// The connection's number.
        connection: u64,
        /// The node that it leads to, if there is one.
        to: Option<NodeId>,
    },
    /// A connection is there, at both ends.
    Connected {
        /// The connection's number.
        connection: u64,
    },
    /// A piece of a stream, or a datagram, was sent.
    Sent {
        /// Its number in the run; [`Traced::Delivered`] and [`Traced::Dropped`] name it again.
        message: u64,
        /// The connection's number, or none of a datagram.
        connection: Option<u64>,
        /// The node that it is for, if there is one.
        to: Option<NodeId>,
        /// Its length.
        bytes: u64,
        /// XXH3-64 of its bytes.
        digest: u64,
    },
    /// A message came.
    Delivered {
        /// Its number.
        message: u64,
        /// XXH3-64 of its bytes as they came.
        digest: u64,
    },
    /// A message will not come.
    Dropped {
        /// Its number.
        message: u64,
    },
    /// An end of a connection was closed, or reset.
    Closed {
        /// The connection's number.
        connection: u64,
        /// Whether the peer was told by a reset rather than the stream's end.
        reset: bool,
    },
    /// An operation on a file ended.
    Disk {
        /// Which operation.
        operation: DiskOperation,
        /// The file's or folder's number in its node.
        file: u64,
        /// The offset, if it has one.
        offset: u64,
        /// Bytes that it moved.
        bytes: u64,
        /// XXH3-64 of the bytes that it moved, or of what it was about.
        digest: u64,
        /// Whether it succeeded.
        ok: bool,
    },
    /// A fault acted.
    Fault {
        /// Which kind.
        family: crate::fault::FaultFamily,
    },
    /// A check failed.
    CheckFailed {
        /// Its name.
        name: String,
    },
    /// The program said something, with its name and value.
    Note {
        /// What it is about.
        name: String,
        /// What it said.
        value: String,
    },
}

/// Operations on files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum DiskOperation {
    /// A file was opened, or created.
    Open,
    /// Bytes were read.
    Read,
    /// Bytes were written.
    Write,
    /// Bytes were made durable.
    Sync,
    /// Names of a folder were made durable.
    SyncDir,
    /// A name was changed.
    Rename,
    /// A name was removed.
    Remove,
    /// A length was changed.
    Resize,
    /// Anything else: a listing, a lock, metadata.
    Other,
}

/// What is kept of a run beside its hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Keep {
    /// Nothing.
    #[default]
    Hash,
    /// The hash at points on the way.
    Marks,
    /// That, and the events with these numbers.
    Window(Range<u64>),
    /// That, and all events and faults.
    All,
}

/// Collects the events of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    count: u64,
    kept: Option<Box<Kept>>,
}

#[derive(Debug)]
struct Kept {
    marks: Marks,
    window: Range<u64>,
    events: Vec<TraceEvent>,
}

impl Trace {
    /// Hashes, and keeps what `keep` says.
    pub(crate) fn new(keep: &Keep) -> Self {
        let window = match keep {
            Keep::Hash => return Self { hash: 0, count: 0, kept: None },
            Keep::Marks => 0..0,
            Keep::Window(window) => window.clone(),
            Keep::All => 0..u64::MAX,
        };
        let kept = Kept { marks: Marks::new(), window, events: Vec::new() };
        Self { hash: 0, count: 0, kept: Some(Box::new(kept)) }
    }

    /// Takes an event that is `words` for the hash, and is to be kept if events are, see [`Self::keep`].
    ///
    /// The first word names the kind; together they must tell all that [`Traced`] would.
    #[inline]
    pub(crate) fn take(&mut self, at: At, words: [u64; 4]) {
        let who = (u64::from(at.node.map_or(u32::MAX, |node| node.0)) << 32)
            ^ at.task.map_or(u64::MAX, |task| task.0)
            ^ at.choices_made.rotate_left(48)
            ^ words[0].rotate_left(56);
        let hash = fold(self.hash ^ at.time.as_nanos(), who ^ SECRETS[0]);
        self.hash = fold(hash ^ words[1], words[2] ^ words[3].rotate_left(32) ^ SECRETS[1]);
        self.count += 1;
    }

    /// Whether anything is kept beside the hash.
    #[inline]
    pub(crate) const fn is_keeping(&self) -> bool {
        self.kept.is_some()
    }

    /// Marks the hash behind the event that was taken last, and says whether that one is to be kept.
    #[cold]
    pub(crate) fn mark(&mut self) -> bool {
        let Some(kept) = &mut self.kept else { return false };
        kept.marks.note(self.count, self.hash);
        kept.window.contains(&(self.count - 1))
    }

    /// Keeps the event that was taken last.
    pub(crate) fn keep(&mut self, time: SimTime, node: Option<NodeId>, task: Option<TaskId>, what: Traced) {
        if let Some(kept) = &mut self.kept {
            kept.events.push(TraceEvent { number: self.count - 1, time, node, task, what });
        }
    }

    /// The rolling hash over all events so far.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// How many events there were.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The events; empty unless they were kept.
    pub(crate) fn events(&self) -> &[TraceEvent] {
        self.kept.as_ref().map_or(&[], |kept| &kept.events)
    }

    /// The hash at points on the way, if it was kept.
    pub(crate) fn marks(&self) -> Option<&Marks> {
        self.kept.as_ref().map(|kept| &kept.marks)
    }
}

/// When and where an event happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) time: SimTime,
    pub(crate) node: Option<NodeId>,
    pub(crate) task: Option<TaskId>,
    pub(crate) choices_made: u64,
}

/// Multiplies into 128 bits and folds the halves, as wyhash (Wang Yi, public domain) and its kin do.
#[expect(clippy::cast_possible_truncation, reason = "both halves of the product are used")]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128).wrapping_mul(b as u128);
    // A factor of 0 would swallow the other: the sum of both keeps it.
    (product as u64) ^ ((product >> 64) as u64) ^ a.wrapping_add(b.rotate_left(32))
}

/// Odd numbers with as many ones as zeros, in no relation to each other.
const SECRETS: [u64; 2] = [0x2d35_8dcc_aa6c_78a5, 0x8bb8_4b93_962e_acc9];
