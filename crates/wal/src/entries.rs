//! Reading a range of entries, without I/O.

use std::ops::Range;

use samestep_replay_traits::Index;

use crate::cursor::Cursor;
use crate::error::ReadError;
use crate::log::Log;
use crate::record::Entry;
use crate::scan::CHUNK_BYTES;

/// Entries of a range, gathered up to a limit of payload bytes.
#[derive(Debug)]
pub(crate) struct Entries {
    pub(crate) cursor: Cursor,
    found: Vec<Entry>,
    bytes: u64,
    bytes_max: u64,
}

impl Entries {
    /// Wants the entries of `range`, all of which must be in `log` and written.
    pub(crate) fn new(log: &Log, range: Range<Index>, bytes_max: u64) -> Result<Self, ReadError> {
        check(log, &range)?;
        let mut spans = log.spans(range.start);
        spans.retain(|span| range.start < range.end && span.from < range.end);
        for span in &mut spans {
            span.segment.live_end = span.segment.live_end.min(range.end);
        }
        // Little is wanted, little is read; a frame's header and the neighbour that ends the range are in the margin.
        let chunk_bytes = bytes_max.saturating_mul(2).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES);
        let cursor = Cursor::new(spans).with_chunk_bytes(chunk_bytes);
        Ok(Self { cursor, found: Vec::new(), bytes: 0, bytes_max })
    }

    /// Takes the entry that the cursor stands at. False when the range is done.
    pub(crate) fn take(&mut self) -> Result<bool, ReadError> {
        let Some(entry) = self.cursor.take_owned()? else { return Ok(false) };
        let bytes = self.bytes.saturating_add(crate::format::to_u64(entry.payload.len()));
        if bytes > self.bytes_max && !self.found.is_empty() {
            return Ok(false);
        }
        self.bytes = bytes;
        self.found.push(entry);
        Ok(true)
    }

    pub(crate) fn into_found(self) -> Vec<Entry> {
        self.found
    }
}

fn check(log: &Log, range: &Range<Index>) -> Result<(), ReadError> {
    if range.start < log.live_first() {
        return Err(ReadError::Pruned { first: log.live_first() });
    }
    if range.end > log.next_index() && range.start < range.end {
        return Err(ReadError::NotWritten { next: log.next_index() });
    }
    Ok(())
}

const CHUNK_BYTES_MIN: u64 = 4096;
