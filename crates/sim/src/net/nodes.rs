//! Nodes as the network knows them: addresses, ports, and what becomes of their sockets when they go.

use std::net::{IpAddr, SocketAddr};

use super::connection::{EndId, Fate, Side};
use super::link::{Link, SILENT_CRASH_PLACE, link_between};
use super::{NetDue, Network};
use crate::choice::ChoiceFamily;
use crate::fault::FaultFamily;
use crate::kernel::{Kernel, NodeId};

/// A node.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) ip: IpAddr,
    pub(crate) boot: u32,
    pub(crate) power: Power,
    /// How many thousandths of their time messages from and to it take.
    pub(crate) slowness: u64,
    last_port: u16,
}

/// Whether a node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Power {
    On,
    /// Its programs are gone; its operating system refuses and resets.
    Stopped,
    /// Nothing answers.
    Silent,
}

/// How a node goes, as far as the network is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// Its operating system closes its sockets.
    Closing,
    /// As a choice has it: closed by the operating system, or silently, as in a power cut.
    Crashing,
}

impl Network {
    /// There is a new node, which is the next in order, with this address and name.
    pub(crate) fn node_added<E>(&mut self, kernel: &mut Kernel<E>, node: NodeId, ip: IpAddr, name: &str) {
        assert_eq!(node.0 as usize, self.hosts.len(), "nodes are added in the order of their numbers");
        self.hosts.push(Host {
            name: name.to_owned(),
            ip,
            boot: 0,
            power: Power::On,
            slowness: 1000,
            last_port: 0,
        });
        self.ips.insert(ip, node);
        self.names.insert(name.to_owned(), node);
        let count = node.0;
        // In the order of their numbers.
        self.links.extend((0..count).map(|other| Link::new(node, NodeId(other))));
        self.links.extend((0..=count).map(|other| Link::new(NodeId(other), node)));
        debug_assert!(self.links.iter().zip(0..).all(|(link, number)| link.id.0 == number));
        if self.settings.pair_latency.end > 0 {
            for other in (0..count).map(NodeId) {
                let [there, back] = Self::link_ids_between(node, other);
                let place = PAIR_PLACES + there.0;
                let latency =
                    self.settings.pair_latency.pick(&mut kernel.choices, ChoiceFamily::Setup, place);
                for link in [there, back] {
                    self.link_mut(link).pair_latency = latency;
                    self.link_mut(link).note_change();
                }
            }
        }
    }

    /// Is to be called before the node's tasks are dropped: what they drop is theirs no more.
    pub(crate) fn node_down<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        node: NodeId,
        leaving: Leaving,
    ) {
        let chance = self.settings.limits.silent_crash;
        let is_silent = leaving == Leaving::Crashing
            && kernel.choices.happens(ChoiceFamily::Network, SILENT_CRASH_PLACE, chance);
        self.hosts[node.0 as usize].power = if is_silent { Power::Silent } else { Power::Stopped };
        for ((owner, _), listener) in self.listening.clone() {
            if owner == node {
                self.forget_listener(kernel, listener);
            }
        }
        for ((owner, _), socket) in self.receiving.clone() {
            if owner == node {
                self.close_socket(kernel, socket);
            }
        }
        for connection in self.connections.ids() {
            for side in Side::BOTH {
                let end = EndId { connection, side };
                let Some(state) = self.connections.get(connection) else { continue };
                if state.end(side).node != node {
                    continue;
                }
                if is_silent {
                    self.vanish(kernel, end);
                } else {
                    self.close_end(kernel, end);
                }
            }
        }
    }

    /// A node that was down, or was just added, runs programs.
    pub(crate) fn node_booted<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, node: NodeId, boot: u32) {
        let host = &mut self.hosts[node.0 as usize];
        host.boot = boot;
        host.power = Power::On;
        for other in (0..self.hosts.len()).filter_map(|other| u32::try_from(other).ok()).map(NodeId) {
            self.thaw(kernel, link_between(other, node));
        }
    }

    /// An end goes without a word, and with it all that it would have to send again. It tells whether that is
    /// something that a program can see.
    pub(crate) fn vanish<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, end: EndId) -> bool {
        let Some(connection) = self.connections.get_mut(end.connection) else { return false };
        let state = connection.end_mut(end.side);
        if matches!(state.fate, Fate::Absent | Fate::Vanished { .. }) {
            return false;
        }
        let was_seen = state.fate == Fate::Open;
        let node = state.node;
        state.fate = Fate::Vanished { boot: self.hosts[node.0 as usize].boot };
        state.is_owned = false;
        kernel.wake(state.reader.take());
        kernel.wake(state.writer.take());
        let number = connection.number;
        let flow = connection.flow_mut(end.side);
        if flow.is_frozen {
            self.drop_pieces(kernel, end);
        }
        let other = end.other();
        let connection = self.connections.get_mut(end.connection).expect("looked up above");
        let peer = connection.end(other.side);
        let acts = was_seen && peer.is_owned && peer.fate == Fate::Open;
        if acts {
            self.expect_silence(kernel, other, self.settings.limits.keep_alive);
            kernel.fault(FaultFamily::HalfOpen, Some(node), || format!("connection {number}, end at {node}"));
        }
        self.release_if_unseen(kernel, end.connection);
        acts
    }

    /// Messages from and to `node` take `permille` thousandths of their time; of two nodes, the slower one counts.
    pub(crate) fn set_slowness(&mut self, node: NodeId, permille: u64) {
        self.hosts[node.0 as usize].slowness = permille.max(1);
        for link in &mut self.links {
            let ends = [link.from, link.to].map(|node| self.hosts[node.0 as usize].slowness);
            link.factor = ends[0].max(ends[1]);
            link.note_change();
        }
    }

    /// The node that has `ip`, as `from` sees it.
    pub(super) fn node_of(&self, from: NodeId, ip: IpAddr) -> Option<NodeId> {
        if ip.is_loopback() || ip.is_unspecified() { Some(from) } else { self.ips.get(&ip).copied() }
    }

    /// The address that `from` has towards `ip`, without a port.
    pub(super) fn local_ip(&self, from: NodeId, ip: IpAddr) -> IpAddr {
        if ip.is_loopback() { ip } else { self.hosts[from.0 as usize].ip }
    }

    /// Whether a socket of `node` may have the address `ip`.
    pub(super) fn has_ip(&self, node: NodeId, ip: IpAddr) -> bool {
        ip.is_loopback() || ip.is_unspecified() || self.hosts[node.0 as usize].ip == ip
    }

    /// The next port of those that systems give away, 49152 and up, in turn.
    pub(super) fn next_port(&mut self, node: NodeId) -> u16 {
        let host = &mut self.hosts[node.0 as usize];
        host.last_port = host.last_port.wrapping_add(1).max(FIRST_FREE_PORT);
        host.last_port
    }

    /// The address for a socket that asked for `wanted`, where `is_taken` tells which are taken.
    pub(super) fn free_address(
        &mut self,
        node: NodeId,
        wanted: SocketAddr,
        is_taken: impl Fn(&Self, SocketAddr) -> bool,
    ) -> Result<SocketAddr, std::io::ErrorKind> {
        if !self.has_ip(node, wanted.ip()) {
            return Err(std::io::ErrorKind::AddrNotAvailable);
        }
        if wanted.port() != 0 {
            return if is_taken(self, wanted) { Err(std::io::ErrorKind::AddrInUse) } else { Ok(wanted) };
        }
        for _ in FIRST_FREE_PORT..=u16::MAX {
            let address = SocketAddr::new(wanted.ip(), self.next_port(node));
            if !is_taken(self, address) {
                return Ok(address);
            }
        }
        Err(std::io::ErrorKind::AddrInUse)
    }
}

const FIRST_FREE_PORT: u16 = 49152;
/// Latencies between pairs are decided at places of setup from this one on.
const PAIR_PLACES: u32 = 64;
