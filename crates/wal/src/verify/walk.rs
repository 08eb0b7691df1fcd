//! Walks the frames of one segment, from valid to valid, over whatever is damaged in between.

use samestep_replay_traits::Index;

use crate::error::{Damage, DamageKind};
use crate::format::{BLOCK_END, SegmentHeader, nonzero_len, to_u64, to_usize};
use crate::frame::{FLAG_CARRIED, FRAME_HEADER_BYTES, FrameKey, Kind};
use crate::id::{Lsn, SegmentId};
use crate::op::FileName;
use crate::recover::{Stop, Tail, proves_activation, recover};
use crate::verify::neighbours::valid;
use crate::verify::{Problem, SegmentImage, Verify};
use crate::view::SegmentView;

/// A frame with a valid header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameInfo {
    /// Where it starts in its segment's file.
    pub offset: u64,
    /// What it is.
    pub kind: FrameKind,
    /// Entry: its index. State: the caller's. Truncate: the first index that is gone. Else 0.
    pub index: Index,
    /// The caller's number.
    pub aux: u64,
    /// The caller's small number; of a state its key.
    pub slot: u16,
    /// Length of the payload.
    pub payload_bytes: u32,
    /// Checksum that the payload must have.
    pub payload_crc: u32,
    /// Whether it has it.
    pub is_whole: bool,
    /// The batch goes on in the next frame.
    pub has_more: bool,
    /// The state was carried over from the segment before.
    pub is_carried: bool,
    /// Offset up to which the log was durable when it was encoded; negative in an earlier segment.
    pub durable: Option<i64>,
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameKind {
    /// An entry.
    Entry,
    /// The value of a slot.
    State,
    /// The end of some entries before it.
    Truncate,
    /// Which entries a snapshot stands for.
    Snapshot,
    /// A promise about what is before it.
    Mark,
    /// Nothing.
    Pad,
}

impl FrameKind {
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::State => "state",
            Self::Truncate => "truncate",
            Self::Snapshot => "snapshot",
            Self::Mark => "mark",
            Self::Pad => "pad",
        }
    }
}

impl From<Kind> for FrameKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Entry => Self::Entry,
            Kind::State => Self::State,
            Kind::Truncate => Self::Truncate,
            Kind::Snapshot => Self::Snapshot,
            Kind::Mark => Self::Mark,
            Kind::Pad => Self::Pad,
        }
    }
}

impl Verify {
    /// Judges the frames of segment `id`, all of whose file is `bytes`.
    pub(super) fn walk_segment(&mut self, id: SegmentId, bytes: Vec<u8>) {
        let is_valid = !self.misfits.contains(&id);
        let header = valid(&self.found[&id].header).cloned();
        let (Some(header), Some(log_id)) = (header, self.log_id) else {
            self.walk_without_header(id, bytes);
            return;
        };
        let sealed = if is_valid { self.sealed(id) } else { None };
        // A misfit is listed under the names that it goes by itself, so that a dump shows what it is.
        let key = if is_valid { FrameKey::new(log_id, id) } else { FrameKey::new(header.log_id, header.id) };
        let limit = sealed.as_ref().map_or(to_u64(bytes.len()), |sealed| sealed.end);
        let walked = walk(&bytes, &header, &key, limit);
        self.summary.frames += to_u64(walked.frames.len());
        let (mut end, mut proven) = (walked.end, walked.end);
        if let Some(sealed) = &sealed {
            end = sealed.end;
            proven = sealed.end;
            let is_short = to_u64(bytes.len()) < sealed.end;
            for damage in walked.damages.iter().filter(|_| !is_short) {
                self.damage(damage.clone());
            }
            if walked.damages.is_empty() && walked.end == sealed.end {
                if walked.chain == sealed.end_chain {
                    self.views.insert(id, walked.view);
                } else {
                    self.damage(Damage { offset: sealed.end, ..Damage::new(id, DamageKind::Chain) });
                }
            }
        } else if is_valid && Some(id) == self.newest {
            (end, proven) = self.judge_tail(&bytes, &header, &walked);
        } else if is_valid && let Some(damage) = walked.damages.first() {
            // What follows is lost, so nothing says where this one ends; only what stands before valid frames is
            // surely damage.
            if walked.frames.iter().any(|frame| frame.offset > damage.offset) {
                self.damage(damage.clone());
            }
        }
        self.taken = Some(SegmentImage { id, bytes, frames: walked.frames, end, proven, is_valid });
    }

    fn walk_without_header(&mut self, id: SegmentId, bytes: Vec<u8>) {
        let is_behind = self.newest.is_none_or(|newest| id > newest);
        // A segment is started when the one before it has its header, so at most the last file is without one.
        let is_last = self.is_in_use || self.found.keys().next_back() == Some(&id);
        let is_activated = self
            .log_id
            .is_some_and(|log_id| proves_activation(&bytes, nonzero_len(&bytes), &FrameKey::new(log_id, id)));
        if is_behind && (is_activated || !is_last) {
            self.damage(Damage::new(id, DamageKind::SegmentHeader));
        } else if is_behind {
            self.note(FileName::Segment(id), Problem::NeverActivated);
        }
        let frames = Vec::new();
        self.taken = Some(SegmentImage { id, bytes, frames, end: 0, proven: 0, is_valid: false });
    }

    /// The tail rule, as an opening applies it. Returns where the segment ends, and how far it is proven.
    fn judge_tail(&mut self, bytes: &[u8], header: &SegmentHeader, walked: &Walked) -> (u64, u64) {
        // In a log in use, `wal.meta` may speak of segments that are newer than this listing.
        let meta = self.meta.best.filter(|meta| !self.is_in_use || meta.highest == header.id);
        let promised = meta.map_or(Lsn::default(), |meta| meta.durable);
        let promised_here = promised.get().saturating_sub(header.base_lsn.get()).max(header.head_end);
        let file = FileName::Segment(header.id);
        match recover(bytes, nonzero_len(bytes), header, promised, self.tail) {
            Ok(recovered) => {
                if self.first_promised(header.id) > recovered.view.next_index() {
                    self.damage(Damage::new(header.id, DamageKind::Sequence));
                }
                let bytes = recovered.nonzero_end.saturating_sub(recovered.end);
                if recovered.tail != Tail::Zero {
                    self.note(file, Problem::Torn { offset: recovered.end, bytes });
                }
                if recovered.proven < recovered.end {
                    self.note(file, Problem::Unproven { bytes: recovered.end - recovered.proven });
                }
                (recovered.end, recovered.proven)
            }
            Err(Stop::Ambiguous { offset, bytes }) => {
                self.note(file, Problem::Ambiguous { offset, bytes });
                let before = walked.frames.iter().filter(|frame| frame.offset < offset);
                let of_frames = before.filter_map(|frame| u64::try_from(frame.durable?).ok());
                (offset, of_frames.fold(promised_here, u64::max).min(offset))
            }
            Err(Stop::Damage(first)) => {
                let (at, proven) = (first.offset, first.proven_end.unwrap_or(0));
                let more =
                    walked.damages.iter().filter(|damage| damage.offset > at && damage.offset < proven);
                let more: Vec<Damage> = more.cloned().collect();
                self.damage(first);
                for damage in more {
                    self.damage(damage);
                }
                (batch_end(&walked.frames, at), proven)
            }
        }
    }

    /// First index that is not pruned, as `wal.meta` and the headers have it; the log cannot end before it.
    fn first_promised(&self, newest: SegmentId) -> Index {
        let meta = self.meta.best.filter(|meta| !self.is_in_use || meta.highest == newest);
        let headers = self.found.values().filter_map(|found| valid(&found.header));
        let of_headers = headers.filter(|header| header.id <= newest).map(|header| header.live_first);
        of_headers.max().max(meta.map(|meta| meta.live_first)).unwrap_or(Index::new(0))
    }
}

/// End of the last complete batch before `limit`.
fn batch_end(frames: &[FrameInfo], limit: u64) -> u64 {
    let ends = frames.iter().filter(|frame| frame.offset < limit && !frame.has_more);
    ends.map(|frame| frame.offset + crate::frame::frame_bytes(frame.payload_bytes)).max().unwrap_or(BLOCK_END)
}

/// What a walk over a segment met.
#[derive(Debug)]
pub(crate) struct Walked {
    pub(crate) frames: Vec<FrameInfo>,
    pub(crate) damages: Vec<Damage>,
    /// End of the last frame from which the walk went on unbroken, or of the last one found again.
    pub(crate) end: u64,
    pub(crate) chain: u32,
    pub(crate) view: SegmentView,
}

/// Walks from the first frame to `limit`. Behind a damaged stretch the next valid frame is searched for.
pub(crate) fn walk(bytes: &[u8], header: &SegmentHeader, key: &FrameKey, limit: u64) -> Walked {
    let limit = limit.min(to_u64(bytes.len()));
    let mut walked = Walked {
        frames: Vec::new(),
        damages: Vec::new(),
        end: BLOCK_END,
        chain: header.prev_chain,
        view: SegmentView::new(header.first_index),
    };
    let mut at = BLOCK_END;
    // After a gap neither chain nor indices can be followed from before it.
    let mut is_found_again = false;
    while at < limit {
        let rest = &bytes[to_usize(at)..to_usize(limit)];
        let decoded = key.decode(at, rest).filter(|frame| to_usize(frame.header.frame_bytes()) <= rest.len());
        let Some(frame) = decoded else {
            let damage = Damage { offset: at, ..Damage::new(header.id, DamageKind::FrameHeader) };
            walked.damages.push(damage);
            let Some(next) = next_valid(bytes, at, limit, key) else { break };
            (at, is_found_again) = (next, true);
            continue;
        };
        let payload = &rest[FRAME_HEADER_BYTES..][..frame.header.payload_bytes as usize];
        let is_whole = crc32fast::hash(payload) == frame.header.payload_crc;
        let damage = |kind| Damage { offset: at, ..Damage::new(header.id, kind) };
        if !is_found_again && frame.header.prev != walked.chain {
            walked.damages.push(damage(DamageKind::Chain));
        } else if !is_whole {
            let is_entry = frame.header.kind == Kind::Entry;
            let identity = is_entry.then_some((Index::new(frame.header.index), frame.header.aux));
            walked.damages.push(Damage { identity, ..damage(DamageKind::Payload) });
        }
        if walked.damages.is_empty() && walked.view.apply(at, &frame.header).is_err() {
            walked.damages.push(damage(DamageKind::Sequence));
        }
        walked.frames.push(FrameInfo {
            offset: at,
            kind: frame.header.kind.into(),
            index: Index::new(frame.header.index),
            aux: frame.header.aux,
            slot: frame.header.slot,
            payload_bytes: frame.header.payload_bytes,
            payload_crc: frame.header.payload_crc,
            is_whole,
            has_more: frame.header.has_more(),
            is_carried: frame.header.flags & FLAG_CARRIED != 0,
            durable: frame.header.durable_offset(at),
        });
        at += frame.header.frame_bytes();
        (walked.end, walked.chain, is_found_again) = (at, frame.checksum, false);
    }
    walked
}

/// The next place behind `at` at which a whole frame of this segment stands.
fn next_valid(bytes: &[u8], at: u64, limit: u64, key: &FrameKey) -> Option<u64> {
    let bytes = &bytes[..to_usize(limit)];
    let last = nonzero_len(bytes);
    (to_usize(at) + 8..last).step_by(8).map(to_u64).find(|&next| {
        let rest = &bytes[to_usize(next)..];
        key.decode(next, rest).is_some_and(|frame| {
            let payload = rest[FRAME_HEADER_BYTES..].get(..frame.header.payload_bytes as usize);
            payload.is_some_and(|payload| crc32fast::hash(payload) == frame.header.payload_crc)
        })
    })
}
