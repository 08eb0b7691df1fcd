//! Measures our simulator beside the limit, a bare heap of events, which simulates nothing, and beside its peers:
//! moonpool-sim, bare and through its builder, turmoil and madsim. Peers are programs of their own, built by
//! `cargo build --release` in `peers` and `madsim`; what is not built is left out.
//!
//! Every measurement is a process of its own. Rounds alternate their order, and each figure is divided by another row's
//! of its own round: by the heap's, or by ours. Instructions are counted by valgrind's callgrind over two sizes, whose
//! difference has no start-up in it; they are the figure to compare, as they do not depend on who else uses the machine.
//!
//! # What this program does not do
//!
//! It judges no one and keeps no history: a table of medians.

mod callgrind;
mod draws;
mod heap;
mod kv;
mod measure;
mod requests;
mod run;
mod store;
mod timers;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// Fails with whatever went wrong, in words.
pub(crate) type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

#[derive(Debug, Parser)]
#[command(about = "Measures samestep-sim beside a bare heap of events, and beside its peers.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run all rows and print their medians.
    Run {
        /// Rounds. Figures are medians over them.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Tiny sizes: proves that everything runs. The figures mean nothing.
        #[arg(long)]
        quick: bool,
        /// Count no instructions and no allocations. They need valgrind.
        #[arg(long)]
        no_instructions: bool,
    },
    /// One measurement, in this process: what `run` starts, and what a profiler wants.
    One {
        /// What to measure.
        row: Row,
        /// How often: see the row.
        size: u64,
    },
}

/// What is measured. `size` is of the work, so that two sizes can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Row {
    /// The limit of timers: 1000 deadlines in a heap, each replaced `size` times.
    HeapTimers,
    /// 1000 tasks, each of which sleeps `size` times, up to a second.
    Timers,
    /// The limit of requests: two events and a copy of 64 bytes for each of 4 x `size` requests.
    HeapRequests,
    /// 4 clients and a server in a bare world, `size` requests of 64 bytes each, no faults.
    Requests,
    /// As before, through `check`, which users call.
    CheckedRequests,
    /// As before, with the default faults of the network that requests survive.
    FaultyRequests,
    /// `size` seeds of a key-value store on five nodes, through `check`, no faults.
    Kv,
    /// As before, with a swarm of faults.
    FaultyKv,
}

impl Row {
    /// Does the work, and tells how many operations that were.
    fn work(self, size: u64) -> u64 {
        match self {
            Self::HeapTimers => heap::timers(size),
            Self::Timers => timers::run(size),
            Self::HeapRequests => heap::requests(size),
            Self::Requests => requests::bare(size),
            Self::CheckedRequests => requests::checked(size),
            Self::FaultyRequests => requests::faulty(size),
            Self::Kv => kv::plain(size),
            Self::FaultyKv => kv::faulty(size),
        }
    }
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run { rounds, quick, no_instructions } => {
            let extent = match (quick, no_instructions) {
                (true, _) => run::Extent::Quick,
                (false, true) => run::Extent::Times,
                (false, false) => run::Extent::Whole,
            };
            run::run(rounds, extent)
        }
        Command::One { row, size } => {
            measure::measure(|| row.work(size));
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
