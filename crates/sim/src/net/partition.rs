//! Partitions: which links are closed, and what becomes of what would pass them.

use super::connection::{EndId, Side};
use super::link::{LinkId, PARTITION_PLACE, link_between};
use super::{NetDue, Network, PartitionStrategy};
use crate::choice::ChoiceFamily;
use crate::fault::FaultFamily;
use crate::kernel::{Kernel, NodeId};
use crate::queue::EventId;

/// A partition that was made, to be healed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(u64);

/// What a partition closed, and when it ends by itself.
#[derive(Debug)]
pub(super) struct Closed {
    links: Vec<LinkId>,
    end: Option<EventId>,
}

/// Which nodes do not reach which.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Partition {
    /// Two nodes do not reach each other.
    Pair(NodeId, NodeId),
    /// One node does not reach another, which still reaches it.
    OneWay {
        /// The one whose messages are stopped.
        from: NodeId,
        /// The one that does not get them.
        to: NodeId,
    },
    /// A node reaches no other, and none reaches it.
    Isolate(NodeId),
    /// A node reaches no other.
    SendFrom(NodeId),
    /// No other reaches a node.
    ReceiveTo(NodeId),
    /// These, such as a tag's or a place's, and all others do not reach each other.
    Side(Vec<NodeId>),
    /// The first and the second do not reach each other; nodes in neither reach both.
    Between(Vec<NodeId>, Vec<NodeId>),
    /// Each reaches its neighbours in this order alone; the last and the first are neighbours.
    Ring(Vec<NodeId>),
}

impl Network {
    /// The links that `partition` closes.
    pub(crate) fn links_of(&self, partition: &Partition) -> Vec<LinkId> {
        let all = self.node_ids();
        let others = |some: &[NodeId]| -> Vec<NodeId> {
            all.iter().copied().filter(|node| !some.contains(node)).collect()
        };
        let closed: Vec<(NodeId, NodeId)> = match partition {
            Partition::Pair(one, other) => both_ways(&[*one], &[*other]),
            Partition::OneWay { from, to } => vec![(*from, *to)],
            Partition::Isolate(node) => both_ways(&[*node], &others(&[*node])),
            Partition::SendFrom(node) => others(&[*node]).into_iter().map(|to| (*node, to)).collect(),
            Partition::ReceiveTo(node) => others(&[*node]).into_iter().map(|from| (from, *node)).collect(),
            Partition::Side(some) => both_ways(some, &others(some)),
            Partition::Between(one, other) => both_ways(one, other),
            Partition::Ring(order) => beyond_neighbours(order, 1),
        };
        closed.into_iter().filter(|(from, to)| from != to).map(|(from, to)| link_between(from, to)).collect()
    }

    /// The links that a partition of `strategy` closes, by choices.
    pub(super) fn draw_partition<E>(
        &self,
        kernel: &mut Kernel<E>,
        strategy: PartitionStrategy,
    ) -> Vec<LinkId> {
        let mut nodes = self.node_ids();
        let count = nodes.len();
        if count < 2 {
            return Vec::new();
        }
        let mut pick = |bound: usize| {
            let value = kernel.choices.pick(ChoiceFamily::Network, PARTITION_PLACE, bound as u64);
            usize::try_from(value).expect("below a length")
        };
        let some_at_random = |nodes: &mut Vec<NodeId>, some: usize, pick: &mut dyn FnMut(usize) -> usize| {
            for place in 0..some {
                let other = place + pick(nodes.len() - place);
                nodes.swap(place, other);
            }
        };
        let partition = match strategy {
            PartitionStrategy::Random => {
                Partition::Side(nodes.into_iter().filter(|_| pick(2) == 1).collect())
            }
            PartitionStrategy::UniformSize => {
                let some = 1 + pick(count - 1);
                some_at_random(&mut nodes, some, &mut pick);
                nodes.truncate(some);
                Partition::Side(nodes)
            }
            PartitionStrategy::IsolateSingle => Partition::Isolate(nodes[pick(count)]),
            PartitionStrategy::Bridge => {
                some_at_random(&mut nodes, count, &mut pick);
                nodes.pop();
                let other = nodes.split_off(nodes.len() / 2);
                Partition::Between(nodes, other)
            }
            PartitionStrategy::Ring => {
                some_at_random(&mut nodes, count, &mut pick);
                Partition::Ring(nodes)
            }
            PartitionStrategy::MajorityRing => {
                some_at_random(&mut nodes, count, &mut pick);
                let closed = beyond_neighbours(&nodes, (count / 2).div_ceil(2));
                return closed.into_iter().map(|(from, to)| link_between(from, to)).collect();
            }
            PartitionStrategy::MajorityMinority => {
                let minority = ((count - 1) / 2).max(1);
                some_at_random(&mut nodes, minority, &mut pick);
                nodes.truncate(minority);
                Partition::Side(nodes)
            }
            PartitionStrategy::Pair | PartitionStrategy::OneWay => {
                some_at_random(&mut nodes, 2, &mut pick);
                match strategy {
                    PartitionStrategy::Pair => Partition::Pair(nodes[0], nodes[1]),
                    _ => Partition::OneWay { from: nodes[0], to: nodes[1] },
                }
            }
            PartitionStrategy::Group if self.groups.is_empty() => Partition::Isolate(nodes[pick(count)]),
            PartitionStrategy::Group => Partition::Side(self.groups[pick(self.groups.len())].clone()),
        };
        self.links_of(&partition)
    }

    /// Closes `links` until [`Self::heal`].
    pub(crate) fn partition<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        links: Vec<LinkId>,
    ) -> PartitionId {
        for link in &links {
            let silence = self.settings.limits.keep_alive;
            let link = self.link_mut(*link);
            link.partitions += 1;
            if link.silence.is_none() {
                let id = link.id;
                link.silence = Some(kernel.schedule(silence, NetDue::Silence(id).into()));
            }
        }
        let id = PartitionId(self.partitions_made);
        self.partitions_made += 1;
        self.partitions.insert(id, Closed { links, end: None });
        id
    }

    /// Closes `links` for `nanos`.
    pub(crate) fn partition_for<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        links: Vec<LinkId>,
        nanos: u64,
    ) -> PartitionId {
        let id = self.partition(kernel, links);
        let end = kernel.schedule(nanos, NetDue::Heal(id).into());
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.end = Some(end);
        }
        id
    }

    /// Opens what the partition closed, as far as no other has it closed. Nothing happens if it was healed before.
    pub(crate) fn heal<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, id: PartitionId) {
        let Some(partition) = self.partitions.remove(&id) else { return };
        if let Some(end) = partition.end {
            kernel.events.cancel(end);
        }
        for link in partition.links {
            let state = self.link_mut(link);
            state.partitions -= 1;
            if !state.is_closed() {
                if let Some(silence) = state.silence.take() {
                    kernel.events.cancel(silence);
                }
                self.thaw(kernel, link);
            }
        }
    }

    /// Opens all links, ends all clogs and lets go all that is held.
    pub(crate) fn heal_all<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>) {
        let ids: Vec<PartitionId> = self.partitions.keys().copied().collect();
        for id in ids {
            self.heal(kernel, id);
        }
        for connection in self.connections.ids() {
            for side in Side::BOTH {
                self.unclog(kernel, EndId { connection, side });
            }
        }
        for link in 0..self.links.len() {
            let state = &mut self.links[link];
            state.clogged_until = kernel.now;
            state.slow_until = kernel.now;
            if std::mem::take(&mut state.is_held) {
                let id = state.id;
                self.thaw(kernel, id);
                self.release_datagrams(kernel, id);
            }
        }
    }

    /// Ends all partitions that close any of `links`.
    pub(super) fn heal_links<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, links: &[LinkId]) {
        let closes_any = |closed: &Closed| closed.links.iter().any(|link| links.contains(link));
        let ids: Vec<PartitionId> =
            self.partitions.iter().filter(|(_, closed)| closes_any(closed)).map(|(id, _)| *id).collect();
        for id in ids {
            self.heal(kernel, id);
        }
    }

    /// Whether messages from one node do not reach another.
    pub(crate) fn is_partitioned(&self, from: NodeId, to: NodeId) -> bool {
        self.link(link_between(from, to)).is_closed()
    }

    /// A link was closed for so long that connections on which nothing moves notice.
    pub(super) fn link_is_silent<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, link: LinkId) {
        self.link_mut(link).silence = None;
        if !self.link(link).is_closed() {
            return;
        }
        for connection in self.connections.ids() {
            for side in Side::BOTH {
                let end = EndId { connection, side };
                let Some(state) = self.connections.get(connection) else { continue };
                let is_here = state.end(side).link == link || state.end(side.other()).link == link;
                if is_here
                    && state.end(side).is_owned
                    && state.end(side).fate == super::connection::Fate::Open
                {
                    let (node, number) = (state.end(side).node, state.number);
                    kernel.fault(FaultFamily::Partition, Some(node), || {
                        format!("connection {number} heard nothing for too long")
                    });
                    self.keep_alive_failed(kernel, end);
                }
            }
        }
    }

    pub(super) fn node_ids(&self) -> Vec<NodeId> {
        self.hosts.iter().zip(0..).map(|(_, number)| NodeId(number)).collect()
    }
}

fn both_ways(one: &[NodeId], other: &[NodeId]) -> Vec<(NodeId, NodeId)> {
    let pairs = one.iter().flat_map(|one| other.iter().map(move |other| (*one, *other)));
    pairs.flat_map(|(one, other)| [(one, other), (other, one)]).collect()
}

/// The links between nodes that are more than `reach` apart in a ring.
fn beyond_neighbours(ring: &[NodeId], reach: usize) -> Vec<(NodeId, NodeId)> {
    let count = ring.len();
    let pairs = (0..count).flat_map(|one| (0..count).map(move |other| (one, other)));
    let apart = pairs.filter(|(one, other)| {
        let forward = (other + count - one) % count;
        forward.min(count - forward) > reach
    });
    apart.map(|(one, other)| (ring[one], ring[other])).collect()
}
