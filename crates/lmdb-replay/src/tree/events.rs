//! Events of one table, by number.

use crate::error::ReadError;
use crate::format::u64_at;
use crate::read_at::ReadAt;
use crate::tree::Cursor;

/// An entry of a table of events, lent until the next one is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Event<'a> {
    /// Its number.
    pub number: u64,
    /// Its bytes, unchanged.
    pub value: &'a [u8],
}

/// The events of one table, oldest first: numbers ascend, but need not follow each other without a gap.
///
/// Memory does not grow with the log: a run of pages, a path from the root, and one value. After an error the
/// reader stays where it is, and a next call tries the same step again.
#[derive(Debug)]
pub struct Events<R: ?Sized = std::fs::File> {
    cursor: Cursor<R>,
}

impl<R: ReadAt + ?Sized> Events<R> {
    pub(crate) fn new(cursor: Cursor<R>) -> Self {
        Self { cursor }
    }

    /// Moves before event `number`, or before the first one after it if there is no such event.
    ///
    /// Reads nothing yet: the next call of [`Self::next_event`] does, from the root down.
    pub fn seek(&mut self, number: u64) {
        self.cursor.seek(number);
    }

    /// Numbers of the first and the last event, or `None` if there is none. Reads one path each.
    ///
    /// The reader stands before the first event afterwards.
    ///
    /// # Errors
    ///
    /// As [`Self::next_event`].
    pub fn bounds(&mut self) -> Result<Option<(u64, u64)>, ReadError> {
        let last = self.cursor.last_number()?;
        self.seek(0);
        let first = if self.advance()? { Some(self.event().number) } else { None };
        self.seek(0);
        Ok(first.zip(last))
    }

    /// Lends the next event, or `None` behind the last one.
    ///
    /// # Errors
    ///
    /// [`ReadError`] on damage, with what lies behind it.
    #[inline]
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, ReadError> {
        Ok(if self.advance()? { Some(self.event()) } else { None })
    }

    /// Moves onto the next event, for [`Self::event`]. `false` at the end.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<bool, ReadError> {
        self.cursor.advance()
    }

    /// The event that the last [`Self::advance`] moved onto.
    #[inline]
    pub(crate) fn event(&self) -> Event<'_> {
        let entry = self.cursor.entry();
        Event { number: u64_at(entry.key, 0), value: entry.value }
    }
}
