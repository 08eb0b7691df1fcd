//! The network as tests see it.

use std::fmt;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use super::latency::duration_nanos;
use super::rule::Rule;
use super::{EndId, Message, Network, NetworkConfiguration, Partition, PartitionId, Verdict};
use crate::kernel::{Kernel, NodeId};
use crate::providers::SimTcpStream;
use crate::world::due::Due;
use crate::world::{Core, Shared, SimWorld, WorldConfig};

/// The network of a world, for tests: what they set on it, break in it, and look at.
///
/// Clones are handles to the same network, and keep its world.
#[derive(Clone)]
pub struct SimNetwork {
    world: SimWorld,
}

impl SimWorld {
    /// A world of seed 0 with such a network.
    pub fn new_with_network_config(configuration: NetworkConfiguration) -> Self {
        Self::new_with_network_config_and_seed(configuration, 0)
    }

    /// A world of this seed with such a network.
    pub fn new_with_network_config_and_seed(configuration: NetworkConfiguration, seed: u64) -> Self {
        Self::with_config(WorldConfig::new(seed).network(configuration))
    }

    /// The network.
    pub fn network(&self) -> SimNetwork {
        SimNetwork { world: self.clone() }
    }
}

impl SimNetwork {
    /// Closes links until the partition is [healed](Self::heal). Streams stand still, and go on where they were;
    /// datagrams are lost. Connections are reset when their limits have passed.
    pub fn partition(&self, partition: &Partition) -> PartitionId {
        self.with(|network, kernel| {
            let links = network.links_of(partition);
            network.partition(kernel, links)
        })
    }

    /// As [`Self::partition`], for so long.
    pub fn partition_for(&self, partition: &Partition, duration: Duration) -> PartitionId {
        self.with(|network, kernel| {
            let links = network.links_of(partition);
            network.partition_for(kernel, links, duration_nanos(duration))
        })
    }

    /// Opens what the partition closed, as far as no other has it closed. No effect if it was healed before.
    pub fn heal(&self, partition: PartitionId) {
        self.with(|network, kernel| network.heal(kernel, partition));
    }

    /// Opens all links, ends all clogs, and lets go all that is held.
    pub fn heal_all(&self) {
        self.with(Network::heal_all);
    }

    /// Whether messages from one node do not reach another.
    pub fn is_partitioned(&self, from: NodeId, to: NodeId) -> bool {
        self.with(|network, _| network.is_partitioned(from, to))
    }

    /// Messages from one node to another take this long, in place of the configured latencies. Handshakes take
    /// what is configured.
    pub fn set_latency(&self, from: NodeId, to: NodeId, latency: &Range<Duration>) {
        self.with(|network, _| network.set_latency(from, to, latency));
    }

    /// Messages from one node to another take this much longer; set for one way of a pair, the pair is asymmetric.
    pub fn set_delay(&self, from: NodeId, to: NodeId, delay: Duration) {
        self.with(|network, _| network.set_delay(from, to, delay));
    }

    /// So many bytes a second pass from one node to another, shared by all that is sent in the order in which it is;
    /// 0 is no bound.
    pub fn set_bandwidth(&self, from: NodeId, to: NodeId, bytes_per_second: u64) {
        self.with(|network, _| network.set_bandwidth(from, to, bytes_per_second));
    }

    /// Messages from and to `node` take `permille` thousandths of their time; of two nodes, the slower one counts.
    pub fn set_slowness(&self, node: NodeId, permille: u64) {
        self.with(|network, _| network.set_slowness(node, permille));
    }

    /// Connections made from now on between two nodes, and datagrams, meet no faults that come by themselves, but
    /// partitions.
    pub fn set_stable(&self, one: NodeId, other: NodeId) {
        self.with(|network, _| network.set_stable(one, other));
    }

    /// Groups of nodes, such as those of one tag or place, for
    /// [`PartitionStrategy::Group`](super::PartitionStrategy::Group).
    pub fn set_groups(&self, groups: Vec<Vec<NodeId>>) {
        self.with(|network, _| network.set_groups(groups));
    }

    /// The connection of `stream` meets no faults that come by themselves, but partitions.
    pub fn mark_connection_stable(&self, stream: &SimTcpStream) {
        self.with_end(stream, |network, _, end| network.set_connection_stable(end));
    }

    /// Nothing passes the connection of `stream`, either way, for so long; nothing is lost.
    pub fn cut_connection(&self, stream: &SimTcpStream, duration: Duration) {
        self.with_end(stream, |network, kernel, end| network.cut(kernel, end, duration));
    }

    /// Both ends of the connection of `stream` hear nothing of each other any more, and are not told; each is reset
    /// when its limits have passed. Tells whether both were there.
    pub fn make_half_open(&self, stream: &SimTcpStream) -> bool {
        let mut acted = false;
        self.with_end(stream, |network, kernel, end| acted = network.make_half_open(kernel, end));
        acted
    }

    /// From now on nothing passes from one node to another; nothing is lost, and no connection is given up for it.
    pub fn hold(&self, from: NodeId, to: NodeId) {
        self.with(|network, _| network.hold(from, to));
    }

    /// What was held sets out anew, in its order.
    pub fn release(&self, from: NodeId, to: NodeId) {
        self.with(|network, kernel| network.release(kernel, from, to));
    }

    /// All that is on its way, by number.
    pub fn messages(&self) -> Vec<Message> {
        self.with(|network, _| network.messages())
    }

    /// From now on `rule` judges each message when it comes, in the place of the rule before. It is asked while
    /// nothing is borrowed, so that it may look at the world.
    pub fn set_rule(&self, rule: impl Fn(&Message) -> Verdict + 'static) {
        self.replace_rule(Some(Rc::new(rule)));
    }

    /// All messages pass from now on.
    pub fn clear_rule(&self) {
        self.replace_rule(None);
    }

    /// No fault of the network comes by itself any more, and none that did stays.
    pub fn end_faults(&self) {
        self.with(Network::end_faults);
    }

    fn replace_rule(&self, rule: Option<Rule>) {
        let before = self.with(|network, _| network.set_rule(rule));
        drop(before);
    }

    fn with_end(&self, stream: &SimTcpStream, body: impl FnOnce(&mut Network, &mut Kernel<Due>, EndId)) {
        if stream.world() == self.world.shared.id {
            self.with(|network, kernel| body(network, kernel, stream.end()));
        }
    }

    fn with<R>(&self, body: impl FnOnce(&mut Network, &mut Kernel<Due>) -> R) -> R {
        let core = &mut *self.world.shared.core.borrow_mut();
        body(&mut core.network, &mut core.kernel)
    }
}

impl fmt::Debug for SimNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimNetwork").field("world", &self.world).finish()
    }
}

impl Shared {
    /// Asks the test's rule about the messages that came, with nothing borrowed.
    pub(crate) fn judge_messages(&self) {
        loop {
            let question = self.core.borrow_mut().network.poll_question();
            let Some((question, message, rule)) = question else { return };
            let verdict = rule.map_or(Verdict::Pass, |rule| rule(&message));
            let Core { network, kernel, .. } = &mut *self.core.borrow_mut();
            network.answer(kernel, question, message.number, verdict);
        }
    }
}
