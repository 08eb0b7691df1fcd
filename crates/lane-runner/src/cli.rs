//! The command line of a lane binary.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use samestep_replay_traits::Seed;

use crate::process::WorkerCommand;
use crate::report::ReportFile;
use crate::shard::Shard;
use crate::soak::SoakArgs;

/// Runs determinism lanes many times and compares what they did.
///
/// Each lane runs `--iterations` times, each time in a fresh process. The processes differ in all that must not
/// matter: hash seeds, address layout, heap contents, environment, locale, time zone, current directory, number
/// of CPUs and threads. Every transcript must equal the first byte for byte, and then have the digest that
/// stands in determinism.lock.
#[derive(Debug, Parser)]
#[command(after_help = AFTER_HELP, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// What else the binary does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run lanes and compare, as without a command, so that this binary can be all of an xtask
    Determinism(RunArgs),
    /// Run one lane once and print its transcript, and nothing else, to standard output
    Show(ShowArgs),
    /// Join the JSON reports of all shards into one, and judge the whole
    Merge(MergeArgs),
    /// Draw new seeds for lanes that do something else with each, and save those that fail
    Soak(SoakArgs),
    /// Make one run (the runner starts itself with this)
    #[command(hide = true)]
    Worker(WorkerArgs),
}

/// How lanes are run and compared.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Run only this lane, or, if NAME ends in `/`, all lanes that begin with it. May be repeated
    #[arg(long = "lane", value_name = "NAME")]
    pub(crate) lanes: Vec<String>,
    /// How often each lane runs, each time in a fresh process
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) iterations: u32,
    /// Seed of all lanes [default: what the lock file has for the lane, else 1]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<Seed>,
    /// How many processes run side by side [default: the number of CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
    /// Make this iteration alone, in the surroundings that it has in a whole run. May be repeated
    #[arg(long = "variation", value_name = "K", conflicts_with = "iterations", requires = "lanes")]
    pub(crate) variations: Vec<u32>,
    /// Seconds after which a run counts as hung and is killed
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = parse_seconds)]
    pub(crate) timeout: Duration,
    /// Start workers with this command, split at spaces, instead of this program: another build of the same lanes, if
    /// need be in an emulator
    #[arg(long, value_name = "COMMAND")]
    pub(crate) worker: Option<WorkerCommand>,
    /// The lock file [default: determinism.lock, here or in the nearest folder above]
    #[arg(long, value_name = "PATH")]
    pub(crate) lock: Option<PathBuf>,
    /// Write what was found to the lock file, if all lanes held. Lanes that were not run keep their lines
    #[arg(long)]
    pub(crate) bless: bool,
    /// Where the transcripts of failed lanes are kept [default: target/determinism of the workspace]
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    /// Write a report: HTML, JSON, JUnit XML or text by the ending of its name (.html .json .xml .txt). May be repeated
    #[arg(long = "report", value_name = "FILE")]
    pub(crate) reports: Vec<ReportFile>,
    /// Make the i-th of n parts of the iterations only, for one of n machines; `merge` joins their JSON reports
    #[arg(long, value_name = "i/n", requires = "reports", conflicts_with_all = ["bless", "variations"])]
    pub(crate) shard: Option<Shard>,
    /// List the lanes, a line each: the name, and what it does
    #[arg(long, conflicts_with_all = ["bless", "variations", "iterations"])]
    pub(crate) list: bool,
}

/// What to show.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The lane
    pub(crate) lane: String,
    /// Its seed [default: what the lock file has for the lane, else 1]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<Seed>,
    /// The iteration whose surroundings it has
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub(crate) variation: u32,
    /// Seconds after which the run counts as hung and is killed
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = parse_seconds)]
    pub(crate) timeout: Duration,
    /// The lock file [default: determinism.lock, here or in the nearest folder above]
    #[arg(long, value_name = "PATH")]
    pub(crate) lock: Option<PathBuf>,
}

/// What to join.
#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// The JSON report of each shard, in any order
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Write a report on the whole, as `--report` of a check does. May be repeated
    #[arg(long = "report", value_name = "FILE")]
    pub(crate) reports: Vec<ReportFile>,
    /// Where the transcripts of failed lanes are kept [default: target/determinism of the workspace]
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}

/// One run, as the parent asks for it.
#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    #[arg(long)]
    pub(crate) lane: String,
    #[arg(long)]
    pub(crate) seed: Seed,
    #[arg(long)]
    pub(crate) variation: u32,
    #[arg(long)]
    pub(crate) folder: PathBuf,
}

/// A number of seconds, which may have a fraction.
pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    if duration.is_zero() { Err("no run ends in no time".to_owned()) } else { Ok(duration) }
}

const AFTER_HELP: &str = "\
Examples:
  (no arguments)                     run all lanes 100 times each
  --lane wal/ --iterations 1000      run the lanes of one crate more often
  --lane wal/roll --bless            a lane now does something else, and that is meant
  --lane wal/roll --seed 7 --variation 0 --variation 23
                                     repeat a mismatch between iterations 0 and 23
  show wal/roll | less               see what a lane writes
  --report out/report.html --report out/junit.xml
                                     a page for people, and a file for the CI's viewer
  --shard 2/4 --report shard-2.json  the second quarter of all iterations, on one of four machines
  --worker 'qemu-aarch64 -L /usr/aarch64-linux-gnu target/aarch64-unknown-linux-gnu/release/lanes'
                                     the same lanes, built for another machine and emulated
  soak --for 2h                      ever new seeds; what fails is saved in determinism.seeds
  merge shard-*.json --report report.html
                                     what the four have found together

A canary is a lane that is nondeterministic on purpose; if its runs agree, the check itself is broken and fails.
One is built in, canary/hash-order. It runs in every check, also if lanes are chosen with --lane; not with --variation.

Environment:
  SAMESTEP_REQUIRE=all    a lane that says it cannot run here has failed
  SAMESTEP_COMMAND        the command to print where a run can be repeated, instead of this program's path
  CI                      no progress bar

Exit codes: 0 all lanes held, 1 some did not, 2 the lanes could not be run as asked";

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::{Cli, parse_seconds};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "--iterations 1",
            "--jobs 0",
            "--variation 1",
            "--lane a/b --variation 1 --iterations 3",
            "--timeout 0",
            "--list --bless",
            "--seed x",
            "--report report.pdf",
            "--shard 2/4",
            "--shard 5/4 --report a.json",
            "--shard 1/4 --report a.json --bless",
            "merge",
        ] {
            assert!(Cli::try_parse_from(format!("lanes {line}").split(' ')).is_err(), "{line}");
        }
        for line in [
            "--lane a/b --variation 1 --variation 2",
            "show a/b --seed 3",
            "--bless --lane wal/",
            "determinism --lane a/b",
            "--shard 2/4 --report a.json --report a.html",
            "merge 1.json 2.json --report all.xml",
        ] {
            assert!(Cli::try_parse_from(format!("lanes {line}").split(' ')).is_ok(), "{line}");
        }
    }

    #[test]
    fn seconds_may_have_a_fraction() {
        assert_eq!(parse_seconds("0.5").map(|seconds| seconds.as_millis()), Ok(500));
        for text in ["", "-1", "0", "NaN", "inf", "1e30"] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }
}
