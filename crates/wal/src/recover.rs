//! Finds the end of the newest segment after a crash, and tells a torn tail from damage.
//!
//! Never writes. Two positions decide: the end of the valid frames, and the end of what is *proven* to have been
//! durable, because a later frame, the segment's header or `wal.meta` says so. Proven behind valid is damage and
//! nothing may be dropped. Valid behind proven is the normal trace of a crash.

use std::collections::BTreeMap;

use samestep_replay_traits::Index;

use crate::error::{Damage, DamageKind};
use crate::format::{BLOCK_END, SECTOR_BYTES, SegmentHeader, is_zero, to_u64, to_usize};
use crate::frame::{DecodedFrame, FRAME_HEADER_BYTES, FrameHeader, FrameKey, Kind};
use crate::id::Lsn;
use crate::options::TailModel;
use crate::view::{SegmentView, SnapshotMark, StateRecord};

/// Reads the whole newest segment and says where it ends, what of it is proven, and what it holds.
///
/// Behind `nonzero_end` are zeros only. `promised` is the durable position that `wal.meta` names.
pub(crate) fn recover(
    bytes: &[u8],
    nonzero_end: usize,
    header: &SegmentHeader,
    promised: Lsn,
    model: TailModel,
) -> Result<Recovered, Stop> {
    let key = FrameKey::new(header.log_id, header.id);
    let front = scan_front(bytes, header, &key);
    let promised = promised.get().saturating_sub(header.base_lsn.get());
    let proven =
        front.promised.max(promised).max(header.head_end).max(look_ahead(bytes, nonzero_end, &front, &key));
    if proven > front.end {
        let mut damage = front.damage(header);
        damage.proven_end = Some(proven);
        return Err(Stop::Damage(damage));
    }
    let nonzero_end = to_u64(nonzero_end);
    let tail = classify(bytes, &front, &key, nonzero_end, model).map_err(|kind| match kind {
        Refusal::Rot => Stop::Damage(front.damage(header)),
        Refusal::Ambiguous => {
            Stop::Ambiguous { offset: front.end, bytes: nonzero_end.saturating_sub(front.end) }
        }
    })?;
    let mut recovered = Recovered::new(header, &front, proven, tail, nonzero_end);
    recovered.read_contents(bytes, header, &key).map_err(Stop::Damage)?;
    Ok(recovered)
}

/// Whether a file without a valid header holds a frame that proves that it once had a durable one.
///
/// Frames of a head are written before the header and promise nothing behind their own segment's start; any
/// later frame promises at least the header.
pub(crate) fn proves_activation(bytes: &[u8], nonzero_end: usize, key: &FrameKey) -> bool {
    valid_frames(bytes, nonzero_end, BLOCK_END, key).any(|(offset, header)| {
        header.durable_offset(offset).is_some_and(|end| end >= BLOCK_END.cast_signed())
    })
}

/// Why a newest segment cannot be continued.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Damage(Damage),
    Ambiguous { offset: u64, bytes: u64 },
}

/// What the newest segment holds.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// End of the last complete batch, as an offset.
    pub(crate) end: u64,
    pub(crate) end_chain: u32,
    /// End of what is proven durable, a frame boundary at or before `end`.
    pub(crate) proven: u64,
    pub(crate) proven_chain: u32,
    pub(crate) tail: Tail,
    /// End of the bytes that are not zero.
    pub(crate) nonzero_end: u64,
    /// Last frame before `end` is a mark, so a close need not write one.
    pub(crate) ends_with_mark: bool,
    /// Contents up to `proven`.
    pub(crate) proven_view: SegmentView,
    /// Contents up to `end`.
    pub(crate) view: SegmentView,
    /// Entries of `view` from this index on are unproven, and so is every truncation below them.
    pub(crate) rehome_from: Index,
    pub(crate) states: BTreeMap<u16, StateRecord>,
    pub(crate) snapshot: Option<SnapshotMark>,
}

impl Recovered {
    fn new(header: &SegmentHeader, front: &Front, proven: u64, tail: Tail, nonzero_end: u64) -> Self {
        Self {
            end: front.end,
            end_chain: front.end_chain,
            proven,
            proven_chain: header.prev_chain,
            tail,
            nonzero_end,
            ends_with_mark: false,
            proven_view: SegmentView::new(header.first_index),
            view: SegmentView::new(header.first_index),
            rehome_from: header.first_index,
            states: BTreeMap::new(),
            snapshot: None,
        }
    }

    /// The segment can be continued where it ends.
    pub(crate) fn is_clean(&self) -> bool {
        self.proven == self.end && self.tail == Tail::Zero
    }

    /// Second pass: applies the frames up to `end`, remembering what held at `proven`.
    fn read_contents(&mut self, bytes: &[u8], header: &SegmentHeader, key: &FrameKey) -> Result<(), Damage> {
        let mut offset = BLOCK_END;
        let mut is_boundary = false;
        while offset < self.end || offset == self.proven {
            if offset == self.proven {
                is_boundary = true;
                self.proven_view = self.view.clone();
                self.rehome_from = self.view.next_index();
                if offset == self.end {
                    break;
                }
            }
            let frame =
                key.decode(offset, &bytes[to_usize(offset)..]).expect("the first pass read this frame");
            let payload = payload_of(bytes, offset, &frame.header).expect("the first pass read this payload");
            let damage = |kind| Damage { offset, ..Damage::new(header.id, kind) };
            self.view.apply(offset, &frame.header).map_err(damage)?;
            match frame.header.kind {
                Kind::State => {
                    self.states.insert(frame.header.slot, StateRecord::new(&frame.header, payload));
                }
                Kind::Snapshot => self.snapshot = Some(SnapshotMark::new(&frame.header, payload)),
                Kind::Truncate => {
                    let from = Index::new(frame.header.index);
                    self.rehome_from = self.rehome_from.min(from);
                    self.snapshot.take_if(|mark| mark.index >= from);
                }
                Kind::Entry | Kind::Mark | Kind::Pad => {}
            }
            self.ends_with_mark = frame.header.kind == Kind::Mark;
            offset += frame.header.frame_bytes();
            if offset <= self.proven {
                self.proven_chain = frame.checksum;
            }
        }
        if is_boundary { Ok(()) } else { Err(Damage::new(header.id, DamageKind::Promise)) }
    }
}

/// What stands behind the last complete batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Zeros only: nothing was being written there.
    Zero,
    /// A single set bit in zeros.
    StrayBit,
    /// A write that a crash cut short.
    Torn,
}

/// What the first pass, from the front, found.
struct Front {
    /// End of the last complete batch.
    end: u64,
    end_chain: u32,
    /// Where the first defect is; behind `end` if a batch is incomplete.
    defect_at: u64,
    /// Header checksum before the defect.
    defect_chain: u32,
    defect: Defect,
    /// Highest offset that a valid header before or at the defect promises.
    promised: u64,
}

enum Defect {
    /// No valid header of a frame.
    Header,
    /// A valid header that does not follow the frame before.
    Chain,
    /// A valid, chained header whose payload fails its checksum.
    Payload(FrameHeader),
}

impl Front {
    fn damage(&self, header: &SegmentHeader) -> Damage {
        let (kind, identity) = match &self.defect {
            Defect::Header => (DamageKind::FrameHeader, None),
            Defect::Chain => (DamageKind::Chain, None),
            Defect::Payload(frame) if frame.kind == Kind::Entry => {
                (DamageKind::Payload, Some((Index::new(frame.index), frame.aux)))
            }
            Defect::Payload(_) => (DamageKind::Payload, None),
        };
        Damage { offset: self.defect_at, identity, ..Damage::new(header.id, kind) }
    }
}

fn scan_front(bytes: &[u8], header: &SegmentHeader, key: &FrameKey) -> Front {
    let mut at = BLOCK_END;
    let mut chain = header.prev_chain;
    let (mut end, mut end_chain) = (at, chain);
    let mut promised = 0;
    let defect = loop {
        let rest = bytes.get(to_usize(at)..).unwrap_or_default();
        let Some(frame) = key.decode(at, rest) else { break Defect::Header };
        if frame.header.prev != chain {
            break Defect::Chain;
        }
        let Some(payload) = payload_of(bytes, at, &frame.header) else { break Defect::Header };
        promised = promised.max(promise(at, &frame.header));
        if crc32fast::hash(payload) != frame.header.payload_crc {
            break Defect::Payload(frame.header);
        }
        at += frame.header.frame_bytes();
        chain = frame.checksum;
        if !frame.header.has_more() {
            (end, end_chain) = (at, chain);
        }
    };
    Front { end, end_chain, defect_at: at, defect_chain: chain, defect, promised }
}

/// Highest offset that a frame behind the defect promises. Such frames are bound to their places, so copies of
/// frames inside payloads do not count.
fn look_ahead(bytes: &[u8], nonzero_end: usize, front: &Front, key: &FrameKey) -> u64 {
    valid_frames(bytes, nonzero_end, front.defect_at, key)
        .map(|(offset, header)| promise(offset, &header))
        .max()
        .unwrap_or(0)
}

fn promise(offset: u64, header: &FrameHeader) -> u64 {
    header.durable_offset(offset).map_or(0, |end| u64::try_from(end).unwrap_or(0))
}

/// Every frame at `from` or behind it whose header and payload are valid, whatever stands between.
fn valid_frames<'a>(
    bytes: &'a [u8],
    nonzero_end: usize,
    from: u64,
    key: &'a FrameKey,
) -> impl Iterator<Item = (u64, FrameHeader)> + 'a {
    // A header is never all zeros, so none starts behind the last byte that is not.
    let last = nonzero_end.min(bytes.len().saturating_sub(FRAME_HEADER_BYTES));
    (to_usize(from)..=last).step_by(8).filter_map(move |at| {
        let offset = to_u64(at);
        let frame = key.decode(offset, &bytes[at..])?;
        let payload = payload_of(bytes, offset, &frame.header)?;
        (crc32fast::hash(payload) == frame.header.payload_crc).then_some((offset, frame.header))
    })
}

fn payload_of<'a>(bytes: &'a [u8], offset: u64, header: &FrameHeader) -> Option<&'a [u8]> {
    let start = to_usize(offset) + FRAME_HEADER_BYTES;
    bytes.get(start..)?.get(..to_usize(u64::from(header.payload_bytes)))
}

enum Refusal {
    Rot,
    Ambiguous,
}

/// Decides what unproven bytes behind the last complete batch are.
fn classify(
    bytes: &[u8],
    front: &Front,
    key: &FrameKey,
    nonzero_end: u64,
    model: TailModel,
) -> Result<Tail, Refusal> {
    let at = front.defect_at;
    if nonzero_end <= at {
        return Ok(if front.end == at { Tail::Zero } else { Tail::Torn });
    }
    let last = to_usize(nonzero_end) - 1;
    if bytes[last].is_power_of_two() && is_zero(&bytes[to_usize(at)..last]) {
        return Ok(if front.end == at { Tail::StrayBit } else { Tail::Torn });
    }
    if model == TailModel::Evidence {
        return Ok(Tail::Torn);
    }
    let (torn, rot) = match &front.defect {
        Defect::Header => {
            let end = (at + to_u64(FRAME_HEADER_BYTES)).min(to_u64(bytes.len()));
            (has_zero_sector(bytes, at, end), one_flip_heals_header(bytes, at, front.defect_chain, key))
        }
        Defect::Chain => (false, false),
        Defect::Payload(header) => {
            let start = at + to_u64(FRAME_HEADER_BYTES);
            let payload = &bytes[to_usize(start)..][..to_usize(u64::from(header.payload_bytes))];
            let end = start + to_u64(payload.len());
            (has_zero_sector(bytes, start, end), one_flip_heals(payload, header.payload_crc))
        }
    };
    match (torn, rot) {
        (true, false) => Ok(Tail::Torn),
        (false, true) => Err(Refusal::Rot),
        (false, false) | (true, true) => Err(Refusal::Ambiguous),
    }
}

/// Whether a sector holds only zeros of `start..end`: it was never written, so the write was cut short.
fn has_zero_sector(bytes: &[u8], start: u64, end: u64) -> bool {
    let mut at = start;
    while at < end {
        let next = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
        if is_zero(&bytes[to_usize(at)..to_usize(next)]) {
            return true;
        }
        at = next;
    }
    false
}

/// Whether one flipped bit explains why no frame that follows `chain` starts at `at`.
fn one_flip_heals_header(bytes: &[u8], at: u64, chain: u32, key: &FrameKey) -> bool {
    let Some(header) = bytes.get(to_usize(at)..).and_then(|rest| rest.first_chunk::<FRAME_HEADER_BYTES>())
    else {
        return false;
    };
    (0..FRAME_HEADER_BYTES * 8).any(|bit| {
        let mut healed = *header;
        healed[bit / 8] ^= 1 << (bit % 8);
        key.decode(at, &healed).is_some_and(|frame: DecodedFrame| frame.header.prev == chain)
    })
}

/// Whether flipping one bit of `payload` gives it the checksum `expected`.
///
/// CRC-32 is affine: a flipped bit changes the checksum by a pattern that depends only on how far from the end it
/// is, and each step towards the front multiplies the pattern by x. One pass tries all bits.
fn one_flip_heals(payload: &[u8], expected: u32) -> bool {
    let syndrome = crc32fast::hash(payload) ^ expected;
    let mut pattern = POLYNOMIAL_REFLECTED;
    for _ in 0..payload.len() * 8 {
        if pattern == syndrome {
            return true;
        }
        pattern = (pattern >> 1) ^ if pattern & 1 == 1 { POLYNOMIAL_REFLECTED } else { 0 };
    }
    // The checksum itself may be what rotted only together with the header, whose own checksum holds.
    false
}

/// CRC-32/IEEE 802.3, bit-reflected.
const POLYNOMIAL_REFLECTED: u32 = 0xEDB8_8320;
