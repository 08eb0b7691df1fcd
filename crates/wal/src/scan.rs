//! Walks the frames of one segment through a buffer, without I/O: asks for reads, checks every step.

use samestep_replay_traits::Index;

use crate::chunk::Chunk;
use crate::error::{Damage, DamageKind};
use crate::format::{ALIGN, BLOCK_END, to_u64, to_usize};
use crate::frame::{DecodedFrame, FRAME_HEADER_BYTES, FrameHeader, FrameKey, Kind};
use crate::log::Span;
use crate::op::{FileName, Op};

/// A position in a segment that moves from frame to frame.
#[derive(Debug)]
pub(crate) struct Scan {
    span: Span,
    key: FrameKey,
    /// A checksum of nothing: cloning it is cheaper than asking anew what the machine can do.
    fresh: crc32fast::Hasher,
    at: u64,
    /// Header checksum of the frame before, unless the scan jumped here.
    chain: Option<u32>,
    /// Index that the next entry must have.
    next: Index,
    current: Option<DecodedFrame>,
    chunk: Chunk,
    /// Offset of the first byte in the chunk.
    chunk_at: u64,
    /// How much is read at a time.
    chunk_bytes: u64,
    /// Bytes wanted from the present position on, for the read that was asked for.
    wanted: u64,
    /// The end needs no more checks: it is not where the segment ends.
    is_cut: bool,
}

/// What the scan stands at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peek {
    /// Bytes are missing: perform [`Scan::read`] and give it to [`Scan::handle_read`].
    Read,
    /// A frame whose header is checked and in order: see [`Scan::header`].
    Frame,
    /// The segment's end, at which the chain is as it must be.
    End,
}

impl Scan {
    /// A scan of `span`'s whole segment. `chunk` is used again, whatever is in it.
    pub(crate) fn new(span: Span, chunk: Chunk, chunk_bytes: u64) -> Self {
        let key = FrameKey::new(span.log_id, span.segment.id);
        let (chain, next) = (Some(span.segment.start_chain), span.segment.first_index);
        Self {
            span,
            key,
            fresh: crc32fast::Hasher::new(),
            at: BLOCK_END,
            chain,
            next,
            current: None,
            // Reads start where the scan stands, so bytes below the first frame are never in the chunk.
            chunk: chunk.cleared(),
            chunk_at: 0,
            chunk_bytes,
            wanted: 0,
            is_cut: false,
        }
    }

    /// A scan of `span`'s whole segment, all of which is in memory.
    pub(crate) fn of_memory(span: Span, file: bytes::Bytes) -> Result<Self, Damage> {
        let file_bytes = to_u64(file.len());
        if file_bytes < span.segment.end {
            let damage = Damage::new(span.segment.id, DamageKind::Length);
            return Err(Damage { offset: file_bytes, ..damage });
        }
        Ok(Self { chunk: Chunk::mapped(file), ..Self::new(span, Chunk::default(), 0) })
    }

    /// Back to the first frame.
    pub(crate) fn restart(&mut self) {
        self.at = BLOCK_END;
        self.chain = Some(self.span.segment.start_chain);
        self.next = self.span.segment.first_index;
        self.current = None;
    }

    /// On to `offset`, where the entry `index` is said to stand. False if no frame can stand there.
    #[must_use]
    pub(crate) fn jump(&mut self, offset: u64, index: Index) -> bool {
        let end = self.span.segment.end;
        let fits = offset >= BLOCK_END
            && offset.is_multiple_of(ALIGN)
            && offset.checked_add(to_u64(FRAME_HEADER_BYTES)).is_some_and(|header| header <= end);
        if fits {
            (self.at, self.chain, self.next, self.current) = (offset, None, index, None);
        }
        fits
    }

    /// The frame at the present position; its payload is only in the buffer after a peek for `Part::Whole`.
    #[inline]
    pub(crate) fn peek(&mut self, part: Part) -> Result<Peek, Damage> {
        let payload_bytes = match &self.current {
            Some(frame) => frame.header.payload_bytes,
            None => match self.peek_header() {
                Ok(Peek::Frame) => self.current.as_ref().map_or(0, |frame| frame.header.payload_bytes),
                Ok(other) => return Ok(other),
                Err(kind) => return Err(self.damage(kind)),
            },
        };
        let frame_bytes = crate::frame::frame_bytes(payload_bytes);
        if part == Part::Whole && self.buffered(frame_bytes).is_none() {
            self.wanted = frame_bytes;
            return Ok(Peek::Read);
        }
        Ok(Peek::Frame)
    }

    /// The header that was peeked at.
    #[inline]
    pub(crate) fn header(&self) -> &FrameHeader {
        &self.current.as_ref().expect("a frame was peeked at").header
    }

    /// Offset of the present position.
    #[inline]
    pub(crate) fn offset(&self) -> u64 {
        self.at
    }

    /// The payload of the frame peeked at for `Part::Whole`, if its checksum holds.
    #[inline]
    pub(crate) fn payload(&self) -> Result<&[u8], Damage> {
        let header = self.header();
        let payload_bytes = to_usize(u64::from(header.payload_bytes));
        let payload = &self.chunk.bytes()[self.position() + FRAME_HEADER_BYTES..][..payload_bytes];
        let mut hasher = self.fresh.clone();
        hasher.update(payload);
        if hasher.finalize() == header.payload_crc {
            return Ok(payload);
        }
        let identity = (header.kind == Kind::Entry).then_some((Index::new(header.index), header.aux));
        Err(Damage { identity, ..self.damage(DamageKind::Payload) })
    }

    /// The same payload as [`Self::payload`], already checked, as a share of the chunk.
    pub(crate) fn share_payload(&mut self) -> bytes::Bytes {
        let start = self.position() + FRAME_HEADER_BYTES;
        let end = start + to_usize(u64::from(self.header().payload_bytes));
        self.chunk.share(start..end)
    }

    /// On to the next frame.
    #[inline]
    pub(crate) fn advance(&mut self) {
        let frame = self.current.take().expect("a frame was peeked at");
        match frame.header.kind {
            Kind::Entry => self.next = Index::new(frame.header.index + 1),
            Kind::Truncate => self.next = Index::new(frame.header.index),
            Kind::State | Kind::Snapshot | Kind::Mark | Kind::Pad => {}
        }
        self.at += frame.header.frame_bytes();
        self.chain = Some(frame.checksum);
    }

    /// The read that [`Peek::Read`] asks for.
    pub(crate) fn read(&mut self) -> Op {
        // A frame cut by the chunk's end is read again from its start, so that no byte is moved in memory.
        let rest = self.span.segment.end - self.at;
        let len = to_usize(self.wanted.max(self.chunk_bytes).min(rest));
        let buf = self.chunk.take_buf(len);
        Op::ReadAt { file: FileName::Segment(self.span.segment.id), offset: self.at, buf }
    }

    /// Takes in the bytes that a [`Peek::Read`] asked for.
    pub(crate) fn handle_read(&mut self, op: Op, bytes_read: u64) -> Result<(), Damage> {
        let Op::ReadAt { offset, buf, .. } = op else { panic!("a scan only reads") };
        let is_short = bytes_read < to_u64(buf.len());
        (self.chunk, self.chunk_at) = (Chunk::from(buf), offset);
        if is_short { Err(self.damage(DamageKind::Length)) } else { Ok(()) }
    }

    /// The chunk that the present frame stands in, and the offset of its first byte. The next peek reads on.
    pub(crate) fn take_chunk(&mut self) -> (Chunk, u64) {
        (std::mem::take(&mut self.chunk), self.chunk_at)
    }

    /// A share of the whole chunk.
    pub(crate) fn share_chunk(&self) -> bytes::Bytes {
        self.chunk.share(..)
    }

    /// Goes on with the same segment as it is now: longer, or sealed.
    pub(crate) fn set_span(&mut self, span: Span) {
        self.span = span;
    }

    /// Ends here, whatever the segment holds behind.
    pub(crate) fn cut(&mut self) {
        self.span.segment.end = self.at;
        self.is_cut = true;
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    #[inline]
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    pub(crate) fn damage(&self, kind: DamageKind) -> Damage {
        Damage { offset: self.at, ..Damage::new(self.span.segment.id, kind) }
    }

    #[inline]
    fn peek_header(&mut self) -> Result<Peek, DamageKind> {
        let rest = self.span.segment.end - self.at;
        if rest == 0 {
            let holds = self.is_cut
                || self.span.is_active
                || self.chain.is_none_or(|chain| chain == self.span.segment.end_chain);
            return if holds { Ok(Peek::End) } else { Err(DamageKind::Chain) };
        }
        if rest < to_u64(FRAME_HEADER_BYTES) {
            return Err(DamageKind::FrameHeader);
        }
        let Some(bytes) = self.buffered(to_u64(FRAME_HEADER_BYTES)) else {
            self.wanted = to_u64(FRAME_HEADER_BYTES);
            return Ok(Peek::Read);
        };
        let Some(frame) = self.key.decode(self.at, bytes) else { return Err(DamageKind::FrameHeader) };
        if self.chain.is_some_and(|chain| chain != frame.header.prev) {
            return Err(DamageKind::Chain);
        }
        if !self.is_in_order(&frame.header) || frame.header.frame_bytes() > rest {
            return Err(DamageKind::Sequence);
        }
        self.current = Some(frame);
        Ok(Peek::Frame)
    }

    #[inline]
    fn is_in_order(&self, header: &FrameHeader) -> bool {
        let index = Index::new(header.index);
        match header.kind {
            Kind::Entry => index == self.next,
            Kind::Truncate => {
                let segment = &self.span.segment;
                segment.truncates && index >= segment.first_index && index < self.next
            }
            Kind::State | Kind::Snapshot | Kind::Mark | Kind::Pad => true,
        }
    }

    /// The bytes from the present position on, if there are `bytes` of them in the chunk.
    #[inline]
    fn buffered(&self, bytes: u64) -> Option<&[u8]> {
        let from = usize::try_from(self.at.checked_sub(self.chunk_at)?).ok()?;
        self.chunk.bytes().get(from..).filter(|rest| to_u64(rest.len()) >= bytes)
    }

    /// Where in the chunk it stands.
    #[inline]
    pub(crate) fn position(&self) -> usize {
        to_usize(self.at - self.chunk_at)
    }
}

/// How much of a frame must be in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Header,
    Whole,
}

/// How much is read at a time, where nothing speaks for less.
pub(crate) const CHUNK_BYTES: u64 = 1 << 20;
