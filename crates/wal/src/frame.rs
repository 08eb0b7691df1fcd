//! Frames: a record as encoded, 40 bytes of header, its payload, zeros up to the next multiple of 8.
//!
//! A frame's header has a checksum of its own, which also covers where the frame belongs (log, segment, offset),
//! so that no length is believed before it is proven, and no copy of a frame in another place is one.

use crate::format::{ALIGN, RECORD_BYTES_LIMIT, to_u64, u32_at, u64_at};
use crate::id::{LogId, SegmentId};

/// Bytes of a frame's header.
pub(crate) const FRAME_HEADER_BYTES: usize = 40;
/// The batch goes on in the next frame.
pub(crate) const FLAG_MORE: u8 = 1;
/// The state record was carried over from the segment before.
pub(crate) const FLAG_CARRIED: u8 = 4;
/// The frame makes no promise about durability.
pub(crate) const NO_PROMISE: u32 = u32::MAX;

/// What a frame holds. 7 and 8 are reserved, 0 is never valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Entry = 1,
    State = 2,
    Truncate = 3,
    Snapshot = 4,
    Mark = 5,
    Pad = 6,
}

impl Kind {
    #[inline]
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Entry),
            2 => Some(Self::State),
            3 => Some(Self::Truncate),
            4 => Some(Self::Snapshot),
            5 => Some(Self::Mark),
            6 => Some(Self::Pad),
            _ => None,
        }
    }
}

/// All that a frame's header says but its own checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// Length of the payload in bytes.
    pub(crate) payload_bytes: u32,
    /// Entry: its index. State: the caller's. Truncate: the first index that is gone. Snapshot: the last index that
    /// it covers. Otherwise 0.
    pub(crate) index: u64,
    pub(crate) aux: u64,
    /// Checksum of the payload.
    pub(crate) payload_crc: u32,
    /// Header checksum of the frame before.
    pub(crate) prev: u32,
    /// How many units of 8 bytes before this frame's start the log was durable when it was encoded.
    pub(crate) durable_distance: u32,
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) slot: u16,
}

/// A header that was read and whose checksum holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DecodedFrame {
    pub(crate) header: FrameHeader,
    pub(crate) checksum: u32,
}

impl FrameHeader {
    /// Reads the fields of a header whose kind is known, and checks nothing.
    #[inline]
    fn from_bytes(bytes: &[u8; FRAME_HEADER_BYTES], kind: Kind) -> Self {
        Self {
            payload_bytes: u32_at(bytes, 4),
            index: u64_at(bytes, 8),
            aux: u64_at(bytes, 16),
            payload_crc: u32_at(bytes, 24),
            prev: u32_at(bytes, 28),
            durable_distance: !u32_at(bytes, 32),
            kind,
            flags: bytes[37],
            slot: u16::from_le_bytes([bytes[38], bytes[39]]),
        }
    }

    /// Reads the header of an entry that was verified before, in memory that has not changed since.
    #[inline]
    pub(crate) fn of_verified_entry(bytes: &[u8]) -> Self {
        Self::from_bytes(bytes.first_chunk().expect("the header was verified"), Kind::Entry)
    }

    /// Bytes of the whole frame, padding included.
    #[inline]
    pub(crate) fn frame_bytes(&self) -> u64 {
        frame_bytes(self.payload_bytes)
    }

    /// Offset up to which the log was durable, if the frame starts at `offset`; negative for an earlier segment.
    pub(crate) fn durable_offset(&self, offset: u64) -> Option<i64> {
        let distance = i64::from(self.durable_distance) * ALIGN.cast_signed();
        (self.durable_distance != NO_PROMISE).then(|| offset.cast_signed() - distance)
    }

    pub(crate) fn has_more(&self) -> bool {
        self.flags & FLAG_MORE != 0
    }
}

/// Binds header checksums to one segment of one log.
#[derive(Clone, Debug)]
pub(crate) struct FrameKey {
    /// CRC-32 of log id and segment id: what every header's checksum starts from.
    seed: u32,
}

impl FrameKey {
    pub(crate) fn new(log_id: LogId, segment: SegmentId) -> Self {
        let mut seeded = crc32fast::Hasher::new();
        seeded.update(log_id.as_bytes());
        seeded.update(&segment.get().to_le_bytes());
        Self { seed: seeded.finalize() }
    }

    /// Encodes a header for `offset` behind `out` and returns its checksum.
    #[inline]
    pub(crate) fn append(&self, out: &mut Vec<u8>, offset: u64, header: &FrameHeader) -> u32 {
        // What the checksum covers, in one piece: the offset, and the header without its first field. That field
        // then goes over the second half of the offset, and the header stands there as a whole.
        let mut bound = [0; header_crc::BOUND_BYTES];
        bound[..8].copy_from_slice(&offset.to_le_bytes());
        bound[8..12].copy_from_slice(&header.payload_bytes.to_le_bytes());
        bound[12..20].copy_from_slice(&header.index.to_le_bytes());
        bound[20..28].copy_from_slice(&header.aux.to_le_bytes());
        bound[28..32].copy_from_slice(&header.payload_crc.to_le_bytes());
        bound[32..36].copy_from_slice(&header.prev.to_le_bytes());
        // Inverted, so that the last eight bytes of a header are never nearly zero: a header that lost them to a
        // sector that was not written then differs from its checksum by many bits, not by one.
        bound[36..40].copy_from_slice(&(!header.durable_distance).to_le_bytes());
        bound[40] = header.kind as u8;
        bound[41] = header.flags;
        bound[42..].copy_from_slice(&header.slot.to_le_bytes());
        let checksum = header_crc::update(self.seed, &bound);
        bound[4..8].copy_from_slice(&checksum.to_le_bytes());
        out.extend_from_slice(&bound[4..]);
        checksum
    }

    /// Reads the header at the front of `bytes`, or `None` if no frame of this segment starts at `offset`.
    #[inline]
    pub(crate) fn decode(&self, offset: u64, bytes: &[u8]) -> Option<DecodedFrame> {
        let bytes: &[u8; FRAME_HEADER_BYTES] = bytes.first_chunk()?;
        let checksum = u32_at(bytes, 0);
        // Zeros are the usual end, and no header: the checksum need not be computed for them.
        let kind = Kind::from_byte(bytes[36])?;
        if checksum != self.checksum(offset, bytes) {
            return None;
        }
        let header = FrameHeader::from_bytes(bytes, kind);
        (header.payload_bytes <= RECORD_BYTES_LIMIT).then_some(DecodedFrame { header, checksum })
    }

    /// CRC-32 over log id, segment id, `offset` and the header behind its first field.
    #[inline]
    pub(crate) fn checksum(&self, offset: u64, header: &[u8; FRAME_HEADER_BYTES]) -> u32 {
        let mut bound = [0; header_crc::BOUND_BYTES];
        bound[..8].copy_from_slice(&offset.to_le_bytes());
        bound[8..].copy_from_slice(&header[4..]);
        header_crc::update(self.seed, &bound)
    }
}

/// Bytes of a frame with a payload of `payload_bytes`, padding included.
#[inline]
pub(crate) fn frame_bytes(payload_bytes: u32) -> u64 {
    (to_u64(FRAME_HEADER_BYTES) + u64::from(payload_bytes)).next_multiple_of(ALIGN)
}

mod header_crc;
#[cfg(test)]
mod tests;
