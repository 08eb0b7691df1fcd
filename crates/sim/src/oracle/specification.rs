//! What an object does when its operations come one after the other.

use std::fmt;
use std::marker::PhantomData;

/// An object by its sequential behaviour.
pub trait Specification {
    /// Its state. States that are equal behave alike.
    type State: Clone + Ord + fmt::Debug;
    /// What is asked of it.
    type Operation: Clone + fmt::Debug;
    /// What it answers.
    type Outcome: Clone + fmt::Debug;

    /// The state in which it begins.
    fn initial(&self) -> Self::State;

    /// The state after `operation` in `state`, or none if it would not have had this `outcome`. An operation whose
    /// outcome nobody saw has none: anything may have been answered.
    fn step(
        &self,
        state: &Self::State,
        operation: &Self::Operation,
        outcome: Option<&Self::Outcome>,
    ) -> Option<Self::State>;

    /// Whether an operation with this outcome leaves every state as it is. Explanations leave out such operations
    /// as do not matter; of others they cannot know.
    fn is_read(&self, operation: &Self::Operation, outcome: Option<&Self::Outcome>) -> bool;
}

/// A register that holds a value or none, as a key of a key-value store does.
#[derive(Clone, Copy, Debug)]
pub struct Register<V>(PhantomData<fn() -> V>);

impl<V> Register<V> {
    /// A register that holds none.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<V> Default for Register<V> {
    fn default() -> Self {
        Self::new()
    }
}

/// What is asked of a [`Register`]. Complete by definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterOperation<V> {
    /// What it holds.
    Read,
    /// To hold this from now on; none is a removal.
    Write(Option<V>),
    /// To hold `new` if it holds `expected`.
    CompareAndSet {
        /// What it must hold.
        expected: Option<V>,
        /// What it then holds.
        new: Option<V>,
    },
}

/// What a [`Register`] answers. Complete by definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterOutcome<V> {
    /// It held this: the answer to a read.
    Value(Option<V>),
    /// It is done: the answer to a write, and to a compare-and-set that met what it expected.
    Done,
    /// It held something else, and still does: the answer to a compare-and-set that did not.
    Mismatch,
}

impl<V: Clone + Ord + fmt::Debug> Specification for Register<V> {
    type State = Option<V>;
    type Operation = RegisterOperation<V>;
    type Outcome = RegisterOutcome<V>;

    fn initial(&self) -> Option<V> {
        None
    }

    fn step(
        &self,
        state: &Option<V>,
        operation: &RegisterOperation<V>,
        outcome: Option<&RegisterOutcome<V>>,
    ) -> Option<Option<V>> {
        let (new, expected) = match operation {
            RegisterOperation::Read => (state, RegisterOutcome::Value(state.clone())),
            RegisterOperation::Write(new) => (new, RegisterOutcome::Done),
            RegisterOperation::CompareAndSet { expected, new } if expected == state => {
                (new, RegisterOutcome::Done)
            }
            RegisterOperation::CompareAndSet { .. } => (state, RegisterOutcome::Mismatch),
        };
        outcome.is_none_or(|outcome| *outcome == expected).then(|| new.clone())
    }

    fn is_read(&self, operation: &RegisterOperation<V>, outcome: Option<&RegisterOutcome<V>>) -> bool {
        matches!(operation, RegisterOperation::Read) || matches!(outcome, Some(RegisterOutcome::Mismatch))
    }
}
