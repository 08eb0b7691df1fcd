//! Walks the frames of one segment through a buffer, without I/O: asks for reads, checks every step.

use samestep_replay_traits::Index;

use crate::error::{Damage, DamageKind};
use crate::format::{BLOCK_END, to_u64, to_usize};
use crate::frame::{DecodedFrame, FRAME_HEADER_BYTES, FrameHeader, FrameKey, Kind};
use crate::log::Span;
use crate::op::{FileName, Op};

/// A position in a segment that moves from frame to frame.
#[derive(Debug)]
pub(crate) struct Scan {
    span: Span,
    key: FrameKey,
    at: u64,
    chain: u32,
    /// Index that the next entry must have.
    next: Index,
    current: Option<DecodedFrame>,
    buf: Vec<u8>,
    /// Offset of the first byte in `buf`.
    buf_at: u64,
}

/// What the scan stands at.
#[derive(Debug)]
pub(crate) enum Peek {
    /// Bytes are missing: perform this and give it to [`Scan::handle_read`].
    Read(Op),
    /// The header of the frame at this offset, checked and in order.
    Frame(u64, FrameHeader),
    /// The segment's end, at which the chain is as it must be.
    End,
}

impl Scan {
    /// A scan of `span`'s whole segment. `buf` is used again, whatever is in it.
    pub(crate) fn new(span: Span, buf: Vec<u8>) -> Self {
        let key = FrameKey::new(span.log_id, span.segment.id);
        let (chain, next) = (span.segment.start_chain, span.segment.first_index);
        let mut new = Self { span, key, at: BLOCK_END, chain, next, current: None, buf, buf_at: 0 };
        new.buf.clear();
        new
    }

    /// Back to the first frame.
    pub(crate) fn restart(&mut self) {
        self.at = BLOCK_END;
        self.chain = self.span.segment.start_chain;
        self.next = self.span.segment.first_index;
        self.current = None;
    }

    /// The frame at the present position; its payload is only in the buffer after a peek for `Part::Whole`.
    pub(crate) fn peek(&mut self, part: Part) -> Result<Peek, Damage> {
        let end = self.span.segment.end;
        if self.at == end {
            return if self.chain == self.span.segment.end_chain {
                Ok(Peek::End)
            } else {
                Err(self.damage(DamageKind::Chain))
            };
        }
        if self.current.is_none() {
            if let Some(read) = self.missing(to_u64(FRAME_HEADER_BYTES)) {
                return read;
            }
            let frame =
                self.key.decode(self.at, self.buffered()).ok_or(self.damage(DamageKind::FrameHeader))?;
            if frame.header.prev != self.chain {
                return Err(self.damage(DamageKind::Chain));
            }
            self.check_order(&frame.header)?;
            self.current = Some(frame);
        }
        let header = self.current.expect("just read").header;
        if part == Part::Whole
            && let Some(read) = self.missing(header.frame_bytes())
        {
            return read;
        }
        Ok(Peek::Frame(self.at, header))
    }

    /// The payload of the frame peeked at for `Part::Whole`, if its checksum holds.
    pub(crate) fn payload(&self) -> Result<&[u8], Damage> {
        let header = self.current.expect("a frame was peeked at").header;
        let payload = &self.buffered()[FRAME_HEADER_BYTES..][..to_usize(u64::from(header.payload_bytes))];
        if crc32fast::hash(payload) == header.payload_crc {
            return Ok(payload);
        }
        let identity = (header.kind == Kind::Entry).then_some((Index::new(header.index), header.aux));
        Err(Damage { identity, ..self.damage(DamageKind::Payload) })
    }

    /// The bytes from `offset` on, as far as they are in the buffer.
    pub(crate) fn bytes_at(&self, offset: u64) -> &[u8] {
        &self.buf[to_usize(offset - self.buf_at)..]
    }

    /// On to the next frame.
    pub(crate) fn advance(&mut self) {
        let frame = self.current.take().expect("a frame was peeked at");
        match frame.header.kind {
            Kind::Entry => self.next = Index::new(frame.header.index + 1),
            Kind::Truncate => self.next = Index::new(frame.header.index),
            Kind::State | Kind::Mark | Kind::Pad => {}
        }
        self.at += frame.header.frame_bytes();
        self.chain = frame.checksum;
    }

    /// Takes in the bytes that a [`Peek::Read`] asked for.
    pub(crate) fn handle_read(&mut self, op: Op, bytes_read: u64) -> Result<(), Damage> {
        let Op::ReadAt { offset, buf, .. } = op else { panic!("a scan only reads") };
        let is_short = bytes_read < to_u64(buf.len());
        (self.buf, self.buf_at) = (buf, offset);
        if is_short { Err(self.damage(DamageKind::Length)) } else { Ok(()) }
    }

    /// Gives the buffer back for the next scan.
    pub(crate) fn into_buf(self) -> Vec<u8> {
        self.buf
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    fn check_order(&self, header: &FrameHeader) -> Result<(), Damage> {
        let segment = &self.span.segment;
        let index = Index::new(header.index);
        let ok = match header.kind {
            Kind::Entry => index == self.next,
            Kind::Truncate => segment.truncates && index >= segment.first_index && index < self.next,
            Kind::State | Kind::Mark | Kind::Pad => true,
        };
        let fits = header.frame_bytes() <= segment.end - self.at;
        if ok && fits { Ok(()) } else { Err(self.damage(DamageKind::Sequence)) }
    }

    /// A read for `bytes` from the present position on, unless they are in the buffer.
    fn missing(&mut self, bytes: u64) -> Option<Result<Peek, Damage>> {
        let rest = self.span.segment.end - self.at;
        if bytes > rest {
            return Some(Err(self.damage(DamageKind::FrameHeader)));
        }
        let has = self.at >= self.buf_at && self.at + bytes <= self.buf_at + to_u64(self.buf.len());
        if has {
            return None;
        }
        // A frame cut by the buffer's end is read again from its start, so that no byte is moved in memory.
        let len = bytes.max(CHUNK_BYTES).min(rest);
        let mut buf = std::mem::take(&mut self.buf);
        buf.resize(to_usize(len), 0);
        let file = FileName::Segment(self.span.segment.id);
        Some(Ok(Peek::Read(Op::ReadAt { file, offset: self.at, buf })))
    }

    fn buffered(&self) -> &[u8] {
        self.bytes_at(self.at)
    }

    fn damage(&self, kind: DamageKind) -> Damage {
        Damage { offset: self.at, ..Damage::new(self.span.segment.id, kind) }
    }
}

/// How much of a frame must be in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Header,
    Whole,
}

/// How much is read at a time.
const CHUNK_BYTES: u64 = 1 << 20;
