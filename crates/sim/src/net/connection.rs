//! What there is of a connection: two ends, and a flow of bytes from each to the other.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::Waker;

use super::link::LinkId;
use super::slab::SlotId;
use crate::kernel::NodeId;
use crate::queue::EventId;
use crate::time::SimTime;

/// Which end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Side {
    /// That which connected.
    Near,
    /// That which was connected to.
    Far,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Near, Self::Far];

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Near => Self::Far,
            Self::Far => Self::Near,
        }
    }
}

/// One end of a connection, and the flow that it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndId {
    pub(crate) connection: SlotId,
    pub(crate) side: Side,
}

impl EndId {
    pub(crate) const fn other(self) -> Self {
        Self { connection: self.connection, side: self.side.other() }
    }
}

/// A connection, from the first attempt until nobody can see anything of it.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    /// Its number in the run.
    pub(crate) number: u64,
    pub(crate) ends: [End; 2],
    /// The flow that each end writes.
    pub(crate) flows: [Flow; 2],
    /// Exempt from faults that come by themselves, partitions aside.
    pub(crate) is_stable: bool,
    /// What the attempt will come to, by a fault.
    pub(crate) is_refused: bool,
    /// When the attempt is given up.
    pub(crate) timeout: Option<EventId>,
}

impl Connection {
    pub(crate) const fn end(&self, side: Side) -> &End {
        &self.ends[side as usize]
    }

    pub(crate) const fn end_mut(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    /// The end that reads what `side` writes, and that flow.
    pub(crate) const fn receiver_and_flow(&mut self, side: Side) -> (&mut End, &mut Flow) {
        (&mut self.ends[side.other() as usize], &mut self.flows[side as usize])
    }

    pub(crate) const fn flow(&self, side: Side) -> &Flow {
        &self.flows[side as usize]
    }

    pub(crate) const fn flow_mut(&mut self, side: Side) -> &mut Flow {
        &mut self.flows[side as usize]
    }
}

/// One end.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) node: NodeId,
    pub(crate) address: SocketAddr,
    /// The link that it writes to, and the one that it reads from.
    pub(crate) link: LinkId,
    pub(crate) way_in: LinkId,
    pub(crate) fate: Fate,
    /// Whether a program, or the backlog of one, has it. What an end without an owner gets is answered by its
    /// operating system.
    pub(crate) is_owned: bool,
    /// When it fails, as nothing is heard of the other any more.
    pub(crate) keep_alive: Option<EventId>,
    /// Whoever waits to read, to connect, or to write.
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
}

impl Default for End {
    fn default() -> Self {
        Self {
            node: NodeId(0),
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            link: LinkId(0),
            way_in: LinkId(0),
            fate: Fate::Absent,
            is_owned: false,
            keep_alive: None,
            reader: None,
            writer: None,
        }
    }
}

/// How an end fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is not there yet.
    Absent,
    /// It waits for the other.
    Connecting,
    /// It is there.
    Open,
    /// All that is asked of it fails with this.
    Failed(ErrorKind),
    /// It went silently, in this boot of its node.
    Vanished { boot: u32 },
}

/// Bytes from one end to the other, in order. Those that were written stand in one buffer until they are read;
/// those that arrived are in front.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    bytes: Vec<u8>,
    /// Where the oldest byte stands that was not read, and how many from there have arrived.
    head: usize,
    pub(crate) arrived: usize,
    /// Position in the stream of the oldest byte that was not read.
    pub(crate) read_offset: u64,
    /// Position up to which the writer knows that all was read.
    pub(crate) credited: u64,
    pub(crate) pieces: VecDeque<Piece>,
    /// When the first piece is looked at.
    pub(crate) due: Option<EventId>,
    /// The first piece cannot pass until something changes.
    pub(crate) is_frozen: bool,
    /// When the writer gives up on what is not acknowledged.
    pub(crate) give_up: Option<EventId>,
    /// When the writer hears that there is room.
    pub(crate) window: Option<EventId>,
    /// What its writer still does.
    pub(crate) writing: Writing,
    /// The end of the stream has arrived.
    pub(crate) has_ended: bool,
    /// Nothing that is on its way, or will be, arrives.
    pub(crate) is_severed: bool,
    pub(crate) last_arrival: SimTime,
    pub(crate) standstill_until: SimTime,
}

/// What the writer of a flow still does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Writing {
    /// It writes.
    #[default]
    On,
    /// It ended the stream; nothing is written any more.
    Ended,
    /// It reset the connection.
    Reset,
}

/// What travels as one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) arrival: SimTime,
    /// Its number in the run.
    pub(crate) message: u64,
    pub(crate) digest: u64,
    pub(crate) bytes: u32,
    pub(crate) kind: PieceKind,
    /// Whether a rule let it pass.
    pub(crate) is_judged: bool,
    /// How often it was dropped and sent again.
    pub(crate) drops: u8,
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum PieceKind {
    Syn,
    SynAck,
    Refuse,
    Data,
    Fin,
    Reset,
}

impl Flow {
    /// A flow without bytes, in the memory of the one before.
    pub(crate) fn clear(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut pieces = std::mem::take(&mut self.pieces);
        bytes.clear();
        pieces.clear();
        *self = Self { bytes, pieces, ..Self::default() };
    }

    /// Whether nothing but its link could stop it.
    pub(crate) fn is_plain(&self, now: SimTime) -> bool {
        !self.is_severed && self.standstill_until <= now
    }

    /// How many bytes were written and not read.
    pub(crate) const fn unread(&self) -> usize {
        self.bytes.len() - self.head
    }

    /// How many bytes the writer does not know to have been read.
    pub(crate) const fn outstanding(&self) -> u64 {
        self.read_offset + self.unread() as u64 - self.credited
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The bytes that arrived and were not read.
    pub(crate) fn readable(&self) -> &[u8] {
        &self.bytes[self.head..self.head + self.arrived]
    }

    /// The bytes that have not arrived.
    pub(crate) fn under_way(&self) -> &[u8] {
        &self.bytes[self.head + self.arrived..]
    }

    /// The bytes of a piece that begins `start` bytes behind the oldest that was not read.
    pub(crate) fn piece_mut(&mut self, start: usize, count: usize) -> &mut [u8] {
        let from = self.head + start;
        &mut self.bytes[from..from + count]
    }

    /// The first `count` of the readable bytes were read.
    pub(crate) fn advance(&mut self, count: usize) {
        self.head += count;
        self.arrived -= count;
        self.read_offset += count as u64;
        if self.head == self.bytes.len() {
            self.bytes.clear();
            self.head = 0;
        } else if self.head >= COMPACT_BYTES_MIN && self.head * 2 >= self.bytes.len() {
            self.bytes.drain(..self.head);
            self.head = 0;
        }
    }

    /// Forgets what arrived and was not read.
    pub(crate) fn forget_arrived(&mut self) {
        self.advance(self.arrived);
    }

    /// Forgets what did not arrive.
    pub(crate) fn forget_under_way(&mut self) {
        self.bytes.truncate(self.head + self.arrived);
        self.pieces.clear();
    }

    /// A piece of `count` bytes came to an end that does not read; the bytes in front of it are gone as well.
    pub(crate) fn forget_piece(&mut self, count: usize) {
        self.arrived += count;
        self.forget_arrived();
    }
}

/// Bytes that were read are moved out of a buffer when they are so many, and half of it.
const COMPACT_BYTES_MIN: usize = 16 * 1024;
