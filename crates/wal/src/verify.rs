//! Reads a log without opening it, and judges all of it: every frame, header, sidecar, and `wal.meta`.
//!
//! Opening stops at the first damage, as it must. [`Verify`] goes on behind it, so that one run names every problem,
//! where it is, what it costs and what can be done. It never writes, syncs or locks; a log that is appended to
//! meanwhile may show a tail in motion, which is a note and no damage.
//!
//! Sans-io like the rest: perform what [`Verify::poll_op`] asks for. Holds one segment in memory at a time, and asks
//! for no more bytes of a file than it has.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;

use samestep_replay_traits::Index;

use crate::format::{BLOCK_BYTES, HeaderRead, Meta, MetaRead, SegmentHeader, to_u64, to_usize};
use crate::id::{LogId, Lsn, SegmentId};
use crate::log::Sealed;
use crate::op::{DiskError, FileName, Op};
use crate::options::TailModel;
use crate::sidecar;
use crate::view::SegmentView;

mod finding;
mod neighbours;
mod walk;

pub use finding::{Finding, Problem, Severity};
pub use walk::{FrameInfo, FrameKind};

/// A run over all files of a log.
///
/// Perform what [`Self::poll_op`] asks for and give it to [`Self::handle_completion`]. In between, take findings by
/// [`Self::poll_finding`] and segments by [`Self::take_segment`]; a segment that is not taken is dropped.
#[derive(Debug)]
pub struct Verify {
    depth: Depth,
    tail: TailModel,
    is_in_use: bool,
    phase: Phase,
    /// Lengths and headers of the segments, by number.
    found: BTreeMap<SegmentId, SegmentFound>,
    sidecars: VecDeque<SegmentId>,
    unread: VecDeque<SegmentId>,
    unwalked: VecDeque<SegmentId>,
    meta: MetaRead,
    has_meta_file: bool,
    /// The headers are all read and judged.
    is_judged: bool,
    /// Newest segment in use.
    newest: Option<SegmentId>,
    /// Segments whose headers do not fit the log.
    misfits: BTreeSet<SegmentId>,
    log_id: Option<LogId>,
    /// Views of sealed segments, kept until their sidecars are checked.
    views: BTreeMap<SegmentId, SegmentView>,
    taken: Option<SegmentImage>,
    findings: VecDeque<Finding>,
    summary: Summary,
}

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Depth {
    /// `wal.meta` and the headers of segments: fast, also for a long log.
    Headers,
    /// Everything.
    Frames,
}

/// What `wal.meta` and the headers say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Identity, if any file tells it.
    pub log_id: Option<LogId>,
    /// Every file of a segment, oldest first.
    pub segments: Vec<SegmentSummary>,
    /// What `wal.meta` says, from its better slot.
    pub meta: Option<MetaSummary>,
    /// Bytes of all segments' files.
    pub bytes: u64,
    /// Frames that were read, valid ones only.
    pub frames: u64,
}

/// One segment's file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentSummary {
    /// Its number.
    pub id: SegmentId,
    /// Length of the file.
    pub bytes: u64,
    /// Whether its header is valid; if not, all below is zero.
    pub has_header: bool,
    /// Position of its first byte in the log.
    pub base_lsn: Lsn,
    /// Index of the first entry in it.
    pub first_index: Index,
    /// First index that was not pruned when it was started.
    pub live_first: Index,
    /// Logical end as the next segment's header names it; `None` for the newest.
    pub end: Option<u64>,
    /// Whether a recovery started it.
    pub is_recovery: bool,
}

/// What `wal.meta` says: lower bounds, all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetaSummary {
    /// How often it was written, from 0.
    pub sequence: u64,
    /// Oldest segment.
    pub lowest: SegmentId,
    /// Newest segment that was in use.
    pub highest: SegmentId,
    /// First index that is not pruned.
    pub live_first: Index,
    /// Every byte before this position was durable.
    pub durable: Lsn,
    /// Both slots are whole.
    pub is_intact: bool,
}

/// A segment as it was read, with the frames found in it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SegmentImage {
    /// Its number.
    pub id: SegmentId,
    /// The whole file.
    pub bytes: Vec<u8>,
    /// Frames with valid headers, in order of their places. What stands behind a damaged stretch is found again.
    pub frames: Vec<FrameInfo>,
    /// Logical end: of the newest segment, the end of its last complete batch.
    pub end: u64,
    /// How far it is proven to have been durable; at most `end`, but in a damaged segment.
    pub proven: u64,
    /// Whether its header is valid and it fits its neighbours.
    pub is_valid: bool,
}

impl SegmentImage {
    /// The payload of `frame`, which must be one of this segment's.
    pub fn payload(&self, frame: &FrameInfo) -> &[u8] {
        let start = to_usize(frame.offset) + crate::frame::FRAME_HEADER_BYTES;
        self.bytes.get(start..).and_then(|rest| rest.get(..frame.payload_bytes as usize)).unwrap_or_default()
    }
}

#[derive(Debug)]
struct SegmentFound {
    bytes: u64,
    header: HeaderRead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    List,
    OpenMeta,
    ReadMeta { bytes: u64 },
    OpenHeader(SegmentId),
    ReadHeader(SegmentId),
    OpenSegment(SegmentId),
    ReadSegment(SegmentId),
    OpenSidecar(SegmentId),
    ReadSidecar { id: SegmentId, bytes: u64 },
    Close(FileName),
    Done,
}

impl Verify {
    /// A run that judges an unproven tail by `tail`, as an opening with this option would.
    pub fn new(depth: Depth, tail: TailModel) -> Self {
        Self {
            depth,
            tail,
            is_in_use: false,
            phase: Phase::List,
            found: BTreeMap::new(),
            sidecars: VecDeque::new(),
            unread: VecDeque::new(),
            unwalked: VecDeque::new(),
            meta: MetaRead::default(),
            has_meta_file: false,
            is_judged: false,
            newest: None,
            misfits: BTreeSet::new(),
            log_id: None,
            views: BTreeMap::new(),
            taken: None,
            findings: VecDeque::new(),
            summary: Summary::default(),
        }
    }

    /// The same run over a log that is appended to meanwhile: segments that appear or are pruned after the names were
    /// listed are neither missing nor looked at.
    #[must_use]
    pub fn while_in_use(mut self) -> Self {
        self.is_in_use = true;
        self
    }

    /// Next operation to perform, none at the end. Only lists, opens, reads and closes.
    #[must_use]
    pub fn poll_op(&mut self) -> Option<Op> {
        let segment = FileName::Segment;
        Some(match self.phase {
            Phase::List => Op::List { names: Vec::new() },
            Phase::OpenMeta => Op::Open { file: FileName::Meta },
            Phase::ReadMeta { bytes } => read(FileName::Meta, bytes.min(2 * to_u64(BLOCK_BYTES))),
            Phase::OpenHeader(id) | Phase::OpenSegment(id) => Op::Open { file: segment(id) },
            Phase::ReadHeader(id) => read(segment(id), self.found[&id].bytes.min(to_u64(BLOCK_BYTES))),
            Phase::ReadSegment(id) => read(segment(id), self.found[&id].bytes),
            Phase::OpenSidecar(id) => Op::Open { file: FileName::Sidecar(id) },
            Phase::ReadSidecar { id, bytes } => read(FileName::Sidecar(id), bytes),
            Phase::Close(file) => Op::Close { file },
            Phase::Done => return None,
        })
    }

    /// Takes `op` back with its outcome.
    ///
    /// # Errors
    ///
    /// If the directory cannot be listed. A file that cannot be read is a finding, and the run goes on.
    ///
    /// # Panics
    ///
    /// If `op` is not the operation that was asked for.
    pub fn handle_completion(&mut self, op: Op, outcome: io::Result<u64>) -> Result<(), DiskError> {
        let number = match outcome {
            Ok(number) => number,
            Err(error) if self.phase == Phase::List => return Err(DiskError::new(&op, error)),
            Err(error) => {
                self.handle_failure(&op, error);
                return Ok(());
            }
        };
        match self.phase {
            Phase::List => {
                let Op::List { names } = op else { panic!("the operation that was asked for") };
                self.take_names(names);
            }
            Phase::OpenMeta => self.phase = Phase::ReadMeta { bytes: number },
            Phase::ReadMeta { bytes } => {
                self.take_meta(&buffer(op, number), bytes);
                self.phase = Phase::Close(FileName::Meta);
            }
            Phase::OpenHeader(id) => {
                self.found.insert(id, SegmentFound { bytes: number, header: HeaderRead::Zero });
                self.phase = Phase::ReadHeader(id);
            }
            Phase::ReadHeader(id) => {
                let header = SegmentHeader::decode(&buffer(op, number));
                self.found.get_mut(&id).expect("it was opened").header = header;
                self.phase = Phase::Close(FileName::Segment(id));
            }
            Phase::OpenSegment(id) => {
                // A log in use may have trimmed it meanwhile.
                self.found.get_mut(&id).expect("its header was read").bytes = number;
                self.phase = Phase::ReadSegment(id);
            }
            Phase::ReadSegment(id) => {
                self.walk_segment(id, buffer(op, number));
                self.phase = Phase::Close(FileName::Segment(id));
            }
            Phase::OpenSidecar(id) => self.phase = Phase::ReadSidecar { id, bytes: number },
            Phase::ReadSidecar { id, .. } => {
                self.check_sidecar(id, &buffer(op, number));
                self.phase = Phase::Close(FileName::Sidecar(id));
            }
            Phase::Close(_) => self.next_file(),
            Phase::Done => panic!("no operation is out"),
        }
        Ok(())
    }

    /// The next problem, in the order in which they are met.
    #[must_use]
    pub fn poll_finding(&mut self) -> Option<Finding> {
        self.findings.pop_front()
    }

    /// The segment that was read last, unless it was taken.
    #[must_use]
    pub fn take_segment(&mut self) -> Option<SegmentImage> {
        self.taken.take()
    }

    /// What is known so far. Segments are in it once all headers are read.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// How many segments' frames are still to be read, and how many there are.
    pub fn progress(&self) -> (usize, usize) {
        (self.unwalked.len(), self.found.len())
    }

    fn take_names(&mut self, names: Vec<String>) {
        let (mut segments, mut sidecars) = (Vec::new(), Vec::new());
        for name in names {
            match FileName::parse(&name) {
                Some(FileName::Meta) => self.has_meta_file = true,
                Some(FileName::Segment(id)) => segments.push(id),
                Some(FileName::Sidecar(id)) => sidecars.push(id),
                Some(FileName::Lock) => {}
                None if name == QUARANTINE => {}
                None => self.findings.push_back(Finding::new(None, Problem::ForeignName { name })),
            }
        }
        segments.sort_unstable();
        sidecars.sort_unstable();
        self.unread = segments.into();
        self.sidecars = sidecars.into();
        if self.has_meta_file {
            self.phase = Phase::OpenMeta;
        } else {
            self.next_file();
        }
    }

    fn take_meta(&mut self, bytes: &[u8], file_bytes: u64) {
        self.meta = Meta::decode_best(bytes);
        if file_bytes < 2 * to_u64(BLOCK_BYTES) || !self.meta.intact {
            let is_lost = self.meta.best.is_none();
            self.note(FileName::Meta, Problem::Meta { is_lost });
        }
    }

    /// On to the next file: headers first, as a segment's end stands in the header of the next one.
    fn next_file(&mut self) {
        if let Some(id) = self.unread.pop_front() {
            self.phase = Phase::OpenHeader(id);
            return;
        }
        if !self.is_judged {
            self.is_judged = true;
            self.judge_headers();
        }
        if self.depth == Depth::Headers {
            self.phase = Phase::Done;
        } else if let Some(id) = self.unwalked.pop_front() {
            self.phase = Phase::OpenSegment(id);
        } else if let Some(id) = self.sidecars.pop_front() {
            self.phase = Phase::OpenSidecar(id);
        } else {
            self.phase = Phase::Done;
        }
    }

    fn handle_failure(&mut self, op: &Op, error: io::Error) {
        let file = op.file().expect("only files are read");
        let is_gone = error.kind() == io::ErrorKind::NotFound;
        // A file that was there a moment ago was pruned by whoever has the log open.
        if !is_gone {
            self.note(file, Problem::Unreadable(DiskError::new(op, error)));
        }
        if let (Phase::OpenHeader(id) | Phase::ReadHeader(id), true) = (self.phase, is_gone) {
            self.found.remove(&id);
        }
        self.next_file();
    }

    fn check_sidecar(&mut self, id: SegmentId, bytes: &[u8]) {
        let Some(view) = self.views.remove(&id) else { return };
        let Some(sealed) = self.sealed(id) else { return };
        let log_id = self.log_id.expect("a segment was walked");
        let is_right =
            sidecar::decode(bytes, log_id, &sealed).is_some_and(|found| found.offsets() == view.offsets());
        // That of a segment which was just sealed is still being written.
        if !is_right && !self.is_in_use {
            self.note(FileName::Sidecar(id), Problem::Sidecar);
        }
    }

    /// The segment `id` as the header behind it describes it.
    fn sealed(&self, id: SegmentId) -> Option<Sealed> {
        let HeaderRead::Valid(header) = &self.found.get(&id)?.header else { return None };
        let after = SegmentId::new(id.get().checked_add(1)?);
        let HeaderRead::Valid(next) = &self.found.get(&after)?.header else { return None };
        Some(Sealed {
            id,
            first_index: header.first_index,
            live_end: next.first_index,
            end: next.prev_end,
            end_chain: next.prev_chain,
            start_chain: header.prev_chain,
            truncates: next.flags & crate::format::FLAG_PREV_TRUNCATES != 0,
        })
    }

    fn note(&mut self, file: FileName, problem: Problem) {
        self.findings.push_back(Finding::new(Some(file), problem));
    }
}

fn read(file: FileName, bytes: u64) -> Op {
    Op::ReadAt { file, offset: 0, buf: vec![0; to_usize(bytes)] }
}

/// The bytes that a read brought.
fn buffer(op: Op, number: u64) -> Vec<u8> {
    let Op::ReadAt { mut buf, .. } = op else { panic!("the operation that was asked for") };
    buf.truncate(to_usize(number));
    buf
}

/// Where `samestep-wal repair` puts copies.
pub(crate) const QUARANTINE: &str = "quarantine";
