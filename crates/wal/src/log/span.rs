//! Segments as readers see them: where they end, and which of their entries are live.

use samestep_replay_traits::Index;

use crate::cursor::Hint;
use crate::id::{LogId, SegmentId};
use crate::log::Log;
use crate::truncations::Truncations;

/// A segment that is not appended to any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) id: SegmentId,
    pub(crate) first_index: Index,
    /// Lowest `first_index` of all later segments: entries from here on are dead.
    pub(crate) live_end: Index,
    /// Logical end, as an offset.
    pub(crate) end: u64,
    /// Header checksum of the last frame before `end`.
    pub(crate) end_chain: u32,
    /// `prev` of its first frame.
    pub(crate) start_chain: u32,
    pub(crate) truncates: bool,
}

/// A stretch of live entries in one segment, and all that reading them safely takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub(crate) log_id: LogId,
    pub(crate) segment: Sealed,
    /// Live entries that are wanted: from here, up to the segment's `live_end`.
    pub(crate) from: Index,
    /// The segment is appended to: its end is where it ended, and frames may stand behind it.
    pub(crate) is_active: bool,
    /// What the log's memory says about where they stand.
    pub(crate) hint: Hint,
}

impl Log {
    /// The segments that hold live entries from `from` on, oldest first, as far as they are written.
    pub(crate) fn spans(&self, from: Index) -> Vec<Span> {
        let from = from.max(self.live_first);
        let active = self.active_span(from);
        let span = |segment: &Sealed| self.sealed_span(segment, from);
        // Segments are in order of index too, so the first that matters is found without looking at all.
        let skip = self.sealed.partition_point(|segment| segment.live_end <= from);
        let sealed = self.sealed.iter().skip(skip).filter(|segment| segment.first_index < segment.live_end);
        let sealed = sealed.filter(|segment| from < segment.live_end).map(span);
        sealed.chain(Some(active).filter(|active| active.from < active.segment.live_end)).collect()
    }

    /// Index behind the newest entry that readers see: it is written, and not truncated since.
    pub(crate) fn readable_next(&self) -> Index {
        self.active.written_next
    }

    /// Everything that a follower must know about truncations.
    pub(crate) fn truncations(&self) -> &Truncations {
        &self.truncations
    }

    /// The segment that holds the live entry `index`, and its offset there if that is known without reading.
    pub(crate) fn locate(&self, index: Index) -> (Span, Option<u64>) {
        if index >= self.active.view.first_index() {
            return (self.active_span(index), self.active.view.offset_of(index));
        }
        let position = self.sealed.partition_point(|segment| segment.live_end <= index);
        (self.sealed_span(&self.sealed[position], index), None)
    }

    fn sealed_span(&self, segment: &Sealed, from: Index) -> Span {
        let from = from.max(segment.first_index);
        Span { log_id: self.log_id, segment: segment.clone(), from, is_active: false, hint: Hint::None }
    }

    fn active_span(&self, from: Index) -> Span {
        let segment = self.active_as_sealed();
        let from = from.max(segment.first_index);
        let hint = if segment.truncates {
            Hint::View(self.active.view.clone())
        } else {
            self.active.view.offset_of(from).map_or(Hint::None, Hint::Offset)
        };
        Span { log_id: self.log_id, segment, from, is_active: true, hint }
    }

    fn active_as_sealed(&self) -> Sealed {
        Sealed {
            id: self.active.id,
            first_index: self.active.view.first_index(),
            live_end: self.active.written_next,
            end: self.active.written,
            end_chain: self.active.written_chain,
            start_chain: self.active.prev_chain,
            truncates: self.active.view.truncates(),
        }
    }
}
