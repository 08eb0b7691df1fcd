//! Who looks on while a log is replayed.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;

use crate::play::error::ReplayFailure;
use crate::play::{Divergence, ValueFormat};
use crate::snapshot::SnapshotError;

/// An event, lent while it is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventAt<'a> {
    /// Its number.
    pub number: u64,
    /// The mug of the state after it, as the log says; 0 if it does not.
    pub recorded_mug: u32,
    /// What the machine gets.
    pub payload: &'a [u8],
}

impl<'a> EventAt<'a> {
    /// Takes the value of an event apart.
    pub(super) fn split<M: Error + 'static>(
        number: u64,
        value: &'a [u8],
        format: ValueFormat,
    ) -> Result<Self, ReplayFailure<M>> {
        if format == ValueFormat::Plain {
            return Ok(Self { number, recorded_mug: 0, payload: value });
        }
        let Some((mug, payload)) = value.split_first_chunk::<4>().filter(|(_, payload)| !payload.is_empty())
        else {
            return Err(ReplayFailure::Value { number, problem: "no more than a mug" });
        };
        let recorded_mug = u32::from_le_bytes(*mug);
        if recorded_mug >> 31 != 0 {
            return Err(ReplayFailure::Value { number, problem: "its mug has more than 31 bits" });
        }
        Ok(Self { number, recorded_mug, payload })
    }
}

/// Looks on, and may stop the replay. `()` looks on and says nothing.
pub trait Observer {
    /// An event is about to be applied; `Break` stops before it.
    fn starting(&mut self, event: &EventAt<'_>) -> ControlFlow<()> {
        let _ = event;
        ControlFlow::Continue(())
    }

    /// An event was applied, and `mug` is that of the state behind it.
    fn applied(&mut self, event: &EventAt<'_>, mug: u32) {
        let _ = (event, mug);
    }

    /// The first `count` events made the machine.
    fn booted(&mut self, count: u64, mug: u32) {
        let _ = (count, mug);
    }

    /// The state after event `number` is durable in the file at `path`.
    fn saved(&mut self, number: u64, path: &Path) {
        let _ = (number, path);
    }

    /// Something happened that the replay went on from.
    fn notice(&mut self, notice: &Notice<'_>) {
        let _ = notice;
    }
}

impl Observer for () {}

/// Something that a replay went on from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// Memory was short, and the event is tried again.
    #[error("event {number}: attempt {attempt} failed: {error}")]
    Retrying {
        /// The event.
        number: u64,
        /// Which attempt failed, from 1.
        attempt: u32,
        /// Why.
        error: &'a (dyn Error + 'static),
    },
    /// An event gave another mug, and that was admitted.
    #[error("{0}")]
    Diverged(Divergence),
    /// The replay failed, and then its state could not be saved.
    #[error("the state could not be saved: {0}")]
    SaveFailed(&'a SnapshotError),
    /// A state from which the replay might have started is damaged, and another start was found.
    #[error("not started from {what}: {error}")]
    StartSkipped {
        /// Which.
        what: String,
        /// Why.
        error: &'a (dyn Error + 'static),
    },
}
