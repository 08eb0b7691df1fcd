//! What a log drives.

#[cfg(feature = "vere")]
mod nock;

use std::error::Error;

#[cfg(feature = "vere")]
pub use self::nock::{Budget, LeakReport, NockMachine, NockMachineError, NockWatch};

/// A state that only the events of a log change.
///
/// Equal events from an equal state give an equal state; that is what a replay checks by mugs. A poke that fails
/// leaves the state as it was.
pub trait Machine {
    /// Why the machine refused.
    type Error: Error + 'static;

    /// Starts over, from nothing, with the first events of the log: `payloads` are those from 1 on.
    ///
    /// Some machines are made by their first events. The others apply them one by one, as this does unless it is
    /// written otherwise; such a machine must be new.
    ///
    /// # Errors
    ///
    /// The machine's own. The state is then not to be used.
    fn boot(&mut self, payloads: &[Vec<u8>]) -> Result<(), Self::Error> {
        (1..).zip(payloads).try_for_each(|(number, payload)| self.poke(number, payload))
    }

    /// Applies event `number`, which is the one after the last.
    ///
    /// # Errors
    ///
    /// The machine's own. The state is what it was before.
    fn poke(&mut self, number: u64, payload: &[u8]) -> Result<(), Self::Error>;

    /// A fingerprint of the whole state: equal states have equal ones.
    fn mug(&mut self) -> u32;

    /// The whole state as bytes, for [`restore`](Self::restore).
    ///
    /// # Errors
    ///
    /// The machine's own; the state is what it was.
    fn snapshot(&mut self) -> Result<Vec<u8>, Self::Error>;

    /// Takes the state that was saved after event `number`.
    ///
    /// # Errors
    ///
    /// The machine's own. The state is then not to be used.
    fn restore(&mut self, number: u64, state: &[u8]) -> Result<(), Self::Error>;

    /// Takes the last poke back, if the machine can; `false` if it cannot, as unless it is written otherwise.
    ///
    /// Asked for when an event gave another state than the log says, so that the state before it can be saved.
    fn revert(&mut self) -> bool {
        false
    }

    /// Gives memory back, before an event that needed too much is tried again. Changes the state in no way that a
    /// mug shows.
    ///
    /// # Errors
    ///
    /// The machine's own; the event then fails with it.
    fn reclaim(&mut self, how: Reclaim) -> Result<(), Self::Error> {
        let _ = how;
        Ok(())
    }

    /// What kind of failure an error is, which decides whether the event is tried again. A crash unless it is
    /// written otherwise.
    fn failure_kind(error: &Self::Error) -> FailureKind {
        let _ = error;
        FailureKind::Crash
    }
}

/// What kind of failure stopped an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The event cannot be applied to this state, ever. Vere's `%exit` and its like.
    Crash,
    /// There was too little memory: it may succeed after [`Machine::reclaim`]. Vere's `%meme`.
    Memory,
    /// It took longer than it was given.
    Deadline,
    /// Somebody asked to stop. Vere's `%intr`.
    Interrupt,
    /// The event is not in a form that the machine reads: damage in the log.
    Unreadable,
    /// The machine itself is lost, as when its process ended.
    Lost,
}

/// How memory is given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reclaim {
    /// What costs little. Vere's pack.
    #[default]
    Pack,
    /// By finding equal parts and sharing them, which costs time. Vere's meld.
    Meld,
}
