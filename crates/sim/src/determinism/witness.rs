//! What two runs of one seed must have in common.

use serde::{Deserialize, Serialize};

use crate::marks::Marks;
use crate::runner::{Replay, RunReport};
use crate::time::SimTime;
use crate::trace::TraceEvent;

/// What is compared of a run, and what is kept to see where it parts from another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Witness {
    pub(crate) seed: u64,
    pub(crate) hash: u64,
    pub(crate) events: u64,
    pub(crate) polls: u64,
    pub(crate) ended_at: SimTime,
    /// What kinds of failures it had.
    pub(crate) failures: Vec<String>,
    /// Its decisions, if they were kept.
    pub(crate) tape: String,
    /// Hash of its table of checks, and of the state that it showed in the end.
    pub(crate) tables: u64,
    /// None unless they were kept.
    pub(crate) marks: Option<Marks>,
    /// Empty unless they were kept.
    pub(crate) trace: Vec<TraceEvent>,
}

impl Witness {
    pub(crate) fn of(report: &RunReport, tables: u64) -> Self {
        Self {
            seed: report.seed,
            hash: report.hash,
            events: report.events,
            polls: report.polls,
            ended_at: report.ended_at,
            failures: report.failures.iter().map(|failure| failure.kind().to_owned()).collect(),
            tape: Replay { seed: 0, config: None, tape: Some(report.tape.clone()) }.to_string(),
            tables,
            marks: report.marks.clone(),
            trace: report.trace.clone(),
        }
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let all = |witness: &Self| {
            let Self { seed, hash, events, polls, ended_at, tables, .. } = *witness;
            (seed, hash, events, polls, ended_at, tables)
        };
        all(self) == all(other) && self.failures == other.failures && self.tape == other.tape
    }
}
