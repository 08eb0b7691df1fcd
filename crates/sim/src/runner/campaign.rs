//! Many runs of one scenario: which seeds, when to stop, and what to make of those that fail.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use crate::chaos::{AssertionStats, Checks, ContractViolation, all_sometimes_reached, contract_violations};
use crate::draws::Stream;
use crate::fault::FaultFamily;
use crate::runner::clock::WallTimer;
use crate::runner::fresh::Fresh;
use crate::runner::progress::Progress;
use crate::runner::replay::Replay;
use crate::runner::scenario::{Outcome, Request, Scenario, run_twice};
use crate::runner::shrink::{Shrunk, shrink_best};
use crate::runner::{Failure, regressions, run_in_order};
use crate::trace::Keep;

/// How many runs a campaign makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IterationControl {
    /// So many.
    FixedCount(usize),
    /// As many as begin in this time, as the wall's clock has it. At least one.
    TimeLimit(Duration),
    /// Until each `sometimes` check of the program held in some run, but at most so many.
    UntilAllSometimesReached(usize),
    /// Until so many runs in a row reached no check that was not reached before, but at most as many as `max_iterations`.
    UntilCoverageStable {
        /// Runs in a row that reached nothing new.
        plateau_seeds: usize,
        /// The most runs.
        max_iterations: usize,
    },
}

/// What a campaign does.
#[derive(Clone, Debug)]
pub(crate) struct CampaignPlan {
    pub(crate) name: String,
    /// The first seeds, in order; those behind them are drawn from `master_seed`.
    pub(crate) seeds: Vec<u64>,
    pub(crate) master_seed: u64,
    pub(crate) control: IterationControl,
    pub(crate) jobs: usize,
    /// Runs that are made before all others.
    pub(crate) regressions: Option<PathBuf>,
    pub(crate) shrink_runs_max: u32,
    pub(crate) stops_at_first_failure: bool,
    /// One in so many seeds is run twice; none if 0.
    pub(crate) check_every: u64,
    /// Where the first seed is run as well, if that one is run twice.
    pub(crate) process: Option<Fresh>,
    /// This run alone.
    pub(crate) only: Option<Replay>,
}

/// What came of a campaign.
#[derive(Debug, Default)]
pub(crate) struct CampaignReport {
    pub(crate) seeds: Vec<SeedReport>,
    pub(crate) failed: Vec<FailedRun>,
    pub(crate) checks: Checks,
    /// How often each family of faults acted.
    pub(crate) acted: BTreeMap<FaultFamily, u64>,
    /// In how many runs each was on.
    pub(crate) on: BTreeMap<FaultFamily, u64>,
    /// What could not be done beside the runs, such as writing the regression file.
    pub(crate) notes: Vec<String>,
}

/// One run of a campaign.
#[derive(Clone, Debug)]
pub(crate) struct SeedReport {
    pub(crate) seed: u64,
    pub(crate) hash: u64,
    pub(crate) events: u64,
    pub(crate) simulated: Duration,
    pub(crate) wall: Duration,
    pub(crate) has_failed: bool,
}

/// A run that failed.
#[derive(Debug)]
pub(crate) struct FailedRun {
    pub(crate) seed: u64,
    pub(crate) failures: Vec<Failure>,
    /// The least run that fails the same way, of the first run of each kind of failure.
    pub(crate) shrunk: Option<Shrunk>,
    /// The line that repeats it: the least run if there is one, else the whole.
    pub(crate) replay: Replay,
    /// Whether it is the first of its kind.
    pub(crate) is_first: bool,
}

impl FailedRun {
    /// What kind of failure it is.
    pub(crate) fn kind(&self) -> &str {
        self.failures.first().map_or("", Failure::kind)
    }
}

/// Runs the campaign.
pub(crate) fn run(plan: &CampaignPlan, scenario: &dyn Scenario) -> CampaignReport {
    let mut campaign = Campaign {
        plan,
        scenario,
        report: CampaignReport::default(),
        plateau: 0,
        reached: 0,
        timer: WallTimer::start(),
    };
    if let Some(replay) = &plan.only {
        campaign.run_only(replay);
    } else if campaign.replay_regressions().is_continue() {
        campaign.run_seeds();
    }
    campaign.report
}

/// Runs one run again, with its events kept.
///
/// What differs by chance shows itself in `attempts` comparisons.
pub(crate) fn run_again(
    scenario: &dyn Scenario,
    replay: &Replay,
    until_event: Option<u64>,
    attempts: u32,
    process: Option<&Fresh>,
) -> Outcome {
    let request = Request {
        tape: replay.tape.clone(),
        keeps_tape: replay.tape.is_none(),
        keep: Keep::All,
        until_event,
        ..Request::of_seed(replay.seed)
    };
    run_twice(scenario, &request, attempts, process)
}

struct Campaign<'a> {
    plan: &'a CampaignPlan,
    scenario: &'a dyn Scenario,
    report: CampaignReport,
    /// How many runs in a row reached nothing new, and how many sites were reached.
    plateau: usize,
    reached: usize,
    timer: WallTimer,
}

impl Campaign<'_> {
    fn replay_regressions(&mut self) -> ControlFlow<()> {
        let Some(path) = &self.plan.regressions else { return ControlFlow::Continue(()) };
        let replays = match regressions::read(path) {
            Ok(replays) => replays,
            Err(error) => {
                self.report.notes.push(format!("{}: {error}", path.display()));
                return ControlFlow::Continue(());
            }
        };
        for replay in replays {
            let request = Request { tape: replay.tape.clone(), ..Request::of_seed(replay.seed) };
            let timer = WallTimer::start();
            let outcome = run_twice(self.scenario, &request, 1, None);
            self.take(outcome, timer.elapsed(), Some(replay))?;
        }
        ControlFlow::Continue(())
    }

    fn run_only(&mut self, replay: &Replay) {
        let request = Request { tape: replay.tape.clone(), ..Request::of_seed(replay.seed) };
        let timer = WallTimer::start();
        let outcome = run_twice(self.scenario, &request, 1, self.plan.process.as_ref());
        let _is_over = self.take(outcome, timer.elapsed(), Some(replay.clone()));
    }

    fn run_seeds(&mut self) {
        let (plan, scenario) = (self.plan, self.scenario);
        let count = match plan.control {
            IterationControl::FixedCount(count) | IterationControl::UntilAllSometimesReached(count) => {
                count as u64
            }
            IterationControl::UntilCoverageStable { max_iterations, .. } => max_iterations as u64,
            IterationControl::TimeLimit(_) => u64::MAX,
        };
        let seeds = Stream::from_seed(plan.master_seed).fork("seeds");
        let seed_of = |number: u64| {
            let given = usize::try_from(number).ok().and_then(|number| plan.seeds.get(number));
            given.copied().unwrap_or_else(|| seeds.nth(number))
        };
        let run = |number: u64| {
            let timer = WallTimer::start();
            let request = Request::of_seed(seed_of(number));
            let is_checked = plan.check_every > 0 && number.is_multiple_of(plan.check_every);
            let outcome = if is_checked {
                let process = plan.process.as_ref().filter(|_| number == 0);
                run_twice(scenario, &request, 1, process)
            } else {
                scenario.run(&request)
            };
            (outcome, timer.elapsed())
        };
        let mut progress = Progress::start(&plan.name);
        run_in_order(count, plan.jobs, run, |number, (outcome, wall)| {
            let is_over = self.take(outcome, wall, None).is_break() || self.has_enough(number + 1);
            progress.tell(number + 1, count, self.report.failed.len());
            if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }

    fn has_enough(&mut self, runs: u64) -> bool {
        match self.plan.control {
            IterationControl::FixedCount(_) => false,
            IterationControl::TimeLimit(limit) => runs > 0 && self.timer.elapsed() >= limit,
            IterationControl::UntilAllSometimesReached(_) => all_sometimes_reached(&self.report.checks),
            IterationControl::UntilCoverageStable { plateau_seeds, .. } => {
                let reached = self.report.checks.reached();
                self.plateau = if reached > self.reached { 0 } else { self.plateau + 1 };
                self.reached = reached;
                self.plateau >= plateau_seeds
            }
        }
    }

    fn take(&mut self, outcome: Outcome, wall: Duration, replay: Option<Replay>) -> ControlFlow<()> {
        let simulated = outcome.simulated_time();
        let Outcome { report, checks, config, families_on, notes, .. } = outcome;
        self.report.notes.extend(notes);
        self.report.checks.absorb(&checks);
        for family in families_on {
            *self.report.on.entry(family).or_default() += 1;
        }
        for family in FaultFamily::ALL {
            let count = report.faults.count(family);
            if count > 0 {
                *self.report.acted.entry(family).or_default() += count;
            }
        }
        let has_failed = !report.failures.is_empty();
        let (seed, hash, events) = (report.seed, report.hash, report.events);
        self.report.seeds.push(SeedReport { seed, hash, events, simulated, wall, has_failed });
        if !has_failed {
            return ControlFlow::Continue(());
        }
        let failed = self.explain(seed, config, report.failures, replay);
        self.report.failed.push(failed);
        if self.plan.stops_at_first_failure { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Shrinks the first run of each kind of failure, and writes it to the regression file.
    fn explain(
        &mut self,
        seed: u64,
        config: u64,
        failures: Vec<Failure>,
        replay: Option<Replay>,
    ) -> FailedRun {
        let was_known = replay.is_some();
        let mut replay = replay.unwrap_or(Replay { seed, config: Some(config), tape: None });
        let kind = failures[0].kind();
        let is_first = self.report.failed.iter().all(|other| other.kind() != kind);
        let mut shrunk = None;
        if is_first && self.plan.shrink_runs_max > 0 {
            let tape = if let Some(tape) = &replay.tape {
                tape.clone()
            } else {
                let request = Request { keeps_tape: true, ..Request::of_seed(seed) };
                self.scenario.run(&request).report.tape
            };
            shrunk = shrink_best(self.scenario, seed, tape, &failures[0], self.plan.shrink_runs_max);
        }
        if let Some(shrunk) = shrunk.as_ref().filter(|shrunk| shrunk.tape.len() <= CHOICES_PRINTED_MAX) {
            (replay.seed, replay.tape) = (shrunk.seed, Some(shrunk.tape.clone()));
        }
        if let (Some(path), true, false) = (&self.plan.regressions, is_first, was_known)
            && let Err(error) = regressions::add(path, &replay, &failures[0].to_string())
        {
            self.report.notes.push(format!("{}: {error}", path.display()));
        }
        FailedRun { seed, failures, shrunk, replay, is_first }
    }
}

impl CampaignReport {
    /// Families that were on in some run and acted in none: they test nothing.
    pub(crate) fn inert(&self) -> Vec<FaultFamily> {
        self.on.keys().copied().filter(|family| !self.acted.contains_key(family)).collect()
    }

    /// Checks by name.
    pub(crate) fn assertions(&self) -> BTreeMap<String, AssertionStats> {
        self.checks.results()
    }

    /// What checks promised and did not keep.
    pub(crate) fn violations(&self) -> Vec<ContractViolation> {
        contract_violations(&self.checks)
    }
}

/// A longer tape is not printed: the seed alone gives the run, unshrunk.
const CHOICES_PRINTED_MAX: usize = 500;
