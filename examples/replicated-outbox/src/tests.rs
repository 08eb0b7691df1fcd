//! The simulation over many seeds, and that it finds what it is for.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use samestep_sim::{Check, FaultFamily, WorldConfig};

use crate::service::script::Script;
use crate::service::simulation::{Mistake, Run, Runs, define};
use crate::service::stage::{perform_simulated, troubled};

/// 64 seeds, or as many as `SIM_SEEDS` says.
#[test]
fn nothing_is_lost_or_doubled_in_simulation() {
    let runs = Runs::default();
    Check::new().run(|test| define(test, Mistake::None, &runs));
}

/// What is survived has happened: each kind of fault, duplicates, other leaders, snapshots from leaders.
#[test]
fn all_that_is_survived_happens() {
    let runs = Runs::default();
    let check = Check::new().seeds(64).without_regressions().ignore_environment();
    let report = check.report(|test| define(test, Mistake::None, &runs));
    assert!(report.is_ok(), "{}", report.text());
    for family in [
        FaultFamily::Crash,
        FaultFamily::TornWrite,
        FaultFamily::LostName,
        FaultFamily::GracefulReboot,
        FaultFamily::Pause,
        FaultFamily::Partition,
        FaultFamily::Clog,
        FaultFamily::RandomClose,
        FaultFamily::HalfOpen,
        FaultFamily::ConnectRefused,
        FaultFamily::PartialRead,
        FaultFamily::PartialWrite,
        FaultFamily::ShortIo,
        FaultFamily::DiskStall,
        FaultFamily::DiskThrottle,
        FaultFamily::BuggifiedDelay,
        FaultFamily::ReadError,
        FaultFamily::WriteError,
        FaultFamily::SyncFailure,
        FaultFamily::NoSpace,
    ] {
        assert!(report.acted(family) > 0, "{family:?} never acted");
    }
    let runs = runs.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(runs.len(), 64);
    let total = |of: fn(&Run) -> u64| runs.values().map(of).sum::<u64>();
    assert!(total(|run| run.events) > 64 * 50, "{runs:?}");
    assert!(total(|run| run.duplicates) > 64, "{runs:?}");
    assert!(total(|run| run.connections) > 64 * 2, "{runs:?}");
    assert!(total(|run| run.installed) > 0, "{runs:?}");
    assert!(total(|run| run.boots) > 64 * 4, "{runs:?}");
    assert!(total(|run| u64::from(run.nodes == 5)) > 16, "{runs:?}");
    assert!(total(|run| u64::from(run.nodes == 3)) > 16, "{runs:?}");
}

/// Thirty scripts, each in an honest world and in four troubled ones: the lines are what the script says, and all
/// positions in order; and the worlds were not all alike.
#[test]
fn a_script_gives_one_transcript_in_every_simulated_world() {
    let mut duplicates = BTreeSet::new();
    for seed in 0..30 {
        let script = Script::new(seed);
        let honest =
            perform_simulated(WorldConfig::new(seed), &script).unwrap_or_else(|error| panic!("{error}"));
        let text = String::from_utf8_lossy(&honest.lines).into_owned();
        assert_eq!(text.lines().count() as u64, script.events(), "{text}");
        for (seq, line) in (1_u64..).zip(text.lines()) {
            assert!(line.ends_with(&format!("|{seq}|DATA|delta=order {seq}")), "{line}");
        }
        let last = text.lines().last().and_then(|line| line.split('|').nth(3));
        assert_eq!(last, Some(&*(1 + script.leaders()).to_string()), "{text}");
        for world in 0..4 {
            let told = perform_simulated(troubled(100 * seed + world), &script);
            let told = told.unwrap_or_else(|error| panic!("script {seed}, world {world}: {error}"));
            assert_eq!(String::from_utf8_lossy(&told.lines), text, "script {seed}, world {world}");
            assert_eq!(told.digest, honest.digest);
            duplicates.insert(told.duplicates);
        }
    }
    assert!(duplicates.len() > 1, "nothing ever came twice: {duplicates:?}");
}

/// A node whose messages leave before what they speak of is durable.
#[test]
fn a_missing_sync_is_found() {
    is_found(Mistake::Unsynced);
}

/// A client that does not take the receiver's word.
#[test]
fn a_missing_deduplication_is_found() {
    is_found(Mistake::Doubled);
}

/// By each of five campaigns of 200 seeds at most.
fn is_found(mistake: Mistake) {
    let mut seeds = Vec::new();
    for master_seed in 0..5 {
        let runs = Runs::default();
        let check = Check::new().seeds(200).master_seed(master_seed).shrink_runs_max(0);
        let check = check.stop_at_first_failure().without_regressions().ignore_environment();
        let report = check.report(|test| define(test, mistake, &runs));
        assert!(!report.is_ok(), "{mistake:?} is not found in {} seeds of {master_seed}", report.runs());
        if master_seed == 0 {
            println!("{}", report.text());
        }
        seeds.push(report.runs());
    }
    println!("{mistake:?}: found after these many seeds: {seeds:?}");
}
