//! The simulation over many seeds, and that it finds what it is for.

use std::sync::PoisonError;

use samestep_sim::{Check, FaultFamily};

use crate::service::simulation::{Mistake, Run, Runs, define};

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
