//! `rock`: kernels in files that every runtime can load.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Subcommand;
use samestep_noun::CueLimits;
use serde_json::json;

use super::play::chain;
use super::{Failed, Outcome, PierArgs, human_bytes, print_json, text_of};
use crate::machine::{Budget, Machine, NockMachine};
use crate::play::{PlayOptions, Start, play};
use crate::rock::{self, Rock};
use crate::vere::Access;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists the rocks of a pier, and whether they can be read.
    List {
        #[command(flatten)]
        pier: PierArgs,
    },
    /// Replays to an event and writes the kernel there as a rock.
    Save {
        #[command(flatten)]
        pier: PierArgs,
        /// The event; without it the last one.
        #[arg(short = 'n', long, value_name = "N")]
        replay_to: Option<u64>,
        /// The file to write; without it .urb/roc/N.jam in the pier, where runtimes look for rocks.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        /// Start with the first event, whatever rocks there are.
        #[arg(short, long)]
        full: bool,
    },
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failed> {
    match &args.action {
        Action::List { pier } => list(pier),
        Action::Save { pier, replay_to, to, full } => save(pier, *replay_to, to.as_ref(), *full),
    }
}

fn list(args: &PierArgs) -> Result<Outcome, Failed> {
    let pier = args.open(Access::Read)?;
    let mut rows = Vec::new();
    let mut outcome = Outcome::Sound;
    for (number, path) in rock::list(pier.root())? {
        let bytes = fs::read(&path)?;
        let rock = Rock::decode(&bytes, &CueLimits::default());
        if rock.is_err() {
            outcome = Outcome::Findings;
        }
        let rock = rock.map(|rock| format!("{:08x}", rock.kernel.mug()));
        rows.push((number, bytes.len() as u64, rock.map_err(|error| chain(&error))));
    }
    if args.json {
        let rocks = rows.iter().map(|(number, bytes, rock)| {
            json!({ "event": number, "bytes": bytes, "mug": rock.as_ref().ok(), "error": rock.as_ref().err() })
        });
        print_json(&json!({ "rocks": rocks.collect::<Vec<_>>() }))?;
        return Ok(outcome);
    }
    let mut out = io::stdout().lock();
    for (number, bytes, rock) in rows {
        let what = rock.map_or_else(|error| format!("damaged: {error}"), |mug| format!("mug {mug}"));
        writeln!(out, "{number:>10}  {:>10}  {what}", human_bytes(bytes))?;
    }
    Ok(outcome)
}

fn save(args: &PierArgs, target: Option<u64>, to: Option<&PathBuf>, full: bool) -> Result<Outcome, Failed> {
    // A rock is written beside the log, not into it: but no ship shall run meanwhile.
    let pier = args.open(if to.is_some() { Access::Read } else { Access::Write })?;
    let start = if full { Start::First } else { Start::Nearest };
    let options = PlayOptions { target, start, ..PlayOptions::default() };
    let machine = NockMachine::new(Budget::default());
    let (mut replay, report) = match play(&pier, machine, None, &options, &mut ()) {
        Ok(played) => played,
        Err(error) => {
            eprintln!("samestep-lmdb: {}", chain(&error));
            return Ok(super::play::of_play(&error));
        }
    };
    let number = replay.number();
    let jam = replay.machine_mut().snapshot().map_err(|error| Failed::Usage(chain(&error)))?;
    let path = match to {
        Some(path) => {
            rock::write_file(path, &jam)?;
            path.clone()
        }
        None => match rock::write(pier.root(), number, &jam) {
            Ok(path) => path,
            Err(error) => {
                eprintln!("samestep-lmdb: {}", chain(&error));
                return Ok(Outcome::Disk);
            }
        },
    };
    let mug = format!("{:08x}", report.replay.mug);
    if args.json {
        print_json(&json!({ "event": number, "mug": mug, "bytes": jam.len(), "path": text_of(&path) }))?;
    } else {
        let mut out = io::stdout().lock();
        writeln!(out, "event {number}, mug {mug}: {} in {}", human_bytes(jam.len() as u64), path.display())?;
    }
    Ok(Outcome::Sound)
}
