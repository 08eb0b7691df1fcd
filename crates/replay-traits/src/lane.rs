//! Lanes: scenarios that must give one transcript however often and wherever they are run.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::seed::Seed;
use crate::transcript::Transcript;

/// A named scenario that turns a seed into a transcript.
///
/// A runner calls [`Self::run`] many times in fresh processes that differ in all that must not matter, and
/// demands one transcript. A lane never learns which of these runs it is in.
///
/// ```
/// use samestep_replay_traits::{Event, Lane, LaneContext, LaneError, Transcript};
///
/// struct Counting;
///
/// impl Lane for Counting {
///     fn name(&self) -> &str {
///         "demo/counting"
///     }
///
///     fn about(&self) -> &str {
///         "counts to three"
///     }
///
///     fn run(&self, _: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
///         (1..=3).for_each(|n| transcript.event(&Event::new("count").field("n", n)));
///         Ok(())
///     }
/// }
/// ```
pub trait Lane: Sync {
    /// `crate/scenario`, in lower case with hyphens; unique among the lanes that are run together.
    fn name(&self) -> &str;

    /// What the scenario does, in one line.
    fn about(&self) -> &str;

    /// Runs the scenario once and writes what it did to `transcript`.
    ///
    /// # Errors
    ///
    /// [`LaneError::Skipped`] if this machine cannot run it, [`LaneError::Failed`] if the scenario itself found
    /// something wrong. Both fail or skip the lane whatever the transcript says.
    fn run(&self, context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError>;

    /// What comparing the runs must show.
    fn expectation(&self) -> Expectation {
        Expectation::Same
    }

    /// What another seed means. Runners draw new seeds without end for lanes that say [`Seeding::Random`].
    ///
    /// An event called `fault` whose first field is `family` (`fault|family=torn-write|..`) is counted by its family
    /// there, so that one sees which faults were tried; if the second is `times`, as that many
    /// (`fault|family=torn-write|times=12`).
    fn seeding(&self) -> Seeding {
        Seeding::Fixed
    }
}

/// What another seed means to a lane. Complete by definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seeding {
    /// Nothing, or no more than another name for the same work.
    Fixed,
    /// Another workload or other faults, which must hold like any: the lane finds out by itself whether what it does
    /// is right, and fails if not.
    Random,
}

/// What comparing the runs of a lane must show. Complete by definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expectation {
    /// All transcripts are equal.
    Same,
    /// Some transcripts differ: the lane is a canary, nondeterministic on purpose. If its runs agree, the
    /// comparison is broken and a green result means nothing.
    Differ,
}

/// What one run of a lane is given.
#[derive(Clone, Debug)]
pub struct LaneContext {
    seed: Seed,
    scratch: PathBuf,
}

impl LaneContext {
    /// A run with this seed, in this empty folder.
    pub fn new(seed: Seed, scratch: PathBuf) -> Self {
        Self { seed, scratch }
    }

    /// Where all randomness of the run comes from.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// An empty folder of the run's own, removed after it. Its path differs from run to run.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }
}

/// Why a lane gave no transcript to compare. Complete by definition.
///
/// Any error turns into [`Self::Failed`], so that `?` works in a lane.
#[derive(Debug)]
pub enum LaneError {
    /// This machine cannot run the scenario. Runners count and print it.
    Skipped {
        /// What is missing, for a reader who may be able to provide it.
        reason: String,
    },
    /// The scenario found something wrong.
    Failed(Box<dyn Error + Send + Sync>),
}

impl LaneError {
    /// The lane cannot run here because of `reason`.
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self::Skipped { reason: reason.into() }
    }

    /// The scenario found `what` wrong.
    pub fn failed(what: impl Into<String>) -> Self {
        Self::Failed(what.into().into())
    }
}

// `LaneError` is no `Error` itself: that is what allows this conversion.
impl<E: Error + Send + Sync + 'static> From<E> for LaneError {
    fn from(error: E) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl fmt::Display for LaneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped { reason } => write!(f, "skipped: {reason}"),
            Self::Failed(error) => {
                write!(f, "{error}")?;
                let mut source = error.source();
                while let Some(cause) = source {
                    write!(f, ": {cause}")?;
                    source = cause.source();
                }
                Ok(())
            }
        }
    }
}
