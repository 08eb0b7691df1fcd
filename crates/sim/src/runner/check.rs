//! `check`: a test over many seeds, which fails as a test does.

use std::fs;
use std::path::{Path, PathBuf};

use crate::chaos::{AssertionStats, publish_checks};
use crate::fault::FaultFamily;
use crate::report::Timeline;
use crate::runner::Failure;
use crate::runner::campaign::{self, CampaignPlan, CampaignReport, IterationControl, run_again};
use crate::runner::environment::{Environment, TestName};
use crate::runner::explain::{failure_text, notes};
use crate::runner::fresh::{Fresh, Part, take_part};
use crate::runner::jobs_of_machine;
use crate::runner::phases::run_test;
use crate::runner::replay::Replay;
use crate::runner::scenario::{Request, Scenario};
use crate::runner::test::Test;

/// Runs the test that `define` defines under 64 seeds, and fails if it fails under any.
///
/// Anything that can fail does: an error or a panic of any member or task, a check that does not hold, clients that do
/// not end, a world in which nothing can happen any more. A failure is shrunk to the fewest decisions that still make
/// it, and printed with the line that repeats it.
///
/// | Variable | |
/// |---|---|
/// | `SIM_SEEDS=1000` | so many seeds |
/// | `SIM_SEED=7` | this seed alone |
/// | `SIM_REPLAY='..'` | this run alone, as a failure printed it |
/// | `SIM_JOBS=4` | on so many threads; as many as the machine has unless set |
/// | `SIM_CHECK=16` | one in so many seeds is run twice and compared |
/// | `SIM_TIMELINE=run.html` | with one run: draws it, or for Perfetto if the name ends in `.json` |
/// | `SIM_UNTIL_EVENT=1234` | with one run: ends it there, and prints what each task waits for |
///
/// # Panics
///
/// If a run fails.
pub fn check(define: impl Fn(&mut Test) + Send + Sync) {
    Check::new().run(define);
}

/// Runs the run that `line` names, as a failure printed it, of the test that `define` defines.
///
/// # Panics
///
/// If the line names no run, or the run fails.
pub fn replay(line: &str, define: impl Fn(&mut Test) + Send + Sync) {
    let replay: Replay = line.parse().unwrap_or_else(|error| panic!("{line:?}: {error}"));
    one_run(&test_scenario(&define), &replay, &Environment::default(), None);
}

/// What happens in the run that `line` names, of the test that `define` defines, to be drawn.
///
/// # Panics
///
/// If the line names no run.
pub fn timeline(line: &str, define: impl Fn(&mut Test) + Send + Sync) -> Timeline {
    let replay: Replay = line.parse().unwrap_or_else(|error| panic!("{line:?}: {error}"));
    Timeline::of_outcome(line, &run_again(&test_scenario(&define), &replay, None, 0, None))
}

/// The settings of a [`check`].
#[derive(Clone, Debug)]
pub struct Check {
    master_seed: u64,
    control: IterationControl,
    jobs: Option<usize>,
    regressions: Regressions,
    shrink_runs_max: u32,
    stops_at_first_failure: bool,
    compare_every: u64,
    reads_environment: bool,
    uses_process: bool,
}

#[derive(Clone, Debug)]
enum Regressions {
    OfTest,
    None,
    At(PathBuf),
}

impl Check {
    /// 64 seeds, on all of the machine's threads; one in 16 is run twice; failures are shrunk in at most 6,000 runs and
    /// kept in `sim-regressions/` beside the package's manifest; the environment is heard.
    pub fn new() -> Self {
        Self {
            master_seed: 0,
            control: IterationControl::FixedCount(64),
            jobs: None,
            regressions: Regressions::OfTest,
            shrink_runs_max: 6_000,
            stops_at_first_failure: false,
            compare_every: 16,
            reads_environment: true,
            uses_process: true,
        }
    }

    /// So many seeds.
    pub fn seeds(self, count: usize) -> Self {
        self.iterations(IterationControl::FixedCount(count))
    }

    /// So many seeds, or as many as it takes.
    pub fn iterations(self, control: IterationControl) -> Self {
        Self { control, ..self }
    }

    /// Seeds are drawn from this one; 0 unless told.
    pub fn master_seed(self, seed: u64) -> Self {
        Self { master_seed: seed, ..self }
    }

    /// On so many threads.
    pub fn jobs(self, jobs: usize) -> Self {
        Self { jobs: Some(jobs), ..self }
    }

    /// Keeps failures in this file.
    pub fn regressions(self, path: impl Into<PathBuf>) -> Self {
        Self { regressions: Regressions::At(path.into()), ..self }
    }

    /// Keeps no failure.
    pub fn without_regressions(self) -> Self {
        Self { regressions: Regressions::None, ..self }
    }

    /// Shrinks a failure in at most so many runs; not at all if 0.
    pub fn shrink_runs_max(self, runs: u32) -> Self {
        Self { shrink_runs_max: runs, ..self }
    }

    /// Runs no further seed once one has failed.
    pub fn stop_at_first_failure(self) -> Self {
        Self { stops_at_first_failure: true, ..self }
    }

    /// Runs one in so many seeds twice, on another thread and heap, and compares; none if 0. The first of them is run in
    /// a process of its own as well, see [`Self::without_process`].
    pub fn check_every(self, seeds: u64) -> Self {
        Self { compare_every: seeds, ..self }
    }

    /// Hears nothing of the environment.
    pub fn ignore_environment(self) -> Self {
        Self { reads_environment: false, ..self }
    }

    /// Makes no run in a process of its own. Otherwise, where a test harness runs this test by name, the first seed that
    /// is run twice is run there as well: the harness is started anew with this test alone, which comes to this check and
    /// no farther, and passes over those that it makes before. To be used by a test that cannot be run twice at a time.
    pub fn without_process(self) -> Self {
        Self { uses_process: false, ..self }
    }

    /// Runs the test that `define` defines.
    ///
    /// # Panics
    ///
    /// If a run fails, or a variable of the environment cannot be used.
    pub fn run(&self, define: impl Fn(&mut Test) + Send + Sync) {
        let (test, scenario) = (TestName::current(), test_scenario(&define));
        let Part::Own(process) = take_part(&test, &scenario) else { return };
        let environment = self.environment();
        let process = process.filter(|_| self.uses_process);
        if let Some(replay) = environment.one_run() {
            one_run(&scenario, &replay, &environment, process.as_ref());
            return;
        }
        let report = self.campaign(&environment, &test, &scenario, process);
        publish_checks(&report.checks);
        let name = test.test.clone().unwrap_or_else(|| "check".to_owned());
        assert!(report.failed.is_empty(), "{}", failure_text(&name, &test, &scenario, &report));
        let notes = notes(&report);
        if !notes.is_empty() {
            eprintln!("{name}: {} seeds passed\n{notes}", report.seeds.len());
        }
    }

    /// Runs the test that `define` defines, and tells what came of it.
    ///
    /// # Panics
    ///
    /// If a variable of the environment cannot be used.
    pub fn report(&self, define: impl Fn(&mut Test) + Send + Sync) -> CheckReport {
        let (test, scenario) = (TestName::current(), test_scenario(&define));
        let Part::Own(process) = take_part(&test, &scenario) else {
            return CheckReport { report: CampaignReport::default(), says: String::new() };
        };
        let process = process.filter(|_| self.uses_process);
        let report = self.campaign(&self.environment(), &test, &scenario, process);
        publish_checks(&report.checks);
        let says = failure_text("check", &test, &scenario, &report);
        CheckReport { report, says }
    }

    fn environment(&self) -> Environment {
        if self.reads_environment { Environment::read() } else { Environment::default() }
    }

    fn campaign(
        &self,
        environment: &Environment,
        test: &TestName,
        scenario: &dyn Scenario,
        process: Option<Fresh>,
    ) -> CampaignReport {
        let seeds = environment.seeds.map(|seeds| usize::try_from(seeds).unwrap_or(usize::MAX));
        let plan = CampaignPlan {
            name: test.test.clone().unwrap_or_else(|| "check".to_owned()),
            seeds: Vec::new(),
            master_seed: self.master_seed,
            control: seeds.map_or(self.control, IterationControl::FixedCount),
            jobs: environment.jobs.or(self.jobs).unwrap_or_else(jobs_of_machine),
            regressions: match &self.regressions {
                Regressions::OfTest => test.regressions(),
                Regressions::None => None,
                Regressions::At(path) => Some(path.clone()),
            },
            shrink_runs_max: self.shrink_runs_max,
            stops_at_first_failure: self.stops_at_first_failure,
            check_every: environment.check_every.unwrap_or(self.compare_every),
            process,
            only: environment.one_run(),
        };
        campaign::run(&plan, scenario)
    }
}

impl Default for Check {
    fn default() -> Self {
        Self::new()
    }
}

/// What came of a [`Check`].
#[derive(Debug)]
pub struct CheckReport {
    report: CampaignReport,
    says: String,
}

impl CheckReport {
    /// Whether no run failed.
    pub fn is_ok(&self) -> bool {
        self.report.failed.is_empty()
    }

    /// How many runs were made.
    pub fn runs(&self) -> usize {
        self.report.seeds.len()
    }

    /// Seeds of the runs that failed.
    pub fn failed_seeds(&self) -> Vec<u64> {
        self.report.failed.iter().map(|run| run.seed).collect()
    }

    /// Why each of them did.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.report.failed.iter().flat_map(|run| &run.failures)
    }

    /// The lines that repeat them, and how many decisions each has that are not plain; none of a run that was not shrunk.
    pub fn replays(&self) -> impl Iterator<Item = (String, Option<usize>)> {
        self.report.failed.iter().map(|run| {
            let choices = run.shrunk.as_ref().map(|shrunk| shrunk.tape.len());
            (run.replay.to_string(), choices)
        })
    }

    /// Hash of all that happened, run by run.
    pub fn hashes(&self) -> Vec<u64> {
        self.report.seeds.iter().map(|seed| seed.hash).collect()
    }

    /// How often faults of `family` acted, in all runs.
    pub fn acted(&self, family: FaultFamily) -> u64 {
        self.report.acted.get(&family).copied().unwrap_or(0)
    }

    /// Families that were on in some run and acted in none: they test nothing.
    pub fn inert_families(&self) -> Vec<FaultFamily> {
        self.report.inert()
    }

    /// Checks by name.
    pub fn assertions(&self) -> std::collections::BTreeMap<String, AssertionStats> {
        self.report.assertions()
    }

    /// What [`check`] would say.
    pub fn text(&self) -> &str {
        &self.says
    }
}

pub(crate) fn test_scenario<'a>(define: &'a (dyn Fn(&mut Test) + Sync + 'a)) -> impl Scenario + 'a {
    |request: &Request| run_test(&|test| define(test), request)
}

/// Runs one run with all that can be told of it.
pub(crate) fn one_run(
    scenario: &dyn Scenario,
    replay: &Replay,
    environment: &Environment,
    process: Option<&Fresh>,
) {
    let outcome = run_again(scenario, replay, environment.until_event, ATTEMPTS, process);
    let is_other = replay.config.is_some_and(|config| config != outcome.config);
    if is_other {
        eprintln!("this line is of another configuration of the test: it may name another run now");
    }
    let report = &outcome.report;
    let (seed, ended_at, events, hash) = (report.seed, report.ended_at, report.events, report.hash);
    eprintln!("seed {seed}: ended at {ended_at} after {events} events, hash {hash:016x}");
    for note in &outcome.notes {
        eprintln!("{note}");
    }
    if let Some(path) = &environment.timeline {
        let timeline = Timeline::of_outcome(&format!("seed {seed}"), &outcome);
        write_timeline(path, &timeline);
    }
    if let Some(dump) = &outcome.dump {
        let from = report.trace.len().saturating_sub(EVENTS_SHOWN_MAX);
        for event in &report.trace[from..] {
            eprintln!("event {} at {}: {:?}", event.number, event.time, event.what);
        }
        eprintln!("these tasks are there:\n{dump}");
    }
    let failures: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "seed {seed} failed\n  {}", failures.join("\n  "));
}

fn write_timeline(path: &Path, timeline: &Timeline) {
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let text = if is_json { timeline.to_perfetto() } else { timeline.to_html() };
    match fs::write(path, text) {
        Ok(()) => eprintln!("timeline: {}", path.display()),
        Err(error) => eprintln!("{}: {error}", path.display()),
    }
}

/// How often the one run is compared with itself: an order of two shows itself in all but one of a million.
const ATTEMPTS: u32 = 20;
const EVENTS_SHOWN_MAX: usize = 20;
