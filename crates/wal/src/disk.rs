//! What performs operations: the one seam between the cores and the world.

use std::io;

use bytes::Bytes;

use crate::id::SegmentId;
use crate::op::Op;

/// Performs [`Op`]s on one directory, one after the other, each to its end.
///
/// [`StdDisk`](crate::StdDisk) is the real one. Tests put a model of a disk behind the same trait.
pub trait Disk {
    /// Performs `op`. What the number means, and what goes into the operation's buffer, stands at its variant.
    ///
    /// # Errors
    ///
    /// The system's, with exact kinds: `NotFound` for a missing file, `WouldBlock` for a lock that is held,
    /// `StorageFull` or `QuotaExceeded` when space is short. An interrupted call is repeated, not reported.
    fn perform(&mut self, op: &mut Op) -> io::Result<u64>;

    /// Another handle on the same directory, with no file open and without the lock: for reading, and for making the
    /// file of the next segment.
    fn reader(&self) -> Self
    where
        Self: Sized;

    /// The whole file of a sealed segment, if this disk has it in memory: readers then use that and do not read.
    fn in_memory(&self, _segment: SegmentId) -> Option<Bytes> {
        None
    }
}
