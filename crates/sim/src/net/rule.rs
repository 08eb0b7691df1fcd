//! Messages under a test's own hand: rules that judge each, links that are held, and a look at what is on its way.

use std::rc::Rc;
use std::time::Duration;

use super::connection::{EndId, PieceKind, Side};
use super::latency::duration_nanos;
use super::link::link_between;
use super::slab::SlotId;
use super::{NetDue, Network};
use crate::kernel::{Kernel, NodeId};
use crate::time::SimTime;

/// A message that came to its node and was not delivered yet, or is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Its number in the run.
    pub number: u64,
    /// The node that sent it.
    pub from: NodeId,
    /// The node that it is for.
    pub to: NodeId,
    /// The connection's number, or none of a datagram.
    pub connection: Option<u64>,
    /// Its bytes. None of what makes and ends connections, and of datagrams without any.
    pub payload: Vec<u8>,
    /// When it is to come, unless it is stopped.
    pub arrival: SimTime,
}

/// What a rule makes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is delivered.
    Pass,
    /// It is delivered so much later; what is behind it in its stream waits.
    Delay(Duration),
    /// A datagram is lost. A piece of a stream is sent again after 200 ms, twice that, and so on, and judged
    /// again; if it never passes, the connection is reset.
    Drop,
}

/// A test's rule.
pub(crate) type Rule = Rc<dyn Fn(&Message) -> Verdict>;

/// What a rule is to be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// The first piece of a flow.
    Piece(EndId),
    Datagram(SlotId),
}

impl Network {
    /// From now on `rule` judges each message when it comes; none passes all, those too that wait for a verdict.
    pub(crate) fn set_rule(&mut self, rule: Option<Rule>) -> Option<Rule> {
        std::mem::replace(&mut self.rule, rule)
    }

    /// Whether messages are to be judged.
    pub(crate) const fn has_questions(&self) -> bool {
        !self.questions.is_empty()
    }

    /// A message that is to be judged, and the rule to ask. The world asks it while nothing is borrowed, and
    /// answers by [`Self::answer`].
    pub(crate) fn poll_question(&mut self) -> Option<(Question, Message, Option<Rule>)> {
        while let Some(question) = self.questions.pop() {
            let message = match question {
                Question::Piece(flow) => self.messages_of(flow).into_iter().next(),
                Question::Datagram(slot) => self.datagram_message(slot),
            };
            if let Some(message) = message {
                return Some((question, message, self.rule.clone()));
            }
        }
        None
    }

    /// What the rule makes of message `number`, which was asked about.
    pub(crate) fn answer<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        question: Question,
        number: u64,
        verdict: Verdict,
    ) {
        match question {
            Question::Piece(flow) => self.answer_piece(kernel, flow, number, verdict),
            Question::Datagram(slot) => {
                let Some(datagram) = self.datagrams.get_mut(slot) else { return };
                let wait = match verdict {
                    Verdict::Drop => return self.drop_datagram(kernel, slot),
                    Verdict::Delay(wait) => duration_nanos(wait),
                    Verdict::Pass => 0,
                };
                datagram.is_judged = true;
                kernel.schedule(wait, NetDue::Datagram(slot).into());
            }
        }
    }

    fn answer_piece<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        flow: EndId,
        number: u64,
        verdict: Verdict,
    ) {
        let Some(connection) = self.connections.get_mut(flow.connection) else { return };
        let state = connection.flow_mut(flow.side);
        let Some(piece) = state.pieces.front_mut().filter(|piece| piece.message == number) else { return };
        let wait = match verdict {
            Verdict::Drop => {
                let wait = RETRANSMISSION_NANOS << piece.drops.min(6);
                piece.drops += 1;
                wait
            }
            Verdict::Delay(wait) => duration_nanos(wait),
            Verdict::Pass => 0,
        };
        piece.is_judged = verdict != Verdict::Drop;
        piece.arrival = kernel.now.after_nanos(wait);
        state.is_frozen = false;
        state.due = Some(kernel.schedule(wait, NetDue::Arrive(flow).into()));
        if verdict == Verdict::Drop {
            self.expect_no_answer(kernel, flow);
        } else if let Some(give_up) = state.give_up.take() {
            kernel.events.cancel(give_up);
        }
    }

    /// From now on nothing passes from one node to another; nothing is lost, and no connection is given up for it.
    pub(crate) fn hold(&mut self, from: NodeId, to: NodeId) {
        self.link_mut(link_between(from, to)).is_held = true;
    }

    /// What was held sets out anew, in its order.
    pub(crate) fn release<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, from: NodeId, to: NodeId) {
        let link = link_between(from, to);
        if std::mem::take(&mut self.link_mut(link).is_held) {
            self.thaw(kernel, link);
            self.release_datagrams(kernel, link);
        }
    }

    /// All that is on its way, by number.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let connections = self.connections.ids();
        let flows =
            connections.into_iter().flat_map(|connection| Side::BOTH.map(|side| EndId { connection, side }));
        let mut all: Vec<Message> = flows.flat_map(|flow| self.messages_of(flow)).collect();
        let waiting: Vec<SlotId> = self.sockets.values().flat_map(super::udp::Socket::waiting).collect();
        let under_way = self.datagrams.ids().into_iter().filter(|slot| !waiting.contains(slot));
        all.extend(under_way.filter_map(|slot| self.datagram_message(slot)));
        all.sort_by_key(|message| message.number);
        all
    }

    fn messages_of(&self, flow: EndId) -> Vec<Message> {
        let Some(connection) = self.connections.get(flow.connection) else { return Vec::new() };
        let (from, to) = (connection.end(flow.side).node, connection.end(flow.side.other()).node);
        let state = connection.flow(flow.side);
        let mut bytes = state.under_way();
        let message = |piece: &super::connection::Piece| {
            let count = if piece.kind == PieceKind::Data { piece.bytes as usize } else { 0 };
            let (payload, rest) = bytes.split_at(count);
            bytes = rest;
            Message {
                number: piece.message,
                from,
                to,
                connection: Some(connection.number),
                payload: payload.to_vec(),
                arrival: piece.arrival,
            }
        };
        state.pieces.iter().map(message).collect()
    }

    fn datagram_message(&self, slot: SlotId) -> Option<Message> {
        let datagram = self.datagrams.get(slot)?;
        let link = self.link(datagram.link);
        Some(Message {
            number: datagram.message,
            from: link.from,
            to: link.to,
            connection: None,
            payload: datagram.bytes.clone(),
            arrival: datagram.arrival,
        })
    }
}

/// When a piece that was dropped is sent again for the first time, as Linux does at the least.
const RETRANSMISSION_NANOS: u64 = 200_000_000;
