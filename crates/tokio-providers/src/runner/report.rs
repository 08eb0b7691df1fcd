//! How a run went.

use std::fmt;
use std::time::Duration;

use samestep_provider_traits::workload::Role;

/// How a run went, member by member. Its `Display` is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokioReport {
    pub(super) seed: u64,
    pub(super) members: Vec<MemberReport>,
    pub(super) elapsed: Duration,
}

impl TokioReport {
    /// Whether no member failed.
    pub fn is_ok(&self) -> bool {
        self.members.iter().all(|member| member.outcome.is_ok())
    }

    /// All members, servers first.
    pub fn members(&self) -> &[MemberReport] {
        &self.members
    }

    /// The member called `name`.
    pub fn member(&self, name: &str) -> Option<&MemberReport> {
        self.members.iter().find(|member| member.name == name)
    }

    /// The seed of the members' random streams.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How long the whole took.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

impl fmt::Display for TokioReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.members.iter().filter(|member| !member.outcome.is_ok()).count();
        let verdict = if failed == 0 { "all well".to_owned() } else { format!("{failed} not well") };
        write!(f, "{} members, {verdict}, in {:.1?} (seed {})", self.members.len(), self.elapsed, self.seed)?;
        for member in &self.members {
            write!(f, "\n  {member}")?;
        }
        Ok(())
    }
}

/// How a run went for one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberReport {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) outcome: MemberOutcome,
    pub(super) elapsed: Duration,
}

impl MemberReport {
    /// Its name in the topology.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// How it ended.
    pub fn outcome(&self) -> &MemberOutcome {
        &self.outcome
    }

    /// How long its `run` took; zero if it did not come to that.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

impl fmt::Display for MemberReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, after {:.1?}", self.name, self.outcome, self.elapsed)
    }
}

/// How a member ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberOutcome {
    /// By itself, and was checked.
    Ended,
    /// It is a server that did not end when told to, and was dropped; then it was checked. No failure: a server
    /// may run for ever.
    Stopped,
    /// With an error.
    Failed {
        /// Where.
        phase: Phase,
        /// The error and its causes.
        message: String,
    },
    /// With a panic.
    Panicked {
        /// Where.
        phase: Phase,
        /// The panic's message.
        message: String,
    },
    /// The time limit of the run passed first.
    TimedOut {
        /// Where it was then.
        phase: Phase,
    },
    /// It was not run, as another could not be set up.
    NotRun,
}

impl MemberOutcome {
    /// Whether this is no failure.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ended | Self::Stopped)
    }
}

impl fmt::Display for MemberOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("ended"),
            Self::Stopped => f.write_str("did not end when told to, stopped"),
            Self::Failed { phase, message } => write!(f, "failed in {phase}: {message}"),
            Self::Panicked { phase, message } => write!(f, "panicked in {phase}: {message}"),
            Self::TimedOut { phase } => write!(f, "out of time in {phase}"),
            Self::NotRun => f.write_str("not run"),
        }
    }
}

/// A phase of a workload. Complete by definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Each in order, before any runs.
    Setup,
    /// All at once.
    Run,
    /// Each in order, when all have ended.
    Check,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Setup => "setup",
            Self::Run => "run",
            Self::Check => "check",
        })
    }
}
