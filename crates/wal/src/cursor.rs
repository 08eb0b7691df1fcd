//! Reading, without I/O: a cursor that walks entries in order, and a look-up of one.

use std::collections::VecDeque;
use std::io;

use samestep_replay_traits::Index;

use crate::error::{Damage, DamageKind, ReadError};
use crate::format::{to_u64, to_usize};
use crate::frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKey, Kind};
use crate::log::Span;
use crate::op::{DiskError, FileName, Op};
use crate::record::{Entry, EntryRef};
use crate::scan::{Part, Peek, Scan};
use crate::sidecar;
use crate::view::SegmentView;

/// Walks the live entries of some segments, oldest first.
///
/// Call [`Self::seek`]; while it gives operations, perform them and give them to [`Self::handle_completion`]; then
/// [`Self::take`] the entry.
#[derive(Debug)]
pub struct Cursor {
    spans: VecDeque<Span>,
    place: Place,
    buf: Vec<u8>,
    /// The entry it stands at, not yet lent.
    at: Option<FrameHeader>,
    failed: Option<ReadError>,
}

#[derive(Debug)]
enum Place {
    /// Between two segments.
    Between,
    /// The segment is being opened.
    Opening(Span),
    /// Looks ahead through a segment with truncations, to know which entries are dead.
    Indexing(Scan, SegmentView),
    /// Lends entries; with a view, only those in it.
    Lending { scan: Scan, view: Option<SegmentView>, is_lent: bool },
}

impl Cursor {
    pub(crate) fn new(spans: Vec<Span>) -> Self {
        Self { spans: spans.into(), place: Place::Between, buf: Vec::new(), at: None, failed: None }
    }

    /// Moves on to the next entry. Gives the operation that this needs, or `None` when it stands there or at the
    /// end.
    ///
    /// # Errors
    ///
    /// Damage, or what the disk said. Nothing behind it is lent: the same error comes again.
    pub fn seek(&mut self) -> Result<Option<Op>, ReadError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.at.is_some() {
            return Ok(None);
        }
        match self.advance() {
            Ok(Advance::Perform(op)) => Ok(Some(op)),
            Ok(Advance::End) => Ok(None),
            Ok(Advance::Entry(header)) => {
                self.at = Some(header);
                Ok(None)
            }
            Err(damage) => {
                self.failed = Some(damage.clone().into());
                Err(damage.into())
            }
        }
    }

    /// Lends the entry that [`Self::seek`] moved to, or `None` at the end, and leaves it: the next seek moves on.
    ///
    /// # Errors
    ///
    /// As for [`Self::seek`].
    pub fn take(&mut self) -> Result<Option<EntryRef<'_>>, ReadError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        match self.at.take() {
            Some(header) => self.lend(&header).map(Some),
            None => Ok(None),
        }
    }

    /// Takes `op` back with its outcome.
    pub fn handle_completion(&mut self, op: Op, outcome: io::Result<u64>) -> Result<(), ReadError> {
        let result = match outcome {
            Err(_) if matches!(op, Op::Close { .. }) => Ok(()),
            Err(error) => Err(ReadError::Disk(DiskError::new(&op, error))),
            Ok(bytes) => self.complete(op, bytes).map_err(ReadError::from),
        };
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        result
    }

    fn complete(&mut self, op: Op, bytes: u64) -> Result<(), Damage> {
        match std::mem::replace(&mut self.place, Place::Between) {
            Place::Between => {}
            Place::Opening(span) => {
                let view = span.segment.truncates.then(|| SegmentView::new(span.segment.first_index));
                let frames = Scan::new(span, std::mem::take(&mut self.buf));
                self.place = match view {
                    Some(view) => Place::Indexing(frames, view),
                    None => Place::Lending { scan: frames, view: None, is_lent: false },
                };
            }
            Place::Indexing(mut scan, view) => {
                scan.handle_read(op, bytes)?;
                self.place = Place::Indexing(scan, view);
            }
            Place::Lending { mut scan, view, is_lent } => {
                scan.handle_read(op, bytes)?;
                self.place = Place::Lending { scan, view, is_lent };
            }
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<Advance, Damage> {
        loop {
            match std::mem::replace(&mut self.place, Place::Between) {
                Place::Between => {
                    let Some(span) = self.spans.pop_front() else { return Ok(Advance::End) };
                    let file = FileName::Segment(span.segment.id);
                    self.place = Place::Opening(span);
                    return Ok(Advance::Perform(Op::Open { file }));
                }
                Place::Opening(_) => panic!("the operation is not completed"),
                Place::Indexing(mut scan, mut view) => {
                    let (read, is_done) = index_some(&mut scan, &mut view)?;
                    if is_done {
                        scan.restart();
                        self.place = Place::Lending { scan, view: Some(view), is_lent: false };
                    } else {
                        self.place = Place::Indexing(scan, view);
                    }
                    if let Some(read) = read {
                        return Ok(Advance::Perform(read));
                    }
                }
                Place::Lending { mut scan, view, is_lent } => {
                    if is_lent {
                        scan.advance();
                    }
                    let found = find_live(&mut scan, view.as_ref())?;
                    let file = FileName::Segment(scan.span().segment.id);
                    if matches!(found, Peek::End) {
                        self.buf = scan.into_buf();
                        return Ok(Advance::Perform(Op::Close { file }));
                    }
                    let is_lent = matches!(found, Peek::Frame(..));
                    self.place = Place::Lending { scan, view, is_lent };
                    return Ok(match found {
                        Peek::Read(op) => Advance::Perform(op),
                        Peek::Frame(_, header) => Advance::Entry(header),
                        Peek::End => Advance::End,
                    });
                }
            }
        }
    }

    fn lend(&mut self, header: &FrameHeader) -> Result<EntryRef<'_>, ReadError> {
        let Place::Lending { scan, .. } = &self.place else { panic!("an entry was found") };
        match scan.payload() {
            Ok(payload) => Ok(EntryRef {
                index: Index::new(header.index),
                aux: header.aux,
                slot: header.slot,
                payload_crc: header.payload_crc,
                payload,
            }),
            Err(damage) => {
                self.failed = Some(damage.clone().into());
                Err(damage.into())
            }
        }
    }
}

enum Advance {
    Perform(Op),
    Entry(FrameHeader),
    End,
}

/// Scans on to the next entry that is live and wanted, or to a read, or to the end.
fn find_live(scan: &mut Scan, view: Option<&SegmentView>) -> Result<Peek, Damage> {
    loop {
        let peek = scan.peek(Part::Header)?;
        let Peek::Frame(offset, header) = &peek else { return Ok(peek) };
        let index = Index::new(header.index);
        let wanted = scan.span().from..scan.span().segment.live_end;
        let is_wanted = header.kind == Kind::Entry && wanted.contains(&index);
        if is_wanted && view.is_none_or(|view| view.offset_of(index) == Some(*offset)) {
            return scan.peek(Part::Whole);
        }
        scan.advance();
    }
}

/// Scans headers into `view` up to the next read, which is returned, or to the end.
fn index_some(scan: &mut Scan, view: &mut SegmentView) -> Result<(Option<Op>, bool), Damage> {
    loop {
        match scan.peek(Part::Header)? {
            Peek::Read(op) => return Ok((Some(op), false)),
            Peek::End => return Ok((None, true)),
            Peek::Frame(offset, header) => {
                let segment = scan.span().segment.id;
                view.apply(offset, &header)
                    .map_err(|kind| Damage { offset, ..Damage::new(segment, kind) })?;
                scan.advance();
            }
        }
    }
}

/// Reads one entry, by the sidecar if that is of use, else by scanning the segment's headers.
///
/// Perform what [`Self::poll_op`] asks for and give it to [`Self::handle_completion`], until there is a result.
#[derive(Debug)]
pub struct Lookup {
    span: Span,
    key: FrameKey,
    index: Index,
    state: LookupState,
    /// The segment's view, once it is known.
    view: Option<SegmentView>,
    /// The offset comes from a cache: if nothing good stands there, the segment is scanned.
    is_hint: bool,
    result: Option<Entry>,
}

#[derive(Debug)]
enum LookupState {
    OpenSidecar,
    ReadSidecar { bytes: u64 },
    CloseSidecar,
    OpenSegment,
    Scan(Scan),
    Frame { offset: u64, bytes: u64 },
    Done,
}

impl Lookup {
    /// Looks for `index` in `span`, at `offset` if that is known, else by `view` if that is.
    pub(crate) fn new(span: Span, index: Index, offset: Option<u64>, view: Option<SegmentView>) -> Self {
        let key = FrameKey::new(span.log_id, span.segment.id);
        let state = match (offset, &view) {
            // Known without reading only of the active segment, whose file is open.
            (Some(offset), _) => LookupState::Frame { offset, bytes: FIRST_READ_BYTES },
            (None, Some(_)) => LookupState::OpenSegment,
            (None, None) => LookupState::OpenSidecar,
        };
        Self { span, key, index, state, is_hint: view.is_some(), view, result: None }
    }

    /// Next operation to perform; none when the entry is found.
    pub fn poll_op(&mut self) -> Result<Option<Op>, ReadError> {
        let sidecar = FileName::Sidecar(self.span.segment.id);
        let segment = FileName::Segment(self.span.segment.id);
        loop {
            match &mut self.state {
                LookupState::OpenSidecar => return Ok(Some(Op::Open { file: sidecar })),
                LookupState::ReadSidecar { bytes } => {
                    let buf = vec![0; to_usize(*bytes)];
                    return Ok(Some(Op::ReadAt { file: sidecar, offset: 0, buf }));
                }
                LookupState::CloseSidecar => return Ok(Some(Op::Close { file: sidecar })),
                LookupState::OpenSegment => return Ok(Some(Op::Open { file: segment })),
                LookupState::Scan(scan) => {
                    let view =
                        self.view.get_or_insert_with(|| SegmentView::new(self.span.segment.first_index));
                    if let (Some(op), _) = index_some(scan, view)? {
                        return Ok(Some(op));
                    }
                    let offset = view.offset_of(self.index);
                    let offset = offset.ok_or(Damage::new(self.span.segment.id, DamageKind::Sequence))?;
                    self.state = LookupState::Frame { offset, bytes: FIRST_READ_BYTES };
                }
                LookupState::Frame { offset, bytes } => {
                    let len = (*bytes).min(self.span.segment.end.saturating_sub(*offset));
                    let buf = vec![0; to_usize(len)];
                    return Ok(Some(Op::ReadAt { file: segment, offset: *offset, buf }));
                }
                LookupState::Done => return Ok(None),
            }
        }
    }

    /// Takes `op` back with its outcome.
    pub fn handle_completion(&mut self, op: Op, outcome: io::Result<u64>) -> Result<(), ReadError> {
        let is_cache = matches!(op.file(), Some(FileName::Sidecar(_)));
        let outcome = match outcome {
            Ok(bytes) => bytes,
            Err(_) if is_cache => 0,
            Err(error) => return Err(ReadError::Disk(DiskError::new(&op, error))),
        };
        match std::mem::replace(&mut self.state, LookupState::Done) {
            LookupState::OpenSidecar => {
                let fits = outcome > 0 && outcome <= self.span.segment.end;
                self.state = if fits {
                    LookupState::ReadSidecar { bytes: outcome }
                } else {
                    LookupState::CloseSidecar
                };
            }
            LookupState::ReadSidecar { .. } => {
                let Op::ReadAt { buf, .. } = op else { panic!("the operation that was asked for") };
                self.view = sidecar::decode(&buf, self.span.log_id, &self.span.segment);
                self.is_hint = self.view.is_some();
                self.state = LookupState::CloseSidecar;
            }
            LookupState::CloseSidecar => self.state = LookupState::OpenSegment,
            LookupState::OpenSegment => {
                let known = self.view.as_ref().and_then(|view| view.offset_of(self.index));
                self.state = match known {
                    Some(offset) => LookupState::Frame { offset, bytes: FIRST_READ_BYTES },
                    None => self.start_scan(),
                };
            }
            LookupState::Scan(mut scan) => {
                scan.handle_read(op, outcome)?;
                self.state = LookupState::Scan(scan);
            }
            LookupState::Frame { offset, bytes } => {
                let Op::ReadAt { buf, .. } = op else { panic!("the operation that was asked for") };
                self.take_frame(offset, bytes, &buf[..to_usize(outcome)])?;
            }
            LookupState::Done => panic!("no operation is out"),
        }
        Ok(())
    }

    /// The entry, and the segment's view if it is worth keeping.
    ///
    /// # Panics
    ///
    /// If [`Self::poll_op`] still gives operations.
    pub(crate) fn into_result(self) -> (Entry, Option<SegmentView>) {
        (self.result.expect("the look-up is over"), self.view)
    }

    fn start_scan(&mut self) -> LookupState {
        (self.view, self.is_hint) = (None, false);
        LookupState::Scan(Scan::new(self.span.clone(), Vec::new()))
    }

    fn take_frame(&mut self, offset: u64, wanted: u64, bytes: &[u8]) -> Result<(), ReadError> {
        let damage = |kind| Damage { offset, ..Damage::new(self.span.segment.id, kind) };
        let frame = self.key.decode(offset, bytes);
        let is_it = |header: &FrameHeader| header.kind == Kind::Entry && header.index == self.index.get();
        let Some(header) = frame.map(|frame| frame.header).filter(is_it) else {
            if self.is_hint {
                self.state = self.start_scan();
                return Ok(());
            }
            return Err(damage(DamageKind::FrameHeader).into());
        };
        let end = to_u64(FRAME_HEADER_BYTES) + u64::from(header.payload_bytes);
        let Some(payload) = bytes.get(FRAME_HEADER_BYTES..to_usize(end)) else {
            if wanted >= end {
                return Err(damage(DamageKind::Length).into());
            }
            self.state = LookupState::Frame { offset, bytes: end };
            return Ok(());
        };
        if crc32fast::hash(payload) != header.payload_crc {
            let identity = Some((self.index, header.aux));
            return Err(Damage { identity, ..damage(DamageKind::Payload) }.into());
        }
        self.result = Some(Entry {
            index: self.index,
            aux: header.aux,
            slot: header.slot,
            payload_crc: header.payload_crc,
            payload: payload.to_vec(),
        });
        Ok(())
    }
}

/// First read of a look-up: header and payload of most entries in one go.
const FIRST_READ_BYTES: u64 = 4096;
