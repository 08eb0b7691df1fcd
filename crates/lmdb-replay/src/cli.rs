//! The command `samestep-lmdb`.
//!
//! Each command is a thin driver: it parses arguments, calls the library, and prints. Commands that only look never
//! write, lock or create anything.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::error::{OpenError, ReadError};
use crate::lock::{LockError, ProcessIds};
use crate::log::LogError;
use crate::vere::maintain::{MaintainError, Refusal};
use crate::vere::{Access, Pier, PierError};
use crate::writer::WriteError;

mod copy;
mod events;
mod info;
mod lock;
mod maintain;
mod play;
mod rock;
mod stats;
mod verify;

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
        Command::Info(args) => info::run(&args),
        Command::Epochs(args) => info::run_epochs(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Show(args) => events::run_show(&args),
        Command::Dump(args) => events::run_dump(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Roll(args) => maintain::run_roll(&args),
        Command::Chop(args) => maintain::run_chop(&args),
        Command::Migrate(args) => maintain::run_migrate(&args),
        Command::Salvage(args) => copy::run_salvage(&args),
        Command::Export(args) => copy::run_export(&args),
        Command::Import(args) => copy::run_import(&args),
        Command::Play(args) => play::run(&args),
        Command::Rock(args) => rock::run(&args),
        Command::Lock(args) => lock::run(&args),
    };
    match outcome {
        Ok(outcome) => ExitCode::from(outcome as u8),
        Err(Failed::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("samestep-lmdb: {}", failed.chain());
            ExitCode::from(failed.outcome() as u8)
        }
    }
}

/// Looks at the event log of an Urbit pier, checks it, maintains it and copies it.
#[derive(Debug, Parser)]
#[command(name = "samestep-lmdb", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done; the log is sound
  1  the command line is wrong, or the command refused what it was asked to do
  2  something was found: damage, or a state that needs attention
  3  another process has the pier
  4  a replay failed
  5  the disk refused an operation

info, epochs, verify, show, dump, stats and lock change nothing in PIER: no byte, no lock file. They refuse a pier that
another process has. Nobody is ever killed for a lock.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows what a pier is: whose, how far its log and snapshot go, how large it is.
    #[command(after_help = "Examples:\n  samestep-lmdb info zod\n  samestep-lmdb info --json zod | jq .last")]
    Info(info::Args),
    /// Lists the epochs, oldest first: events, bytes, versions, snapshots.
    #[command(
        after_help = "Examples:\n  samestep-lmdb epochs zod\n  samestep-lmdb epochs --json zod | jq '.epochs[].bytes'"
    )]
    Epochs(info::Args),
    /// Checks every page and every event, and names every problem: what, where, what is lost, what to do.
    #[command(
        after_help = "Examples:\n  samestep-lmdb verify zod && echo sound\n  samestep-lmdb verify --json zod | jq -r '.findings[].what'"
    )]
    Verify(verify::Args),
    /// Shows one event.
    #[command(after_help = "Examples:\n  samestep-lmdb show zod 717")]
    Show(events::ShowArgs),
    /// Prints events, one a line.
    #[command(
        after_help = "Examples:\n  samestep-lmdb dump zod --from 100 --to 120\n  samestep-lmdb dump --json zod | jq -r .jam_hex"
    )]
    Dump(events::DumpArgs),
    /// Counts events and bytes by wire and tag, largest first.
    #[command(
        after_help = "Examples:\n  samestep-lmdb stats zod\n  samestep-lmdb stats zod --depth 1 --top 5"
    )]
    Stats(stats::Args),
    /// Starts a new epoch behind the last event, from the live snapshot.
    #[command(after_help = "Examples:\n  samestep-lmdb roll zod --dry-run\n  samestep-lmdb roll zod")]
    Roll(maintain::RollArgs),
    /// Removes all but the newest epochs, if those are sound and can start alone.
    #[command(
        after_help = "Examples:\n  samestep-lmdb chop zod --dry-run\n  samestep-lmdb roll zod && samestep-lmdb chop zod --keep 1"
    )]
    Chop(maintain::ChopArgs),
    /// Makes epochs of the flat log of a runtime up to 2.12, or finishes that where it was interrupted.
    #[command(
        after_help = "Examples:\n  samestep-lmdb migrate old-pier --dry-run\n  samestep-lmdb migrate old-pier"
    )]
    Migrate(maintain::RollArgs),
    /// Copies what is readable of a damaged pier into a new one.
    ///
    /// The damaged pier is only read. Events keep their numbers; what could not be read is told, and is a gap in the
    /// new log.
    #[command(after_help = "Examples:\n  samestep-lmdb salvage broken-zod zod && samestep-lmdb verify zod")]
    Salvage(copy::SalvageArgs),
    /// Copies a pier's log, snapshots and rocks, such that the copy is one state, and checks every page of it.
    #[command(
        after_help = "Examples:\n  samestep-lmdb export zod /backup/zod-2031-05-01\n  samestep-lmdb export --live zod /backup/zod-live"
    )]
    Export(copy::ExportArgs),
    /// Makes a pier of an exported copy, after a check of every page and event of it.
    #[command(after_help = "Examples:\n  samestep-lmdb import /backup/zod-2031-05-01 zod")]
    Import(copy::ImportArgs),
    /// Replays the log on the reference Nock machine, and checks the mug of every event.
    ///
    /// Nothing is written into the pier. A crash in an event ends the replay with its trace; nothing is ever made up
    /// for it.
    #[command(
        after_help = "Examples:\n  samestep-lmdb play zod --full\n  samestep-lmdb play zod -n 717 --state zod-state --snap-at 10000\n  samestep-lmdb play zod --soft-mugs --json | jq .first_divergence"
    )]
    Play(play::Args),
    /// Lists and writes rocks: kernels in files that every runtime can load.
    #[command(after_help = "Examples:\n  samestep-lmdb rock list zod\n  samestep-lmdb rock save zod -n 1000")]
    Rock(rock::Args),
    /// Shows who has the pier.
    #[command(after_help = "Examples:\n  samestep-lmdb lock zod || echo 'stop the ship first'")]
    Lock(lock::Args),
}

/// How a command ended, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Sound = 0,
    Usage = 1,
    Findings = 2,
    InUse = 3,
    Replay = 4,
    Disk = 5,
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Pier(#[from] PierError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Maintain(#[from] MaintainError),
    #[error("an operation failed")]
    Io(#[from] io::Error),
}

impl Failed {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Usage(_) => Outcome::Usage,
            Self::Pier(error) => of_pier(error),
            Self::Log(error) => of_log(error),
            Self::Maintain(error) => of_maintain(error),
            Self::Io(_) => Outcome::Disk,
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

fn of_pier(error: &PierError) -> Outcome {
    match error {
        PierError::NoLog { .. } => Outcome::Usage,
        PierError::Lock(LockError::InUse { .. }) | PierError::EnvironmentInUse { .. } => Outcome::InUse,
        PierError::Open { source, .. } => of_open(source),
        PierError::Read { source, .. } => of_read(source),
        PierError::NoVersion { .. } => Outcome::Findings,
        PierError::Log(error) => of_log(error),
        PierError::Lock(_) | PierError::Io { .. } => Outcome::Disk,
    }
}

fn of_log(error: &LogError) -> Outcome {
    match error {
        LogError::List { .. } => Outcome::Disk,
        LogError::BeforeFirst { .. } => Outcome::Usage,
        LogError::Open { source, .. } => of_open(source),
        LogError::Read { source, .. } => of_read(source),
        LogError::SameEpoch { .. } | LogError::Gap { .. } | LogError::EpochStart { .. } => Outcome::Findings,
    }
}

fn of_open(error: &OpenError) -> Outcome {
    match error {
        // Something took the file away: that is damage of the log, not of the disk.
        OpenError::Io(source) if source.kind() != io::ErrorKind::NotFound => Outcome::Disk,
        _ => Outcome::Findings,
    }
}

fn of_read(error: &ReadError) -> Outcome {
    if matches!(error, ReadError::Io { .. }) { Outcome::Disk } else { Outcome::Findings }
}

fn of_maintain(error: &MaintainError) -> Outcome {
    match error {
        MaintainError::Refused(Refusal::Damaged { .. })
        | MaintainError::BadCopy { .. }
        | MaintainError::Write(WriteError::Open { .. } | WriteError::Damaged { .. }) => Outcome::Findings,
        MaintainError::Refused(_) => Outcome::Usage,
        MaintainError::Pier(error) => of_pier(error),
        MaintainError::Write(WriteError::InUse { .. }) => Outcome::InUse,
        MaintainError::Write(_) | MaintainError::Io { .. } => Outcome::Disk,
    }
}

/// What all commands on a pier take.
#[derive(Debug, clap::Args)]
struct PierArgs {
    /// The pier's folder, the one with .urb in it.
    pier: PathBuf,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
    /// Go on although .vere.lock names a living process: it is a stranger with a reused id.
    ///
    /// A process that really holds the lock is honoured all the same.
    #[arg(long)]
    force: bool,
}

impl PierArgs {
    fn open(&self, access: Access) -> Result<Pier, Failed> {
        let ids = if self.force { ProcessIds::Ignore } else { ProcessIds::Honour };
        let pier = Pier::open(&self.pier, access, ids)?;
        if let Some(stale) = pier.stale_lock() {
            eprintln!("samestep-lmdb: .vere.lock is stale: {stale}");
        }
        Ok(pier)
    }
}

/// A bar over `len` events on a terminal, nothing elsewhere.
fn progress_bar(len: u64) -> ProgressBar {
    let template = "{bar:40} event {pos}/{len} {per_sec} {eta}";
    let style = ProgressStyle::with_template(template).expect("the template is right");
    let target =
        if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    ProgressBar::with_draw_target(Some(len), target).with_style(style)
}

/// Bytes, as people read them.
fn human_bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// Prints one JSON value on many lines.
fn print_json(value: &serde_json::Value) -> Result<(), Failed> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value:#}")?;
    Ok(())
}

/// A path for JSON.
fn text_of(path: &Path) -> String {
    path.display().to_string()
}
