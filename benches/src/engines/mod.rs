//! Those who are measured, behind one face.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;

use crate::Result;
use crate::payload::Checker;
use crate::rows::{Durability, Row, Work};

mod limit;
mod okaywal;
mod ours;
mod raft_engine;
pub(crate) mod walrus;

use self::ours::Grouping;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(clippy::enum_variant_names, reason = "raft-engine is called so")]
pub(crate) enum Engine {
    /// What bare system calls reach: the row says which.
    Limit,
    /// The same in a file that grows as it is written.
    LimitGrowing,
    /// The limit of our format: a second checksum, over a header of 40 bytes a record.
    LimitFrames,
    /// samestep-wal, a handle per writer.
    Ours,
    /// The same under `CommitPolicy::Group`, with segments made ahead of time.
    OursGroup,
    /// raft-engine 0.4.2: no compression, files prefilled, a region per writer.
    RaftEngine,
    /// okaywal 0.3.1: preallocated segment, no checkpoint while the clock runs.
    Okaywal,
    /// walrus-rust 0.2.0: SyncEach or NoFsync, a topic per writer.
    Walrus,
}

impl Engine {
    /// The name in tables.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::LimitGrowing => "limit, growing file",
            Self::LimitFrames => "limit, our 40 B headers",
            Self::Ours => "ours",
            Self::OursGroup => "ours, Group",
            Self::RaftEngine => "raft-engine 0.4.2",
            Self::Okaywal => "okaywal 0.3.1",
            Self::Walrus => "walrus-rust 0.2.0",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("no value is skipped").get_name())
    }
}

/// How a log is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) durability: Durability,
    pub(crate) segment_bytes: u64,
    /// Segments are filled with zeros before they are used, where the engine can.
    pub(crate) prefill: bool,
    /// The log fits one segment.
    pub(crate) one_segment: bool,
    pub(crate) writers: usize,
    pub(crate) payload_bytes: usize,
}

impl Setup {
    pub(crate) fn of(row: &Row) -> Self {
        let durability = match row.work {
            Work::Append(durability) => durability,
            Work::Replay | Work::Open(_) => Durability::Unsynced,
        };
        Self {
            durability,
            segment_bytes: row.segment_bytes,
            prefill: matches!(row.work, Work::Append(_)),
            one_segment: !row.rolls(),
            writers: row.writers,
            payload_bytes: row.payload_bytes,
        }
    }
}

/// An open log.
pub(crate) trait Subject {
    /// At most `count` writers, each for a thread of its own.
    fn writers(&mut self, count: usize) -> Vec<Box<dyn Writer + Send + '_>>;

    /// Closes the log as its documentation says that one should.
    fn close(self: Box<Self>) -> Result<()>;
}

/// One writer of a log.
pub(crate) trait Writer {
    /// Appends a record; durable on return if the log was opened so.
    fn append(&mut self, payload: &[u8]) -> Result<()>;

    /// Hands everything to the system.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// Makes everything durable, if the engine has a way.
    fn sync(&mut self) -> Result<()> {
        self.flush()
    }
}

/// A log, and how many records opening found in it, if opening can tell.
pub(crate) struct Opened {
    pub(crate) subject: Box<dyn Subject>,
    pub(crate) records: Option<u64>,
}

/// Opens the log in `dir`, or creates it.
pub(crate) fn open(engine: Engine, dir: &Path, setup: &Setup) -> Result<Opened> {
    match engine {
        Engine::Limit | Engine::LimitGrowing | Engine::LimitFrames => limit::open(engine, dir, setup),
        Engine::Ours => ours::open(dir, setup, Grouping::Greedy),
        Engine::OursGroup => ours::open(dir, setup, Grouping::Gathering),
        Engine::RaftEngine => raft_engine::open(dir, setup),
        Engine::Okaywal => okaywal::open(dir, setup),
        Engine::Walrus => walrus::open(dir, setup),
    }
}

/// Opens the log in `dir` and gives every record to `checker`. Says how long opening took.
pub(crate) fn replay(
    engine: Engine,
    dir: &Path,
    setup: &Setup,
    checker: Checker,
) -> Result<(Checker, Duration)> {
    match engine {
        Engine::Limit | Engine::LimitGrowing | Engine::LimitFrames => {
            limit::replay(engine, dir, setup, checker)
        }
        Engine::Ours | Engine::OursGroup => ours::replay(dir, setup, checker),
        Engine::RaftEngine => raft_engine::replay(dir, setup, checker),
        Engine::Okaywal => okaywal::replay(dir, setup, checker),
        Engine::Walrus => walrus::replay(dir, setup, checker),
    }
}
