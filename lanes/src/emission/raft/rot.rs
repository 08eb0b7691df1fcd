//! A node's disk rots: one bit of one of its files is another. It is found, not survived.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use samestep_emission::{Change, ClientId, Fingerprint, StallPolicy, Target};
use samestep_memory_providers::{MemoryDisk, MemoryStorageProvider, MemoryWorld};
use samestep_provider_traits::{File, OpenOptions, Providers, StorageProvider};
use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};
use samestep_wal::TailModel;

use super::node::{Node, NodeOptions};
use super::torn::{options, settle};
use crate::emission::TOKEN;
use crate::scenario::Scenario;

/// One bit of every byte of a node's snapshot, and of some of its log, turned over while it is down. That of every bit of
/// a log is `wal/bit-flips`.
pub(crate) const BIT_ROT: Scenario = Scenario {
    name: "emission/raft-bit-rot",
    about: "a bit of each byte of a node's snapshot turned over: refused; of its log: refused, or an outbox that the log once made",
    run: bit_rot,
};

fn bit_rot(_: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let world = MemoryWorld::new(1);
    let mut node = world.block_on(|providers| Node::open(providers.storage().clone(), rotting()))?;
    let mut states = BTreeMap::new();
    settle(&world, &mut node, &mut states)?;
    let (fingerprint, stall) = (Fingerprint::new(3), StallPolicy::Suspend);
    node.propose(&Change::Subscribe { client: b"c", fingerprint, token: TOKEN, stall })?;
    settle(&world, &mut node, &mut states)?;
    for number in 1..=EVENTS {
        let payload = format!("event {number}");
        let target = Target::Topic(fingerprint);
        node.propose(&Change::Emit { target, origin: None, payload: payload.as_bytes() })?;
        settle(&world, &mut node, &mut states)?;
        if number == EVENTS / 2 {
            world.block_on(|_| node.compact())?;
        }
    }
    let whole = pending(&node)?;
    drop(node);
    let disk = world.disk().after_power_cut();
    let mut has_snapshot = false;
    for (path, bytes) in files(&disk)? {
        let (mut refused, mut kept, mut shorter) = (0, 0, 0);
        let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let is_snapshot = path.to_string_lossy().contains("snapshot-");
        let step = if is_snapshot { 1 } else { LOG_STEP_BYTES };
        for (at, byte) in bytes[..written].iter().enumerate().step_by(step) {
            match rotten(&disk, &path, at as u64, byte ^ (1 << (at % 8)))? {
                None => refused += 1,
                Some(found) if found == whole => kept += 1,
                // The last frame may as well have been torn: nothing behind it says that it was durable.
                Some(found) if whole.starts_with(&found) => shorter += 1,
                Some(found) => {
                    let error = format!("{} at {at}: {found:?}, not {whole:?}", path.display());
                    return Err(LaneError::failed(error));
                }
            }
        }
        let event = Event::new("file").field("path", path.display()).field("bytes", written);
        let event = event.field("refused", refused).field("whole", kept);
        transcript.event(&event.field("without_the_last", shorter));
        if is_snapshot {
            has_snapshot = true;
            super::super::expect("rot in a snapshot that is refused", &refused, &written)?;
        }
    }
    super::super::expect("there is a snapshot", &has_snapshot, &true)
}

/// What waits after starting from `disk` with another byte at `at`; `None` if the node is refused.
fn rotten(disk: &MemoryDisk, path: &Path, at: u64, byte: u8) -> Result<Option<Vec<Vec<u8>>>, LaneError> {
    let world = MemoryWorld::with_disk(1, disk.after_power_cut());
    let path = path.to_owned();
    world.block_on(|providers| async move {
        let file = providers.storage().open(&path, OpenOptions::read_write()).await?;
        file.write_all_and_sync(vec![byte], at).await.0
    })?;
    let opened = world.block_on(|providers| Node::open(providers.storage().clone(), rotting()));
    let Ok(mut node) = opened else { return Ok(None) };
    settle(&world, &mut node, &mut BTreeMap::new())?;
    super::super::expect("it leads", &node.serves(), &true)?;
    Ok(Some(pending(&node)?))
}

/// The events that wait.
fn pending(node: &Node<MemoryStorageProvider>) -> Result<Vec<Vec<u8>>, LaneError> {
    let outbox = node.outbox();
    let Some(id) = outbox.find(&ClientId::new("c")?, Fingerprint::new(3)) else { return Ok(Vec::new()) };
    let subscription = outbox.subscription(id).ok_or_else(|| LaneError::failed("it was found"))?;
    let events = (1..=EVENTS).filter_map(|seq| subscription.event(samestep_emission::Seq::new(seq)));
    Ok(events.map(|event| event.payload.to_vec()).collect())
}

/// All files of the node, and what is in them, by path.
fn files(disk: &MemoryDisk) -> Result<Vec<(PathBuf, Vec<u8>)>, LaneError> {
    let world = MemoryWorld::with_disk(1, disk.after_power_cut());
    let found = world.block_on(|providers| async move {
        let (storage, mut found) = (providers.storage().clone(), Vec::new());
        let mut folders = vec![PathBuf::from("node")];
        while let Some(folder) = folders.pop() {
            for entry in storage.list(&folder).await? {
                let path = folder.join(entry.name);
                let Ok(file) = storage.open(&path, OpenOptions::read_only()).await else {
                    folders.push(path);
                    continue;
                };
                let len = usize::try_from(file.metadata().await?.len).unwrap_or(0);
                let (read, bytes) = file.read_exact_at(vec![0; len], 0).await;
                read?;
                found.push((path, bytes));
            }
        }
        found.sort();
        Ok::<_, io::Error>(found)
    });
    Ok(found?)
}

/// A snapshot when it is asked for, and not before.
fn rotting() -> NodeOptions {
    NodeOptions { snapshot_entries: EVENTS / 2, ..options(TailModel::Evidence) }
}

const EVENTS: u64 = 8;
/// A prime, so that it meets every place of a frame.
const LOG_STEP_BYTES: usize = 29;
