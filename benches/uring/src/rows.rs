//! What is measured, of whom, and beside which limit.

use std::fmt;

use crate::cross::Waiting;
use crate::files::Direction;

/// All rows, in the order of the report.
pub(crate) const ROWS: &[Row] = &[
    Row {
        counted: Some((2000, 12_000)),
        ..row(
            "round-trip",
            Work::RoundTrip,
            (100_000, 2000),
            "8 bytes of /dev/zero, one read after the other",
        )
    },
    Row {
        counted: Some((5000, 55_000)),
        ..row("yield", Work::Yield { tasks: 1 }, (5_000_000, 2000), "one task yields again and again")
    },
    Row {
        counted: Some((5, 55)),
        ..row("yield-1000", Work::Yield { tasks: 1000 }, (2000, 3), "1000 tasks yield, so often each")
    },
    Row {
        counted: Some((5000, 55_000)),
        ..row(
            "spawn-join",
            Work::SpawnJoin { batch: 1 },
            (2_000_000, 2000),
            "a task is spawned and joined, again and again",
        )
    },
    Row {
        counted: Some((5000, 55_000)),
        ..row(
            "spawn-join-1000",
            Work::SpawnJoin { batch: 1000 },
            (2_000_000, 2000),
            "1000 tasks are spawned, and then joined",
        )
    },
    Row {
        counted: Some((3, 13)),
        ..row(
            "timers-fire",
            Work::TimersFire,
            (100, 3),
            "1000 tasks, each of which sleeps so often, 1 to 4 ms",
        )
    },
    Row {
        counted: Some((2000, 22_000)),
        ..row(
            "timers-cancel",
            Work::TimersCancel,
            (1_000_000, 3000),
            "a timer of ten seconds is set, and cancelled when 1000 more are",
        )
    },
    Row {
        counted: Some((500, 2500)),
        ..row("read-qd1", Work::Reads { depth: 1 }, (10_000, 200), "4 KiB at random, O_DIRECT, one at a time")
    },
    Row {
        counted: Some((1000, 6000)),
        ..row(
            "read-qd32",
            Work::Reads { depth: 32 },
            (50_000, 400),
            "4 KiB at random, O_DIRECT, 32 at a time",
        )
    },
    Row {
        counted: Some((1000, 6000)),
        ..row(
            "read-qd128",
            Work::Reads { depth: 128 },
            (60_000, 600),
            "4 KiB at random, O_DIRECT, 128 at a time",
        )
    },
    row(
        "append-1",
        Work::Append { writers: 1 },
        (1000, 20),
        "4 KiB, O_DIRECT, into zeros, each durable: one writer",
    ),
    row("append-8", Work::Append { writers: 8 }, (2000, 80), "the same by 8 writers, one file"),
    Row {
        counted: Some((640, 3200)),
        ..row("append-64", Work::Append { writers: 64 }, (6400, 640), "the same by 64 writers")
    },
    row(
        "stream-read-256k",
        stream(Direction::Read, 256),
        (0, 0),
        "a file from front to back, 256 KiB a read",
    ),
    row("stream-read-1m", stream(Direction::Read, 1024), (0, 0), "the same, 1 MiB"),
    row(
        "stream-write-256k",
        stream(Direction::Write, 256),
        (0, 0),
        "a file from front to back, 256 KiB a write, and a sync",
    ),
    row("stream-write-1m", stream(Direction::Write, 1024), (0, 0), "the same, 1 MiB"),
    Row {
        counted: Some((200, 1200)),
        ..row(
            "echo-1",
            Work::Echo { connections: 1 },
            (10_000, 100),
            "TCP over loopback, 64 bytes there and back, one connection",
        )
    },
    Row {
        counted: Some((1000, 6000)),
        ..row("echo-64", Work::Echo { connections: 64 }, (100_000, 640), "the same, 64 connections")
    },
    Row {
        counted: Some((2000, 12_000)),
        ..row("echo-1000", Work::Echo { connections: 1000 }, (100_000, 2000), "the same, 1000 connections")
    },
    Row {
        counted: Some((200, 1200)),
        ..row("accept", Work::Accept, (10_000, 100), "connections are accepted and closed, 16 at a time")
    },
    Row {
        counted: Some((500, 2500)),
        ..row(
            "ping-pong-asleep",
            Work::PingPong(Waiting::Asleep),
            (10_000, 100),
            "a number to the other core and the next one back; who waits sleeps",
        )
    },
    row(
        "ping-pong-awake",
        Work::PingPong(Waiting::Awake),
        (200_000, 500),
        "the same; who waits looks around for a millisecond first",
    ),
    Row {
        counted: Some((500, 2500)),
        ..row(
            "call-asleep",
            Work::Call(Waiting::Asleep),
            (10_000, 100),
            "the other core computes the next number, in a task; who waits sleeps",
        )
    },
    row(
        "call-awake",
        Work::Call(Waiting::Awake),
        (100_000, 500),
        "the same; who waits looks around for a millisecond first",
    ),
    row("idle", Work::Idle, (1000, 20), "nothing happens: one timer, a second from now"),
    row("memory-tasks", Work::MemoryTasks, (100_000, 1000), "tasks that wait, with 64 bytes of their own"),
    row(
        "memory-connections",
        Work::MemoryConnections,
        (1000, 20),
        "connections with a task each that waits for bytes",
    ),
];

/// One row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) work: Work,
    /// How much is done: in full, and for `--quick`. What a unit of it is, the work says.
    pub(crate) size: (u64, u64),
    /// Two sizes, of whose difference instructions and system calls are counted.
    pub(crate) counted: Option<(u64, u64)>,
    pub(crate) title: &'static str,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    RoundTrip,
    Yield { tasks: u64 },
    SpawnJoin { batch: u64 },
    TimersFire,
    TimersCancel,
    Reads { depth: u64 },
    Append { writers: u64 },
    Stream { direction: Direction, chunk_kib: usize },
    Echo { connections: u64 },
    Accept,
    PingPong(Waiting),
    Call(Waiting),
    Idle,
    MemoryTasks,
    MemoryConnections,
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Limit,
    Ours,
    /// Ours again, in another way.
    OursOtherwise,
    Fio,
    #[cfg(feature = "peers")]
    Glommio,
    #[cfg(feature = "peers")]
    Monoio,
    #[cfg(feature = "peers")]
    Compio,
    #[cfg(feature = "peers")]
    TokioUring,
    #[cfg(feature = "peers")]
    Tokio,
}

/// All of them, the limit first.
pub(crate) const ALL: &[Who] = &[
    Who::Limit,
    Who::Ours,
    Who::OursOtherwise,
    #[cfg(feature = "peers")]
    Who::Glommio,
    #[cfg(feature = "peers")]
    Who::Monoio,
    #[cfg(feature = "peers")]
    Who::Compio,
    #[cfg(feature = "peers")]
    Who::TokioUring,
    #[cfg(feature = "peers")]
    Who::Tokio,
    Who::Fio,
];

impl Row {
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        ROWS.iter().find(|row| row.name == name)
    }
}

impl Work {
    /// Whether there is a measurement for it.
    pub(crate) fn is_done_by(self, who: Who) -> bool {
        match who {
            Who::Limit => !matches!(self, Self::MemoryTasks | Self::MemoryConnections),
            Who::Ours => true,
            Who::OursOtherwise => matches!(self, Self::Append { .. }),
            Who::Fio => {
                matches!(self, Self::Reads { .. } | Self::Append { writers: 1 } | Self::Stream { .. })
            }
            #[cfg(feature = "peers")]
            Who::Glommio => true,
            // They sleep, always.
            #[cfg(feature = "peers")]
            _ => !matches!(self, Self::PingPong(Waiting::Awake) | Self::Call(Waiting::Awake)),
        }
    }

    /// What one more operation is, in a word.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::RoundTrip | Self::Reads { .. } => "read",
            Self::Yield { .. } => "yield",
            Self::SpawnJoin { .. } | Self::MemoryTasks => "task",
            Self::TimersFire | Self::TimersCancel => "timer",
            Self::Append { .. } => "write",
            Self::Stream { .. } => "chunk",
            Self::Echo { .. } => "request",
            Self::Accept | Self::MemoryConnections => "connection",
            Self::PingPong(_) => "round trip",
            Self::Call(_) => "call",
            Self::Idle => "millisecond",
        }
    }

    /// Whether another process works, too, whose system calls are not to be counted.
    pub(crate) const fn has_client(self) -> bool {
        matches!(self, Self::Echo { .. } | Self::Accept)
    }

    /// Operations of a size of 1.
    pub(crate) const fn operations(self) -> f64 {
        match self {
            Self::Yield { tasks } => tasks as f64,
            Self::TimersFire => 1000.0,
            _ => 1.0,
        }
    }

    /// Bytes that an operation moves, if those are what counts.
    pub(crate) const fn bytes(self) -> Option<usize> {
        match self {
            Self::Stream { chunk_kib, .. } => Some(chunk_kib * 1024),
            _ => None,
        }
    }

    /// What the limit is.
    pub(crate) const fn limit(self) -> &'static str {
        match self {
            Self::RoundTrip => "a bare ring: push, enter, reap",
            Self::Yield { .. } => "a bare queue of boxed futures",
            Self::SpawnJoin { .. } => "a bare queue, and a cell for what a future gives",
            Self::TimersFire | Self::TimersCancel => "a binary heap of deadlines, with no clock and no tasks",
            Self::Reads { .. } => "a bare ring with registered file and buffers",
            Self::Append { .. } => "a bare ring: one write of a block for each writer, and one sync",
            Self::Stream { .. } => "a bare ring with registered file and buffers, 8 chunks at a time",
            Self::Idle => "a thread that sleeps",
            Self::MemoryTasks | Self::MemoryConnections => "none",
            Self::Echo { .. } => "a bare loop on epoll",
            Self::Accept => "a bare loop of blocking calls",
            Self::PingPong(Waiting::Asleep) | Self::Call(Waiting::Asleep) => {
                "two threads that park and unpark each other"
            }
            Self::PingPong(Waiting::Awake) | Self::Call(Waiting::Awake) => {
                "two threads that spin on one word"
            }
        }
    }
}

impl Who {
    pub(crate) fn named(name: &str) -> Option<Self> {
        ALL.iter().copied().find(|who| who.to_string() == name)
    }

    /// Whether it needs io_uring for everything.
    pub(crate) fn needs_ring(self) -> bool {
        match self {
            Self::Limit | Self::Fio => true,
            Self::Ours | Self::OursOtherwise => false,
            #[cfg(feature = "peers")]
            Self::Tokio => false,
            #[cfg(feature = "peers")]
            _ => true,
        }
    }

    /// As in the tables.
    pub(crate) fn title(self, work: Work) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Ours if matches!(work, Work::Append { .. }) => "ours, write_all_and_sync",
            Self::Ours if matches!(work, Work::Call(_)) => "ours, submit_to",
            Self::Ours => "ours",
            Self::OursOtherwise => "ours, write_at and sync_data",
            Self::Fio => "fio",
            #[cfg(feature = "peers")]
            Self::Glommio => "glommio 0.9",
            #[cfg(feature = "peers")]
            Self::Monoio => "monoio 0.2.4",
            #[cfg(feature = "peers")]
            Self::Compio => "compio 0.19.1",
            #[cfg(feature = "peers")]
            Self::TokioUring => "tokio-uring 0.5",
            #[cfg(feature = "peers")]
            Self::Tokio => "tokio 1.54",
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Limit => "limit",
            Self::Ours => "ours",
            Self::OursOtherwise => "ours-otherwise",
            Self::Fio => "fio",
            #[cfg(feature = "peers")]
            Self::Glommio => "glommio",
            #[cfg(feature = "peers")]
            Self::Monoio => "monoio",
            #[cfg(feature = "peers")]
            Self::Compio => "compio",
            #[cfg(feature = "peers")]
            Self::TokioUring => "tokio-uring",
            #[cfg(feature = "peers")]
            Self::Tokio => "tokio",
        })
    }
}

const fn row(name: &'static str, work: Work, size: (u64, u64), title: &'static str) -> Row {
    Row { name, work, size, counted: None, title }
}

const fn stream(direction: Direction, chunk_kib: usize) -> Work {
    Work::Stream { direction, chunk_kib }
}
