//! How a run may fail.

use std::fmt;
use std::time::Duration;

use crate::determinism::Divergence;
use crate::kernel::NodeId;
use crate::time::SimTime;
use crate::trace::TaskId;
use crate::world::{SimWorld, TaskPanic};

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// A task panicked.
    #[error("{0}")]
    Panic(TaskPanic),
    /// What sets the world up panicked.
    #[error("the setup panicked: {message}")]
    SetupPanic {
        /// The panic's message, and where.
        message: String,
    },
    /// The test's main task ended with an error.
    #[error("{message}")]
    Error {
        /// The error.
        message: String,
    },
    /// A check of the program, or an oracle, did not hold.
    #[error("{name}: {message}")]
    Check {
        /// What was checked.
        name: String,
        /// What was seen.
        message: String,
    },
    /// Nothing can happen any more, and the test waits.
    #[error("deadlock at {at}: nothing can happen any more, and these wait:\n{}", Lines(tasks))]
    Deadlock {
        /// Since when.
        at: SimTime,
        /// All tasks.
        tasks: Vec<TaskState>,
    },
    /// The test did not end in its time.
    #[error("not over after {limit:?} of simulated time; these wait:\n{}", Lines(tasks))]
    Deadline {
        /// Its time.
        limit: Duration,
        /// All tasks.
        tasks: Vec<TaskState>,
    },
    /// More happened than a test may do.
    #[error("not over after {events_max} events, at {at}; these wait:\n{}", Lines(tasks))]
    TooManyEvents {
        /// How much may happen.
        events_max: u64,
        /// When it had happened.
        at: SimTime,
        /// All tasks.
        tasks: Vec<TaskState>,
    },
    /// Tasks woke each other at one instant for so long that it seems to be for ever.
    #[error("time stands still at {at}: tasks wake each other for ever; these are there:\n{}", Lines(tasks))]
    Spinning {
        /// The instant.
        at: SimTime,
        /// All tasks.
        tasks: Vec<TaskState>,
    },
    /// Another thread woke a task: when it does so is not the seed's to decide, so it stays asleep.
    #[error("task {task:?} was woken from another thread, which no seed can repeat")]
    ForeignWake {
        /// Its name.
        task: String,
    },
    /// A task started a thread, which no seed decides about. Found with feature `intercept`.
    #[error("a thread was started in {site}, and no seed can repeat what it does")]
    EscapedThread {
        /// From where.
        site: String,
    },
    /// A second run of the same seed and decisions was another run.
    #[error(transparent)]
    Divergence(#[from] Box<Divergence>),
}

impl Failure {
    /// What kind of failure it is, in a word or two, or the name of the check that did not hold.
    pub fn kind(&self) -> &str {
        match self {
            Self::Panic(_) => "panic",
            Self::SetupPanic { .. } => "setup panic",
            Self::Error { .. } => "error",
            Self::Check { name, .. } => name,
            Self::Deadlock { .. } => "deadlock",
            Self::Deadline { .. } => "deadline",
            Self::TooManyEvents { .. } => "too many events",
            Self::Spinning { .. } => "spinning",
            Self::ForeignWake { .. } => "foreign wake",
            Self::EscapedThread { .. } => "thread",
            Self::Divergence(_) => "divergence",
        }
    }
}

/// What one task is, and what it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskState {
    /// Its number.
    pub task: TaskId,
    /// Its name.
    pub name: String,
    /// Name of its node, if it has one.
    pub node: Option<(NodeId, String)>,
    /// Where it was started: file, line and column.
    pub spawned_at: String,
    /// How often it was polled.
    pub polls: u64,
    /// What it waits for; empty if that is nothing of the world's, such as a channel.
    pub waits: Vec<String>,
}

impl SimWorld {
    /// The tasks that have not ended, in the order in which they started.
    pub fn task_states(&self) -> Vec<TaskState> {
        let core = self.shared.core.borrow();
        let state = |task: &crate::world::tasks::Task| TaskState {
            task: task.id,
            name: task.name.to_string(),
            node: task.node.map(|node| (node, core.nodes.get(node).name.clone())),
            spawned_at: task.spawned_at.to_string(),
            polls: task.polls,
            waits: task.waits.iter().map(ToString::to_string).collect(),
        };
        core.tasks.iter().map(state).collect()
    }
}

/// One line: which task, where it came from, what it waits for.
impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.task, self.name)?;
        if let Some((_, node)) = &self.node {
            write!(f, " of {node}")?;
        }
        write!(f, ", started at {}, polled {} times, waits for ", self.spawned_at, self.polls)?;
        match &self.waits[..] {
            [] => f.write_str("something of its own"),
            waits => f.write_str(&waits.join(" or ")),
        }
    }
}

impl fmt::Display for TaskPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} panicked", self.task, self.name)?;
        if let Some(location) = &self.location {
            write!(f, " at {location}")?;
        }
        write!(f, ": {}", self.message)
    }
}

struct Lines<'a>(&'a [TaskState]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, task) in self.0.iter().enumerate() {
            let end = if place + 1 < self.0.len() { "\n" } else { "" };
            write!(f, "  {task}{end}")?;
        }
        Ok(())
    }
}
