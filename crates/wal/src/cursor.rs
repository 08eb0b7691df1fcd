//! Reading in order, without I/O: a cursor that walks the live entries of some segments.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use samestep_replay_traits::Index;

use crate::chunk::Chunk;
use crate::error::{Damage, DamageKind, ReadError};
use crate::format::to_usize;
use crate::frame::{FrameHeader, Kind};
use crate::log::Span;
use crate::op::{DiskError, FileName, Op};
use crate::record::{Entry, EntryRef};
use crate::scan::{CHUNK_BYTES, Part, Peek, Scan};
use crate::sidecar;
use crate::view::SegmentView;

/// Walks the live entries of some segments, oldest first.
///
/// Call [`Self::seek`]; while it gives operations, perform them and give them to [`Self::handle_completion`]; then
/// [`Self::take`] the entry, or [`Self::take_owned`].
#[derive(Debug)]
pub struct Cursor {
    spans: VecDeque<Span>,
    place: Place,
    /// The buffer, between two segments.
    chunk: Chunk,
    chunk_bytes: u64,
    /// Stays where the newest segment ends, to go on when it has grown.
    parks: bool,
    /// Where no hint helps, walks the whole segment once, for [`Self::into_view`].
    indexes: bool,
    failed: Option<ReadError>,
}

#[derive(Debug)]
enum Place {
    /// Between two segments.
    Between,
    /// The sidecar is asked where the first wanted entry stands.
    Sidecar(Span, SidecarStep),
    /// The segment is being opened.
    Opening(Span, Hint),
    /// Looks ahead through a segment with truncations, to know which entries are dead.
    Indexing(Scan, SegmentView),
    /// Lends entries.
    Lending(Lending),
}

#[derive(Debug)]
enum SidecarStep {
    Open,
    Read { offset: u64, len: u64 },
    Close(Hint),
}

/// What is known of a segment without having walked it. Only the log's own memory is believed; what a sidecar
/// says is checked by the frame that it leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hint {
    /// Nothing.
    #[default]
    None,
    /// Where the first wanted entry stands. Enough if nothing in the segment is dead.
    Offset(u64),
    /// The same, and no other entry is wanted.
    Exact(u64),
    /// Where all live entries stand.
    View(SegmentView),
}

#[derive(Debug)]
struct Lending {
    scan: Scan,
    /// With one, only the entries in it are live.
    view: Option<SegmentView>,
    /// The scan came by a hint to this entry, and has not seen it yet.
    jumped_to: Option<Index>,
    state: LendState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LendState {
    /// Moves on to the next live entry.
    Moving,
    /// Stands at an entry that is not lent yet.
    Ready,
    /// Stands at an entry that was lent.
    Lent,
}

impl Cursor {
    pub(crate) fn new(spans: Vec<Span>) -> Self {
        Self {
            spans: spans.into(),
            place: Place::Between,
            chunk: Chunk::default(),
            chunk_bytes: CHUNK_BYTES,
            parks: false,
            indexes: false,
            failed: None,
        }
    }

    /// Reads no more than `bytes` at a time, unless a frame is larger.
    pub(crate) fn with_chunk_bytes(mut self, bytes: u64) -> Self {
        self.chunk_bytes = bytes;
        self
    }

    /// Stays at the end, for [`Self::extend`].
    pub(crate) fn parking(mut self) -> Self {
        self.parks = true;
        self
    }

    /// Reads in a segment that is open, and learns all of it where no hint helps.
    pub(crate) fn indexing(mut self, span: Span, is_open: bool) -> Self {
        self.indexes = true;
        self.place = enter(span);
        if is_open && let Place::Opening(span, hint) = self.place {
            let walk = Scan::new(span, Chunk::default(), self.chunk_bytes);
            self.place = begin(walk, hint, true);
        }
        self
    }

    /// Moves on to the next entry. Gives the operation that this needs, or `None` when it stands there or at the
    /// end.
    ///
    /// # Errors
    ///
    /// Damage, or what the disk said. Nothing behind it is lent: the same error comes again.
    #[inline]
    pub fn seek(&mut self) -> Result<Option<Op>, ReadError> {
        if self.failed.is_none()
            && let Place::Lending(lending) = &mut self.place
            && lending.jumped_to.is_none()
            && matches!(lending.find_live(), Ok(Peek::Frame))
        {
            return Ok(None);
        }
        self.seek_slowly()
    }

    /// Lends the entry that [`Self::seek`] moved to, or `None` at the end, and leaves it: the next seek moves on.
    ///
    /// # Errors
    ///
    /// As for [`Self::seek`].
    #[inline]
    pub fn take(&mut self) -> Result<Option<EntryRef<'_>>, ReadError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let Place::Lending(lending) = &mut self.place else { return Ok(None) };
        if lending.state != LendState::Ready {
            return Ok(None);
        }
        lending.state = LendState::Lent;
        match lending.scan.payload() {
            Ok(payload) => Ok(Some(entry_ref(lending.scan.header(), payload))),
            Err(damage) => {
                self.failed = Some(damage.clone().into());
                Err(damage.into())
            }
        }
    }

    /// Like [`Self::take`], and the payload is a share of the chunk that was read, which stays in memory as long as
    /// any of its payloads.
    ///
    /// # Errors
    ///
    /// As for [`Self::seek`].
    pub fn take_owned(&mut self) -> Result<Option<Entry>, ReadError> {
        let Some(entry) = self.take()? else { return Ok(None) };
        let (index, aux, slot, payload_crc) = (entry.index, entry.aux, entry.slot, entry.payload_crc);
        let Place::Lending(lending) = &mut self.place else { panic!("an entry was taken") };
        let payload = lending.scan.share_payload();
        Ok(Some(Entry { index, aux, slot, payload_crc, payload }))
    }

    /// Like [`Self::take`], and says where in [`Self::share_chunk`] the entry's frame starts.
    pub(crate) fn take_position(&mut self) -> Result<Option<usize>, ReadError> {
        let is_entry = self.take()?.is_some();
        match &self.place {
            Place::Lending(lending) if is_entry => Ok(Some(lending.scan.position())),
            _ => Ok(None),
        }
    }

    /// A share of the chunk that the last entry stood in, until the next read is performed.
    pub(crate) fn share_chunk(&self) -> Bytes {
        match &self.place {
            Place::Indexing(scan, _) => scan.share_chunk(),
            Place::Lending(lending) => lending.scan.share_chunk(),
            Place::Between | Place::Sidecar(..) | Place::Opening(..) => self.chunk.share(..),
        }
    }

    /// Takes `op` back with its outcome.
    pub fn handle_completion(&mut self, op: Op, outcome: io::Result<u64>) -> Result<(), ReadError> {
        let is_cache = matches!(op.file(), Some(FileName::Sidecar(_)));
        let result = match outcome {
            Err(_) if matches!(op, Op::Close { .. }) || is_cache => self.complete(op, 0),
            Err(error) => {
                let error = ReadError::Disk(DiskError::new(&op, error));
                self.failed = Some(error.clone());
                return Err(error);
            }
            Ok(number) => self.complete(op, number),
        };
        result.map_err(|damage| {
            self.failed = Some(damage.clone().into());
            damage.into()
        })
    }

    /// Takes the operation that opens a segment back, with the segment's file in memory: it is not read then.
    pub(crate) fn handle_memory(&mut self, op: &Op, file: Bytes) -> Result<(), ReadError> {
        let Place::Opening(span, hint) = std::mem::replace(&mut self.place, Place::Between) else {
            panic!("no segment is being opened: {op:?}")
        };
        let begun = Scan::of_memory(span, file).map(|scan| begin(scan, hint, self.indexes));
        self.place = begun.map_err(|damage| {
            self.failed = Some(damage.clone().into());
            ReadError::from(damage)
        })?;
        Ok(())
    }

    /// Goes on with `spans`, the first of which may be the segment that it stays in.
    pub(crate) fn extend(&mut self, spans: Vec<Span>) {
        self.spans = spans.into();
        let Place::Lending(lending) = &mut self.place else { return };
        let here = lending.scan.span().segment.id;
        if self.spans.front().is_none_or(|span| span.segment.id != here) {
            lending.scan.cut();
        } else if let Some(span) = self.spans.pop_front() {
            lending.scan.set_span(span);
            // What is dead in a segment lies before the truncation that killed it, and that is behind us.
            lending.view = None;
        }
    }

    /// Where the live entries of its segment stand, if it had to learn that.
    pub(crate) fn into_view(self) -> Option<SegmentView> {
        match self.place {
            Place::Lending(lending) => lending.view,
            _ => None,
        }
    }

    /// Whether it stands at an entry that is not lent yet.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(&self.place, Place::Lending(lending) if lending.state == LendState::Ready)
    }

    #[cold]
    fn seek_slowly(&mut self) -> Result<Option<Op>, ReadError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.advance().map_err(|damage| {
            self.failed = Some(damage.clone().into());
            damage.into()
        })
    }

    fn complete(&mut self, op: Op, number: u64) -> Result<(), Damage> {
        match std::mem::replace(&mut self.place, Place::Between) {
            Place::Between => {}
            Place::Sidecar(span, step) => self.place = complete_sidecar(span, &step, op, number),
            Place::Opening(span, hint) => {
                let walk = Scan::new(span, std::mem::take(&mut self.chunk), self.chunk_bytes);
                self.place = begin(walk, hint, self.indexes);
            }
            Place::Indexing(mut scan, view) => {
                scan.handle_read(op, number)?;
                self.place = Place::Indexing(scan, view);
            }
            Place::Lending(mut lending) => {
                lending.scan.handle_read(op, number)?;
                self.place = Place::Lending(lending);
            }
        }
        Ok(())
    }

    /// The next operation, or none at an entry or at the end.
    fn advance(&mut self) -> Result<Option<Op>, Damage> {
        loop {
            match &mut self.place {
                Place::Between => {
                    let Some(span) = self.spans.pop_front() else { return Ok(None) };
                    self.place = enter(span);
                }
                Place::Sidecar(span, step) => return Ok(Some(sidecar_op(span, step))),
                Place::Opening(span, _) => {
                    return Ok(Some(Op::Open { file: FileName::Segment(span.segment.id) }));
                }
                Place::Indexing(scan, view) => {
                    if index_some(scan, view)? == Peek::Read {
                        return Ok(Some(scan.read()));
                    }
                    let Place::Indexing(mut scan, view) = std::mem::replace(&mut self.place, Place::Between)
                    else {
                        panic!("matched above")
                    };
                    let offset = view.offset_of(scan.span().from);
                    if !offset.is_some_and(|offset| scan.jump(offset, scan.span().from)) {
                        scan.restart();
                    }
                    self.place = Place::Lending(Lending::new(scan, Some(view)));
                }
                Place::Lending(lending) => match lending.find_live() {
                    Ok(Peek::Read) => return Ok(Some(lending.scan.read())),
                    Ok(Peek::Frame) if lending.lands() => return Ok(None),
                    Ok(Peek::End)
                        if self.parks && lending.scan.span().is_active && !lending.scan.is_cut() =>
                    {
                        return Ok(None);
                    }
                    Ok(Peek::End) if lending.jumped_to.is_none() => return Ok(Some(self.leave_segment())),
                    Err(damage) if lending.jumped_to.is_none() => return Err(damage),
                    // The hint was wrong. From the start, then.
                    _ => self.place = self.walk(),
                },
            }
        }
    }

    fn leave_segment(&mut self) -> Op {
        let Place::Lending(mut lending) = std::mem::replace(&mut self.place, Place::Between) else {
            panic!("it stands in a segment")
        };
        self.chunk = lending.scan.take_chunk().0.cleared();
        Op::Close { file: FileName::Segment(lending.scan.span().segment.id) }
    }

    /// The same segment from its start, without hints.
    fn walk(&mut self) -> Place {
        let Place::Lending(mut lending) = std::mem::replace(&mut self.place, Place::Between) else {
            panic!("it stands in a segment")
        };
        lending.scan.restart();
        begin(lending.scan, Hint::None, self.indexes)
    }
}

impl Lending {
    fn new(scan: Scan, view: Option<SegmentView>) -> Self {
        Self { scan, view, jumped_to: None, state: LendState::Moving }
    }

    /// Scans on to the next entry that is live and wanted, or to a read, or to the end.
    #[inline]
    fn find_live(&mut self) -> Result<Peek, Damage> {
        match self.state {
            LendState::Ready => return Ok(Peek::Frame),
            LendState::Lent => {
                self.scan.advance();
                self.state = LendState::Moving;
            }
            LendState::Moving => {}
        }
        loop {
            let peek = self.scan.peek(Part::Header)?;
            if peek != Peek::Frame {
                return Ok(peek);
            }
            if self.is_wanted() {
                let peek = self.scan.peek(Part::Whole)?;
                if peek == Peek::Frame {
                    self.state = LendState::Ready;
                }
                return Ok(peek);
            }
            self.scan.advance();
        }
    }

    #[inline]
    fn is_wanted(&self) -> bool {
        let header = self.scan.header();
        let index = Index::new(header.index);
        let span = self.scan.span();
        header.kind == Kind::Entry
            && index >= span.from
            && index < span.segment.live_end
            && self.view.as_ref().is_none_or(|view| view.offset_of(index) == Some(self.scan.offset()))
    }

    /// Whether it stands where a hint, if there was one, was to lead.
    fn lands(&mut self) -> bool {
        let expected = self.jumped_to.take();
        let is_it = expected.is_none_or(|index| self.scan.header().index == index.get());
        if !is_it {
            self.jumped_to = expected;
        }
        is_it
    }
}

/// The first step into a segment.
fn enter(mut span: Span) -> Place {
    if span.hint != Hint::None || span.is_active || span.from <= span.segment.first_index {
        // Without truncations a hint at the first entry is worth nothing, and with some all must be walked.
        let hint = std::mem::take(&mut span.hint);
        return Place::Opening(span, hint);
    }
    Place::Sidecar(span, SidecarStep::Open)
}

fn sidecar_op(span: &Span, step: &SidecarStep) -> Op {
    let file = FileName::Sidecar(span.segment.id);
    match step {
        SidecarStep::Open => Op::Open { file },
        SidecarStep::Read { offset, len } => {
            Op::ReadAt { file, offset: *offset, buf: vec![0; to_usize(*len)] }
        }
        SidecarStep::Close(_) => Op::Close { file },
    }
}

fn complete_sidecar(span: Span, step: &SidecarStep, op: Op, number: u64) -> Place {
    let next = match step {
        SidecarStep::Open => match sidecar::plan(&span.segment, span.from, number) {
            Some((offset, len)) => SidecarStep::Read { offset, len },
            None => SidecarStep::Close(Hint::None),
        },
        SidecarStep::Read { len, .. } => {
            let Op::ReadAt { buf, .. } = op else { panic!("the operation that was asked for") };
            let hint = if number == *len { sidecar::hint(&buf, &span) } else { Hint::None };
            SidecarStep::Close(hint)
        }
        SidecarStep::Close(hint) => return Place::Opening(span, hint.clone()),
    };
    Place::Sidecar(span, next)
}

/// Starts to walk a segment that is open.
fn begin(mut scan: Scan, hint: Hint, indexes: bool) -> Place {
    let from = scan.span().from;
    let truncates = scan.span().segment.truncates;
    let is_exact = matches!(hint, Hint::Exact(_));
    let (offset, view) = match hint {
        Hint::None => (None, None),
        Hint::Offset(offset) | Hint::Exact(offset) => (Some(offset), None),
        Hint::View(view) => (view.offset_of(from), Some(view)),
    };
    let is_enough = !truncates || is_exact || view.is_some();
    if let Some(offset) = offset.filter(|_| is_enough)
        && scan.jump(offset, from)
    {
        return Place::Lending(Lending { jumped_to: Some(from), ..Lending::new(scan, view) });
    }
    if truncates || indexes {
        let view = SegmentView::new(scan.span().segment.first_index);
        return Place::Indexing(scan, view);
    }
    Place::Lending(Lending::new(scan, None))
}

/// Scans headers into `view` up to the next read or to the end.
pub(crate) fn index_some(scan: &mut Scan, view: &mut SegmentView) -> Result<Peek, Damage> {
    loop {
        let peek = scan.peek(Part::Header)?;
        if peek != Peek::Frame {
            return Ok(peek);
        }
        view.apply(scan.offset(), scan.header()).map_err(|kind: DamageKind| scan.damage(kind))?;
        scan.advance();
    }
}

#[inline]
pub(crate) fn entry_ref<'a>(header: &FrameHeader, payload: &'a [u8]) -> EntryRef<'a> {
    EntryRef {
        index: Index::new(header.index),
        aux: header.aux,
        slot: header.slot,
        payload_crc: header.payload_crc,
        payload,
    }
}
