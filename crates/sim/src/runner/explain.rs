//! What a campaign says of itself: what failed, in which least run, and how to repeat it.

use std::fmt::Write as _;

use crate::fault::FaultLog;
use crate::runner::campaign::{CampaignReport, FailedRun, run_again};
use crate::runner::environment::TestName;
use crate::runner::replay::family_name;
use crate::runner::scenario::Scenario;

/// The whole text for a campaign of which a run failed.
pub(crate) fn failure_text(
    name: &str,
    test: &TestName,
    scenario: &dyn Scenario,
    report: &CampaignReport,
) -> String {
    let (failed, runs) = (report.failed.len(), report.seeds.len());
    let mut said = format!("{name}: {failed} of {runs} runs failed\n");
    for run in report.failed.iter().filter(|run| run.is_first).take(SHOWN_MAX) {
        let _ = write!(said, "\n{}", run_text(test, scenario, run));
    }
    let others: Vec<&FailedRun> = report.failed.iter().filter(|run| !run.is_first).collect();
    for run in others.iter().take(SHOWN_MAX) {
        let first = run.failures.first().map(ToString::to_string).unwrap_or_default();
        let line = first.lines().next().unwrap_or_default();
        let _ = writeln!(said, "\nSIM_REPLAY='{}' {}\n  {line}", run.replay, test.command());
    }
    if others.len() > SHOWN_MAX {
        let _ = writeln!(said, "\nand {} more", others.len() - SHOWN_MAX);
    }
    said.push_str(&notes(report));
    said
}

/// What is worth knowing of a campaign, whether it failed or not.
pub(crate) fn notes(report: &CampaignReport) -> String {
    let mut said = String::new();
    let inert = report.inert();
    if !inert.is_empty() {
        let names: Vec<&str> = inert.iter().map(|family| family.name()).collect();
        let _ = writeln!(said, "\nfaults that were on and never acted: {}", names.join(", "));
    }
    for violation in report.violations() {
        let _ = writeln!(said, "{violation}");
    }
    for note in &report.notes {
        let _ = writeln!(said, "{note}");
    }
    said
}

fn run_text(test: &TestName, scenario: &dyn Scenario, run: &FailedRun) -> String {
    let mut said = String::new();
    let again = run_again(scenario, &run.replay, None, ATTEMPTS, None);
    let least = run.shrunk.as_ref().map_or(&run.failures, |shrunk| &shrunk.failures);
    let failures = if again.report.failures.is_empty() { least } else { &again.report.failures };
    let _ = write!(said, "seed {}", run.seed);
    if let Some(shrunk) = &run.shrunk {
        let (before, after) = (shrunk.choices_before, shrunk.tape.len());
        let cut = if shrunk.is_cut_short { ", and ended there for its limit" } else { "" };
        let _ = write!(said, ", shrunk from {before} choices to {after} in {} runs{cut}", shrunk.runs);
    }
    said.push('\n');
    for failure in failures.iter().take(SHOWN_MAX) {
        let _ = writeln!(said, "  {failure}");
    }
    if let Some(tape) = run.replay.tape.as_ref().filter(|tape| tape.len() <= CHOICES_SHOWN_MAX) {
        for (key, value) in tape {
            let family = family_name(key.family);
            let _ = writeln!(said, "  choice {family}.{}.{} = {value}", key.place, key.number);
        }
    }
    said.push_str(&faults_text(&again.report.faults, &again.nodes));
    let command = test.command();
    let _ = writeln!(said, "  ended at {}, event {}", again.report.ended_at, again.report.events);
    let _ = writeln!(said, "  repeat it:   SIM_REPLAY='{}' {command}", run.replay);
    let _ = writeln!(said, "  look at it:  SIM_TIMELINE=run.html SIM_REPLAY='{}' {command}", run.replay);
    said
}

fn faults_text(faults: &FaultLog, nodes: &[String]) -> String {
    let mut said = String::new();
    let events = faults.events();
    for fault in events.iter().take(FAULTS_SHOWN_MAX) {
        let node = fault.node.and_then(|node| nodes.get(node.0 as usize));
        let on = node.map_or(String::new(), |node| format!(" on {node}"));
        let colon = if fault.detail.is_empty() { "" } else { ": " };
        let _ = writeln!(said, "  {} {}{on}{colon}{}", fault.time, fault.family, fault.detail);
    }
    if events.len() > FAULTS_SHOWN_MAX {
        let _ = writeln!(said, "  and {} faults more", events.len() - FAULTS_SHOWN_MAX);
    }
    said
}

/// How often a run is compared with itself, if it is not known to fail otherwise.
const ATTEMPTS: u32 = 3;
const SHOWN_MAX: usize = 5;
const CHOICES_SHOWN_MAX: usize = 30;
const FAULTS_SHOWN_MAX: usize = 20;
