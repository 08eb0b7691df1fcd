//! Opening a log, without I/O: asks for reads and barriers, decides, and hands over a core that is ready to go on.
//!
//! Nothing is written before every decision is taken; what must be written then is the core's first work.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use samestep_replay_traits::Index;

use crate::error::{Damage, DamageKind, OpenError};
use crate::format::{BLOCK_BYTES, HeaderRead, Meta, MetaRead, SegmentHeader, nonzero_len, to_u64, to_usize};
use crate::id::SegmentId;
use crate::log::{Active, Log, Start};
use crate::op::{DiskError, FileName, Op};
use crate::options::Options;
use crate::report::RecoveryReport;

mod decide;

/// The open sequence. Perform what [`Self::poll_op`] asks for, give it to [`Self::handle_completion`], and when
/// there is no more call [`Self::finish`].
#[derive(Debug)]
pub struct Opening {
    options: Options,
    phase: Phase,
    has_meta_file: bool,
    meta_bytes: u64,
    meta: MetaRead,
    /// The slot of `wal.meta` that is believed, as it was read. Empty if there is none.
    meta_block: Vec<u8>,
    found: BTreeMap<SegmentId, Found>,
    /// Segments whose headers are still to be read.
    unread: VecDeque<SegmentId>,
    /// The newest segment, whole.
    newest: Option<(SegmentId, Whole)>,
    /// A file without a valid header behind the newest segment, whole.
    leftover: Option<(SegmentId, Whole)>,
    /// The file that is being read whole, and how far that got.
    reading: Whole,
    read: u64,
    /// The buffer of those reads, between two of them.
    buf: Vec<u8>,
}

/// A file in memory.
///
/// Most of a newest segment are zeros. Its memory comes as zeros and is written only where the file has others, so
/// that the zeros cost neither memory nor the time to touch it.
#[derive(Debug, Default)]
struct Whole {
    bytes: Vec<u8>,
    /// Behind this position are zeros only.
    nonzero_end: usize,
}

impl Whole {
    fn zeros(bytes: u64) -> Self {
        Self { bytes: vec![0; to_usize(bytes)], nonzero_end: 0 }
    }

    /// Takes in what the file holds at `offset`.
    fn put(&mut self, offset: u64, bytes: &[u8]) {
        let used = nonzero_len(bytes);
        if used > 0 {
            let start = to_usize(offset);
            self.bytes[start..start + used].copy_from_slice(&bytes[..used]);
            self.nonzero_end = start + used;
        }
    }
}

/// A segment's file as it was found.
#[derive(Debug)]
struct Found {
    bytes: u64,
    header: HeaderRead,
    /// The header's block, as it was read.
    block: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    CreateDir,
    Lock,
    SyncParent,
    SyncDir,
    List,
    OpenMeta,
    ReadMeta,
    OpenSegment(SegmentId),
    ReadHeader(SegmentId),
    CloseSegment(SegmentId),
    OpenWhole(SegmentId),
    SyncWhole(SegmentId),
    ReadWhole(SegmentId),
    Done,
}

impl Opening {
    /// Starts to open the log in the driver's directory.
    ///
    /// # Errors
    ///
    /// [`OpenError::Options`].
    pub fn new(options: Options) -> Result<Self, OpenError> {
        options.validate()?;
        let phase = if options.log_id.is_some() { Phase::CreateDir } else { Phase::Lock };
        Ok(Self {
            options,
            phase,
            has_meta_file: false,
            meta_bytes: 0,
            meta: MetaRead::default(),
            meta_block: Vec::new(),
            found: BTreeMap::new(),
            unread: VecDeque::new(),
            newest: None,
            leftover: None,
            reading: Whole::default(),
            read: 0,
            buf: Vec::new(),
        })
    }

    /// Next operation to perform; none when it is time to [`Self::finish`].
    #[must_use]
    pub fn poll_op(&mut self) -> Option<Op> {
        let meta = FileName::Meta;
        Some(match self.phase {
            Phase::CreateDir => Op::CreateDir,
            Phase::Lock => Op::Lock,
            Phase::SyncParent => Op::SyncParent,
            Phase::SyncDir => Op::SyncDir,
            Phase::List => Op::List { names: Vec::new() },
            Phase::OpenMeta => Op::Open { file: meta },
            Phase::ReadMeta => Op::ReadAt { file: meta, offset: 0, buf: vec![0; 2 * BLOCK_BYTES] },
            Phase::OpenSegment(id) | Phase::OpenWhole(id) => Op::Open { file: FileName::Segment(id) },
            Phase::ReadHeader(id) => {
                Op::ReadAt { file: FileName::Segment(id), offset: 0, buf: vec![0; BLOCK_BYTES] }
            }
            Phase::CloseSegment(id) => Op::Close { file: FileName::Segment(id) },
            Phase::SyncWhole(id) => Op::SyncData { file: FileName::Segment(id) },
            Phase::ReadWhole(id) => {
                let rest = self.found[&id].bytes - self.read;
                let mut buf = std::mem::take(&mut self.buf);
                buf.resize(to_usize(rest.min(READ_BYTES)), 0);
                Op::ReadAt { file: FileName::Segment(id), offset: self.read, buf }
            }
            Phase::Done => return None,
        })
    }

    /// Takes `op` back with its outcome.
    pub fn handle_completion(&mut self, op: Op, outcome: io::Result<u64>) -> Result<(), OpenError> {
        let number = match outcome {
            Ok(number) => number,
            Err(error) => return Err(self.explain(&op, error)),
        };
        self.phase = match self.phase {
            Phase::CreateDir => Phase::Lock,
            Phase::Lock => Phase::SyncParent,
            // Names are made durable before they are believed: a decision on a name that a power cut then takes
            // back would be a decision on nothing.
            Phase::SyncParent => Phase::SyncDir,
            Phase::SyncDir => Phase::List,
            Phase::List => self.take_names(op),
            Phase::OpenMeta => {
                self.meta_bytes = number;
                Phase::ReadMeta
            }
            Phase::ReadMeta => {
                let file = buffer_of(op, number);
                self.meta = Meta::decode_best(&file);
                self.meta_block = self
                    .meta
                    .best
                    .map_or(Vec::new(), |best| file[to_usize(best.slot_offset())..][..BLOCK_BYTES].to_vec());
                self.next_segment()
            }
            Phase::OpenSegment(id) => {
                let header = HeaderRead::Zero;
                self.found.insert(id, Found { bytes: number, header, block: Vec::new() });
                Phase::ReadHeader(id)
            }
            Phase::ReadHeader(id) => {
                let block = buffer_of(op, number);
                let found = self.found.get_mut(&id).expect("it was opened");
                found.header = SegmentHeader::decode(&block);
                found.block = block;
                Phase::CloseSegment(id)
            }
            Phase::CloseSegment(_) => self.next_segment(),
            Phase::OpenWhole(id) => Phase::SyncWhole(id),
            Phase::SyncWhole(id) => {
                self.reading = Whole::zeros(self.found[&id].bytes);
                self.read = 0;
                Phase::ReadWhole(id)
            }
            Phase::ReadWhole(id) => {
                let Op::ReadAt { offset, buf, .. } = op else { panic!("the operation that was asked for") };
                self.reading.put(offset, &buf[..to_usize(number)]);
                self.read = offset + number;
                let is_short = number < to_u64(buf.len());
                self.buf = buf;
                if self.read < self.found[&id].bytes && !is_short {
                    return Ok(());
                }
                let mut bytes = std::mem::take(&mut self.reading);
                bytes.bytes.truncate(to_usize(self.read));
                if matches!(self.found[&id].header, HeaderRead::Valid(_)) {
                    self.newest = Some((id, bytes));
                    Phase::Done
                } else {
                    self.leftover = Some((id, bytes));
                    self.next_whole()?
                }
            }
            Phase::Done => panic!("no operation is out"),
        };
        Ok(())
    }

    /// Takes the decisions. The core's first operations then write what they ask for: drive it until it has no
    /// more before using it.
    ///
    /// # Errors
    ///
    /// Damage, an ambiguous tail, files of another log, a newer version. Nothing was written.
    ///
    /// # Panics
    ///
    /// If [`Self::poll_op`] still gives operations.
    pub fn finish(self) -> Result<(Log, RecoveryReport), OpenError> {
        assert_eq!(self.phase, Phase::Done, "every operation is completed");
        decide::decide(self)
    }

    fn take_names(&mut self, op: Op) -> Phase {
        let Op::List { names } = op else { panic!("the operation that was asked for") };
        let mut ids = Vec::new();
        for name in names {
            match FileName::parse(&name) {
                Some(FileName::Meta) => self.has_meta_file = true,
                Some(FileName::Segment(id)) => ids.push(id),
                Some(FileName::Lock | FileName::Sidecar(_)) | None => {}
            }
        }
        // In any order, as directories list: what is found is kept by number.
        self.unread = ids.into();
        if self.has_meta_file { Phase::OpenMeta } else { self.next_segment() }
    }

    fn next_segment(&mut self) -> Phase {
        match self.unread.pop_front() {
            Some(id) => Phase::OpenSegment(id),
            None => self.found.keys().next_back().map_or(Phase::Done, |&id| Phase::OpenWhole(id)),
        }
    }

    /// Behind a leftover: the segment before it is the newest, or there is none.
    fn next_whole(&self) -> Result<Phase, OpenError> {
        let mut newest_first = self.found.iter().rev().skip(1);
        match newest_first.next() {
            None => Ok(Phase::Done),
            Some((&id, Found { header: HeaderRead::Valid(_), .. })) => Ok(Phase::OpenWhole(id)),
            Some((&id, _)) => Err(Damage::new(id, DamageKind::SegmentHeader).into()),
        }
    }

    fn explain(&self, op: &Op, error: io::Error) -> OpenError {
        match (self.phase, error.kind()) {
            (Phase::Lock, io::ErrorKind::WouldBlock) => OpenError::Locked,
            (Phase::Lock, io::ErrorKind::NotFound) => OpenError::NotFound,
            _ => {
                let error = DiskError::new(op, error);
                if error.is_no_space() { OpenError::NoSpace(error) } else { OpenError::Disk(error) }
            }
        }
    }
}

/// The bytes that a read brought.
fn buffer_of(op: Op, number: u64) -> Vec<u8> {
    let Op::ReadAt { mut buf, .. } = op else { panic!("the operation that was asked for") };
    buf.truncate(to_usize(number));
    buf
}

/// A log that does not exist yet.
fn fresh(options: Options, log_id: crate::LogId, discard: Option<SegmentId>, meta_exists: bool) -> Log {
    let first: Index = options.first_index;
    Log::new(
        options,
        Start {
            log_id,
            sealed: VecDeque::new(),
            active: Active::before_first(log_id, first),
            states: BTreeMap::new(),
            snapshot: None,
            live_first: first,
            renewals: VecDeque::new(),
            requested: Some(crate::log::RotationRequest::default()),
            discard,
            removals: Vec::new(),
            meta_next_sequence: 0,
            meta_file_exists: meta_exists,
            meta_is_stale: false,
            meta_durable: None,
        },
    )
}

/// How much of a newest segment is read at a time: little enough to stay in the processor's cache.
const READ_BYTES: u64 = 256 << 10;
