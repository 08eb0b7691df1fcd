//! The command `samestep-wal`.
//!
//! Each command is a thin driver: it parses arguments, looks at the log or opens it, and prints. Commands that only
//! look never write, lock or create anything.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::OpenError;
use crate::op::DiskError;
use crate::read_only::ReadOnlyDisk;
use crate::verify::Finding;

mod bench;
mod dump;
mod export;
mod inspect;
mod repair;
mod survey;
mod verify;

use survey::{Opened, Survey, dry_open, survey};

/// Runs the command with this process's arguments.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let is_asked_for = !error.use_stderr();
            let _printed = error.print();
            return ExitCode::from(if is_asked_for { 0 } else { Outcome::Usage as u8 });
        }
    };
    let outcome = match args.command {
        Command::Inspect(args) => inspect::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Dump(args) => dump::run(&args),
        Command::Repair(args) => repair::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    match outcome {
        Ok(outcome) => ExitCode::from(outcome as u8),
        Err(Failed::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("samestep-wal: {}", failed.chain());
            ExitCode::from(failed.outcome() as u8)
        }
    }
}

/// Looks at a write-ahead log, checks it, mends it and copies it.
#[derive(Debug, Parser)]
#[command(name = "samestep-wal", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done; the log is sound, also if it was not closed and the next opening will recover it
  1  the command line is wrong, or the command refused what it was asked to do
  2  something was found: damage, or a file that needs attention
  3  another process has the log open, and the command needs it alone
  5  the disk refused an operation

inspect, verify, dump and export change nothing in DIR: no byte, no lock file, no time stamp.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows what a log is: segments, indices, states, and what an opening would do.
    #[command(
        after_help = "Examples:\n  samestep-wal inspect /var/lib/db/log\n  samestep-wal inspect --json log | jq .opening"
    )]
    Inspect(inspect::Args),
    /// Reads every byte and names every problem: what, where, what is lost, what to do.
    #[command(
        after_help = "Examples:\n  samestep-wal verify /var/lib/db/log && echo sound\n  samestep-wal verify --json log | jq -r '.findings[].what'"
    )]
    Verify(verify::Args),
    /// Prints records, one a line, also from a damaged log.
    #[command(
        after_help = "Examples:\n  samestep-wal dump log --from 100 --to 120\n  samestep-wal dump log --kind state\n  samestep-wal dump --json log | jq -r .payload_hex"
    )]
    Dump(dump::Args),
    /// Cuts a damaged log where it is still whole, after copying what is cut to quarantine/.
    ///
    /// What is before the first damage stays, or with --keep newest the segments behind the last.
    ///
    /// Shows what it would do and does nothing, unless --apply is given. Never drops more bytes than --loss-budget,
    /// and nothing that is proven to have been acknowledged unless --accept-damage is given too.
    #[command(
        after_help = "Examples:\n  samestep-wal repair log --loss-budget 0            what would be lost?\n  samestep-wal repair log --loss-budget 4096 --apply\n  samestep-wal repair log --loss-budget 1000000 --accept-damage --apply\n  samestep-wal repair log --keep newest --loss-budget 1000000 --accept-damage --apply"
    )]
    Repair(repair::Args),
    /// Copies a log, also one in use, to a new directory, cut where it is durable.
    #[command(
        after_help = "Examples:\n  samestep-wal export /var/lib/db/log /backup/log-2031-05-01\n  samestep-wal verify /backup/log-2031-05-01"
    )]
    Export(export::Args),
    /// Measures appends in a new directory, beside bare writes of the same size.
    #[command(
        after_help = "Examples:\n  samestep-wal bench /mnt/disk/try --records 2000 --bytes 256\n  samestep-wal bench /mnt/disk/try --no-sync --records 1000000"
    )]
    Bench(bench::Args),
}

/// How a command ended, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Sound = 0,
    Usage = 1,
    Findings = 2,
    InUse = 3,
    Disk = 5,
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Refused(String),
    #[error("the log is open in another process; close it there first")]
    InUse,
    #[error("the log is damaged, run `samestep-wal verify` for all of it")]
    Damaged(#[source] OpenError),
    #[error("cannot read {}", path.display())]
    Path { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("an operation failed")]
    Io(#[from] io::Error),
}

impl Failed {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Refused(_) => Outcome::Usage,
            Self::InUse => Outcome::InUse,
            Self::Damaged(_) => Outcome::Findings,
            Self::Path { source, .. } if source.kind() == io::ErrorKind::NotFound => Outcome::Usage,
            Self::Path { .. } | Self::Disk(_) | Self::Io(_) => Outcome::Disk,
        }
    }

    /// The message with its causes.
    fn chain(&self) -> String {
        let mut out = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            // A string grows without fail.
            let _grown = write!(out, ": {error}");
            cause = error.source();
        }
        out
    }
}

/// The directory of a log, to be read; fails unless something of a log is in it.
fn look_at(dir: &Path) -> Result<ReadOnlyDisk, Failed> {
    let failed = |source| Failed::Path { path: dir.to_owned(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name());
    }
    let is_of_log = |name: &std::ffi::OsString| {
        name.to_str()
            .and_then(crate::op::FileName::parse)
            .is_some_and(|file| file != crate::op::FileName::Lock)
    };
    if names.iter().any(is_of_log) {
        return Ok(ReadOnlyDisk::new(dir));
    }
    Err(Failed::Refused(format!("there is no log in {}", dir.display())))
}

/// A finding for machines.
fn finding_json(finding: &Finding) -> serde_json::Value {
    serde_json::json!({
        "severity": finding.severity().to_string(),
        "file": finding.file.map(|file| file.to_string()),
        "offset": finding.offset,
        "what": finding.problem.to_string(),
        "lost": finding.loss(),
        "advice": finding.advice(),
    })
}
