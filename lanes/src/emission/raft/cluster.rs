//! Nodes in memory, each with a disk of its own, on one bus.

use samestep_emission::{NotifierOptions, Outbox};
use samestep_memory_providers::{MemoryStorageProvider, MemoryWorld};
use samestep_provider_traits::Providers;
use samestep_replay_traits::{LaneError, Seed};
use samestep_wal::TailModel;

use super::bus::{Bus, BusFaults};
use super::node::{Durability, Elections, Node, NodeError, NodeOptions};
use crate::emission::dice::Dice;

pub(super) type MemoryNode = Node<MemoryStorageProvider>;

pub(super) struct Cluster {
    places: Vec<Place>,
    pub(super) bus: Bus,
    pub(super) tick: u64,
    setup: Setup,
    /// The leader's power fails when it is about to apply this entry, for so many ticks. Once.
    pub(super) kill_leader_at: Option<(u64, u64)>,
}

/// What a cluster is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) nodes: u64,
    pub(super) faults: BusFaults,
    /// A snapshot after so many entries.
    pub(super) snapshot_entries: u64,
    /// Whether a leader that hears of no majority gives up.
    pub(super) checks_quorum: bool,
}

/// Where a node lives: its disk outlives it.
struct Place {
    world: Option<MemoryWorld>,
    node: Option<MemoryNode>,
    /// When a node that is down comes up again.
    up_at: Option<u64>,
}

impl Cluster {
    /// Nodes, numbered from 1, with empty disks.
    pub(super) fn new(setup: Setup, seed: Seed) -> Result<Self, LaneError> {
        let place = |id| Place {
            world: Some(MemoryWorld::new(seed.fork(&format!("node {id}")).get())),
            node: None,
            up_at: Some(0),
        };
        let bus = Bus::new(Dice::new(seed.fork("bus")), setup.faults);
        let places = (1..=setup.nodes).map(place).collect();
        let mut cluster = Self { places, bus, tick: 0, setup, kill_leader_at: None };
        cluster.come_up()?;
        Ok(cluster)
    }

    /// One tick: what arrives is taken, time passes everywhere, and everybody makes durable and sends. Entries are
    /// left to be applied.
    pub(super) fn tick(&mut self) -> Result<(), LaneError> {
        self.tick += 1;
        self.come_up()?;
        for message in self.bus.arrivals(self.tick) {
            if let Some(node) = self.node(message.to) {
                node.step(message);
            }
        }
        for id in self.ids() {
            if let Some(node) = self.node(id) {
                node.tick();
            }
            self.persist(id)?;
        }
        Ok(())
    }

    /// Lets `id` make durable and send what it has.
    pub(super) fn persist(&mut self, id: u64) -> Result<(), LaneError> {
        let place = &mut self.places[slot(id)];
        let (Some(world), Some(node)) = (&place.world, &mut place.node) else { return Ok(()) };
        while let Some(messages) = world.block_on(|_| node.persist())? {
            self.bus.send(messages, self.tick);
        }
        Ok(())
    }

    /// Applies everything that is committed on `id`, and makes a snapshot if it is time.
    pub(super) fn apply(&mut self, id: u64) -> Result<(), LaneError> {
        while self.apply_one(id)? {}
        let place = &mut self.places[slot(id)];
        if let (Some(world), Some(node)) = (&place.world, &mut place.node) {
            world.block_on(|_| node.compact())?;
        }
        Ok(())
    }

    /// Applies the next entry that is committed on `id`, if there is one.
    pub(super) fn apply_one(&mut self, id: u64) -> Result<bool, LaneError> {
        let Some(node) = self.places[slot(id)].node.as_mut() else { return Ok(false) };
        if let (Some((at, ticks)), Some((index, _)), true) =
            (self.kill_leader_at, node.next_committed(), node.is_leader())
            && at == index.get()
        {
            self.kill_leader_at = None;
            self.kill(id, ticks);
            return Ok(false);
        }
        Ok(node.apply_next()?.is_some())
    }

    /// Ticks, and applies everywhere.
    pub(super) fn run(&mut self, ticks: u64) -> Result<(), LaneError> {
        for _ in 0..ticks {
            self.tick()?;
            for id in self.ids() {
                self.apply(id)?;
            }
        }
        Ok(())
    }

    /// Ticks until some node serves, and tells which.
    pub(super) fn elect(&mut self) -> Result<u64, LaneError> {
        for _ in 0..TICKS_MAX {
            if let Some(leader) = self.leader() {
                return Ok(leader);
            }
            self.run(1)?;
        }
        Err(LaneError::failed(format!("no leader in {TICKS_MAX} ticks")))
    }

    /// The power of `id` fails: what was not synced is gone. It comes up again after `ticks`.
    pub(super) fn kill(&mut self, id: u64, ticks: u64) {
        let tick = self.tick;
        let place = &mut self.places[slot(id)];
        place.node = None;
        place.world = place.world.take().map(MemoryWorld::power_cut);
        place.up_at = Some(tick + ticks);
    }

    /// Who serves, in the highest term if several think so.
    pub(super) fn leader(&self) -> Option<u64> {
        let serving = self.places.iter().filter_map(|place| place.node.as_ref()).filter(|node| node.serves());
        serving.max_by_key(|node| node.term()).map(Node::id)
    }

    pub(super) fn node(&mut self, id: u64) -> Option<&mut MemoryNode> {
        self.places[slot(id)].node.as_mut()
    }

    pub(super) fn outbox(&self, id: u64) -> Option<&Outbox> {
        self.places[slot(id)].node.as_ref().map(Node::outbox)
    }

    pub(super) fn ids(&self) -> Vec<u64> {
        (1..=self.places.len() as u64).collect()
    }

    /// Whether all nodes are up and have applied the same.
    pub(super) fn agrees(&self) -> bool {
        let outboxes: Vec<Option<&Outbox>> = self.ids().into_iter().map(|id| self.outbox(id)).collect();
        let Some(Some(first)) = outboxes.first() else { return false };
        outboxes.iter().all(|outbox| outbox.is_some_and(|outbox| outbox.applied() == first.applied()))
            && outboxes.iter().flatten().all(|outbox| *outbox == *first)
    }

    fn come_up(&mut self) -> Result<(), NodeError> {
        let voters = self.ids();
        for (id, place) in (1..).zip(&mut self.places) {
            if place.up_at.is_none_or(|at| at > self.tick) {
                continue;
            }
            let Some(world) = &place.world else { continue };
            let notifier =
                NotifierOptions { resend_ticks_min: 20, resend_ticks_max: 80, ..NotifierOptions::default() };
            let voters = voters.clone();
            let Setup { snapshot_entries, checks_quorum, .. } = self.setup;
            let tail = TailModel::Sector;
            let (durability, elections) = (Durability::Synced, Elections::ByTime);
            let options = NodeOptions {
                id,
                voters,
                snapshot_entries,
                elections,
                checks_quorum,
                tail,
                notifier,
                durability,
            };
            let node = world.block_on(|providers| Node::open(providers.storage().clone(), options))?;
            place.node = Some(node);
            place.up_at = None;
        }
        Ok(())
    }
}

fn slot(id: u64) -> usize {
    usize::try_from(id - 1).expect("nodes are few")
}

const TICKS_MAX: u64 = 2000;
