//! One history through every face of the log.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use samestep_memory_providers::MemoryWorld;
use samestep_provider_traits::{Providers, StorageProvider};
use samestep_replay_traits::{LaneContext, LaneError, Transcript};
use samestep_sim::SimWorld;
use samestep_tokio_providers::{TokioProviders, TokioRuntime};
use samestep_wal::{AsyncWal, Index, Options, Prepared, StateRecord, Wal};

use super::folder::digest_of;
use super::{HARD_STATE, entry_event, rotating_every, state_event, tell};
use crate::scenario::Scenario;

/// Blocking, async on tokio, async in memory, async in a simulated world.
pub(crate) const FACES: Scenario = Scenario {
    name: "wal/faces",
    about: "one history through the blocking face and the async one on tokio, in memory and simulated, read alike",
    run: faces,
};

/// What happens to the log, one after the other.
enum Step {
    /// One record, with its index as payload.
    Append {
        aux: u64,
    },
    /// So many records as one batch.
    Batch {
        records: u8,
    },
    PutState {
        index: u64,
    },
    TruncateFrom {
        index: u64,
    },
    PruneThrough {
        index: u64,
    },
    Rotate,
    CloseAndOpen,
}

const HISTORY: &[Step] = &[
    Step::Append { aux: 1 },
    Step::PutState { index: 1 },
    Step::Batch { records: 5 },
    Step::Append { aux: 1 },
    Step::CloseAndOpen,
    Step::Batch { records: 9 },
    Step::TruncateFrom { index: 12 },
    Step::Append { aux: 2 },
    Step::Rotate,
    Step::Append { aux: 2 },
    Step::PruneThrough { index: 4 },
    Step::PutState { index: 9 },
    Step::CloseAndOpen,
    Step::Append { aux: 3 },
    Step::Batch { records: 3 },
];

fn options() -> Options {
    rotating_every(4)
}

fn faces(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let (blocking_dir, tokio_dir) = (context.scratch().join("blocking/log"), context.scratch().join("tokio"));
    std::fs::create_dir(&tokio_dir)?;
    let blocking = through_blocking_face(&blocking_dir)?;
    let on_tokio = TokioRuntime::new()?.block_on(through_async_face(
        TokioProviders::new(&tokio_dir, context.seed().get()).storage().clone(),
    ))?;
    let in_memory = MemoryWorld::new(context.seed().get())
        .block_on(|world| through_async_face(world.storage().clone()))?;
    let simulated = in_simulation(context.seed().get())?;
    expect_alike("async on tokio", &on_tokio, &blocking)?;
    expect_alike("async in memory", &in_memory, &blocking)?;
    expect_alike("async in a simulated world", &simulated, &blocking)?;
    if digest_of(&blocking_dir)? != digest_of(&tokio_dir.join("log"))? {
        return Err(LaneError::failed("the blocking face and the async one on tokio wrote other bytes"));
    }
    blocking.lines().for_each(|line| transcript.line(line));
    Ok(())
}

/// Fails the lane unless `face` saw what the blocking one did.
pub(crate) fn expect_alike(face: &str, seen: &Transcript, blocking: &Transcript) -> Result<(), LaneError> {
    if seen.text() == blocking.text() {
        return Ok(());
    }
    let differing = seen.lines().zip(blocking.lines()).find(|(one, other)| one != other);
    Err(LaneError::failed(format!("{face} and blocking differ, first in {differing:?}")))
}

fn in_simulation(seed: u64) -> Result<Transcript, LaneError> {
    let world = SimWorld::new_with_seed(seed);
    let node = world.add_node("node", IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
    let storage = *world.providers(node).storage();
    let mut face = world.spawn(Some(node), "face", through_async_face(storage));
    match world.block_on(&mut face) {
        Some(ended) => ended?,
        None => Err(LaneError::failed("the face waits for something that never comes")),
    }
}

pub(crate) fn through_blocking_face(dir: &Path) -> Result<Transcript, LaneError> {
    let (mut wal, _) = Wal::open(dir, options())?;
    for step in HISTORY {
        match step {
            Step::Append { aux } => {
                let payload = payload(wal.next_index());
                wal.append(Prepared::new(&payload).with_aux(*aux))?;
            }
            Step::Batch { records } => {
                let payloads = payloads(wal.next_index(), *records);
                wal.append_batch(&prepare(&payloads))?;
            }
            Step::PutState { index } => wal.put_state(HARD_STATE, &state(*index))?,
            Step::TruncateFrom { index } => wal.truncate_suffix(Index::new(*index))?,
            Step::PruneThrough { index } => wal.prune_through(Index::new(*index))?,
            Step::Rotate => wal.rotate()?,
            Step::CloseAndOpen => {
                wal.close()?;
                (wal, _) = Wal::open(dir, options())?;
            }
        }
    }
    let mut seen = Transcript::new();
    tell(&mut wal, &mut seen)?;
    wal.close()?;
    Ok(seen)
}

pub(crate) async fn through_async_face<S: StorageProvider>(storage: S) -> Result<Transcript, LaneError> {
    let (mut wal, _) = AsyncWal::open(storage.clone(), "log", options()).await?;
    for step in HISTORY {
        match step {
            Step::Append { aux } => {
                let payload = payload(wal.next_index());
                wal.append(Prepared::new(&payload).with_aux(*aux)).await?;
            }
            Step::Batch { records } => {
                let payloads = payloads(wal.next_index(), *records);
                wal.append_batch(&prepare(&payloads)).await?;
            }
            Step::PutState { index } => wal.put_state(HARD_STATE, &state(*index)).await?,
            Step::TruncateFrom { index } => wal.truncate_suffix(Index::new(*index)).await?,
            Step::PruneThrough { index } => wal.prune_through(Index::new(*index)).await?,
            Step::Rotate => wal.rotate().await?,
            Step::CloseAndOpen => {
                wal.close().await?;
                (wal, _) = AsyncWal::open(storage.clone(), "log", options()).await?;
            }
        }
    }
    let mut seen = Transcript::new();
    let mut reader = wal.reader(Index::new(0)).await?;
    while let Some(entry) = reader.next_entry().await? {
        seen.event(&entry_event(entry));
    }
    for (slot, record) in wal.states() {
        seen.event(&state_event(slot, record));
    }
    seen.event(&super::end_event(wal.next_index()));
    wal.close().await?;
    Ok(seen)
}

fn payload(index: Index) -> Vec<u8> {
    format!("record {index}").into_bytes()
}

fn payloads(first: Index, records: u8) -> Vec<Vec<u8>> {
    (0..u64::from(records)).map(|at| payload(Index::new(first.get() + at))).collect()
}

fn prepare(payloads: &[Vec<u8>]) -> Vec<Prepared<'_>> {
    payloads.iter().map(Prepared::from).collect()
}

fn state(index: u64) -> StateRecord {
    StateRecord { index: Index::new(index), aux: 7, payload: format!("vote at {index}").into_bytes() }
}
