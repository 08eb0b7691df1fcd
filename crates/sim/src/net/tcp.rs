//! Connections: how they begin, and how they end.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::task::{Poll, Waker};

use super::connection::{Connection, End, EndId, Fate, PieceKind, Side, Writing};
use super::link::{Place, link_between};
use super::listen::Accepted;
use super::slab::SlotId;
use super::{NetDue, Network, record};
use crate::choice::ChoiceFamily;
use crate::fault::FaultFamily;
use crate::kernel::{Kernel, NodeId};

impl Network {
    /// Sets out to connect `node` to `address`. The end is the caller's, who is to poll it by
    /// [`Self::connect_outcome`].
    ///
    /// # Errors
    ///
    /// If no node has the address.
    pub(crate) fn connect<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        node: NodeId,
        address: SocketAddr,
    ) -> Result<Accepted, ErrorKind> {
        let to = self.node_of(node, address.ip());
        let number = self.connections_made;
        self.connections_made += 1;
        record::connecting(kernel, number, to);
        let to = to.ok_or(ErrorKind::HostUnreachable)?;
        let local = SocketAddr::new(self.local_ip(node, address.ip()), self.next_port(node));
        let links = [link_between(node, to), link_between(to, node)];
        let is_stable = self.link(links[0]).is_stable || self.link(links[1]).is_stable;
        let (slot, connection) = self.connections.claim();
        connection.number = number;
        connection.is_stable = is_stable;
        connection.is_refused = false;
        connection.flows.iter_mut().for_each(super::connection::Flow::clear);
        let near = End {
            node,
            address: local,
            link: links[0],
            way_in: links[1],
            fate: Fate::Connecting,
            is_owned: true,
            ..End::default()
        };
        let far = End { node: to, address, link: links[1], way_in: links[0], ..End::default() };
        connection.ends = [near, far];
        let end = EndId { connection: slot, side: Side::Near };
        if !is_stable && self.connect_fault(kernel, end) == ConnectFault::Hang {
            return Ok(Accepted { end, local, peer: address });
        }
        let timeout = kernel.schedule(self.settings.limits.connect, NetDue::ConnectTimeout(end).into());
        self.connections.get_mut(slot).expect("claimed above").timeout = Some(timeout);
        self.launch(kernel, end, PieceKind::Syn);
        if self.settings.chaos.is_on {
            self.roll_partition(kernel, links[0]);
        }
        Ok(Accepted { end, local, peer: address })
    }

    fn connect_fault<E>(&mut self, kernel: &mut Kernel<E>, end: EndId) -> ConnectFault {
        let chance = self.settings.chaos.connect_failure;
        if chance.is_never() {
            return ConnectFault::None;
        }
        let connection = self.connections.get_mut(end.connection).expect("a new connection");
        let (node, number) = (connection.end(end.side).node, connection.number);
        let place = connection.end(end.side).link.place(Place::Connect);
        if !kernel.choices.happens(ChoiceFamily::Network, place, chance) {
            return ConnectFault::None;
        }
        let hangs = self.settings.chaos.connect_failure_mode == super::ConnectFailureMode::Probabilistic
            && kernel.choices.pick(ChoiceFamily::Network, place, 2) == 1;
        if hangs {
            kernel.fault(FaultFamily::ConnectHang, Some(node), || format!("connection {number}"));
            ConnectFault::Hang
        } else {
            connection.is_refused = true;
            ConnectFault::Refuse
        }
    }

    /// How an attempt to connect went.
    pub(crate) fn connect_outcome(&self, end: EndId) -> Poll<Result<(), ErrorKind>> {
        let state = self.connections.get(end.connection).map(|connection| connection.end(end.side));
        match state.map(|end| (end.fate, end.is_owned)) {
            Some((Fate::Connecting, true)) => Poll::Pending,
            Some((Fate::Open, true)) => Poll::Ready(Ok(())),
            Some((Fate::Failed(kind), _)) => Poll::Ready(Err(kind)),
            _ => Poll::Ready(Err(ErrorKind::NotConnected)),
        }
    }

    /// Wakes `waker` when an attempt to connect is over.
    pub(crate) fn wait_to_connect<E>(&mut self, kernel: &mut Kernel<E>, end: EndId, waker: Waker) {
        match self.connections.get_mut(end.connection) {
            Some(connection) if connection.end(end.side).is_owned => {
                connection.wait_to_read(kernel, end.side, waker);
            }
            _ => kernel.wake(Some(waker)),
        }
    }

    /// An attempt to connect came to its node.
    pub(super) fn syn_arrived<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, flow: EndId) {
        let far = flow.other();
        let connection = self.connections.get(far.connection).expect("a piece arrived on it");
        let end = connection.end(far.side);
        let (node, address, link, number) = (end.node, end.address, end.link, connection.number);
        let is_refused = connection.is_refused;
        if is_refused {
            kernel.fault(FaultFamily::ConnectRefused, Some(node), || format!("connection {number}"));
        }
        let listener = if is_refused { None } else { self.listener_at(node, address) };
        let has_room = listener.is_some_and(|listener| self.queue_connection(kernel, listener, far, link));
        if has_room {
            let end = self.connections.get_mut(far.connection).expect("looked up above").end_mut(far.side);
            end.fate = Fate::Open;
            end.is_owned = true;
            record::connected(kernel, node, number);
            self.launch(kernel, far, PieceKind::SynAck);
        } else {
            self.launch(kernel, far, PieceKind::Refuse);
        }
    }

    /// The answer to an attempt to connect came.
    pub(super) fn syn_answered<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        flow: EndId,
        outcome: Result<(), ErrorKind>,
    ) {
        let near = flow.other();
        let connection = self.connections.get_mut(near.connection).expect("a piece arrived on it");
        let number = connection.number;
        if let Some(timeout) = connection.timeout.take() {
            kernel.events.cancel(timeout);
        }
        let end = connection.end_mut(near.side);
        let node = end.node;
        if end.fate == Fate::Connecting {
            match outcome {
                Ok(()) => {
                    end.fate = Fate::Open;
                    kernel.wake(end.reader.take());
                    record::connected(kernel, node, number);
                }
                Err(kind) => self.fail_end(kernel, near, kind),
            }
        }
        self.release_if_unseen(kernel, near.connection);
    }

    /// An attempt to connect was not answered for too long.
    pub(super) fn connect_timed_out<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, end: EndId) {
        let Some(connection) = self.connections.get_mut(end.connection) else { return };
        connection.timeout = None;
        if connection.end(end.side).fate == Fate::Connecting {
            self.drop_pieces(kernel, end);
            self.fail_end(kernel, end, ErrorKind::TimedOut);
            self.release_if_unseen(kernel, end.connection);
        }
    }

    /// All that is asked of the end fails from now on.
    pub(super) fn fail_end<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, end: EndId, kind: ErrorKind) {
        let Some(connection) = self.connections.get_mut(end.connection) else { return };
        let number = connection.number;
        let state = connection.end_mut(end.side);
        if !matches!(state.fate, Fate::Open | Fate::Connecting) {
            return;
        }
        state.fate = Fate::Failed(kind);
        let node = state.node;
        if let Some(keep_alive) = state.keep_alive.take() {
            kernel.events.cancel(keep_alive);
        }
        kernel.wake(state.reader.take());
        kernel.wake(state.writer.take());
        connection.flow_mut(end.side.other()).forget_arrived();
        record::closed(kernel, node, number, true);
    }

    /// The end's program has it no more, or ends both directions: what was written is still sent, and what it did
    /// not read is lost, in which case the peer is reset.
    pub(crate) fn close_end<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, end: EndId) {
        self.leave(kernel, end, |connection| {
            if connection.flow(end.side.other()).arrived > 0 { PieceKind::Reset } else { PieceKind::Fin }
        });
    }

    /// Cuts the connection at once, whatever was written: the peer is reset.
    pub(crate) fn abort<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, end: EndId) {
        self.leave(kernel, end, |_| PieceKind::Reset);
    }

    fn leave<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        end: EndId,
        farewell: impl FnOnce(&Connection) -> PieceKind,
    ) {
        let Some(connection) = self.connections.get_mut(end.connection) else { return };
        let number = connection.number;
        let state = connection.end_mut(end.side);
        if !state.is_owned {
            return;
        }
        state.is_owned = false;
        let (node, fate) = (state.node, state.fate);
        if let Some(keep_alive) = state.keep_alive.take() {
            kernel.events.cancel(keep_alive);
        }
        kernel.wake(state.reader.take());
        kernel.wake(state.writer.take());
        if matches!(fate, Fate::Open | Fate::Connecting) {
            let farewell = farewell(connection);
            connection.flow_mut(end.side.other()).forget_arrived();
            record::closed(kernel, node, number, farewell == PieceKind::Reset);
            match farewell {
                PieceKind::Fin => self.send_fin(kernel, end),
                _ => self.send_reset(kernel, end),
            }
        }
        self.release_if_unseen(kernel, end.connection);
    }

    /// Ends the flow that `end` writes, behind all that was written.
    pub(super) fn send_fin<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, end: EndId) {
        let Some(connection) = self.connections.get_mut(end.connection) else { return };
        let flow = connection.flow_mut(end.side);
        if flow.writing == Writing::On {
            flow.writing = Writing::Ended;
            self.launch(kernel, end, PieceKind::Fin);
        }
    }

    /// Tells the peer of `end` that the connection is no more.
    pub(super) fn send_reset<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, end: EndId) {
        let Some(connection) = self.connections.get_mut(end.connection) else { return };
        let flow = connection.flow_mut(end.side);
        if flow.writing != Writing::Reset {
            flow.writing = Writing::Reset;
            self.launch(kernel, end, PieceKind::Reset);
        }
    }

    /// A connection of which no program sees anything any more is no more.
    pub(super) fn release_if_unseen<E>(&mut self, kernel: &mut Kernel<E>, id: SlotId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.ends.iter().any(|end| end.is_owned) {
            return;
        }
        // An attempt whose program went still leads to a connection at the peer.
        let is_syn_under_way = connection.end(Side::Far).fate == Fate::Absent
            && connection.flow(Side::Near).pieces.front().is_some_and(|piece| piece.kind == PieceKind::Syn);
        if is_syn_under_way {
            return;
        }
        let events = connection
            .flows
            .iter_mut()
            .flat_map(|flow| [flow.due.take(), flow.give_up.take(), flow.window.take()]);
        for event in events.chain([connection.timeout.take()]).flatten() {
            kernel.events.cancel(event);
        }
        self.connections.release(id);
    }

    /// The node of the other end, for those who tell of it.
    pub(super) fn node_of_end(&self, end: EndId) -> Option<NodeId> {
        Some(self.connections.get(end.connection)?.end(end.side).node)
    }
}

/// What a fault has in store for an attempt to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectFault {
    None,
    Refuse,
    Hang,
}
