//! What a test sets on links, connections and groups.

use std::ops::Range;
use std::time::Duration;

use super::connection::EndId;
use super::latency::{Nanos, duration_nanos};
use super::link::link_between;
use super::{NetDue, Network};
use crate::kernel::{Kernel, NodeId};

impl Network {
    /// Messages from one node to another take this long, in place of the configured latencies. Handshakes take
    /// what is configured.
    pub(crate) fn set_latency(&mut self, from: NodeId, to: NodeId, latency: &Range<Duration>) {
        let link = self.link_mut(link_between(from, to));
        link.latency = Some(Nanos::new(latency));
        link.note_change();
    }

    /// Messages from one node to another take this much longer.
    pub(crate) fn set_delay(&mut self, from: NodeId, to: NodeId, delay: Duration) {
        let link = self.link_mut(link_between(from, to));
        link.delay = duration_nanos(delay);
        link.note_change();
    }

    /// So many bytes a second pass from one node to another; 0 is no bound.
    pub(crate) fn set_bandwidth(&mut self, from: NodeId, to: NodeId, bytes_per_second: u64) {
        let link = self.link_mut(link_between(from, to));
        link.bandwidth = bytes_per_second;
        link.note_change();
    }

    /// Connections made from now on between two nodes, and datagrams, meet no faults that come by themselves, but
    /// partitions.
    pub(crate) fn set_stable(&mut self, one: NodeId, other: NodeId) {
        for link in Self::link_ids_between(one, other) {
            self.link_mut(link).is_stable = true;
        }
    }

    /// Groups of nodes, such as those of one tag or place, for partitions by group.
    pub(crate) fn set_groups(&mut self, groups: Vec<Vec<NodeId>>) {
        self.groups = groups;
    }

    /// The connection of `end` meets no faults that come by themselves, but partitions.
    pub(crate) fn set_connection_stable(&mut self, end: EndId) {
        if let Some(connection) = self.connections.get_mut(end.connection) {
            connection.is_stable = true;
        }
    }

    /// Nothing passes the connection of `end`, either way, for so long; nothing is lost.
    pub(crate) fn cut<E>(&mut self, kernel: &Kernel<E>, end: EndId, duration: Duration) {
        for flow in [end, end.other()] {
            self.stand_still(kernel, flow, duration_nanos(duration));
        }
    }

    /// Both ends of a connection hear nothing of each other any more, and are not told.
    pub(crate) fn make_half_open<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, end: EndId) -> bool {
        self.sever(kernel, end)
    }
}
