//! Pieces on their way: how they set out, what stops them, and what they do when they come.

use std::io::ErrorKind;

use xxhash_rust::xxh3::xxh3_64;

use super::connection::{EndId, Fate, Piece, PieceKind};
use super::link::{Gate, LinkId, Stop};
use super::nodes::Power;
use super::record::{self, SentMessage};
use super::rule::Question;
use super::{NetDue, Network};
use crate::fault::FaultFamily;
use crate::kernel::Kernel;

impl Network {
    /// A piece that is no data sets out from `end`.
    pub(super) fn launch<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, end: EndId, kind: PieceKind) {
        self.send(kernel, end, kind, &[]);
    }

    /// A piece of these bytes sets out from `end`.
    pub(super) fn send<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        end: EndId,
        kind: PieceKind,
        bytes: &[u8],
    ) {
        let Some(connection) = self.connections.get_mut(end.connection) else { return };
        let link = &mut self.links[connection.end(end.side).link.0 as usize];
        let length = bytes.len() as u64;
        let nanos = match kind {
            PieceKind::Syn | PieceKind::SynAck | PieceKind::Refuse => {
                link.handshake(&mut kernel.choices, &self.settings)
            }
            _ => link.transit(&mut kernel.choices, &self.settings, kernel.now, length),
        };
        let number = connection.number;
        let flow = connection.flow_mut(end.side);
        let arrival = kernel.now.after_nanos(nanos).max(flow.last_arrival);
        flow.last_arrival = arrival;
        if flow.due.is_none() && !flow.is_frozen {
            flow.due = Some(kernel.events.put(arrival, NetDue::Arrive(end).into()));
        }
        let digest = if kind == PieceKind::Data { xxh3_64(bytes) } else { 0 };
        flow.put(bytes);
        let message = self.messages_sent;
        self.messages_sent += 1;
        let bytes = u32::try_from(length).expect("windows are smaller");
        flow.pieces.push_back(Piece { arrival, message, digest, bytes, kind, is_judged: false, drops: 0 });
        let sent = SentMessage {
            number: message,
            connection: Some(number),
            kind: Some(kind),
            to: Some(link.to),
            bytes: length,
            digest,
        };
        record::sent(kernel, link.from, &sent);
        if link.slow_until > kernel.now {
            kernel.fault(FaultFamily::SlowLink, Some(link.from), || format!("message {message}"));
        }
    }

    /// The first piece of a flow is to be looked at.
    #[inline]
    pub(super) fn arrive<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, id: EndId) {
        let Some(connection) = self.connections.get_mut(id.connection) else { return };
        let (receiver, flow) = connection.receiver_and_flow(id.side);
        flow.due = None;
        let link = &self.links[receiver.way_in.0 as usize];
        let is_plain = link.is_clear(kernel.now)
            && self.links[receiver.link.0 as usize].partitions == 0
            && flow.is_plain(kernel.now)
            && receiver.fate == Fate::Open
            && receiver.is_owned
            && self.rule.is_none()
            && !self.settings.chaos.is_on;
        // Most pieces are bytes that nothing stops.
        if is_plain {
            while let Some(piece) = flow.pieces.front()
                && piece.kind == PieceKind::Data
                && piece.arrival <= kernel.now
            {
                flow.arrived += piece.bytes as usize;
                record::delivered(kernel, receiver.node, piece.message, piece.digest);
                flow.pieces.pop_front();
            }
            kernel.wake(receiver.reader.take());
            if flow.pieces.is_empty() {
                return;
            }
        }
        while self.deliver_first(kernel, id) {}
    }

    /// Delivers the first piece of a flow if it may pass now, and tells whether to look at the next.
    fn deliver_first<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, id: EndId) -> bool {
        let Some(connection) = self.connections.get_mut(id.connection) else { return false };
        let link = &self.links[connection.end(id.side).link.0 as usize];
        let gate = link.gate(kernel.now);
        let (number, is_stable) = (connection.number, connection.is_stable);
        let receiver = connection.end(id.side.other());
        let (node, fate, is_owned) = (receiver.node, receiver.fate, receiver.is_owned);
        let flow = connection.flow_mut(id.side);
        let Some(piece) = flow.pieces.front_mut() else { return false };
        if piece.arrival > kernel.now {
            flow.due = Some(kernel.events.put(piece.arrival, NetDue::Arrive(id).into()));
            return false;
        }
        let opens = match gate {
            Gate::Closed(stop) => {
                self.freeze(kernel, id, stop);
                return false;
            }
            _ if is_stable => kernel.now,
            Gate::Open => flow.standstill_until,
            Gate::Until(opens) => flow.standstill_until.max(opens),
        };
        if opens > kernel.now {
            piece.arrival = opens;
            let message = piece.message;
            flow.due = Some(kernel.events.put(opens, NetDue::Arrive(id).into()));
            kernel.fault(FaultFamily::Clog, Some(node), || {
                format!("connection {number}: message {message} until {opens}")
            });
            return false;
        }
        if self.rule.is_some() && !piece.is_judged {
            flow.is_frozen = true;
            self.questions.push(Question::Piece(id));
            return false;
        }
        let host = &self.hosts[node.0 as usize];
        let is_unheard = match fate {
            Fate::Vanished { boot } => host.power != Power::On || host.boot == boot,
            Fate::Absent => host.power == Power::Silent,
            _ => false,
        };
        if is_unheard {
            self.freeze(kernel, id, Stop::Unheard);
            return false;
        }
        let piece = *piece;
        flow.pieces.pop_front();
        if flow.is_severed {
            flow.forget_piece(piece.bytes as usize);
            record::dropped(kernel, Some(node), piece.message);
            self.expect_no_answer(kernel, id);
            return true;
        }
        if piece.kind == PieceKind::Data && fate == Fate::Open && is_owned {
            self.data_arrived(kernel, id, piece);
        } else {
            record::delivered(kernel, node, piece.message, piece.digest);
            self.piece_arrived(kernel, id, piece, fate);
        }
        true
    }

    fn data_arrived<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, id: EndId, piece: Piece) {
        let digest = if self.settings.chaos.is_on { self.flip_bits(kernel, id, piece) } else { piece.digest };
        let connection = self.connections.get_mut(id.connection).expect("a piece arrived on it");
        connection.flow_mut(id.side).arrived += piece.bytes as usize;
        let receiver = connection.end_mut(id.side.other());
        kernel.wake(receiver.reader.take());
        let (node, way_back) = (receiver.node, receiver.link);
        record::delivered(kernel, node, piece.message, digest);
        self.expect_acknowledgement(kernel, id, way_back);
    }

    fn piece_arrived<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        id: EndId,
        piece: Piece,
        fate: Fate,
    ) {
        let receiver = id.other();
        match piece.kind {
            PieceKind::Syn => self.syn_arrived(kernel, id),
            PieceKind::SynAck => self.syn_answered(kernel, id, Ok(())),
            PieceKind::Refuse => self.syn_answered(kernel, id, Err(ErrorKind::ConnectionRefused)),
            PieceKind::Data => {
                // Nobody reads it: the operating system answers for whoever had the end.
                let connection = self.connections.get_mut(id.connection).expect("a piece arrived on it");
                connection.flow_mut(id.side).forget_piece(piece.bytes as usize);
                self.send_reset(kernel, receiver);
            }
            PieceKind::Fin => match fate {
                Fate::Vanished { .. } => self.send_reset(kernel, receiver),
                _ => self.fin_arrived(kernel, id),
            },
            PieceKind::Reset => {
                self.drop_pieces(kernel, receiver);
                self.fail_end(kernel, receiver, ErrorKind::ConnectionReset);
                self.release_if_unseen(kernel, id.connection);
            }
        }
    }

    fn fin_arrived<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, id: EndId) {
        let connection = self.connections.get_mut(id.connection).expect("a piece arrived on it");
        connection.flow_mut(id.side).has_ended = true;
        let receiver = connection.end_mut(id.side.other());
        kernel.wake(receiver.reader.take());
        let way_back = receiver.link;
        self.expect_acknowledgement(kernel, id, way_back);
    }

    /// The first piece cannot pass; the writer sends it again and again, and gives up in the end.
    fn freeze<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, id: EndId, stop: Stop) {
        let connection = self.connections.get_mut(id.connection).expect("it has a piece");
        let (node, number) = (connection.end(id.side).node, connection.number);
        // What went silently does not send again.
        if matches!(connection.end(id.side).fate, Fate::Vanished { .. }) {
            self.drop_pieces(kernel, id);
            return;
        }
        let flow = connection.flow_mut(id.side);
        flow.is_frozen = true;
        let bytes: u64 = flow.pieces.iter().map(|piece| u64::from(piece.bytes)).sum();
        if stop == Stop::Partition {
            kernel.fault(FaultFamily::Partition, Some(node), || {
                format!("connection {number}: {bytes} bytes stopped")
            });
        }
        if stop != Stop::Held {
            self.expect_no_answer(kernel, id);
        }
    }

    /// What `id` sent is not acknowledged from now on.
    pub(super) fn expect_no_answer<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, id: EndId) {
        let Some(connection) = self.connections.get_mut(id.connection) else { return };
        // An attempt to connect has a limit of its own.
        let is_connecting = connection.end(id.side).fate == Fate::Connecting;
        let flow = connection.flow_mut(id.side);
        if flow.give_up.is_none() && !is_connecting {
            let event = kernel.schedule(self.settings.limits.retransmission, NetDue::GiveUp(id).into());
            flow.give_up = Some(event);
        }
    }

    /// A piece of `id` came, and its acknowledgement goes over `way_back`.
    fn expect_acknowledgement<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        id: EndId,
        way_back: LinkId,
    ) {
        if self.links[way_back.0 as usize].is_closed() {
            self.expect_no_answer(kernel, id);
        }
    }

    /// What an end sent was not acknowledged for too long: it fails, and the other, if it is there, hears nothing.
    pub(super) fn give_up<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, id: EndId) {
        let Some(connection) = self.connections.get_mut(id.connection) else { return };
        connection.flow_mut(id.side).give_up = None;
        self.drop_pieces(kernel, id);
        self.fail_end(kernel, id, ErrorKind::ConnectionReset);
        self.expect_silence(kernel, id.other(), self.settings.limits.keep_alive);
        self.release_if_unseen(kernel, id.connection);
    }

    /// Nothing is heard of the other end of `end` any more, which it notices after `nanos`.
    pub(super) fn expect_silence<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, end: EndId, nanos: u64) {
        let Some(connection) = self.connections.get_mut(end.connection) else { return };
        let state = connection.end_mut(end.side);
        if !state.is_owned || !matches!(state.fate, Fate::Open | Fate::Connecting) {
            return;
        }
        // The sooner of two counts, and the limit is the latest.
        if state.keep_alive.is_some() && nanos >= self.settings.limits.keep_alive {
            return;
        }
        let event = kernel.schedule(nanos, NetDue::KeepAlive(end).into());
        if let Some(before) = state.keep_alive.replace(event) {
            kernel.events.cancel(before);
        }
    }

    /// Nothing was heard of the other end for too long.
    pub(super) fn keep_alive_failed<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, end: EndId) {
        let Some(connection) = self.connections.get_mut(end.connection) else { return };
        let state = connection.end_mut(end.side);
        state.keep_alive = None;
        if state.is_owned {
            self.drop_pieces(kernel, end);
            self.fail_end(kernel, end, ErrorKind::ConnectionReset);
        }
    }

    /// What is on its way from `end` does not come.
    pub(super) fn drop_pieces<E>(&mut self, kernel: &mut Kernel<E>, end: EndId) {
        let Some(connection) = self.connections.get_mut(end.connection) else { return };
        let node = connection.end(end.side.other()).node;
        let flow = connection.flow_mut(end.side);
        for piece in &flow.pieces {
            record::dropped(kernel, Some(node), piece.message);
        }
        flow.forget_under_way();
        flow.is_frozen = false;
        for event in [flow.due.take(), flow.give_up.take()].into_iter().flatten() {
            kernel.events.cancel(event);
        }
    }

    /// `link` is open, or what stopped what came over it may be gone: all that was stopped sets out anew.
    pub(super) fn thaw<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, link: LinkId) {
        for connection in self.connections.ids() {
            for side in super::connection::Side::BOTH {
                let id = EndId { connection, side };
                let Some(state) = self.connections.get(connection) else { continue };
                if state.end(side).link == link {
                    self.send_again(kernel, id);
                }
                let Some(state) = self.connections.get(connection) else { continue };
                if state.end(side.other()).link == link {
                    self.acknowledge(kernel, id);
                }
            }
        }
    }

    /// The first piece of a flow that was stopped sets out anew; the others are behind it.
    fn send_again<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, id: EndId) {
        let connection = self.connections.get_mut(id.connection).expect("the caller has it");
        let link = connection.end(id.side).link;
        let flow = connection.flow_mut(id.side);
        if !flow.is_frozen || self.questions.contains(&Question::Piece(id)) {
            return;
        }
        flow.is_frozen = false;
        if let Some(give_up) = flow.give_up.take() {
            kernel.events.cancel(give_up);
        }
        let Some(piece) = flow.pieces.front_mut() else { return };
        let link = &mut self.links[link.0 as usize];
        let nanos = link.transit(&mut kernel.choices, &self.settings, kernel.now, u64::from(piece.bytes));
        piece.arrival = kernel.now.after_nanos(nanos);
        flow.due = Some(kernel.events.put(piece.arrival, NetDue::Arrive(id).into()));
        flow.last_arrival = flow.last_arrival.max(piece.arrival);
    }

    /// Acknowledgements of what `id` sent come through.
    fn acknowledge<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, id: EndId) {
        let connection = self.connections.get_mut(id.connection).expect("the caller has it");
        let waits = connection.end(id.side).writer.is_some();
        let flow = connection.flow_mut(id.side);
        if !flow.is_frozen
            && !flow.is_severed
            && let Some(give_up) = flow.give_up.take()
        {
            kernel.events.cancel(give_up);
        }
        if waits {
            self.tell_window(kernel, id);
        }
    }
}
