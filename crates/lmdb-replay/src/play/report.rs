//! What a replay found.

use std::fmt;

/// What a replay did and found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The last event in the state from which it started, 0 if it was booted.
    pub start: u64,
    /// The last event in the state at its end.
    pub number: u64,
    /// The mug of that state.
    pub mug: u32,
    /// How many events were applied, those that boot included.
    pub applied: u64,
    /// How many gave the mug that was recorded.
    pub verified: u64,
    /// How many have no recorded mug, so that nothing could be checked.
    pub unverifiable: u64,
    /// How many gave another mug; more than 0 only where that was admitted.
    pub diverged: u64,
    /// The first of those.
    pub first_divergence: Option<Divergence>,
    /// The last event that gave its recorded mug.
    pub last_agreeing: Option<u64>,
    /// How often an event was tried again.
    pub retries: u64,
    /// Why it ended.
    pub end: End,
}

impl Report {
    pub(super) fn starting_at(start: u64) -> Self {
        Self {
            start,
            number: start,
            mug: 0,
            applied: 0,
            verified: 0,
            unverifiable: 0,
            diverged: 0,
            first_divergence: None,
            last_agreeing: None,
            retries: 0,
            end: End::Target,
        }
    }
}

/// Why a replay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The target was reached.
    Target,
    /// The log ended.
    LogEnd,
    /// The observer or the machine's watcher asked to stop. A replay from the saved state goes on exactly there.
    Interrupted,
}

/// An event that gave another state than the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Divergence {
    /// The event.
    pub number: u64,
    /// The mug that was recorded.
    pub expected: u32,
    /// The mug that came out.
    pub found: u32,
    /// The last event before it that gave its recorded mug: the cause lies behind that one.
    pub last_agreeing: Option<u64>,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, expected, found, last_agreeing } = self;
        write!(f, "event {number} gives mug {found:08x}, expected {expected:08x}")?;
        match last_agreeing {
            Some(last) if last + 1 < *number => write!(f, "; the last one that agrees is {last}"),
            _ => Ok(()),
        }
    }
}
