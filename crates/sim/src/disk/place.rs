//! Where the decisions of a disk are counted.

use std::ops::Range;
use std::time::Duration;

use crate::kernel::NodeId;

/// One aspect of a node's disk, whose decisions are counted apart from those of the others, so that taking one
/// away moves few others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Place {
    Latency,
    Stall,
    Throttle,
    Full,
    Read,
    ReadError,
    ShortRead,
    MisdirectedRead,
    Write,
    WriteError,
    ShortWrite,
    MisdirectedWrite,
    PhantomWrite,
    SyncFailure,
    BitRot,
    LatentError,
    CrashKind,
    CrashNames,
    CrashLengths,
    CrashSectors,
    CrashUnderWay,
}

impl Place {
    /// The aspect's number for `node`.
    pub(super) fn of(self, node: NodeId) -> u32 {
        (node.0 << PLACE_BITS) | u32::from(self as u8)
    }
}

/// The range in nanoseconds; one that is empty or runs backwards is its start.
pub(super) fn range_nanos(range: &Range<Duration>) -> Range<u64> {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    nanos(range.start)..nanos(range.end)
}

const PLACE_BITS: u32 = 5;
