//! Options of a log: what each means, its range and its default.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use samestep_replay_traits::Index;

use crate::format::{NUMBER_LIMIT, RECORD_BYTES_LIMIT, SEGMENT_BYTES_LIMIT};
use crate::id::LogId;

/// How a log is opened and how it commits. Start from [`Options::default`] or [`Options::create`].
///
/// Only `log_id` and `first_index` have a say in a new log alone; all others may differ from one opening to the
/// next, as each segment records what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Identity of the log. Needed to create one. When given for an existing log, it must be the log's own,
    /// else opening fails. Default: `None`, which opens an existing log, whatever its identity.
    pub log_id: Option<LogId>,
    /// Index of the first entry of a new log. Default: 1. Range: 0 to 2^62.
    pub first_index: Index,
    /// When appended records become durable. Default: [`CommitPolicy::StrictSync`].
    pub commit: CommitPolicy,
    /// Size of a segment file, in bytes. Default: 64 MiB. Range: 8 KiB to 4 GiB, a multiple of 8. A record or
    /// batch that does not fit gets a larger segment for itself.
    pub segment_bytes: u64,
    /// Starts a new segment after so many appends (a state record counts as one, a batch as one per entry),
    /// counted from opening. Default: `None`, by size only. Range: from 1. Made for tests and small lanes.
    pub force_rotate_every: Option<u32>,
    /// Largest payload of one record, in bytes. Default: 16 MiB. Range: 1 to 1 GiB. Enforced when writing and
    /// never when reading, so a log stays readable after it is lowered.
    pub record_bytes_max: u32,
    /// Largest batch as encoded, in bytes. Default: 64 MiB. Range: from 64 to 2 GiB.
    pub batch_bytes_max: u64,
    /// How many bytes are gathered at most before they are written to the file; who appends more waits for that.
    /// Default: 1 MiB. Range: 0 (write each append) to 64 MiB. [`CommitPolicy::Group`] has a limit of its own.
    pub buffer_bytes: usize,
    /// What an unproven tail may look like and still be dropped. Default: [`TailModel::Sector`].
    pub tail: TailModel,
    /// Makes each segment's file ahead of time, in a thread of its own, once the one before it is half full: an append
    /// then need not wait for a rotation to write zeros. Under [`CommitPolicy::StrictSync`] and
    /// [`CommitPolicy::Group`]; under the others a new segment is a hole and there is nothing to wait for. Costs the
    /// space of one segment, and the order of operations then depends on the scheduler; a log that was closed shows
    /// nothing of it. Default: `false`. The blocking face only.
    pub prepares_segments: bool,
    /// Whom to tell of slow barriers. Default: `None`. The blocking face only.
    pub slow_sync: Option<SlowSync>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            log_id: None,
            first_index: Index::new(1),
            commit: CommitPolicy::StrictSync,
            segment_bytes: 64 << 20,
            force_rotate_every: None,
            record_bytes_max: 16 << 20,
            batch_bytes_max: 64 << 20,
            buffer_bytes: 1 << 20,
            tail: TailModel::Sector,
            prepares_segments: false,
            slow_sync: None,
        }
    }
}

impl Options {
    /// The defaults, and creates a log with identity `log_id` where there is none.
    pub fn create(log_id: LogId) -> Self {
        Self { log_id: Some(log_id), ..Self::default() }
    }

    /// Checks every range.
    pub(crate) fn validate(&self) -> Result<(), OptionsError> {
        let in_range = |name, ok: bool| if ok { Ok(()) } else { Err(OptionsError { name }) };
        in_range("first_index", self.first_index.get() <= NUMBER_LIMIT)?;
        let segment = (8 << 10..=SEGMENT_BYTES_LIMIT).contains(&self.segment_bytes);
        in_range("segment_bytes", segment && self.segment_bytes.is_multiple_of(8))?;
        in_range("force_rotate_every", self.force_rotate_every != Some(0))?;
        in_range("record_bytes_max", (1..=RECORD_BYTES_LIMIT).contains(&self.record_bytes_max))?;
        in_range("batch_bytes_max", (64..=2 << 30).contains(&self.batch_bytes_max))?;
        in_range("commit", self.group_bytes_max() <= 64 << 20)?;
        in_range("buffer_bytes", self.buffer_bytes <= 64 << 20)
    }

    /// With how many bytes a group is full.
    pub(crate) fn group_bytes_max(&self) -> usize {
        match self.commit {
            CommitPolicy::Group { max_bytes } => max_bytes,
            _ => self.buffer_bytes,
        }
    }
}

/// When an appended record becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommitPolicy {
    /// When the call returns. Calls of several threads at a time share one barrier of the device; a call that
    /// finds the device idle starts one at once.
    StrictSync,
    /// When the call returns, as under [`Self::StrictSync`], but for throughput: before a barrier starts, threads
    /// that are ready to append get to run, until `max_bytes` are gathered or nobody adds any more. There is no
    /// timer. Range of `max_bytes`: 0 to 64 MiB.
    Group {
        /// With how many bytes a group is full. Who appends more waits for the next one.
        max_bytes: usize,
    },
    /// After the call has returned: at most this long after, plus one barrier. The blocking face owns a thread
    /// that sees to it, also when nobody calls; the asynchronous one relies on its `tick` being called.
    Interval(Duration),
    /// With the next explicit `sync`, ticket that is waited for, rotation or `close`. Until then records may also
    /// still be in this process's buffer, and a killed process loses them.
    NoSync,
}

impl CommitPolicy {
    /// Whether an append returns when it is durable.
    pub(crate) fn is_durable_on_return(self) -> bool {
        matches!(self, Self::StrictSync | Self::Group { .. })
    }
}

/// Whom to tell when a barrier of records took long.
#[derive(Clone)]
pub struct SlowSync {
    /// From which duration on.
    pub threshold: Duration,
    hook: Arc<dyn Fn(Duration) + Send + Sync>,
}

impl SlowSync {
    /// Calls `hook` with the duration of each barrier that took at least `threshold`, in the thread that performed
    /// it and before anybody hears of its outcome: it should be short. If it panics, the log is poisoned.
    pub fn new(threshold: Duration, hook: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self { threshold, hook: Arc::new(hook) }
    }

    pub(crate) fn report(&self, took: Duration) {
        (self.hook)(took);
    }
}

/// Equal thresholds, and one and the same hook.
impl PartialEq for SlowSync {
    fn eq(&self, other: &Self) -> bool {
        self.threshold == other.threshold && Arc::ptr_eq(&self.hook, &other.hook)
    }
}

impl Eq for SlowSync {}

impl fmt::Debug for SlowSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlowSync").field("threshold", &self.threshold).finish_non_exhaustive()
    }
}

/// What bytes behind the last valid frame may look like and still count as a write that a crash cut short.
///
/// Neither model ever drops what is proven to have been durable: that is damage under both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TailModel {
    /// The device writes each 512-byte sector wholly or not at all, and a sector not yet written is zero, as
    /// segments are zero-filled. A broken tail that no such crash explains is refused, not dropped.
    Sector,
    /// A crash may leave anything in bytes that were being written. Whatever is not proven is dropped, so a
    /// last record that rotted before anything was written after it goes unnoticed.
    Evidence,
}

/// An option that is out of the range documented at its field. Nothing was touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("option {name} is out of range")]
pub struct OptionsError {
    /// Name of the field of [`Options`].
    pub name: &'static str,
}
