//! Sidecars: where the entries of a sealed segment stand. A cache, checked against the log and never trusted.
//!
//! ```text
//! magic [8] | version u16 | reserved u16 | count u32 | log_id [16] | segment u64 | first_index u64 | end u64
//! | end_chain u32 | reserved u32 | count x { offset / 8: u32 } | crc32 of all before: u32
//! ```

use samestep_replay_traits::Index;

use crate::cursor::Hint;
use crate::format::{ALIGN, FORMAT_VERSION, SIDECAR_MAGIC, to_u64, u32_at, u64_at};
use crate::id::LogId;
use crate::log::{Sealed, Span};
use crate::view::SegmentView;

/// The sidecar of `segment`, which holds `view`.
pub(crate) fn encode(log_id: LogId, segment: &Sealed, view: &SegmentView) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + 4 * view.len() + 4);
    out.extend_from_slice(&SIDECAR_MAGIC);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&0_u16.to_le_bytes());
    let count = u32::try_from(view.len()).expect("a segment holds fewer than 2^32 entries");
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(log_id.as_bytes());
    out.extend_from_slice(&segment.id.get().to_le_bytes());
    out.extend_from_slice(&view.first_index().get().to_le_bytes());
    out.extend_from_slice(&segment.end.to_le_bytes());
    out.extend_from_slice(&segment.end_chain.to_le_bytes());
    out.extend_from_slice(&0_u32.to_le_bytes());
    for offset in view.offsets() {
        out.extend_from_slice(&offset.to_le_bytes());
    }
    let checksum = crc32fast::hash(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// What a sidecar says about `segment`, or `None` if it is damaged, stale, or of something else.
pub(crate) fn decode(bytes: &[u8], log_id: LogId, segment: &Sealed) -> Option<SegmentView> {
    let (body, checksum) = bytes.split_last_chunk::<4>()?;
    let is_whole = body.len() >= HEADER_BYTES
        && u32::from_le_bytes(*checksum) == crc32fast::hash(body)
        && body[..8] == SIDECAR_MAGIC
        && body[8..10] == FORMAT_VERSION.to_le_bytes();
    if !is_whole {
        return None;
    }
    let is_of_segment = body[16..32] == *log_id.as_bytes()
        && u64_at(body, 32) == segment.id.get()
        && u64_at(body, 40) == segment.first_index.get()
        && u64_at(body, 48) == segment.end
        && u32_at(body, 56) == segment.end_chain
        && to_u64(body.len()) == to_u64(HEADER_BYTES) + 4 * u64::from(u32_at(body, 12));
    is_of_segment.then(|| {
        let offsets = body[HEADER_BYTES..].chunks_exact(4).map(|offset| u32_at(offset, 0)).collect();
        SegmentView::from_offsets(segment.first_index, offsets)
    })
}

/// What to read of a sidecar of `file_bytes`, as offset and length, to learn where entry `from` stands; `None` if it
/// cannot be one of `segment`.
///
/// If nothing in the segment is dead, the one number is enough: the frame that it leads to says itself whether it
/// is the entry. Else the sidecar must also say which entries live, and is read and checked as a whole.
pub(crate) fn plan(segment: &Sealed, from: Index, file_bytes: u64) -> Option<(u64, u64)> {
    if segment.truncates {
        // Each entry has four bytes here and at least forty there.
        return (file_bytes > 0 && file_bytes <= segment.end).then_some((0, file_bytes));
    }
    let position = from.get().checked_sub(segment.first_index.get())?;
    let offset = position.checked_mul(ENTRY_BYTES)?.checked_add(to_u64(HEADER_BYTES))?;
    (offset.checked_add(ENTRY_BYTES)? <= file_bytes).then_some((offset, ENTRY_BYTES))
}

/// What the bytes that were read by [`plan`] say.
pub(crate) fn hint(bytes: &[u8], span: &Span) -> Hint {
    if span.segment.truncates {
        return decode(bytes, span.log_id, &span.segment).map_or(Hint::None, Hint::View);
    }
    bytes.first_chunk().map_or(Hint::None, |at| Hint::Offset(u64::from(u32::from_le_bytes(*at)) * ALIGN))
}

const HEADER_BYTES: usize = 64;
const ENTRY_BYTES: u64 = 4;
