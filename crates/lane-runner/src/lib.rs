//! Runs determinism lanes many times, in fresh processes that differ in all that must not matter, and compares.
//!
//! A [`Lane`] is a scenario that turns a seed into a transcript. A lane binary is a list of them:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use samestep_replay_traits::{Event, Lane, LaneContext, LaneError, Transcript};
//!
//! struct Sorting;
//!
//! impl Lane for Sorting {
//!     fn name(&self) -> &str {
//!         "demo/sorting"
//!     }
//!
//!     fn about(&self) -> &str {
//!         "sorts seeded numbers"
//!     }
//!
//!     fn run(&self, context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
//!         let mut numbers = ["a", "b", "c"].map(|name| context.seed().fork(name).get());
//!         numbers.sort_unstable();
//!         numbers.iter().for_each(|number| transcript.event(&Event::new("sorted").field("number", number)));
//!         Ok(())
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     samestep_lane_runner::main(&[&Sorting])
//! }
//! ```
//!
//! The binary is parent and worker both: it starts itself, once per run. Its `--help` tells the rest.
//!
//! # What differs from run to run
//!
//! By the operating system, in each process: hash seeds, address layout, process ids, wall time, names of
//! folders. Drawn from the number of the iteration, so that it can be repeated with `--variation`: time zone,
//! locale, contents and holes of the heap, CPU affinity (and so `available_parallelism`), the thread counts that
//! pools read from the environment, further variables, depth of the current directory. Neighbouring iterations
//! differ in each of these.
//!
//! # What counts
//!
//! Every transcript equals the first byte for byte, and has the digest that stands in `determinism.lock`. A lane
//! that writes nothing has failed, as has one that is skipped in some runs only. Lanes that expect
//! [`Expectation::Differ`] are canaries: if their runs agree, the check is broken and fails. One is built in and
//! runs in every check, also of chosen lanes; only `--variation`, which repeats single iterations to look into a
//! mismatch, goes without.
//!
//! # What comes of it
//!
//! A line a lane, with all that is known of a failure; where the time went; an exit code. `--report` writes the same as
//! a page, as JUnit XML, as JSON or as text. `--shard i/n` makes a part of the iterations on one of n machines, and
//! `merge` says of all parts what the whole would have said. `soak` draws new seeds for lanes that say
//! [`Seeding::Random`]. `--worker` starts workers that are another program: another build of the same lanes, if need be
//! in an emulator.
//!
//! # What this crate does not do
//!
//! - It does not shift the clock: a process cannot do that to its children without libraries that are loaded
//!   before them. The first and the last run of a lane start at least 1.1 seconds apart, so a wall time in whole
//!   seconds is caught, and local dates differ by time zone; what changes once a day in UTC is not caught by one
//!   check. `determinism.lock` catches it on the next day.
//! - Off Linux it varies no CPUs. On Windows it does not build.
//! - It explores no schedules: a race that loses once in a million runs needs a simulator, not a hundred runs.
//! - The order in which inherited environment variables stand is the standard library's: sorted.
//!
//! [`Lane`]: samestep_replay_traits::Lane
//! [`Expectation::Differ`]: samestep_replay_traits::Expectation::Differ
//! [`Seeding::Random`]: samestep_replay_traits::Seeding::Random

#![forbid(unsafe_code)]

mod as_text;
mod canary;
mod check;
mod cli;
mod compare;
mod drive;
mod lock;
mod lock_file;
mod merge;
mod process;
mod progress;
mod record;
mod report;
mod schedule;
mod shard;
mod soak;
mod suite;
mod tally;
mod variation;
mod worker;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser as _;
use samestep_replay_traits::Lane;

use crate::check::Shown;
use crate::cli::{Cli, Command, RunArgs};
use crate::suite::Suite;

/// The whole of a lane binary: reads the command line, runs the lanes, and says how it went.
///
/// To be called first thing in `main`, before other threads exist: a worker confines its whole process to some
/// of the CPUs, which it can do for threads to come only.
///
/// Exits with 0 if all lanes held, 1 if some did not, and 2 if they could not be run as asked.
pub fn main(lanes: &[&dyn Lane]) -> ExitCode {
    let cli = Cli::parse();
    match dispatch(lanes, &cli) {
        Ok(Shown::Same) => ExitCode::SUCCESS,
        Ok(Shown::NotSame) => ExitCode::from(1),
        Err(error) => {
            let mut message = format!("error: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                message = format!("{message}: {cause}");
                source = cause.source();
            }
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn dispatch(lanes: &[&dyn Lane], cli: &Cli) -> Result<Shown, Box<dyn Error>> {
    let suite = Suite::new(lanes)?;
    let run = |args: &RunArgs| if args.list { check::list(&suite, args) } else { check::check(&suite, args) };
    match &cli.command {
        None => run(&cli.run),
        Some(Command::Determinism(args)) => run(args),
        Some(Command::Show(args)) => check::show(&suite, args),
        Some(Command::Merge(args)) => check::merge(args),
        Some(Command::Soak(args)) => soak::soak(&suite, args),
        Some(Command::Worker(args)) => {
            worker::run(suite.find(&args.lane)?, args.seed, args.variation, &args.folder)?;
            Ok(Shown::Same)
        }
    }
}

/// The program in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
