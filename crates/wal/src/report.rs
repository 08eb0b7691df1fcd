//! What opening found and did.

use samestep_replay_traits::Index;

use crate::id::SegmentId;

/// What opening a log found and did. Every decision that could matter afterwards stands here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// How it went.
    pub outcome: OpenOutcome,
    /// What stood behind the last complete record.
    pub tail: TailFound,
    /// Bytes of the tail that were dropped. They stay in the old segment until it is pruned.
    pub dropped_bytes: u64,
    /// Entries that were valid and not proven durable, and now stand in a new segment.
    pub rehomed_entries: u64,
    /// First index that is not pruned.
    pub first_index: Index,
    /// Index that the next entry gets.
    pub next_index: Index,
    /// Segments of the log as it was found, the newest included; 0 if there was none.
    pub segment_count: usize,
    /// Files of pruned segments that an interrupted prune had left and that are removed.
    pub removed_segments: usize,
    /// A file that was created and never activated, and that is removed.
    pub discarded_segment: Option<SegmentId>,
    /// `wal.meta` was missing or damaged, and is written anew from the segments.
    pub is_meta_rebuilt: bool,
}

/// How opening went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenOutcome {
    /// There was no log, and there is one now.
    Created,
    /// All of the log is proven durable. It goes on where it ended.
    Clean,
    /// The log was not closed. It goes on in a new segment.
    Recovered,
}

/// What stood behind the last complete record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TailFound {
    /// Nothing.
    Empty,
    /// A single set bit in bytes never written. Ignored.
    StrayBit,
    /// A write that a crash had cut short. Dropped.
    Torn,
}
