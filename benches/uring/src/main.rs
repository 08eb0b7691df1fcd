//! Measures our runtime beside others and beside bare loops, which are the limit.
//!
//! Every measurement is a process of its own. Rounds alternate their order, and each figure is divided by the limit's of
//! its own round. Where a device or the kernel's TCP hides the runtimes, the time of the processor is the figure to
//! compare; instructions (callgrind) and system calls (strace) are counted over two sizes, whose difference has no
//! start-up in it, and do not depend on who else uses the machine.
//!
//! # What this program does not do
//!
//! It judges no one and keeps no history: tables of medians.

mod client;
mod counts;
mod cross;
mod draws;
mod figures;
mod files;
mod machine;
mod net;
mod one;
mod pages;
mod peers;
mod raw;
mod report;
mod rows;
mod run;
mod tasks;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::rows::{ROWS, Row, Who};

/// Fails with whatever went wrong, in words.
pub(crate) type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

#[derive(Debug, Parser)]
#[command(about = "Measures samestep-uring-rt beside other runtimes, bare loops and fio.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what is measured, and what the limit of each row is.
    Rows,
    /// Run rows and print their medians as Markdown.
    Run(run::Options),
    /// One measurement, in this process: what `run` starts, and what a profiler wants.
    One {
        /// A name from `rows`.
        #[arg(value_parser = row_named)]
        row: &'static Row,
        /// Who does it: limit, ours, or a peer's name.
        #[arg(value_parser = who_named)]
        who: Who,
        /// How much of it, if not as much as `run` does.
        size: Option<u64>,
        /// Where files are made, and left for the next time.
        #[arg(long, default_value = "target/files")]
        folder: PathBuf,
        /// Blocks of 4 KiB of the file that is read, if it is not there.
        #[arg(long, default_value_t = run::BLOCKS)]
        blocks: u64,
    },
    /// Load a server: what a measurement of one starts.
    Load { kind: client::Kind, port: u16, connections: u64, requests: u64 },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Rows => {
            report::print_rows();
            Ok(())
        }
        Command::Run(options) => run::run(&options),
        Command::Load { kind, port, connections, requests } => client::run(kind, port, connections, requests),
        Command::One { row, who, size, folder, blocks } => one(row, who, size, folder, blocks),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn one(row: &Row, who: Who, size: Option<u64>, folder: PathBuf, blocks: u64) -> Result<()> {
    if !row.work.is_done_by(who) {
        return Err(format!("{who} does not do {}", row.name).into());
    }
    machine::raise_descriptors();
    std::fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    files::prepare(&folder.join(one::DATA), blocks)?;
    let figures = one::measure(row, who, size.unwrap_or(row.size.0), &folder)?;
    println!("{figures}");
    Ok(())
}

fn row_named(name: &str) -> Result<&'static Row, String> {
    let names = || ROWS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
    Row::named(name).ok_or_else(|| format!("there is no such row; there are {}", names()))
}

fn who_named(name: &str) -> Result<Who, String> {
    let names = || rows::ALL.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Who::named(name).ok_or_else(|| format!("there is no such peer; there are {}", names()))
}
