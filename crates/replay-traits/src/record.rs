//! Records and the sources that lend them.

use std::fmt;

/// Number of a record in its log: dense, ascending by one, never reused for other bytes once acknowledged.
///
/// Which number a log starts with is the log's own affair; most start at 1 and keep 0 for "before the first".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(u64);

impl Index {
    /// The index with number `number`.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The index after this one, or `None` after `u64::MAX`.
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The index before this one, or `None` before 0.
    pub const fn previous(self) -> Option<Self> {
        match self.0.checked_sub(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

impl From<u64> for Index {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl From<Index> for u64 {
    fn from(index: Index) -> Self {
        index.0
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One record of a log, lent by its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record<'a> {
    /// Its number.
    pub index: Index,
    /// The bytes that were appended, unchanged. May be empty.
    pub payload: &'a [u8],
}

/// Hands out the records of a log, oldest to newest, without copying them.
///
/// A source is a cursor: each call moves on by one. [`contract::replay_source`](crate::contract::replay_source)
/// checks an implementation against what is promised here.
///
/// ```
/// use samestep_replay_traits::{Index, Record, ReplaySource};
///
/// /// A log that is a list of lines.
/// struct Lines<'a>(std::iter::Enumerate<std::str::Lines<'a>>);
///
/// impl ReplaySource for Lines<'_> {
///     type Error = std::convert::Infallible;
///
///     fn next_record(&mut self) -> Result<Option<Record<'_>>, Self::Error> {
///         Ok(self.0.next().map(|(at, line)| Record { index: Index::new(at as u64 + 1), payload: line.as_bytes() }))
///     }
/// }
///
/// let mut log = Lines("set a 1\nset b 2".lines().enumerate());
/// while let Some(record) = log.next_record()? {
///     println!("{} {}", record.index, record.payload.escape_ascii());
/// }
/// # Ok::<(), std::convert::Infallible>(())
/// ```
pub trait ReplaySource {
    /// Why the next record could not be lent.
    type Error: std::error::Error + 'static;

    /// Lends the next record, or `None` behind the newest.
    ///
    /// Indices ascend by exactly one from call to call. The loan ends with the next call. After `None` every
    /// further call gives `None`; a source that follows a growing log says so and may give more.
    ///
    /// # Errors
    ///
    /// The source's own. Nothing behind a failed record is handed out: the same error comes again.
    fn next_record(&mut self) -> Result<Option<Record<'_>>, Self::Error>;
}

impl<S: ReplaySource + ?Sized> ReplaySource for &mut S {
    type Error = S::Error;

    fn next_record(&mut self) -> Result<Option<Record<'_>>, Self::Error> {
        (**self).next_record()
    }
}
