//! Faults that an operation on a stream may meet.

use std::io::ErrorKind;

use xxhash_rust::xxh3::xxh3_64;

use super::connection::{EndId, Fate, Piece};
use super::link::{LinkId, Place};
use super::{NetDue, Network};
use crate::choice::{Chance, ChoiceFamily};
use crate::fault::FaultFamily;
use crate::kernel::Kernel;

impl Network {
    /// An operation of `end` may close the flow that it writes.
    ///
    /// # Errors
    ///
    /// If the operation itself is told.
    pub(super) fn roll_close<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        end: EndId,
    ) -> Result<(), ErrorKind> {
        let chance = self.settings.chaos.random_close;
        if chance.is_never() || kernel.now < self.no_close_before {
            return Ok(());
        }
        let Some(connection) = self.connections.get(end.connection) else { return Ok(()) };
        let place = connection.end(end.side).link.place(Place::Close);
        if !kernel.choices.happens(ChoiceFamily::Network, place, chance) {
            return Ok(());
        }
        self.no_close_before = kernel.now.after_nanos(self.settings.chaos.random_close_pause);
        let explicit = self.settings.chaos.random_close_explicit;
        if kernel.choices.happens(ChoiceFamily::Network, place, explicit) {
            self.close_randomly(kernel, end, place);
            self.fail_end(kernel, end, ErrorKind::ConnectionReset);
            return Err(ErrorKind::ConnectionReset);
        }
        self.close_randomly(kernel, end, place);
        Ok(())
    }

    /// Nothing more arrives of what `end` writes. Its peer, itself, or both are told by a reset; who is not told
    /// finds out by its limits.
    pub(super) fn close_randomly<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, end: EndId, place: u32) {
        let Some(connection) = self.connections.get_mut(end.connection) else { return };
        let number = connection.number;
        let (node, link) = (connection.end(end.side).node, connection.end(end.side).link);
        let is_peer_there = {
            let peer = connection.end(end.side.other());
            peer.is_owned && peer.fate == Fate::Open
        };
        connection.flow_mut(end.side).is_severed = true;
        let told = match kernel.choices.pick(ChoiceFamily::Network, place, 3) {
            0 => Told::Both,
            1 if is_peer_there => Told::Peer,
            _ => Told::Own,
        };
        let soon = self.links[link.0 as usize].transit(&mut kernel.choices, &self.settings, kernel.now, 0);
        let late = self.settings.limits.keep_alive;
        let (own, peer) = match told {
            Told::Both => (soon, soon),
            Told::Peer => (late, soon),
            Told::Own => (soon, late),
        };
        self.expect_silence(kernel, end, own);
        self.expect_silence(kernel, end.other(), peer);
        kernel.fault(FaultFamily::RandomClose, Some(node), || format!("connection {number}, told: {told:?}"));
    }

    /// Both ends of a connection hear nothing of each other any more, and are not told. Tells whether both were
    /// there.
    pub(super) fn sever<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, end: EndId) -> bool {
        let Some(connection) = self.connections.get_mut(end.connection) else { return false };
        let number = connection.number;
        let is_there = connection.ends.iter().all(|end| end.is_owned && end.fate == Fate::Open);
        if !is_there {
            return false;
        }
        connection.flows.iter_mut().for_each(|flow| flow.is_severed = true);
        let late = self.settings.limits.keep_alive;
        self.expect_silence(kernel, end, late);
        self.expect_silence(kernel, end.other(), late);
        let node = self.node_of_end(end);
        kernel.fault(FaultFamily::HalfOpen, node, || format!("connection {number}"));
        true
    }

    /// An operation may make `flow`, whose fault is decided at `link`, stand still.
    pub(super) fn roll_clog<E>(&mut self, kernel: &mut Kernel<E>, flow: EndId, link: LinkId) {
        let chaos = &self.settings.chaos;
        let (place, time) = (link.place(Place::Clog), chaos.clog_time);
        if kernel.choices.happens(ChoiceFamily::Network, place, chaos.clog) {
            let nanos = time.pick(&mut kernel.choices, ChoiceFamily::Network, place);
            self.stand_still(kernel, flow, nanos);
        }
    }

    /// Nothing of `flow` arrives for `nanos` from now. Counted when something would have.
    pub(super) fn stand_still<E>(&mut self, kernel: &Kernel<E>, flow: EndId, nanos: u64) {
        if let Some(connection) = self.connections.get_mut(flow.connection) {
            let flow = connection.flow_mut(flow.side);
            flow.standstill_until = flow.standstill_until.max(kernel.now.after_nanos(nanos));
        }
    }

    /// An operation that sends over `link` may be followed by a partition.
    pub(super) fn roll_partition<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, link: LinkId) {
        let chaos = &self.settings.chaos;
        let (chance, strategy, time) = (chaos.partition, chaos.partition_strategy, chaos.partition_time);
        if chance.is_never() || kernel.now < self.no_partition_before {
            return;
        }
        if kernel.choices.happens(ChoiceFamily::Network, link.place(Place::Partition), chance) {
            let nanos = time.pick(&mut kernel.choices, ChoiceFamily::Network, link.place(Place::Partition));
            self.no_partition_before = kernel.now.after_nanos(nanos);
            let links = self.draw_partition(kernel, strategy);
            self.partition_for(kernel, links, nanos);
        }
    }

    /// A piece that arrives may have bits turned over. Each is logged. Gives the digest of what arrives.
    pub(super) fn flip_bits<E>(&mut self, kernel: &mut Kernel<E>, id: EndId, piece: Piece) -> u64 {
        let chaos = &self.settings.chaos;
        let (chance, least, most) = (chaos.bit_flip, chaos.bit_flip_min, chaos.bit_flip_max);
        if chance.is_never() || kernel.now < self.no_flip_before {
            return piece.digest;
        }
        let connection = self.connections.get_mut(id.connection).expect("a piece arrives on it");
        if connection.is_stable {
            return piece.digest;
        }
        let number = connection.number;
        let (from, to) = (connection.end(id.side).node, connection.end(id.side.other()).node);
        let place = connection.end(id.side).link.place(Place::BitFlip);
        if !kernel.choices.happens(ChoiceFamily::Network, place, chance) {
            return piece.digest;
        }
        self.no_flip_before = kernel.now.after_nanos(chaos.bit_flip_pause);
        let mut count = least;
        while count < most && kernel.choices.happens(ChoiceFamily::Network, place, Chance::one_in(1, 2)) {
            count += 1;
        }
        let flow = connection.flow_mut(id.side);
        let start = flow.arrived;
        let offset = flow.read_offset + start as u64;
        let length = piece.bytes as usize;
        let mut flipped = Vec::new();
        for _ in 0..count {
            let bit = kernel.choices.pick(ChoiceFamily::Network, place, length as u64 * 8);
            // A bit that is turned over twice would be a fault that did not act.
            if flipped.contains(&bit) {
                continue;
            }
            flipped.push(bit);
            let byte = usize::try_from(bit / 8).expect("below the piece's length");
            flow.piece_mut(start, length)[byte] ^= 1 << (bit % 8);
        }
        let digest = xxh3_64(flow.piece_mut(start, length));
        for bit in flipped {
            let (byte, bit) = (offset + bit / 8, bit % 8);
            kernel.fault(FaultFamily::BitFlip, Some(to), || {
                format!("connection {number}, {from} to {to}, byte {byte}, bit {bit}")
            });
        }
        digest
    }
}

/// Who is told that a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Both,
    Peer,
    Own,
}
