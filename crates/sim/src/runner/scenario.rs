//! What a campaign runs: anything that gives an outcome for a seed and a tape.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use crate::chaos::Checks;
use crate::choice::{ChoiceFamily, Tape};
use crate::determinism::{Witness, compare, compare_with_process};
use crate::fault::FaultFamily;
use crate::runner::cluster::with_causes;
use crate::runner::fresh::Fresh;
use crate::runner::{Failure, RunReport};
use crate::trace::Keep;

/// A system under test with all that is done to it. It is the same for the same request, whoever asks and when.
pub(crate) trait Scenario: Sync {
    /// Runs it once.
    fn run(&self, request: &Request) -> Outcome;
}

impl<F: Fn(&Request) -> Outcome + Sync> Scenario for F {
    fn run(&self, request: &Request) -> Outcome {
        self(request)
    }
}

/// Runs a scenario, and once more on another thread and heap, and in a process of its own if there is one to be had; a
/// difference is the run's first failure. What differs by chance may be the same: so it is run up to `attempts` times
/// more on other threads.
pub(crate) fn run_twice(
    scenario: &dyn Scenario,
    request: &Request,
    attempts: u32,
    process: Option<&Fresh>,
) -> Outcome {
    let mut outcome = scenario.run(request);
    if request.until_event.is_some() {
        return outcome;
    }
    let first = outcome.witness();
    let again = |keep| scenario.run(&Request { keep, ..request.clone() }).witness();
    let mut divergence = (0..attempts).find_map(|_| compare(&first, &again).err());
    if let (None, Some(process)) = (&divergence, process) {
        match compare_with_process(&first, &again, &|keep| process.run(request, keep)) {
            Ok(found) => divergence = found,
            Err(error) => outcome.notes.push(with_causes(&error)),
        }
    }
    if let Some(divergence) = divergence {
        outcome.report.failures.insert(0, Failure::Divergence(divergence));
    }
    outcome
}

/// Which run.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) seed: u64,
    /// The decisions; drawn from the seed if there are none.
    pub(crate) tape: Option<Tape>,
    /// The decisions that are made before there is a world, if those alone are given.
    pub(crate) setup: Option<Tape>,
    /// Families whose decisions are all plain.
    pub(crate) plain: &'static [ChoiceFamily],
    /// Whether the decisions are kept.
    pub(crate) keeps_tape: bool,
    /// What is kept of the events.
    pub(crate) keep: Keep,
    /// Where the run is to end early, if anywhere.
    pub(crate) until_event: Option<u64>,
}

impl Request {
    /// A run of this seed, of which nothing is kept.
    pub(crate) const fn of_seed(seed: u64) -> Self {
        Self {
            seed,
            tape: None,
            setup: None,
            plain: &[],
            keeps_tape: false,
            keep: Keep::Hash,
            until_event: None,
        }
    }

    /// A run of this seed and tape.
    pub(crate) fn of_tape(seed: u64, tape: Tape) -> Self {
        Self { tape: Some(tape), ..Self::of_seed(seed) }
    }
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) report: RunReport,
    pub(crate) checks: Checks,
    /// Hash of how the system was configured.
    pub(crate) config: u64,
    /// Families of faults that were on.
    pub(crate) families_on: Vec<FaultFamily>,
    /// Names of nodes, by number.
    pub(crate) nodes: Vec<String>,
    /// What each task waited for when the run was ended early.
    pub(crate) dump: Option<String>,
    /// The state that was shown in JSON in the end.
    pub(crate) states: BTreeMap<String, Value>,
    /// What could not be done beside the run.
    pub(crate) notes: Vec<String>,
}

impl Outcome {
    /// Why it failed first, if it did.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.report.failures.first()
    }

    /// What is compared of it with other runs.
    pub(crate) fn witness(&self) -> Witness {
        let tables = format!("{:?}{:?}", self.checks.results(), self.states);
        Witness::of(&self.report, xxh3_64(tables.as_bytes()))
    }

    /// How long it took in its own time.
    pub(crate) fn simulated_time(&self) -> Duration {
        self.report.ended_at.since_start()
    }
}
