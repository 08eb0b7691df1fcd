//! Reading one entry by its index, without I/O.

use std::io;

use samestep_replay_traits::Index;

use crate::cursor::{Cursor, Hint};
use crate::error::{Damage, DamageKind, ReadError};
use crate::id::SegmentId;
use crate::log::Span;
use crate::op::Op;
use crate::record::Entry;
use crate::view::SegmentView;

/// Reads one entry, by the sidecar if that is of use, else by scanning the segment's headers.
///
/// Perform what [`Self::poll_op`] asks for and give it to [`Self::handle_completion`], until there is a result.
#[derive(Debug)]
pub struct Lookup {
    cursor: Cursor,
    segment: SegmentId,
    result: Option<Entry>,
}

impl Lookup {
    /// Looks for `index` in `span`, at `offset` if that is known, else by `view` if that is. With an offset, the
    /// segment's file is open.
    pub(crate) fn new(mut span: Span, index: Index, offset: Option<u64>, view: Option<SegmentView>) -> Self {
        let is_open = offset.is_some();
        let segment = span.segment.id;
        span.from = index;
        span.segment.live_end = span.segment.live_end.min(index.next().unwrap_or(index));
        span.hint = match (offset, view) {
            // The log itself knows its newest segment: nothing but this entry is looked for, so no other need live.
            (Some(offset), _) => Hint::Exact(offset),
            (None, Some(view)) => Hint::View(view),
            (None, None) => Hint::None,
        };
        let cursor = Cursor::new(Vec::new()).with_chunk_bytes(FIRST_READ_BYTES).indexing(span, is_open);
        Self { cursor, segment, result: None }
    }

    /// Next operation to perform; none when the entry is found.
    pub fn poll_op(&mut self) -> Result<Option<Op>, ReadError> {
        if self.result.is_some() {
            return Ok(None);
        }
        if let Some(op) = self.cursor.seek()? {
            return Ok(Some(op));
        }
        let entry = self.cursor.take_owned()?;
        // The log says that it is here, so a segment that ends without it is not as it was written.
        self.result = Some(entry.ok_or(Damage::new(self.segment, DamageKind::Sequence))?);
        Ok(None)
    }

    /// Takes `op` back with its outcome.
    pub fn handle_completion(&mut self, op: Op, outcome: io::Result<u64>) -> Result<(), ReadError> {
        self.cursor.handle_completion(op, outcome)
    }

    /// What performs the operations of [`Self::poll_op`].
    pub(crate) fn cursor_mut(&mut self) -> &mut Cursor {
        &mut self.cursor
    }

    /// The entry, and the segment's view if it is worth keeping.
    ///
    /// # Panics
    ///
    /// If [`Self::poll_op`] still gives operations.
    pub(crate) fn into_result(self) -> (Entry, Option<SegmentView>) {
        (self.result.expect("the look-up is over"), self.cursor.into_view())
    }
}

/// First read of a look-up: header and payload of most entries in one go.
const FIRST_READ_BYTES: u64 = 4096;
