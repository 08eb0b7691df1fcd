//! Errors: one enum per operation. Each variant says whether the call may be repeated, whether anything is lost,
//! and whether the log can still be used.

use std::fmt;

use samestep_replay_traits::Index;

use crate::id::{LogId, SegmentId};
use crate::op::{DiskError, FileName};
use crate::options::OptionsError;

/// Why a log could not be opened.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// An option is out of range. Nothing was touched.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// There is no log here, and [`Options::log_id`](crate::Options::log_id) is `None`. Nothing was written.
    #[error("there is no log here, and no log id to create one")]
    NotFound,
    /// Another process, or another handle in this one, has the log open. Try again when it is closed.
    #[error("the log is open elsewhere")]
    Locked,
    /// The files are of another log than [`Options::log_id`](crate::Options::log_id) says, or of two logs.
    /// Nothing was written.
    #[error("{file} belongs to log {found}, not to {expected}")]
    WrongLog {
        /// The file that says so.
        file: FileName,
        /// Which log it should be.
        expected: LogId,
        /// Which log it is of.
        found: LogId,
    },
    /// A newer version of the format. Nothing was written; open it with a newer version of this crate.
    #[error("segment {segment} needs a reader of format version {min_reader}")]
    Version {
        /// The segment.
        segment: SegmentId,
        /// The oldest version that can read it.
        min_reader: u16,
    },
    /// Acknowledged bytes are damaged or missing. Nothing was written, and every further attempt says the same:
    /// restore the file, or give the log up.
    #[error(transparent)]
    Corrupt(#[from] Damage),
    /// The tail is broken in a way that no crash explains which the tail model allows, and nothing proves that it
    /// was acknowledged. Nothing was written. To drop it, open with
    /// [`TailModel::Evidence`](crate::TailModel::Evidence): the bytes stay in the old segment.
    #[error("segment {segment}: {bytes} unexplained bytes behind the last valid record, at byte {offset}")]
    AmbiguousTail {
        /// The newest segment.
        segment: SegmentId,
        /// End of its last valid record.
        offset: u64,
        /// How many bytes up to the last that is not zero.
        bytes: u64,
    },
    /// The disk is full, and opening had to write. Nothing is lost: free some space and open again.
    #[error("no space to open the log")]
    NoSpace(#[source] DiskError),
    /// The disk refused an operation. The log may be fine: open it again.
    #[error("the disk failed while the log was opened")]
    Disk(#[source] DiskError),
}

/// Damage: bytes that must be there and are not as they were written. `Display` says which and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct Damage {
    /// The segment.
    pub segment: SegmentId,
    /// First byte that is wrong, as an offset in the segment's file; of a damaged frame, its start.
    pub offset: u64,
    /// What is wrong.
    pub kind: DamageKind,
    /// Offset up to which the segment is proven to have been durable, if a proof names one.
    pub proven_end: Option<u64>,
    /// Index and `aux` of the damaged entry, when its header survived: a replica can fetch it elsewhere.
    pub identity: Option<(Index, u64)>,
}

impl Damage {
    pub(crate) fn new(segment: SegmentId, kind: DamageKind) -> Self {
        Self { segment, offset: 0, kind, proven_end: None, identity: None }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {}: {} at byte {}", self.segment, self.kind, self.offset)?;
        if let Some(end) = self.proven_end {
            write!(f, ", durable up to byte {end}")?;
        }
        match self.identity {
            Some((index, aux)) => write!(f, ", record {index} with aux {aux}"),
            None => Ok(()),
        }
    }
}

/// What is wrong with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DamageKind {
    /// The file is not there, though a later segment or `wal.meta` says that it must be.
    Missing,
    /// The segment's header is not valid, though the segment was in use.
    SegmentHeader,
    /// The segment's header does not fit its name or its neighbours: files were moved or swapped.
    Order,
    /// The file is shorter than its contents, or of another length than its header says.
    Length,
    /// No frame starts where one must.
    FrameHeader,
    /// A frame does not follow the one before it.
    Chain,
    /// A payload fails its checksum.
    Payload,
    /// Indices are not dense, or a truncation reaches out of its segment.
    Sequence,
    /// A promise about durability names a position inside a frame.
    Promise,
}

impl fmt::Display for DamageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "file is missing",
            Self::SegmentHeader => "damaged segment header",
            Self::Order => "header belongs elsewhere",
            Self::Length => "wrong file length",
            Self::FrameHeader => "damaged frame header",
            Self::Chain => "frame out of order",
            Self::Payload => "damaged payload",
            Self::Sequence => "index out of order",
            Self::Promise => "promise inside a frame",
        })
    }
}

/// Why the operations of a core did not get done.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The disk is full. What was staged and not yet written is taken back; the log can be used, and the call
    /// may be repeated.
    #[error("no space left")]
    NoSpace(#[source] DiskError),
    /// The disk failed, now or before, in a way after which nothing it says can be trusted. The log is of no
    /// more use; what was acknowledged is safe, open it again to go on.
    #[error("the log is poisoned by an earlier failure")]
    Poisoned(#[source] DiskError),
    /// The log was closed, through another handle on it. Nothing happened; open it again to go on.
    #[error("the log is closed")]
    Closed,
}

/// Why records were not appended, or a state record not put.
///
/// In every case none of the records of the call is acknowledged and, while the log is open, none is visible.
/// After [`Self::Poisoned`], and after [`Self::NoSpace`] if the process dies before the next successful write, a
/// later opening may still find them, all of one call or none.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The index is not the next one. Nothing happened; the log can be used.
    #[error("index {found} where {expected} is next")]
    Index {
        /// The next index.
        expected: Index,
        /// The index that was asked for.
        found: Index,
    },
    /// The record or batch exceeds its limit. Nothing happened; the log can be used.
    #[error("{bytes} bytes exceed the limit of {bytes_max}")]
    TooLarge {
        /// How large it is.
        bytes: u64,
        /// The limit, from [`Options`](crate::Options).
        bytes_max: u64,
    },
    /// A batch of nothing has no index to return. Nothing happened; the log can be used.
    #[error("the batch is empty")]
    EmptyBatch,
    /// The index 2^64 - 1 is never given out. The log can be read and pruned.
    #[error("no index is left")]
    Exhausted,
    /// The disk is full. Nothing acknowledged is lost; under [`CommitPolicy::NoSync`](crate::CommitPolicy::NoSync)
    /// earlier records that were not yet written are taken back as well, see `next_index`. Make space, by pruning
    /// for instance, and repeat.
    #[error("no space left")]
    NoSpace(#[source] DiskError),
    /// The disk failed, now or before. Nothing acknowledged is lost; open the log again to go on.
    #[error("the log is poisoned by an earlier failure")]
    Poisoned(#[source] DiskError),
    /// The log was closed, through another handle on it. Nothing happened; open it again to go on.
    #[error("the log is closed")]
    Closed,
}

/// Why `sync`, `flush`, `rotate` or `close` did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The disk is full. Records not yet written are taken back, see `next_index`; nothing durable is lost, and
    /// the log can be used (after `close`: opened again).
    #[error("no space left")]
    NoSpace(#[source] DiskError),
    /// The disk failed, now or before. Nothing durable is lost; open the log again to go on.
    #[error("the log is poisoned by an earlier failure")]
    Poisoned(#[source] DiskError),
    /// The log was closed, through another handle on it. Nothing happened; open it again to go on.
    #[error("the log is closed")]
    Closed,
}

/// Why the newest entries were not removed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TruncateError {
    /// The entry is pruned, and so cannot be kept from being so. Nothing happened; the log can be used.
    #[error("entries below {first} are pruned")]
    Pruned {
        /// First index that can be truncated from.
        first: Index,
    },
    /// The disk is full. The entries may be removed already, but not for good; nothing else is lost. Make space and
    /// repeat.
    #[error("no space left")]
    NoSpace(#[source] DiskError),
    /// The disk failed, now or before. Whether the entries are removed shows the next opening.
    #[error("the log is poisoned by an earlier failure")]
    Poisoned(#[source] DiskError),
    /// The log was closed, through another handle on it. Nothing happened; open it again to go on.
    #[error("the log is closed")]
    Closed,
}

/// Why the oldest entries were not, or not wholly, removed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PruneError {
    /// The disk is full. The entries are out of sight while the log is open, but no file is removed, and the next
    /// opening may find them again. Make space and repeat.
    #[error("no space left")]
    NoSpace(#[source] DiskError),
    /// The disk failed, now or before. Nothing above the pruned index is lost; open the log again to go on.
    #[error("the log is poisoned by an earlier failure")]
    Poisoned(#[source] DiskError),
    /// The log was closed, through another handle on it. Nothing happened; open it again to go on.
    #[error("the log is closed")]
    Closed,
}

/// Why an entry could not be read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The entry is pruned. It comes no more; the log can be used.
    #[error("entries below {first} are pruned")]
    Pruned {
        /// First index that can be read.
        first: Index,
    },
    /// The entry is not written yet. The log can be used.
    #[error("the next entry will be {next}")]
    NotWritten {
        /// The next index.
        next: Index,
    },
    /// The bytes are not as they were written; every further attempt says the same. Other entries are readable,
    /// and the log can be appended to.
    #[error(transparent)]
    Corrupt(#[from] Damage),
    /// Records had to be written before they could be read, and the disk is full. Records not yet written are
    /// taken back; make space and repeat.
    #[error("no space left")]
    NoSpace(#[source] DiskError),
    /// The disk refused the read; the entry may be fine, so the call may be repeated. A reader whose segment was
    /// pruned under it ends so.
    #[error("the disk failed while the log was read")]
    Disk(#[source] DiskError),
    /// The disk failed before, and records not yet written cannot be read any more.
    #[error("the log is poisoned by an earlier failure")]
    Poisoned(#[source] DiskError),
    /// The log was closed, through another handle on it. Nothing happened; open it again to go on.
    #[error("the log is closed")]
    Closed,
}

/// Why a follower lends nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// Entries that it lent were removed by a truncation: undo what was done with those from `from` on. Said once;
    /// the next call lends what stands at `from` now. Rarely, after a thousand truncations or one that failed for
    /// lack of space, `from` is lower than need be and the same entries come again.
    #[error("entries from {from} on were lent, and then truncated")]
    Truncated {
        /// First index that is lent again.
        from: Index,
    },
    /// The entry that is next was pruned before it was lent. Said each time: take a snapshot's state, and follow
    /// anew from `first`.
    #[error("entries below {first} are pruned")]
    Pruned {
        /// First index that can be read.
        first: Index,
    },
    /// Damage, or what the disk said. The same error comes again.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Why a snapshot was not marked. The mark that was there stays.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The entry is not in the log, so no snapshot can stand in its place. Nothing happened; the log can be used.
    #[error("{index} is not in the log, which holds {first} up to below {next}")]
    NotInLog {
        /// The index that was asked for.
        index: Index,
        /// First index that is not pruned.
        first: Index,
        /// The next index.
        next: Index,
    },
    /// The bytes exceed their limit. Nothing happened; the log can be used.
    #[error("{bytes} bytes exceed the limit of {bytes_max}")]
    TooLarge {
        /// How many there are.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The disk is full. As for [`AppendError::NoSpace`].
    #[error("no space left")]
    NoSpace(#[source] DiskError),
    /// The disk failed, now or before. Whether the mark is there shows the next opening.
    #[error("the log is poisoned by an earlier failure")]
    Poisoned(#[source] DiskError),
    /// The log was closed, through another handle on it. Nothing happened; open it again to go on.
    #[error("the log is closed")]
    Closed,
}

/// Writes the two conversions that are the same for every enum with `NoSpace` and `Poisoned`.
macro_rules! from_failure {
    ($($error:ident),*) => {$(
        impl From<Failure> for $error {
            fn from(failure: Failure) -> Self {
                match failure {
                    Failure::NoSpace(cause) => Self::NoSpace(cause),
                    Failure::Poisoned(cause) => Self::Poisoned(cause),
                    Failure::Closed => Self::Closed,
                }
            }
        }
    )*};
}

from_failure!(AppendError, SyncError, TruncateError, PruneError, ReadError, SnapshotError);

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoSpace(cause) => Self::NoSpace(cause),
            Failure::Poisoned(cause) => Self::Disk(cause),
            Failure::Closed => unreachable!("a log that is being opened is not closed"),
        }
    }
}
