//! Starting a segment: the one way by which logs are created, grow, are recovered and cut.
//!
//! The head (carried states, re-homed entries) is durable before the header, and the header is what makes the
//! segment exist. So a valid header means a whole head, and a crash before it means that nothing happened.

use samestep_replay_traits::Index;

use crate::format::{ALIGN, BLOCK_END, FLAG_PREV_TRUNCATES, FLAG_RECOVERY, SegmentHeader, to_u64};
use crate::frame::{FLAG_CARRIED, FrameHeader, FrameKey, Kind, frame_bytes};
use crate::id::{Lsn, SegmentId};
use crate::log::{Active, Log, MARK_BYTES, Sealed, append_frame, distance};
use crate::op::{FileName, Op};
use crate::sidecar;
use crate::view::SegmentView;

/// What the new segment must be like.
#[derive(Debug, Default)]
pub(crate) struct RotationRequest {
    /// Its first index, if not the next one: entries from there on are removed by it.
    pub(crate) first_index: Option<Index>,
    /// Bytes of frames that must fit behind its head.
    pub(crate) room: u64,
    /// Entries of the old segment that are unproven there and move.
    pub(crate) rehomed: Vec<Rehomed>,
    /// A recovery asks.
    pub(crate) is_recovery: bool,
}

/// An entry on its way from the tail of the old segment into the head of the new one. It keeps its index.
#[derive(Debug)]
pub(crate) struct Rehomed {
    pub(crate) aux: u64,
    pub(crate) slot: u16,
    pub(crate) payload_crc: u32,
    pub(crate) payload: Vec<u8>,
}

/// A segment on its way.
#[derive(Debug)]
pub(super) struct Rotation {
    header: SegmentHeader,
    head: Vec<u8>,
    view: SegmentView,
    chain: u32,
    step: Step,
    was_made_ahead: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Of a file that was made ahead of time.
    Open,
    Create,
    ZeroFill,
    WriteHead,
    SyncHead,
    SyncDir,
    WriteHeader,
    SyncHeader,
}

impl Step {
    fn next(self) -> Option<Self> {
        match self {
            Self::Create => Some(Self::ZeroFill),
            Self::Open | Self::ZeroFill => Some(Self::WriteHead),
            Self::WriteHead => Some(Self::SyncHead),
            Self::SyncHead => Some(Self::SyncDir),
            Self::SyncDir => Some(Self::WriteHeader),
            Self::WriteHeader => Some(Self::SyncHeader),
            Self::SyncHeader => None,
        }
    }
}

impl Log {
    /// The next step of a rotation that is requested or under way. All before it must be durable.
    pub(super) fn next_rotation_op(&mut self) -> Option<Op> {
        if self.rotation.is_none() {
            if self.awaits_spare() {
                return None;
            }
            let request = self.requested.take()?;
            assert_eq!(
                self.active.durable, self.active.end,
                "a segment is durable before the next one exists"
            );
            let mut rotation = self.plan_rotation(&request);
            if self.take_spare(rotation.header.id, rotation.header.capacity) {
                rotation.step = Step::Open;
                rotation.was_made_ahead = true;
            }
            self.rotation = Some(rotation);
        }
        // Zeros pay where barriers are frequent.
        let may_be_hole = !self.options.commit.is_durable_on_return();
        let rotation = self.rotation.as_mut()?;
        if rotation.step == Step::WriteHead && rotation.head.is_empty() {
            // What was made ahead of time is durable.
            rotation.step = if rotation.was_made_ahead { Step::SyncDir } else { Step::SyncHead };
        }
        let file = FileName::Segment(rotation.header.id);
        Some(match rotation.step {
            Step::Open => Op::Open { file },
            Step::Create => Op::Create { file },
            Step::ZeroFill => Op::WriteZeros { file, len: rotation.header.capacity, may_be_hole },
            Step::WriteHead => Op::WriteAt { file, offset: BLOCK_END, buf: rotation.head.clone() },
            Step::SyncHead | Step::SyncHeader => Op::SyncData { file },
            Step::SyncDir => Op::SyncDir,
            Step::WriteHeader => Op::WriteAt { file, offset: 0, buf: rotation.header.encode() },
        })
    }

    pub(super) fn complete_rotation_op(&mut self) {
        let mut rotation = self.rotation.take().expect("a rotation is under way");
        match rotation.step.next() {
            Some(step) => {
                rotation.step = step;
                self.rotation = Some(rotation);
            }
            None => self.activate(rotation),
        }
    }

    /// Gives the rotation up after a failed write and says which file must go: even its header may be on disk.
    pub(super) fn abandon_rotation(&mut self) -> SegmentId {
        self.rotation.take().expect("a rotation is under way").header.id
    }

    fn plan_rotation(&self, request: &RotationRequest) -> Rotation {
        let id = self.active.id.next();
        let key = FrameKey::new(self.log_id, id);
        let first_index = request.first_index.unwrap_or(self.next_index());
        let mut head = Head { bytes: Vec::new(), key, chain: self.active.chain };
        for (&slot, state) in &self.states {
            let flags = FLAG_CARRIED;
            let header = frame_header(Kind::State, state.index, state.aux, slot, flags);
            head.push(header, &state.payload, crc32fast::hash(&state.payload));
        }
        let rehomed_end = first_index.get() + to_u64(request.rehomed.len());
        let mark = self.snapshot.as_ref().filter(|mark| mark.index.get() < rehomed_end);
        if let Some(mark) = mark {
            let header = frame_header(Kind::Snapshot, mark.index, mark.aux, 0, FLAG_CARRIED);
            head.push(header, &mark.payload, crc32fast::hash(&mark.payload));
        }
        // A segment like the one before it grows without asking for memory.
        let mut view = SegmentView::with_capacity(first_index, self.active.view.len());
        for entry in &request.rehomed {
            let index = view.next_index();
            view.push(head.end());
            let header = frame_header(Kind::Entry, index, entry.aux, entry.slot, 0);
            head.push(header, &entry.payload, entry.payload_crc);
        }
        let needed = head.end() + request.room + frame_bytes(0) + MARK_BYTES;
        let recovery = if request.is_recovery { FLAG_RECOVERY } else { 0 };
        let truncates = if self.active.view.truncates() { FLAG_PREV_TRUNCATES } else { 0 };
        let header = SegmentHeader {
            flags: recovery | truncates,
            log_id: self.log_id,
            id,
            base_lsn: Lsn::new(self.active.base_lsn.get() + self.active.end),
            first_index,
            prev_end: self.active.end,
            prev_chain: self.active.chain,
            capacity: self.options.segment_bytes.max(needed.next_multiple_of(ALIGN)),
            live_first: self.live_first,
            head_end: head.end(),
        };
        Rotation {
            header,
            head: head.bytes,
            view,
            chain: head.chain,
            step: Step::Create,
            was_made_ahead: false,
        }
    }

    /// The new header is durable: from here on the old segment is sealed.
    fn activate(&mut self, rotation: Rotation) {
        let header = rotation.header;
        let new = Active {
            base_lsn: header.base_lsn,
            capacity: header.capacity,
            prev_chain: header.prev_chain,
            ..Active::durable_until(header.id, self.log_id, rotation.view, header.head_end, rotation.chain)
        };
        let old = std::mem::replace(&mut self.active, new);
        if header.first_index < old.view.next_index() {
            self.truncations.push(header.first_index);
        }
        // Re-homed entries are still there; all others from the new segment's end on are not.
        let next = self.next_index();
        self.snapshot.take_if(|mark| mark.index >= next);
        for sealed in &mut self.sealed {
            sealed.live_end = sealed.live_end.min(header.first_index);
        }
        self.duties.set_meta_dirty(true);
        if old.id.get() == 0 {
            return;
        }
        let sealed = Sealed {
            id: old.id,
            first_index: old.view.first_index(),
            live_end: old.view.next_index().min(header.first_index),
            end: old.end,
            end_chain: old.chain,
            start_chain: old.prev_chain,
            truncates: old.view.truncates(),
        };
        let file = FileName::Segment(old.id);
        self.duties.chore(Op::SetLen { file, len: old.end.max(old.evidence_end) });
        self.duties.chore(Op::Close { file });
        let buf = sidecar::encode(self.log_id, &sealed, &old.view);
        let file = FileName::Sidecar(old.id);
        self.duties.chore(Op::Create { file });
        self.duties.chore(Op::WriteAt { file, offset: 0, buf });
        self.duties.chore(Op::Close { file });
        self.sealed.push_back(sealed);
    }
}

/// Frames that are durable before their segment's header is written.
struct Head {
    bytes: Vec<u8>,
    key: FrameKey,
    chain: u32,
}

impl Head {
    /// A frame of a head promises no more than that all earlier segments are durable, which is always so.
    fn push(&mut self, header: FrameHeader, payload: &[u8], payload_crc: u32) {
        let offset = self.end();
        let header = FrameHeader {
            payload_bytes: u32::try_from(payload.len()).expect("payloads are limited to 1 GiB"),
            payload_crc,
            prev: self.chain,
            durable_distance: distance(offset),
            ..header
        };
        self.chain = append_frame(&mut self.bytes, &self.key, offset, &header, payload);
    }

    fn end(&self) -> u64 {
        BLOCK_END + to_u64(self.bytes.len())
    }
}

fn frame_header(kind: Kind, index: Index, aux: u64, slot: u16, flags: u8) -> FrameHeader {
    FrameHeader {
        payload_bytes: 0,
        index: index.get(),
        aux,
        payload_crc: 0,
        prev: 0,
        durable_distance: 0,
        kind,
        flags,
        slot,
    }
}
