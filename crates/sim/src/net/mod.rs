//! The network: TCP, datagrams and names between nodes, and all that can go wrong with them.
//!
//! A state machine over the kernel's time and choices; it opens nothing and waits for nothing. Calls of programs
//! enter as methods that answer at once or tell that they have to wait, and what is due enters by
//! [`Network::handle_due`].
//!
//! A stream's bytes stand in one buffer from when they are written until they are read; pieces of it are what
//! travels. A closed link freezes the pieces that would pass it, as TCP sends again what is not acknowledged, and
//! they set out anew when it opens. So no fault but a flipped bit changes a byte, and none drops one out of the
//! middle of a stream.

mod arrivals;
mod calls;
mod chaos;
pub(crate) mod config;
mod connection;
mod control;
mod deliver;
mod face;
mod latency;
mod link;
mod listen;
mod names;
mod nodes;
mod partition;
mod put;
mod record;
mod rule;
mod settings;
mod slab;
mod stream;
mod tcp;
mod udp;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

pub(crate) use calls::CallId;
pub use config::{
    ChaosConfiguration, ConnectFailureMode, LatencyDistribution, NetworkConfiguration, NetworkFaults,
    NetworkLimits, PartitionStrategy, sample_duration,
};
pub(crate) use connection::EndId;
pub use face::SimNetwork;
pub(crate) use listen::{Accepted, ListenerId};
pub(crate) use nodes::Leaving;
pub use partition::{Partition, PartitionId};
pub use rule::{Message, Verdict};
pub(crate) use udp::SocketId;

use crate::kernel::{Kernel, NodeId};
use crate::queue::EventId;
use crate::time::SimTime;
use arrivals::Arrival;
use connection::Connection;
use link::{Link, LinkId, link_between};
use nodes::Host;
use settings::Settings;
use slab::{Slab, SlotId};

/// What is to come in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NetDue {
    /// The first piece of a flow is to be looked at.
    Arrive(EndId),
    /// What a flow sent was not acknowledged for too long.
    GiveUp(EndId),
    /// Nothing was heard of the other end for too long.
    KeepAlive(EndId),
    /// An attempt to connect was not answered for too long.
    ConnectTimeout(EndId),
    /// The writer of a flow hears that there is room.
    Window(EndId),
    /// A connection can be accepted.
    Acceptable(ListenerId),
    /// A call that takes time is over.
    Call(CallId),
    /// A datagram is to be looked at.
    Datagram(SlotId),
    /// A link was closed for so long that what is idle over it notices.
    Silence(LinkId),
    /// A partition that came by itself ends.
    Heal(PartitionId),
    /// A fault comes by itself.
    Arrival(Arrival),
    /// A node's links are clogged, as a step of a swizzle.
    Swizzle { node: NodeId, until: SimTime },
}

/// The network of a world.
pub(crate) struct Network {
    settings: Settings,
    hosts: Vec<Host>,
    /// By their numbers.
    links: Vec<Link>,
    ips: BTreeMap<IpAddr, NodeId>,
    names: BTreeMap<String, NodeId>,
    groups: Vec<Vec<NodeId>>,
    connections: Slab<Connection>,
    connections_made: u64,
    listeners: Slab<listen::Listener>,
    listening: BTreeMap<(NodeId, SocketAddr), ListenerId>,
    sockets: Slab<udp::Socket>,
    receiving: BTreeMap<(NodeId, SocketAddr), SocketId>,
    datagrams: Slab<udp::Datagram>,
    calls: Slab<calls::Call>,
    messages_sent: u64,
    partitions: BTreeMap<PartitionId, partition::Closed>,
    partitions_made: u64,
    no_partition_before: SimTime,
    no_close_before: SimTime,
    no_flip_before: SimTime,
    arrivals: [Option<EventId>; Arrival::ALL.len()],
    rule: Option<rule::Rule>,
    questions: Vec<rule::Question>,
}

impl Network {
    /// A network without nodes.
    pub(crate) fn new(
        configuration: &NetworkConfiguration,
        faults: &NetworkFaults,
        limits: &NetworkLimits,
    ) -> Self {
        Self {
            settings: Settings::new(configuration, faults, limits),
            hosts: Vec::new(),
            links: Vec::new(),
            ips: BTreeMap::new(),
            names: BTreeMap::new(),
            groups: Vec::new(),
            connections: Slab::new(),
            connections_made: 0,
            listeners: Slab::new(),
            listening: BTreeMap::new(),
            sockets: Slab::new(),
            receiving: BTreeMap::new(),
            datagrams: Slab::new(),
            calls: Slab::new(),
            messages_sent: 0,
            partitions: BTreeMap::new(),
            partitions_made: 0,
            no_partition_before: SimTime::ZERO,
            no_close_before: SimTime::ZERO,
            no_flip_before: SimTime::ZERO,
            arrivals: [None; Arrival::ALL.len()],
            rule: None,
            questions: Vec::new(),
        }
    }

    /// What was to come is due.
    pub(crate) fn handle_due<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, due: NetDue) {
        match due {
            NetDue::Arrive(flow) => self.arrive(kernel, flow),
            NetDue::GiveUp(flow) => self.give_up(kernel, flow),
            NetDue::KeepAlive(end) => self.keep_alive_failed(kernel, end),
            NetDue::ConnectTimeout(end) => self.connect_timed_out(kernel, end),
            NetDue::Window(flow) => self.window_opened(kernel, flow),
            NetDue::Acceptable(listener) => self.acceptable(kernel, listener),
            NetDue::Call(call) => self.call_is_over(kernel, call),
            NetDue::Datagram(datagram) => self.datagram_arrives(kernel, datagram),
            NetDue::Silence(link) => self.link_is_silent(kernel, link),
            NetDue::Heal(partition) => self.heal(kernel, partition),
            NetDue::Arrival(arrival) => self.arrival_comes(kernel, arrival),
            NetDue::Swizzle { node, until } => self.clog_node(kernel, node, until),
        }
    }

    fn link(&self, id: LinkId) -> &Link {
        &self.links[id.0 as usize]
    }

    fn link_mut(&mut self, id: LinkId) -> &mut Link {
        &mut self.links[id.0 as usize]
    }

    fn link_ids_between(from: NodeId, to: NodeId) -> [LinkId; 2] {
        [link_between(from, to), link_between(to, from)]
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network")
            .field("hosts", &self.hosts.len())
            .field("connections_made", &self.connections_made)
            .field("messages_sent", &self.messages_sent)
            .finish_non_exhaustive()
    }
}
