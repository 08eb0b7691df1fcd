//! Measures our write-ahead log beside other engines and beside the physical limit of the same minute.
//!
//! Every measurement is a process of its own, so that no engine inherits another's memory, threads or settings.
//! Rounds alternate their order, each figure is divided by the limit of its own round, and what an engine wrote is
//! read back and compared: a fast log that lost something fails.
//!
//! # What this program does not do
//!
//! It draws no graphs, keeps no history and judges no one: a table, and the raw figures as JSON.

#![deny(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::engines::Engine;
use crate::worker::Step;

#[expect(unsafe_code, reason = "a global allocator is an unsafe trait")]
mod alloc;
mod callgrind;
mod emission;
mod engines;
mod lmdb;
mod machine;
mod mapped;
mod payload;
mod report;
mod rows;
mod run;
mod worker;

/// Fails with whatever went wrong, in words.
pub(crate) type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

#[derive(Debug, Parser)]
#[command(about, long_about = LONG_ABOUT, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run rows of the write-ahead log comparison and print their tables.
    #[command(after_help = EXAMPLES)]
    Wal(WalArgs),
    /// List the rows: what each measures, beside whom, and what the limit is.
    Rows,
    /// Walk, verify and replay event logs in LMDB, beside its own library.
    Lmdb(lmdb::LmdbArgs),
    /// One measurement of `lmdb`, in this process.
    LmdbOne(lmdb::LmdbOneArgs),
    /// Events through the outbox, snapshots of it, and canonical lines beside a copy and a hash of the same bytes.
    Emission(emission::EmissionArgs),
    /// One step of one measurement, in this process: what `wal` starts, and what a profiler wants.
    #[command(after_help = ONE_EXAMPLES)]
    One(OneArgs),
}

/// What to run.
#[derive(Args, Debug)]
pub(crate) struct WalArgs {
    /// Rows to run, by name; see `rows`. Default: all.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Engines to run; the row's limit always runs. Default: all that the row has.
    #[arg(long, value_delimiter = ',')]
    engines: Vec<Engine>,
    /// Rounds per row. Figures are medians over them. Default: 5, with --quick 1.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Tiny sizes, one round: a few seconds that prove that everything runs. The figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Write all raw figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where the logs go: a folder in it, removed afterwards. Needs 8 GiB. Its file system is what is measured.
    /// Default: target/ of this workspace.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Count no instructions. They need valgrind, and are skipped with a note where it is missing.
    #[arg(long)]
    no_instructions: bool,
}

/// Which step.
#[derive(Args, Debug)]
pub(crate) struct OneArgs {
    /// The row's name.
    #[arg(long)]
    row: String,
    /// Whom to measure.
    #[arg(long)]
    engine: Engine,
    /// What to do. Rows that read need `prepare` first.
    #[arg(long, default_value = "measure")]
    step: Step,
    /// The log's folder.
    #[arg(long)]
    dir: PathBuf,
    /// The sizes of `wal --quick`.
    #[arg(long)]
    quick: bool,
    /// Records, in place of the row's own number.
    #[arg(long)]
    records: Option<u64>,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Wal(args) => run::run(&args),
        Command::Rows => {
            rows::print();
            Ok(())
        }
        Command::One(args) => worker::run(&args),
        Command::Lmdb(args) => lmdb::run(&args),
        Command::Emission(args) => emission::run(&args),
        Command::LmdbOne(args) => lmdb::run_one(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

const LONG_ABOUT: &str = "\
Measures samestep-wal beside raft-engine, okaywal and walrus-rust, and beside the physical limit: what bare system
calls reach on the same disk in the same minute. Absolute figures belong to one machine and one day; compare the
ratios. Each measurement is a process of its own, rounds alternate their order, a ratio is taken within its round,
and everything written is read back and compared.";

const EXAMPLES: &str = "\
Examples:
  cargo run --release -- wal                                  everything, about ten minutes, 8 GiB of disk
  cargo run --release -- wal --quick                          does it all still run? a few seconds
  cargo run --release -- wal --rows synced-256,replay-256     two rows
  cargo run --release -- wal --engines ours --rounds 3        ours beside the limit
  cargo run --release -- rows                                 what the rows are";

const ONE_EXAMPLES: &str = "\
Example, where the instructions of an append go:
  valgrind --tool=callgrind target/release/samestep-benches one --row unsynced-256 --engine ours \\
    --step count --records 100000 --dir target/profile
  callgrind_annotate callgrind.out.*";
