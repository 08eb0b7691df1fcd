//! How an evaluation ends without a value.

use crate::nock::trace::TraceReport;

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NockError {
    /// The formula has no value on this subject. Running it again changes nothing.
    #[error("crash: {reason}{trace}")]
    Crash {
        /// What was asked for that cannot be.
        reason: CrashReason,
        /// Where.
        trace: TraceReport,
    },
    /// The scry handler cannot answer now.
    #[error("blocked on {path}")]
    Blocked {
        /// The path that was asked for, as text.
        path: String,
    },
    /// All fuel is used up: give more, or it runs for ever.
    #[error("out of fuel after {fuel} reductions{trace}")]
    OutOfFuel {
        /// The limit.
        fuel: u64,
        /// Where.
        trace: TraceReport,
    },
    /// Nouns and stack grew beyond the limit: raise it.
    #[error("out of memory: more than {memory_bytes_max} bytes{trace}")]
    OutOfMemory {
        /// The limit.
        memory_bytes_max: usize,
        /// Where.
        trace: TraceReport,
    },
    /// The watcher says that time is up.
    #[error("deadline passed{trace}")]
    Deadline {
        /// Where.
        trace: TraceReport,
    },
    /// The watcher says to stop.
    #[error("interrupted{trace}")]
    Interrupted {
        /// Where.
        trace: TraceReport,
    },
}

/// What was asked for that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CrashReason {
    /// An atom was to be evaluated.
    #[error("a formula is an atom")]
    AtomicFormula,
    /// There is no such opcode.
    #[error("opcode {opcode} is none")]
    UnknownOpcode {
        /// The operator, as text.
        opcode: String,
    },
    /// A formula has too few parts, or an atom where a cell must be.
    #[error("a formula with opcode {opcode} is malformed")]
    MalformedFormula {
        /// Its opcode.
        opcode: u64,
    },
    /// An axis is 0 or a cell.
    #[error("an axis is 0 or a cell")]
    BadAxis,
    /// An axis leads into an atom.
    #[error("axis {axis} leads into an atom")]
    NoSuchAxis {
        /// The axis, as text.
        axis: String,
    },
    /// A cell has no successor.
    #[error("increment of a cell")]
    IncrementOfCell,
    /// A condition was neither 0 nor 1.
    #[error("a condition is neither 0 nor 1")]
    NotLoobean,
    /// Opcode 12 without a handler.
    #[error("opcode 12 outside virtual nock")]
    BareScry,
    /// The handler says that there is no such value.
    #[error("no value at {path}")]
    ScryAbsent {
        /// The path that was asked for, as text.
        path: String,
    },
}
