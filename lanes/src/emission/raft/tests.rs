//! What simulated worlds have found in a node.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use raft::eraftpb::{ConfState, Entry, Message, MessageType, Snapshot};
use samestep_emission::{Index, NotifierOptions, Outbox};
use samestep_memory_providers::MemoryWorld;
use samestep_provider_traits::{Providers, StorageProvider};
use samestep_wal::TailModel;

use super::node::{Durability, Elections, Node, NodeOptions};

/// A snapshot and the entry behind it come together, both committed. The power fails when the snapshot is there, and the
/// log behind it is not: the node must not claim that it has the entry.
#[test]
fn a_crash_behind_an_installed_snapshot_leaves_no_commit_without_its_entry() {
    let world = MemoryWorld::new(1);
    let mut node = world.block_on(|providers| Node::open(providers.storage().clone(), options())).unwrap();
    let mut outbox = Outbox::new();
    outbox.skip(Index::new(5)).unwrap();
    let mut snapshot = Snapshot { data: outbox.snapshot().into(), ..Snapshot::default() };
    let meta = snapshot.mut_metadata();
    (meta.index, meta.term) = (5, 1);
    meta.set_conf_state(ConfState { voters: vec![1, 2, 3], ..ConfState::default() });
    let from_leader = || Message { from: 1, to: 3, term: 1, ..Message::default() };
    let mut install = Message { snapshot: Some(snapshot).into(), ..from_leader() };
    install.set_msg_type(MessageType::MsgSnapshot);
    let entry = Entry { index: 6, term: 1, ..Entry::default() };
    let entries = vec![entry].into();
    let mut append = Message { index: 5, log_term: 1, entries, commit: 6, ..from_leader() };
    append.set_msg_type(MessageType::MsgAppend);
    node.step(install);
    node.step(append);
    while world.block_on(|_| node.persist()).unwrap().is_some() {}
    drop(node);
    world
        .block_on(|providers| async move {
            let storage = providers.storage().clone();
            let log = Path::new("node/log-00000000000000000006");
            for file in storage.list(log).await? {
                storage.remove(&log.join(file.name)).await?;
            }
            storage.sync_dir(log).await
        })
        .unwrap();
    let world = world.power_cut();
    let node = world.block_on(|providers| Node::open(providers.storage().clone(), options())).unwrap();
    assert_eq!((node.outbox().applied(), node.newest()), (Index::new(5), (1, 5)));
}

fn options() -> NodeOptions {
    NodeOptions {
        id: 3,
        voters: vec![1, 2, 3],
        snapshot_entries: 100,
        elections: Elections::ByTime,
        checks_quorum: true,
        tail: TailModel::Evidence,
        notifier: NotifierOptions::default(),
        durability: Durability::Synced,
    }
}
