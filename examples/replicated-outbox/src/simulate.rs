//! Shows the simulation: what happened in each run, and what came of it.

use std::sync::PoisonError;

use clap::{Args, ValueEnum};
use samestep_sim::{Check, FaultFamily};

use crate::service::Result;
use crate::service::simulation::{Mistake, Run, Runs, define};

/// What to simulate.
#[derive(Args, Debug)]
pub(crate) struct SimulateArgs {
    /// Run nodes and client in so many simulated worlds instead, under other faults in each.
    #[arg(long, value_name = "SEEDS", conflicts_with_all = ["kills", "dir"])]
    pub(crate) simulate: Option<usize>,
    /// With a mistake in the program, which the simulation is to find.
    #[arg(long, requires = "simulate")]
    mistake: Option<Planted>,
    /// Where the seeds come from: the same number gives the same runs.
    #[arg(long, requires = "simulate", default_value_t = 0)]
    master_seed: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Planted {
    /// Messages leave before what they speak of is durable.
    Unsynced,
    /// The client processes what it has processed.
    Doubled,
}

/// Runs `seeds` worlds, and tells of them.
///
/// # Errors
///
/// What is wrong in the first run that fails, and the line that repeats it.
///
/// # Panics
///
/// If `SIM_REPLAY` or `SIM_SEED` names one run, and it fails.
pub(crate) fn run(args: &SimulateArgs, seeds: usize) -> Result<()> {
    let mistake = match args.mistake {
        None => Mistake::None,
        Some(Planted::Unsynced) => Mistake::Unsynced,
        Some(Planted::Doubled) => Mistake::Doubled,
    };
    let runs = Runs::default();
    if names_one_run() {
        Check::new().run(|test| define(test, mistake, &runs));
        return Ok(());
    }
    let check = Check::new().seeds(seeds).master_seed(args.master_seed).shrink_runs_max(SHRINK_RUNS_MAX);
    let check = check.stop_at_first_failure().without_regressions().ignore_environment();
    let report = check.report(|test| define(test, mistake, &runs));
    let runs = runs.lock().unwrap_or_else(PoisonError::into_inner);
    println!(
        "three or five nodes and a client for 20 s in each of {seeds} worlds, and what went wrong there"
    );
    println!(
        "{:>20} {:>5} {:>6} {:>6} {:>8} {:>9} {:>10} {:>16}",
        "seed", "nodes", "events", "boots", "connects", "snapshots", "duplicates", "lines"
    );
    for (seed, run) in runs.iter().take(SHOWN_MAX) {
        let Run { nodes, events, boots, connections, installed, duplicates, lines, .. } = run;
        println!(
            "{seed:>20} {nodes:>5} {events:>6} {boots:>6} {connections:>8} {installed:>9} {duplicates:>10} {lines:016x}"
        );
    }
    if runs.len() > SHOWN_MAX {
        println!("{:>20}", format!("and {} more", runs.len() - SHOWN_MAX));
    }
    let acted = FaultFamily::ALL.into_iter().map(|family| (family, report.acted(family)));
    let acted: Vec<String> = acted
        .filter(|(_, times)| *times > 0)
        .map(|(family, times)| format!("{} {times}", family.name()))
        .collect();
    println!("\nfaults that acted: {}", acted.join(", "));
    if !report.is_ok() {
        return Err(format!("found after {} runs\n{}", report.runs(), report.text()).into());
    }
    let total = |of: fn(&Run) -> u64| runs.values().map(of).sum::<u64>();
    println!(
        "\n{} events published and processed, each once and in order; {} duplicates and {} late leaders' deliveries dropped",
        total(|run| run.events),
        total(|run| run.duplicates),
        total(|run| run.fenced),
    );
    println!(
        "0 lost, 0 doubled; {} entries, on all nodes the same; after each, all states equal",
        total(|run| run.entries)
    );
    Ok(())
}

/// A failure is printed with the variables that repeat it, or draw it.
#[expect(clippy::disallowed_methods, reason = "which run is looked at is for who runs it to say")]
fn names_one_run() -> bool {
    ["SIM_REPLAY", "SIM_SEED"].iter().any(|name| std::env::var_os(name).is_some())
}

const SHOWN_MAX: usize = 16;
const SHRINK_RUNS_MAX: u32 = 100;
