//! The format's constants, headers of segments, and the two slots of `wal.meta`.
//!
//! All numbers are little-endian. `docs/wal-format.md` has the byte maps and the reasons.

use samestep_replay_traits::Index;

use crate::id::{LogId, Lsn, SegmentId};

/// First bytes of a segment. The top bit and the line ends show damage by transports that are not 8-bit clean.
pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"\x89WAL\r\n\x1a\x01";
/// First bytes of each slot of `wal.meta`.
pub(crate) const META_MAGIC: [u8; 8] = *b"\x89WAM\r\n\x1a\x01";
/// First bytes of a sidecar.
pub(crate) const SIDECAR_MAGIC: [u8; 8] = *b"\x89WAX\r\n\x1a\x01";
/// Version that this crate writes.
pub(crate) const FORMAT_VERSION: u16 = 1;
/// Bytes of a segment's header block and of one slot of `wal.meta`.
pub(crate) const BLOCK_BYTES: usize = 4096;
/// The same as a file offset: where the first frame of a segment starts.
pub(crate) const BLOCK_END: u64 = BLOCK_BYTES as u64;
/// Bytes of a header block that are in use; all behind them are zero, and checked.
const USED_BYTES: usize = 128;
/// Where the checksum of a header block stands.
const CHECKSUM_AT: usize = 124;
/// What the device writes wholly or not at all, under the sector model.
pub(crate) const SECTOR_BYTES: u64 = 512;
/// Upper bound of [`Options::segment_bytes`](crate::Options::segment_bytes).
pub(crate) const SEGMENT_BYTES_LIMIT: u64 = 4 << 30;
/// Upper bound of a payload's length, believed when reading.
pub(crate) const RECORD_BYTES_LIMIT: u32 = 1 << 30;
/// Upper bound of segment ids, indices and LSNs in headers and `wal.meta`, believed when reading: so far below the end of
/// 64 bits that no sum of a few of them runs over. A log gets there after 4 EiB.
pub(crate) const NUMBER_LIMIT: u64 = 1 << 62;
/// Granularity of frames in bytes; offsets are stored in this unit where they must be short.
pub(crate) const ALIGN: u64 = 8;

/// The segment was started by a recovery: its head holds entries that the segment before it held unproven.
pub(crate) const FLAG_RECOVERY: u32 = 4;
/// The segment before this one holds truncations, so that a reader must look ahead in it.
pub(crate) const FLAG_PREV_TRUNCATES: u32 = 16;
const FLAGS_KNOWN: u32 = FLAG_RECOVERY | FLAG_PREV_TRUNCATES;

const _: () = assert!(CHECKSUM_AT + 4 == USED_BYTES && USED_BYTES <= BLOCK_BYTES);
const _: () = assert!(SEGMENT_BYTES_LIMIT / ALIGN <= u32::MAX as u64, "offsets fit sidecars and promises");

/// Header of a segment. Valid on disk only once its head is durable: writing it activates the segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) flags: u32,
    pub(crate) log_id: LogId,
    pub(crate) id: SegmentId,
    /// LSN of offset 0 of this segment.
    pub(crate) base_lsn: Lsn,
    /// Index of the first entry in this segment. Entries of earlier segments at or above it are dead.
    pub(crate) first_index: Index,
    /// Logical end of the segment before, as an offset; 0 in the first segment of a log.
    pub(crate) prev_end: u64,
    /// Checksum of the last frame before `prev_end`; the `prev` of this segment's first frame.
    pub(crate) prev_chain: u32,
    /// Length of the file while the segment is active.
    pub(crate) capacity: u64,
    /// First index that was not pruned when the segment was started.
    pub(crate) live_first: Index,
    /// End of the frames that were durable before this header: carried states and re-homed entries.
    pub(crate) head_end: u64,
}

/// What a header block turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeaderRead {
    Valid(SegmentHeader),
    /// All zero: the segment was created and never activated.
    Zero,
    /// The checksum holds and a version of the format wrote it that this crate cannot read.
    Newer {
        min_reader: u16,
    },
    /// Anything else.
    Bad,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BLOCK_BYTES);
        out.extend_from_slice(&SEGMENT_MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&self.flags.to_le_bytes());
        out.extend_from_slice(self.log_id.as_bytes());
        out.extend_from_slice(&self.id.get().to_le_bytes());
        out.extend_from_slice(&self.base_lsn.get().to_le_bytes());
        out.extend_from_slice(&self.first_index.get().to_le_bytes());
        out.extend_from_slice(&self.prev_end.to_le_bytes());
        out.extend_from_slice(&self.prev_chain.to_le_bytes());
        out.extend_from_slice(&PAD_TIGHT.to_le_bytes());
        out.extend_from_slice(&self.capacity.to_le_bytes());
        out.extend_from_slice(&self.live_first.get().to_le_bytes());
        out.extend_from_slice(&self.head_end.to_le_bytes());
        seal_block(out)
    }

    /// Reads a header block; `block` may be shorter than one, as files can be.
    pub(crate) fn decode(block: &[u8]) -> HeaderRead {
        if is_zero(block) {
            return HeaderRead::Zero;
        }
        let Some(min_reader) = check_block(block, SEGMENT_MAGIC) else { return HeaderRead::Bad };
        if min_reader > FORMAT_VERSION {
            return HeaderRead::Newer { min_reader };
        }
        let header = Self {
            flags: u32_at(block, 12),
            log_id: log_id_at(block),
            id: SegmentId::new(u64_at(block, 32)),
            base_lsn: Lsn::new(u64_at(block, 40)),
            first_index: Index::new(u64_at(block, 48)),
            prev_end: u64_at(block, 56),
            prev_chain: u32_at(block, 64),
            capacity: u64_at(block, 72),
            live_first: Index::new(u64_at(block, 80)),
            head_end: u64_at(block, 88),
        };
        if header.is_sane() && u32_at(block, 68) == PAD_TIGHT {
            HeaderRead::Valid(header)
        } else {
            HeaderRead::Bad
        }
    }

    /// What every writer keeps. A header that breaks it has a good checksum and was not written by this crate.
    fn is_sane(&self) -> bool {
        let ends = [self.prev_end, self.capacity, self.head_end];
        let numbers = [self.id.get(), self.base_lsn.get(), self.first_index.get(), self.live_first.get()];
        self.flags & !FLAGS_KNOWN == 0
            && ends.iter().all(|end| end.is_multiple_of(ALIGN) && *end <= 2 * SEGMENT_BYTES_LIMIT)
            && self.head_end >= BLOCK_END
            && self.head_end <= self.capacity
            && self.base_lsn.get() >= self.prev_end
            && numbers.iter().all(|number| *number <= NUMBER_LIMIT)
    }
}

/// Lower bounds of what must be there. Never a truth of its own: see the open sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) log_id: LogId,
    /// Counts the writes; the slot is its parity.
    pub(crate) sequence: u64,
    /// Segments below this one are pruned, also if their files are still there.
    pub(crate) lowest: SegmentId,
    /// Segments from `lowest` up to this one were activated.
    pub(crate) highest: SegmentId,
    /// First index that is not pruned.
    pub(crate) live_first: Index,
    /// Every byte of the log below this position was durable.
    pub(crate) durable: Lsn,
}

impl Meta {
    /// One slot.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 * BLOCK_BYTES);
        out.extend_from_slice(&META_MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&0_u32.to_le_bytes());
        out.extend_from_slice(self.log_id.as_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.lowest.get().to_le_bytes());
        out.extend_from_slice(&self.highest.get().to_le_bytes());
        out.extend_from_slice(&self.live_first.get().to_le_bytes());
        out.extend_from_slice(&self.durable.get().to_le_bytes());
        seal_block(out)
    }

    /// Offset of the slot that this value goes to.
    pub(crate) fn slot_offset(&self) -> u64 {
        (self.sequence % 2) * BLOCK_END
    }

    /// Reads the better of the two slots, and says whether the other one may have been newer.
    pub(crate) fn decode_best(file: &[u8]) -> MetaRead {
        let slots = [0, 1].map(|slot| {
            let block = file.get(slot * BLOCK_BYTES..(slot + 1) * BLOCK_BYTES).unwrap_or_default();
            let zero = is_zero(block);
            (Self::decode(block).filter(|meta| meta.sequence % 2 == slot as u64), zero)
        });
        let best = slots.iter().filter_map(|(meta, _)| *meta).max_by_key(|meta| meta.sequence);
        // A slot of zeros was never written: only the very first value of a log stands beside one.
        let intact = slots.iter().all(|(meta, zero)| meta.is_some() || *zero)
            && best.is_some_and(|meta| meta.sequence == 0 || slots.iter().all(|(meta, _)| meta.is_some()));
        MetaRead { best, intact }
    }

    fn decode(block: &[u8]) -> Option<Self> {
        if check_block(block, META_MAGIC)? > FORMAT_VERSION {
            return None;
        }
        let meta = Self {
            log_id: log_id_at(block),
            sequence: u64_at(block, 32),
            lowest: SegmentId::new(u64_at(block, 40)),
            highest: SegmentId::new(u64_at(block, 48)),
            live_first: Index::new(u64_at(block, 56)),
            durable: Lsn::new(u64_at(block, 64)),
        };
        meta.is_sane().then_some(meta)
    }

    /// What every writer keeps.
    fn is_sane(&self) -> bool {
        let numbers = [self.sequence, self.highest.get(), self.live_first.get(), self.durable.get()];
        self.lowest <= self.highest && numbers.iter().all(|number| *number <= NUMBER_LIMIT)
    }
}

/// What `wal.meta` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MetaRead {
    pub(crate) best: Option<Meta>,
    /// Both slots are as they were written, so `best` is the newest value that was ever durable.
    pub(crate) intact: bool,
}

/// Checksum and zero padding behind the fields of a header block.
fn seal_block(mut out: Vec<u8>) -> Vec<u8> {
    debug_assert!(out.len() <= CHECKSUM_AT, "the fields end before the checksum");
    out.resize(CHECKSUM_AT, 0);
    let checksum = crc32fast::hash(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out.resize(BLOCK_BYTES, 0);
    out
}

/// Checks a block's length, checksum, magic and padding, and returns the oldest version that can read it.
fn check_block(block: &[u8], magic: [u8; 8]) -> Option<u16> {
    let whole = block.len() == BLOCK_BYTES
        && u32_at(block, CHECKSUM_AT) == crc32fast::hash(&block[..CHECKSUM_AT])
        && block[..8] == magic
        && is_zero(&block[USED_BYTES..]);
    whole.then(|| u16::from_le_bytes([block[10], block[11]]))
}

fn log_id_at(block: &[u8]) -> LogId {
    LogId::new(block[16..32].try_into().expect("16 bytes"))
}

/// Whether all of `bytes` are zero, at the speed at which memory is compared.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(BLOCK_BYTES).all(|chunk| *chunk == ZEROS[..chunk.len()])
}

/// Length of `bytes` without the zeros at its end.
pub(crate) fn nonzero_len(bytes: &[u8]) -> usize {
    let blocks =
        bytes.rchunks(BLOCK_BYTES).take_while(|block| is_zero(block)).map(<[u8]>::len).sum::<usize>();
    let rest = &bytes[..bytes.len() - blocks];
    rest.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

#[inline]
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

/// A length or offset in memory as one in a file.
#[inline]
pub(crate) fn to_u64(len: usize) -> u64 {
    u64::try_from(len).expect("usize is at most 64 bits")
}

/// A length or offset in a file as one in memory.
///
/// # Panics
///
/// On a 32-bit machine, for a segment that does not fit its address space.
#[inline]
pub(crate) fn to_usize(len: u64) -> usize {
    usize::try_from(len).expect("the segment fits the address space")
}

static ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];

/// Frames start at multiples of [`ALIGN`], one behind the other. The only padding this version writes.
const PAD_TIGHT: u32 = 8;
