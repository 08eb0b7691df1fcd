//! `roll`, `chop`, `migrate`: plans, shown or run.

use serde_json::json;

use super::{Failed, Outcome, PierArgs, print_json};
use crate::vere::maintain::{
    ChopOptions, Plan, RollOptions, SnapshotClaim, plan_chop, plan_migrate, plan_roll,
};
use crate::vere::{Access, Pier};
use crate::writer::WriteOptions;

#[derive(Debug, clap::Args)]
struct ChangeArgs {
    #[command(flatten)]
    pier: PierArgs,
    /// Show the steps and do none of them.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RollArgs {
    #[command(flatten)]
    change: ChangeArgs,
    /// The event that the live snapshot is of, if its layout is unknown here.
    #[arg(long, value_name = "EVENT")]
    snapshot_at: Option<u64>,
    /// Bytes of address space for LMDB to map, and the most that a data file can grow to.
    #[arg(long, value_name = "BYTES", default_value_t = WriteOptions::default().map_bytes)]
    lmdb_map_size: usize,
}

#[derive(Debug, clap::Args)]
pub(super) struct ChopArgs {
    #[command(flatten)]
    change: ChangeArgs,
    /// How many of the newest epochs stay.
    #[arg(long, default_value_t = 2)]
    keep: usize,
}

pub(super) fn run_roll(args: &RollArgs) -> Result<Outcome, Failed> {
    let pier = args.change.open()?;
    run(&args.change, &pier, &plan_roll(&pier, args.options())?)
}

pub(super) fn run_chop(args: &ChopArgs) -> Result<Outcome, Failed> {
    let pier = args.change.open()?;
    run(&args.change, &pier, &plan_chop(&pier, ChopOptions { keep: args.keep })?)
}

pub(super) fn run_migrate(args: &RollArgs) -> Result<Outcome, Failed> {
    let mut pier = args.change.open()?;
    let outcome = run(&args.change, &pier, &plan_migrate(&pier, args.options())?)?;
    if args.change.dry_run {
        return Ok(outcome);
    }
    pier.reload()?;
    run(&args.change, &pier, &plan_roll(&pier, args.options())?)
}

impl RollArgs {
    fn options(&self) -> RollOptions {
        let snapshot = self.snapshot_at.map_or(SnapshotClaim::InFile, SnapshotClaim::OfEvent);
        RollOptions { snapshot, write: WriteOptions { map_bytes: self.lmdb_map_size } }
    }
}

impl ChangeArgs {
    /// For writing, unless nothing will be written.
    fn open(&self) -> Result<Pier, Failed> {
        self.pier.open(if self.dry_run { Access::Read } else { Access::Write })
    }
}

fn run(args: &ChangeArgs, pier: &Pier, plan: &Plan) -> Result<Outcome, Failed> {
    if !args.pier.json && plan.steps().is_empty() {
        println!("nothing to do");
    }
    if args.dry_run {
        for step in plan.steps().iter().filter(|_| !args.pier.json) {
            println!("would {step}");
        }
    } else {
        plan.run(pier, |step| {
            if !args.pier.json {
                println!("{step}");
            }
        })?;
    }
    if args.pier.json {
        let steps: Vec<String> = plan.steps().iter().map(ToString::to_string).collect();
        print_json(&json!({ "is_done": !args.dry_run, "steps": steps }))?;
    }
    Ok(Outcome::Sound)
}
