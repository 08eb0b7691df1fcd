//! Numbers about simulations.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::chaos::{AssertionStats, BuggifySite, ContractViolation, buggify_listing};
use crate::fault::FaultFamily;
use crate::runner::campaign::CampaignReport;

/// What one run took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SimulationMetrics {
    /// Time on the wall.
    pub wall_time: Duration,
    /// Time in the simulation.
    pub simulated_time: Duration,
    /// How much happened.
    pub events_processed: u64,
}

/// What came of simulations.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SimulationReport {
    /// How many runs were made.
    pub iterations: usize,
    /// How many passed.
    pub successful_runs: usize,
    /// How many failed.
    pub failed_runs: usize,
    /// What all took together.
    pub metrics: SimulationMetrics,
    /// What each took, in order; an error is why it failed.
    pub individual_metrics: Vec<Result<SimulationMetrics, String>>,
    /// The seeds, in order.
    pub seeds_used: Vec<u64>,
    /// Those that failed.
    pub seeds_failing: Vec<u64>,
    /// The lines that repeat those that failed.
    pub replays: Vec<String>,
    /// Checks by name.
    pub assertion_results: BTreeMap<String, AssertionStats>,
    /// Checks that failed.
    pub assertion_violations: Vec<String>,
    /// Checks that never held, or that no run came to.
    pub coverage_violations: Vec<String>,
    /// How often each family of faults acted.
    pub faults: BTreeMap<FaultFamily, u64>,
    /// Families that were on in some run and acted in none.
    pub inert_families: Vec<FaultFamily>,
    /// The `buggify` places that were executed.
    pub buggify_sites: Vec<BuggifySite>,
}

impl SimulationReport {
    pub(crate) fn of(report: &CampaignReport) -> Self {
        let failure_of = |seed: u64| {
            let run = report.failed.iter().find(|run| run.seed == seed);
            run.and_then(|run| run.failures.first()).map(ToString::to_string).unwrap_or_default()
        };
        let mut metrics = SimulationMetrics::default();
        let mut individual_metrics = Vec::new();
        for seed in &report.seeds {
            let one = SimulationMetrics {
                wall_time: seed.wall,
                simulated_time: seed.simulated,
                events_processed: seed.events,
            };
            metrics.wall_time += one.wall_time;
            metrics.simulated_time += one.simulated_time;
            metrics.events_processed += one.events_processed;
            individual_metrics.push(if seed.has_failed { Err(failure_of(seed.seed)) } else { Ok(one) });
        }
        let (violations, coverage): (Vec<_>, Vec<_>) =
            report.violations().into_iter().partition(ContractViolation::is_failure);
        Self {
            iterations: report.seeds.len(),
            successful_runs: report.seeds.len() - report.failed.len(),
            failed_runs: report.failed.len(),
            metrics,
            individual_metrics,
            seeds_used: report.seeds.iter().map(|seed| seed.seed).collect(),
            seeds_failing: report.failed.iter().map(|run| run.seed).collect(),
            replays: report.failed.iter().map(|run| run.replay.to_string()).collect(),
            assertion_results: report.assertions(),
            assertion_violations: violations.iter().map(ToString::to_string).collect(),
            coverage_violations: coverage.iter().map(ToString::to_string).collect(),
            faults: report.acted.clone(),
            inert_families: report.inert(),
            buggify_sites: buggify_listing(&report.checks),
        }
    }

    /// The share of runs that passed, in percent; 0 if there were none.
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    pub fn success_rate(&self) -> f64 {
        if self.iterations == 0 { 0.0 } else { self.successful_runs as f64 * 100.0 / self.iterations as f64 }
    }

    /// What a run took in the mean, in simulated time.
    pub fn average_simulated_time(&self) -> Duration {
        let runs = u32::try_from(self.iterations.max(1)).unwrap_or(u32::MAX);
        self.metrics.simulated_time / runs
    }
}

impl fmt::Display for SimulationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { iterations, failed_runs, metrics, .. } = self;
        let (simulated, events) = (metrics.simulated_time, metrics.events_processed);
        writeln!(f, "{iterations} runs, {failed_runs} failed; {simulated:?} simulated, {events} events")?;
        for (seed, why) in self.seeds_used.iter().zip(&self.individual_metrics) {
            if let Err(why) = why {
                writeln!(f, "seed {seed}: {why}")?;
            }
        }
        for (family, count) in &self.faults {
            writeln!(f, "{family}: {count}")?;
        }
        for violation in self.assertion_violations.iter().chain(&self.coverage_violations) {
            writeln!(f, "{violation}")?;
        }
        Ok(())
    }
}

/// Panics if a check failed that must hold always.
///
/// # Panics
///
/// With all of them, if there are any.
pub fn panic_on_assertion_violations(report: &SimulationReport) {
    let violations = &report.assertion_violations;
    assert!(violations.is_empty(), "checks that must hold always did not:\n{}", violations.join("\n"));
}
