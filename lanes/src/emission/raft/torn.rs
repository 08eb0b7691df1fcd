//! A node whose last segment was cut at every byte.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use samestep_emission::{
    Change, ClientId, Epoch, Fingerprint, NotifierOptions, Origin, ProducerId, StallPolicy, Subscription,
    Target, Tick,
};
use samestep_memory_providers::{MemoryDisk, MemoryStorageProvider, MemoryWorld};
use samestep_provider_traits::{File, OpenOptions, Providers, StorageProvider};
use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};
use samestep_wal::{FileName, TailModel};

use super::node::{Durability, Elections, Node, NodeOptions};
use crate::emission::client::Client;
use crate::emission::{TOKEN, expect};
use crate::scenario::Scenario;

/// One node, restarted from its disk with the tail gone from each byte on.
pub(crate) const TORN_TAIL: Scenario = Scenario {
    name: "emission/raft-torn-tail",
    about: "a node restarted with its last segment cut at every byte: refused, or an outbox that the log once made",
    run: torn_tail,
};

fn torn_tail(_: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    for tail in [TailModel::Sector, TailModel::Evidence] {
        transcript.event(&Event::new("tail").field("model", format_args!("{tail:?}")));
        cut_everywhere(tail, transcript)?;
    }
    Ok(())
}

fn cut_everywhere(tail: TailModel, transcript: &mut Transcript) -> Result<(), LaneError> {
    let world = MemoryWorld::new(1);
    let mut node = world.block_on(|providers| Node::open(providers.storage().clone(), options(tail)))?;
    let mut states = BTreeMap::new();
    let client_id = ClientId::new("c")?;
    let fingerprint = Fingerprint::new(3);
    settle(&world, &mut node, &mut states)?;
    let stall = StallPolicy::Suspend;
    node.propose(&Change::Subscribe { client: b"c", fingerprint, token: TOKEN, stall })?;
    settle(&world, &mut node, &mut states)?;
    let id =
        node.outbox().find(&client_id, fingerprint).ok_or_else(|| LaneError::failed("not subscribed"))?;
    // The first two it has from somebody else.
    let mut client = Client::new(id, "c")?.claiming(1, 2);
    for number in 1..=5 {
        let origin = Some(Origin { producer: ProducerId::new(1), number });
        let payload = format!("event {number}");
        node.propose(&Change::Emit {
            target: Target::Subscription(id),
            origin,
            payload: payload.as_bytes(),
        })?;
        settle(&world, &mut node, &mut states)?;
        if number == 3 {
            node.propose(&Change::Acknowledge { subscription: id, through: samestep_emission::Seq::new(2) })?;
            settle(&world, &mut node, &mut states)?;
        }
    }
    if let Some((notifier, outbox)) = node.notifier() {
        client.connect(notifier, outbox, Tick::new(0))?;
        crate::emission::client::hand_out(notifier, outbox, Tick::new(0), |delivery| {
            client.receive(delivery);
        })?;
    }
    expect("processed", &client.processed.len(), &3)?;
    let last_epoch = node.outbox().reign().epoch;
    drop(node);
    let disk = world.disk().after_power_cut();
    let (path, bytes) = last_segment(&disk)?;
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
    let mut runs = Runs::default();
    for cut in 0..=written {
        // A byte that is zero already: the image is that of the next cut.
        if cut < written && bytes[usize::try_from(cut)?] == 0 {
            continue;
        }
        let outcome = restart((&disk, tail), &path, cut, &states, &client, last_epoch)?;
        if cut == written {
            expect(
                "nothing is cut",
                &outcome,
                &Outcome::Has { applied: *states.keys().next_back().unwrap_or(&0) },
            )?;
        }
        runs.add(cut, outcome, transcript);
    }
    runs.end(transcript);
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The log says that it is damaged.
    Refused,
    /// The node goes on from this entry.
    Has { applied: u64 },
}

/// Starts a node from a copy of `disk` whose last segment is zero from `cut` on.
fn restart(
    (disk, tail): (&MemoryDisk, TailModel),
    path: &Path,
    cut: u64,
    states: &BTreeMap<u64, Vec<u8>>,
    client: &Client,
    last_epoch: Epoch,
) -> Result<Outcome, LaneError> {
    let world = MemoryWorld::with_disk(1, disk.after_power_cut());
    let path = path.to_owned();
    world.block_on(|providers| async move {
        let file = providers.storage().open(&path, OpenOptions::read_write()).await?;
        let len = file.metadata().await?.len;
        let zeros = vec![0; usize::try_from(len - cut).unwrap_or(0)];
        let (written, _) = file.write_all_and_sync(zeros, cut).await;
        written
    })?;
    let Ok(mut node) = world.block_on(|providers| Node::open(providers.storage().clone(), options(tail)))
    else {
        return Ok(Outcome::Refused);
    };
    // What was committed is applied at once; the rest when it is elected. Each state on the way is one that was.
    let mut applied = 0;
    for _ in 0..40 {
        node.tick();
        while world.block_on(|_| node.persist())?.is_some() {}
        while let Some((index, _)) = node.apply_next()? {
            if node.outbox().reign().epoch > last_epoch {
                break;
            }
            if let Some(state) = states.get(&index.get()) {
                // The election adds an entry of Raft's own, and then its epoch.
                if node.outbox().snapshot() == *state {
                    applied = index.get();
                }
            }
        }
        if node.serves() {
            break;
        }
    }
    expect("it leads", &node.serves(), &true)?;
    // Whatever is left, a client is told what it needs to know: nothing that it has is taken for something else.
    let answer = node.outbox().reconnect(&client.receiver.request());
    let emitted =
        node.outbox().subscription(client.receiver.request().subscription).map(Subscription::emitted);
    let is_right = match emitted {
        None => answer == samestep_emission::Answer::NotFound,
        Some(emitted) if emitted < client.receiver.position().seq => {
            matches!(answer, samestep_emission::Answer::Invalid { .. })
        }
        Some(_) => matches!(answer, samestep_emission::Answer::Ok { .. }),
    };
    expect("the answer", &is_right, &true)?;
    Ok(Outcome::Has { applied })
}

/// Ticks until nothing happens, and keeps the state after each entry.
pub(super) fn settle(
    world: &MemoryWorld,
    node: &mut Node<MemoryStorageProvider>,
    states: &mut BTreeMap<u64, Vec<u8>>,
) -> Result<(), LaneError> {
    for _ in 0..30 {
        node.tick();
        while world.block_on(|_| node.persist())?.is_some() {}
        while let Some((index, _)) = node.apply_next()? {
            states.insert(index.get(), node.outbox().snapshot());
        }
    }
    Ok(())
}

/// One node alone, which makes no snapshot.
pub(super) fn options(tail: TailModel) -> NodeOptions {
    let notifier = NotifierOptions::default();
    NodeOptions {
        id: 1,
        voters: vec![1],
        snapshot_entries: 1000,
        elections: Elections::ByTime,
        checks_quorum: true,
        tail,
        notifier,
        durability: Durability::Synced,
    }
}

/// The newest segment of the node's log, and its bytes.
fn last_segment(disk: &MemoryDisk) -> Result<(PathBuf, Vec<u8>), LaneError> {
    let world = MemoryWorld::with_disk(1, disk.after_power_cut());
    let found = world.block_on(|providers| async move {
        let storage = providers.storage().clone();
        let mut newest = None;
        for folder in storage.list(Path::new("node")).await? {
            let folder = Path::new("node").join(folder.name);
            for file in storage.list(&folder).await? {
                let name = FileName::parse(&file.name.to_string_lossy());
                if let Some(name @ FileName::Segment(_)) = name {
                    newest = newest.max(Some((name, folder.join(file.name))));
                }
            }
        }
        let Some((_, path)) = newest else { return Ok(None) };
        let file = storage.open(&path, OpenOptions::read_only()).await?;
        let len = file.metadata().await?.len;
        let (read, bytes) = file.read_exact_at(vec![0; usize::try_from(len).unwrap_or(0)], 0).await;
        read?;
        Ok::<_, std::io::Error>(Some((path, bytes)))
    })?;
    found.ok_or_else(|| LaneError::failed("there is no segment"))
}

/// Cuts in a row with one outcome are one line.
#[derive(Default)]
struct Runs {
    current: Option<(u64, u64, Outcome)>,
}

impl Runs {
    fn add(&mut self, cut: u64, outcome: Outcome, transcript: &mut Transcript) {
        match &mut self.current {
            Some((_, last, same)) if *same == outcome => *last = cut,
            _ => {
                self.end(transcript);
                self.current = Some((cut, cut, outcome));
            }
        }
    }

    fn end(&mut self, transcript: &mut Transcript) {
        if let Some((first, last, outcome)) = self.current.take() {
            let event = Event::new("cut").field("from", first).field("to", last);
            transcript.event(&event.field("outcome", format_args!("{outcome:?}")));
        }
    }
}
