//! The reference Nock machine: opcodes 0 to 12 as they are defined, no jets, and a budget for everything.

mod edit;
mod error;
mod frame;
mod reduce;
mod trace;

use std::fmt;

use crate::live::live_bytes;
use crate::nock::frame::{Frame, Step};
use crate::nock::trace::Trace;
use crate::noun::Noun;

pub use crate::nock::error::{CrashReason, NockError};
pub use crate::nock::trace::{TraceEntry, TraceReport};

/// Evaluates `formula` on `subject` with the default [`NockLimits`], without a way to answer opcode 12.
///
/// ```
/// use samestep_noun::{Noun, nock};
///
/// let formula = Noun::from((4, 0, 2)); // the head of the subject, plus one
/// assert_eq!(nock(&Noun::from((41, 0)), &formula)?, Noun::from(42));
/// # Ok::<(), samestep_noun::NockError>(())
/// ```
///
/// # Errors
///
/// As [`Nock::run`].
pub fn nock(subject: &Noun, formula: &Noun) -> Result<Noun, NockError> {
    Nock::new(NockLimits::default()).run(subject, formula)
}

/// How much one evaluation may take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NockLimits {
    /// Reductions: one per formula that is evaluated, but none for a look into the subject or a constant that is
    /// part of another formula.
    pub fuel: u64,
    /// Bytes by which living nouns of this thread, and the machine's stack, may grow.
    ///
    /// Measured after each reduction, so that it is passed by at most what one makes: a cell, the cells along an
    /// axis, or a copy of an atom.
    pub memory_bytes_max: usize,
}

/// Fuel without end, and 2 GiB as Vere's loom.
impl Default for NockLimits {
    fn default() -> Self {
        Self { fuel: u64::MAX, memory_bytes_max: 1 << 31 }
    }
}

impl NockLimits {
    /// At most `fuel` reductions, otherwise the default.
    pub fn with_fuel(mut self, fuel: u64) -> Self {
        self.fuel = fuel;
        self
    }

    /// At most `bytes` of memory, otherwise the default.
    pub fn with_memory_bytes_max(mut self, bytes: usize) -> Self {
        self.memory_bytes_max = bytes;
        self
    }
}

/// An evaluator of Nock.
///
/// It keeps its stack on the heap, so no noun is too deep for it, and a formula in tail position of opcodes 2, 6, 7,
/// 8, 9 and 11 adds nothing to that stack: a loop may run for ever. Hints are evaluated, as their clues may crash,
/// and otherwise without effect, except that clues of `%mean`, `%spot`, `%hunk` and `%lose` are what a failure tells
/// of where it happened.
pub struct Nock<'a> {
    limits: NockLimits,
    scry: Option<Scry<'a>>,
    watch: Option<Watcher<'a>>,
    frames: Vec<Frame>,
    trace: Trace,
    reductions: u64,
}

/// A handler of opcode 12: of reference and path.
type Scry<'a> = Box<dyn FnMut(&Noun, &Noun) -> ScryAnswer + 'a>;

type Watcher<'a> = Box<dyn FnMut() -> Watch + 'a>;

/// What a handler of opcode 12 answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScryAnswer {
    /// The value.
    Known(Noun),
    /// There is no such value, and there never will be: the formula crashes.
    Absent,
    /// It cannot be known now: the evaluation ends with [`NockError::Blocked`].
    Blocked,
}

/// What a watcher says, see [`Nock::with_watch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Go on.
    Continue,
    /// Time is up.
    Deadline,
    /// Somebody asked to stop.
    Interrupt,
}

impl<'a> Nock<'a> {
    /// An evaluator with these limits, which hold for each [`run`](Self::run) anew.
    pub fn new(limits: NockLimits) -> Self {
        Self { limits, scry: None, watch: None, frames: Vec::new(), trace: Trace::default(), reductions: 0 }
    }

    /// Answers opcode 12, which crashes otherwise, by this function of reference and path.
    pub fn with_scry(mut self, scry: impl FnMut(&Noun, &Noun) -> ScryAnswer + 'a) -> Self {
        self.scry = Some(Box::new(scry));
        self
    }

    /// Asks this function whether to go on, before the first reduction and then once in [`WATCH_EVERY`].
    ///
    /// The evaluator has no clock: deadlines and interrupts are the watcher's.
    pub fn with_watch(mut self, watch: impl FnMut() -> Watch + 'a) -> Self {
        self.watch = Some(Box::new(watch));
        self
    }

    /// Evaluates `formula` on `subject`.
    ///
    /// # Errors
    ///
    /// [`NockError::Crash`] if the formula has no value, which will be so each time. [`NockError::OutOfFuel`],
    /// [`NockError::OutOfMemory`], [`NockError::Deadline`] and [`NockError::Interrupted`] say nothing about the
    /// formula, and the same run may succeed with more. [`NockError::Blocked`] only with a scry handler.
    pub fn run(&mut self, subject: &Noun, formula: &Noun) -> Result<Noun, NockError> {
        self.frames.clear();
        self.trace.clear();
        self.reductions = 0;
        let outcome = self.steps(Step::Eval(subject.clone(), formula.clone()));
        self.frames = Vec::new();
        outcome.map_err(|halt| halt.into_error(self.trace.report()))
    }

    /// How many reductions the last run made.
    pub fn reductions(&self) -> u64 {
        self.reductions
    }

    /// The hints that enclosed the failure of the last run, innermost first: tag and clue.
    ///
    /// Of many in one tail position only the last few are kept. Errors carry the same as text.
    pub fn trace(&self) -> impl Iterator<Item = (&Noun, &Noun)> {
        self.trace.iter()
    }

    fn steps(&mut self, mut step: Step) -> Result<Noun, Halt> {
        let live_bytes_max = live_bytes().saturating_add(self.limits.memory_bytes_max);
        loop {
            step = match step {
                Step::Eval(subject, formula) => {
                    self.spend(live_bytes_max)?;
                    self.reduce(subject, &formula)?
                }
                Step::Value(value) => {
                    let Some(frame) = self.frames.pop() else { return Ok(value) };
                    self.trace.unwind(self.frames.len());
                    self.resume(frame, value)?
                }
            }
        }
    }

    /// Pays for one reduction.
    #[inline]
    fn spend(&mut self, live_bytes_max: usize) -> Result<(), Halt> {
        if self.reductions >= self.limits.fuel {
            return Err(Halt::OutOfFuel { fuel: self.limits.fuel });
        }
        if live_bytes() + self.frames.capacity() * size_of::<Frame>() > live_bytes_max {
            return Err(Halt::OutOfMemory { memory_bytes_max: self.limits.memory_bytes_max });
        }
        if self.reductions.is_multiple_of(WATCH_EVERY)
            && let Some(watch) = &mut self.watch
        {
            match watch() {
                Watch::Continue => {}
                Watch::Deadline => return Err(Halt::Deadline),
                Watch::Interrupt => return Err(Halt::Interrupted),
            }
        }
        self.reductions += 1;
        Ok(())
    }
}

impl fmt::Debug for Nock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nock")
            .field("limits", &self.limits)
            .field("reductions", &self.reductions)
            .finish_non_exhaustive()
    }
}

/// Why an evaluation ends without a value; as [`NockError`], before the trace is known.
#[derive(Debug)]
enum Halt {
    Crash(CrashReason),
    Blocked { path: String },
    OutOfFuel { fuel: u64 },
    OutOfMemory { memory_bytes_max: usize },
    Deadline,
    Interrupted,
}

impl Halt {
    fn into_error(self, trace: TraceReport) -> NockError {
        match self {
            Self::Crash(reason) => NockError::Crash { reason, trace },
            Self::Blocked { path } => NockError::Blocked { path },
            Self::OutOfFuel { fuel } => NockError::OutOfFuel { fuel, trace },
            Self::OutOfMemory { memory_bytes_max } => NockError::OutOfMemory { memory_bytes_max, trace },
            Self::Deadline => NockError::Deadline { trace },
            Self::Interrupted => NockError::Interrupted { trace },
        }
    }
}

impl From<CrashReason> for Halt {
    fn from(reason: CrashReason) -> Self {
        Self::Crash(reason)
    }
}

/// Reductions between two questions to a watcher: some tens of microseconds.
pub const WATCH_EVERY: u64 = 1024;
