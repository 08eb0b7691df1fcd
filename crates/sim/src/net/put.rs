//! What a test puts into the network as an event: bytes, and the end of what stops them.

use std::task::Poll;

use super::connection::{EndId, Fate, PieceKind, Side};
use super::listen::ListenerId;
use super::slab::SlotId;
use super::{NetDue, Network};
use crate::kernel::Kernel;
use crate::world::{ConnectionStateChange, NetworkOperation};

impl Network {
    /// Does what was put in for a connection. Nothing happens if it is no more.
    pub(crate) fn operate<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        connection: u64,
        operation: &NetworkOperation,
    ) {
        let Some(connection) = self.connection_numbered(connection) else { return };
        match operation {
            NetworkOperation::DataDelivery { data } => {
                let mut rest = &data[..];
                let near = EndId { connection, side: Side::Near };
                while let Poll::Ready(Ok(count @ 1..)) = self.write_what_fits(kernel, near, rest) {
                    rest = &rest[count..];
                }
            }
            NetworkOperation::ProcessSendBuffer => self.hurry_both(kernel, connection),
        }
    }

    /// Changes the state of a connection, or of a socket that listens. Nothing happens if it is no more.
    pub(crate) fn change_state<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        id: u64,
        change: ConnectionStateChange,
    ) {
        if change == ConnectionStateChange::BindComplete {
            let mut listeners = self.listeners.ids().into_iter().map(ListenerId);
            if let Some(listener) = listeners.find(|listener| listener.number() == id) {
                self.accept_at_once(kernel, listener);
            }
            return;
        }
        let Some(connection) = self.connection_numbered(id) else { return };
        let flows = Side::BOTH.map(|side| EndId { connection, side });
        let Some(state) = self.connections.get(connection) else { return };
        let links = Side::BOTH.map(|side| state.end(side).link);
        match change {
            ConnectionStateChange::ConnectionReady => {
                let hangs = state.end(Side::Near).fate == Fate::Connecting
                    && state.end(Side::Far).fate == Fate::Absent
                    && state.flow(Side::Near).pieces.is_empty();
                if hangs {
                    self.launch(kernel, flows[0], PieceKind::Syn);
                }
                self.hurry_both(kernel, connection);
            }
            ConnectionStateChange::ClogClear => {
                for flow in flows {
                    self.unclog(kernel, flow);
                }
                for link in links {
                    self.link_mut(link).clogged_until = kernel.now;
                }
            }
            ConnectionStateChange::PartitionRestore => self.heal_links(kernel, &links),
            ConnectionStateChange::BindComplete => {}
        }
    }

    /// What a clog stopped of a flow comes now, and nothing stands still any more.
    pub(super) fn unclog<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, id: EndId) {
        let Some(connection) = self.connections.get_mut(id.connection) else { return };
        let clogged_until = self.links[connection.end(id.side).link.0 as usize].clogged_until;
        let flow = connection.flow_mut(id.side);
        let opens = flow.standstill_until.max(clogged_until);
        flow.standstill_until = kernel.now.min(flow.standstill_until);
        // What has to wait for a clog is to be looked at when that ends: it came before.
        if opens > kernel.now
            && let (Some(piece), Some(due)) = (flow.pieces.front_mut(), flow.due)
            && piece.arrival == opens
        {
            piece.arrival = kernel.now;
            kernel.events.cancel(due);
            flow.due = Some(kernel.events.put(kernel.now, NetDue::Arrive(id).into()));
        }
    }

    fn hurry_both<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, connection: SlotId) {
        for side in Side::BOTH {
            self.hurry(kernel, EndId { connection, side });
        }
    }

    /// What is on its way comes now, unless something stops it.
    fn hurry<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, id: EndId) {
        let Some(connection) = self.connections.get_mut(id.connection) else { return };
        let flow = connection.flow_mut(id.side);
        let Some(due) = flow.due else { return };
        for piece in &mut flow.pieces {
            piece.arrival = piece.arrival.min(kernel.now);
        }
        flow.last_arrival = flow.last_arrival.min(kernel.now);
        kernel.events.cancel(due);
        flow.due = Some(kernel.events.put(kernel.now, NetDue::Arrive(id).into()));
    }

    /// The number of an end's connection, if that is still there.
    pub(crate) fn connection_number(&self, end: EndId) -> Option<u64> {
        self.connections.get(end.connection).map(|connection| connection.number)
    }

    fn connection_numbered(&self, number: u64) -> Option<SlotId> {
        let has_it = |id: &SlotId| self.connections.get(*id).is_some_and(|state| state.number == number);
        self.connections.ids().into_iter().find(has_it)
    }
}
