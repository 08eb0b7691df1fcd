//! Following the tail of a log, without I/O.

use std::io;

use bytes::Bytes;
use samestep_replay_traits::Index;

use crate::cursor::Cursor;
use crate::error::FollowError;
use crate::log::Log;
use crate::op::Op;
use crate::record::{Entry, EntryRef};

/// A position in a log that goes on: behind the newest entry it waits, and continues when there is more.
///
/// Needs the log only for a look at it. As long as [`Self::seek`] gives operations, perform them and give them to
/// [`Self::handle_completion`]; then [`Self::take`].
#[derive(Debug)]
pub struct Follow {
    cursor: Cursor,
    /// First index that was asked for.
    start: Index,
    /// Index of the entry that is lent next.
    next: Index,
    /// Truncations that it knows of.
    seen: u64,
}

impl Follow {
    /// Follows `log` from `from`, or from the first entry that is not pruned.
    pub fn new(log: &Log, from: Index) -> Self {
        let start = from.max(log.live_first());
        let cursor = Cursor::new(log.spans(start)).parking();
        Self { cursor, start, next: start, seen: log.truncations().count() }
    }

    /// Takes in what became of `log` (more entries, a new segment, a truncation, a prune) and moves on to the next
    /// entry. Gives the operation that this needs, or `None` when it stands there or there is nothing new.
    ///
    /// # Errors
    ///
    /// [`FollowError::Truncated`] once, and it stands where the truncation began; others each time.
    pub fn seek(&mut self, log: &Log) -> Result<Option<Op>, FollowError> {
        let mut is_extended = false;
        loop {
            self.check_truncations(log)?;
            if self.next < log.live_first() {
                return Err(FollowError::Pruned { first: log.live_first() });
            }
            if let Some(op) = self.cursor.seek()? {
                return Ok(Some(op));
            }
            if self.cursor.is_ready() || self.next >= log.readable_next() {
                return Ok(None);
            }
            let spans = log.spans(self.next);
            assert!(!spans.is_empty() && !is_extended, "an entry that is readable stands in a segment");
            is_extended = true;
            self.cursor.extend(spans);
        }
    }

    /// Takes `op` back with its outcome.
    pub fn handle_completion(&mut self, op: Op, outcome: io::Result<u64>) -> Result<(), FollowError> {
        Ok(self.cursor.handle_completion(op, outcome)?)
    }

    /// Takes the operation that opens a segment back, with the segment's file in memory.
    pub(crate) fn handle_memory(&mut self, op: &Op, file: Bytes) -> Result<(), FollowError> {
        Ok(self.cursor.handle_memory(op, file)?)
    }

    /// Lends the entry that [`Self::seek`] moved to, or `None` behind the newest.
    ///
    /// # Errors
    ///
    /// See [`FollowError`].
    pub fn take(&mut self) -> Result<Option<EntryRef<'_>>, FollowError> {
        let entry = self.cursor.take()?;
        if let Some(entry) = &entry {
            self.next = following(entry.index);
        }
        Ok(entry)
    }

    /// Like [`Self::take`], and the payload is a share of the chunk that was read.
    ///
    /// # Errors
    ///
    /// See [`FollowError`].
    pub fn take_owned(&mut self) -> Result<Option<Entry>, FollowError> {
        let entry = self.cursor.take_owned()?;
        if let Some(entry) = &entry {
            self.next = following(entry.index);
        }
        Ok(entry)
    }

    /// Index of the entry that is lent next, once it is there.
    pub fn next_index(&self) -> Index {
        self.next
    }

    fn check_truncations(&mut self, log: &Log) -> Result<(), FollowError> {
        let truncations = log.truncations();
        if truncations.count() == self.seen {
            return Ok(());
        }
        let lowest = truncations.lowest_since(self.seen);
        self.seen = truncations.count();
        let from = lowest.filter(|&from| from < self.next && self.start < self.next);
        if let Some(from) = from {
            self.next = from.max(self.start);
        }
        // What the old one has in its buffer may be dead.
        self.cursor = Cursor::new(log.spans(self.next)).parking();
        match from {
            Some(_) => Err(FollowError::Truncated { from: self.next }),
            None => Ok(()),
        }
    }
}

/// The last index is never given out, so there is always one behind an entry.
fn following(index: Index) -> Index {
    index.next().expect("the highest index is never an entry's")
}
