//! `lock`: who has a pier.

use serde_json::json;

use super::{Failed, Outcome, PierArgs, print_json};
use crate::lock::{Evidence, Holder, LockError, LockState, ProcessIds};
use crate::vere::{Access, Pier, PierError};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pier: PierArgs,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failed> {
    let ids = if args.pier.force { ProcessIds::Ignore } else { ProcessIds::Honour };
    // Opening for reading asks everybody, and takes nothing that it does not give back at once.
    let found = match Pier::open(&args.pier.pier, Access::Read, ids) {
        Ok(pier) => pier.stale_lock().cloned().map_or(LockState::Free, LockState::Stale),
        Err(
            PierError::Lock(LockError::InUse { holder, .. }) | PierError::EnvironmentInUse { holder, .. },
        ) => LockState::Held(holder),
        Err(error) => return Err(error.into()),
    };
    let outcome = if matches!(found, LockState::Held(_)) { Outcome::InUse } else { Outcome::Sound };
    if args.pier.json {
        print_json(&match &found {
            LockState::Free => json!({ "state": "free" }),
            LockState::Stale(stale) => json!({ "state": "stale", "why": stale.to_string() }),
            LockState::Held(holder) => {
                json!({ "state": "held", "pid": holder.pid, "evidence": evidence(holder) })
            }
        })?;
        return Ok(outcome);
    }
    match &found {
        LockState::Free => println!("free"),
        LockState::Stale(stale) => println!("free; .vere.lock is stale: {stale}"),
        LockState::Held(holder) => {
            let pid =
                holder.pid.map_or_else(|| "a process elsewhere".to_owned(), |pid| format!("process {pid}"));
            println!("held by {pid}: {}", evidence(holder));
        }
    }
    Ok(outcome)
}

fn evidence(holder: &Holder) -> &'static str {
    match holder.evidence {
        Evidence::RecordLock => "it holds a record lock on .vere.lock",
        Evidence::ProcessId => "its id stands in .vere.lock and it lives",
        Evidence::Environment => "it has an LMDB environment of the log open",
    }
}
