//! Why a replay ended before its target.

use std::error::Error;

use crate::machine::FailureKind;
use crate::play::report::Divergence;
use crate::snapshot::SnapshotError;

/// Why a replay ended before its target: the log's reasons, or all others.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError<M: Error + 'static, S: Error + 'static> {
    /// The log cannot be read on: damage, a gap, or the device.
    #[error("the log cannot be read on")]
    Source(#[source] S),
    /// Anything else.
    #[error(transparent)]
    Failure(#[from] ReplayFailure<M>),
}

/// Why a replay ended before its target.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayFailure<M: Error + 'static> {
    /// An event is missing.
    #[error("event {found} comes where {expected} should")]
    Gap {
        /// The event that should come.
        expected: u64,
        /// The one that comes.
        found: u64,
    },
    /// A value is too short to be an event, or its mug has more than 31 bits.
    #[error("event {number} is damaged: {problem}")]
    Value {
        /// The event.
        number: u64,
        /// How.
        problem: &'static str,
    },
    /// The target is one of the events that make the machine, which are applied at once.
    #[error(
        "event {target} is one of the first {boot_events}, which boot the machine at once: replay to {boot_events} or later"
    )]
    TargetInBoot {
        /// The target.
        target: u64,
        /// How many events boot the machine.
        boot_events: u64,
    },
    /// The log ends before the machine is made.
    #[error("{boot_events} events boot the machine, but the log has {found}")]
    BootTooShort {
        /// How many events boot the machine.
        boot_events: u64,
        /// How many there are.
        found: u64,
    },
    /// The machine could not be made.
    #[error("the machine does not boot from the first {boot_events} events")]
    Boot {
        /// How many events boot the machine.
        boot_events: u64,
        /// What kind of failure.
        kind: FailureKind,
        /// Why.
        source: M,
    },
    /// An event could not be applied. In a sound log every event succeeds, as a runtime logs no other.
    #[error("event {number} failed{}", after(*attempts))]
    Event {
        /// The event.
        number: u64,
        /// What kind of failure.
        kind: FailureKind,
        /// How often it was tried.
        attempts: u32,
        /// Why, with its trace if it is a crash.
        source: M,
    },
    /// An event gave another state than the log says.
    #[error("{0}")]
    Diverged(Divergence),
    /// The state could not be taken out of the machine.
    #[error("the state after event {number} cannot be saved")]
    Save {
        /// The last event in the state.
        number: u64,
        /// Why.
        source: M,
    },
    /// The state could not be written, or belongs to another log.
    #[error("a snapshot cannot be saved")]
    Snapshot(#[from] SnapshotError),
    /// The machine refuses a state.
    #[error("the state after event {number} cannot be restored")]
    Restore {
        /// The last event in the state.
        number: u64,
        /// Why.
        source: M,
    },
    /// The machine took a state, but it is another one than was saved.
    #[error("the restored state after event {number} has mug {found:08x}, expected {expected:08x}")]
    RestoredMug {
        /// The last event in the state.
        number: u64,
        /// The mug that was saved with it.
        expected: u32,
        /// The mug it has.
        found: u32,
    },
}

fn after(attempts: u32) -> String {
    if attempts == 1 { String::new() } else { format!(" {attempts} times") }
}
