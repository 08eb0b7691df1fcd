//! The bytes of an LMDB data file, format version 1.
//!
//! Source: the structures `MDB_page`, `MDB_node`, `MDB_db` and `MDB_meta` of LMDB's `mdb.c`, versions 0.9.x and the
//! branch that heed builds; both write the same format. All numbers are little-endian, as on every host that Vere
//! and heed support; a file of a big-endian host is refused by its magic.

use std::ops::Range;

use crate::error::{MetaProblem, PageProblem};

/// First word of a meta page's body.
pub(crate) const MAGIC: u32 = 0xBEEF_C0DE;
/// The only data version there is.
pub(crate) const DATA_VERSION: u32 = 1;
/// Header of every page: number u64, padding u16, flags u16, then lower and upper u16 each, or a page count u32.
pub(crate) const PAGE_HEADER_BYTES: usize = 16;
/// How much of a meta page means something.
pub(crate) const META_BYTES: usize = 152;
/// A table's record: see [`TreeRecord::decode`].
pub(crate) const TREE_RECORD_BYTES: usize = 48;
/// Deepest tree that LMDB itself can walk.
pub(crate) const DEPTH_MAX: u16 = 32;
/// Page sizes that LMDB can have, powers of two. The greatest is that of a build with 16-bit offsets.
pub(crate) const PAGE_BYTES_MIN: u32 = 256;
pub(crate) const PAGE_BYTES_MAX: u32 = 0x1_0000;

const _: () = assert!(META_BYTES == PAGE_HEADER_BYTES + 24 + 2 * TREE_RECORD_BYTES + 16);

/// What a meta page says: the state of the whole file after one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Bytes in a page: a power of two, taken from the writing host, 4096 or 16384 as a rule.
    pub page_bytes: u32,
    /// Bytes that the writer had mapped. The file is as a rule much shorter.
    pub map_bytes: u64,
    /// The tree of pages that are free, by the transaction that freed them.
    pub free: TreeRecord,
    /// The tree of table names.
    pub main: TreeRecord,
    /// Greatest page number that was ever used.
    pub last_page: u64,
    /// Number of the transaction; the meta page with the greater one is in force.
    pub transaction: u64,
}

impl Meta {
    /// Decodes the first [`META_BYTES`] of meta page `page`.
    pub(crate) fn decode(bytes: &[u8; META_BYTES], page: u64) -> Result<Self, MetaProblem> {
        let magic = u32_at(bytes, 16);
        if magic != MAGIC {
            return Err(MetaProblem::Magic { found: magic });
        }
        let version = u32_at(bytes, 20);
        if version != DATA_VERSION {
            return Err(MetaProblem::Version { found: version });
        }
        let header = PageHeader::decode(bytes);
        if header.kind() != Some(PageKind::Meta) || header.number != page {
            return Err(MetaProblem::Header { number: header.number, flags: header.flags });
        }
        let free = TreeRecord::decode(&bytes[40..]);
        let main = TreeRecord::decode(&bytes[88..]);
        let (last_page, transaction) = (u64_at(bytes, 136), u64_at(bytes, 144));
        let page_bytes = free.pad;
        if !page_bytes.is_power_of_two() || !(PAGE_BYTES_MIN..=PAGE_BYTES_MAX).contains(&page_bytes) {
            return Err(MetaProblem::PageBytes { found: page_bytes });
        }
        // The two meta pages exist in every file; page numbers in branches have 48 bits.
        if !(1..1 << 48).contains(&last_page) {
            return Err(MetaProblem::LastPage { found: last_page });
        }
        let meta = Self { page_bytes, map_bytes: u64_at(bytes, 32), free, main, last_page, transaction };
        for tree in [free, main] {
            tree.check(last_page).map_err(|problem| MetaProblem::Tree { problem })?;
        }
        Ok(meta)
    }

    /// Bytes that the file must have for every page to be there.
    pub fn bytes_needed(&self) -> u64 {
        (self.last_page + 1) * u64::from(self.page_bytes)
    }
}

/// Where a tree is and how large it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeRecord {
    /// In the free tree the page size, else the key size of fixed-size duplicates.
    pub(crate) pad: u32,
    /// The table's flags, see [`Self::has_integer_keys`].
    pub flags: u16,
    /// Pages from root to leaf, 0 in an empty tree.
    pub depth: u16,
    /// Pages that lead to leaves.
    pub branch_pages: u64,
    /// Pages with keys and values.
    pub leaf_pages: u64,
    /// Pages of values too long for a leaf.
    pub overflow_pages: u64,
    /// Keys in the tree.
    pub entries: u64,
    /// The page where the tree starts, unless it is empty.
    pub root: Option<u64>,
}

impl TreeRecord {
    /// Decodes the record at the front of `bytes`, at least [`TREE_RECORD_BYTES`]:
    /// `pad u32 | flags u16 | depth u16 | branch u64 | leaf u64 | overflow u64 | entries u64 | root u64`.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let root = u64_at(bytes, 40);
        Self {
            pad: u32_at(bytes, 0),
            flags: u16_at(bytes, 4),
            depth: u16_at(bytes, 6),
            branch_pages: u64_at(bytes, 8),
            leaf_pages: u64_at(bytes, 16),
            overflow_pages: u64_at(bytes, 24),
            entries: u64_at(bytes, 32),
            root: (root != u64::MAX).then_some(root),
        }
    }

    /// Whether keys are native integers, as those of events are.
    pub fn has_integer_keys(&self) -> bool {
        self.flags & INTEGER_KEYS != 0
    }

    /// Fails on a record that no writer of this format leaves behind.
    pub(crate) fn check(&self, last_page: u64) -> Result<(), PageProblem> {
        let pages = [self.branch_pages, self.leaf_pages, self.overflow_pages];
        let is_sane = match self.root {
            Some(root) => {
                (2..=last_page).contains(&root)
                    && (1..=DEPTH_MAX).contains(&self.depth)
                    && self.entries > 0
                    && self.leaf_pages > 0
            }
            None => self.depth == 0 && self.entries == 0 && pages == [0; 3],
        };
        if is_sane && pages.iter().all(|count| *count <= last_page) {
            Ok(())
        } else {
            Err(PageProblem::Record)
        }
    }
}

/// The first [`PAGE_HEADER_BYTES`] of a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageHeader {
    pub(crate) number: u64,
    pub(crate) flags: u16,
    /// In branches and leaves: where free space begins.
    pub(crate) lower: u16,
    /// In branches and leaves: where free space ends.
    pub(crate) upper: u16,
    /// In the first page of a long value: how many pages it has.
    pub(crate) overflow_pages: u32,
}

impl PageHeader {
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        Self {
            number: u64_at(bytes, 0),
            flags: u16_at(bytes, 10),
            lower: u16_at(bytes, 12),
            upper: u16_at(bytes, 14),
            overflow_pages: u32_at(bytes, 12),
        }
    }

    /// What the page is, if it is one thing and this reader knows it.
    pub(crate) fn kind(self) -> Option<PageKind> {
        match self.flags & !MEMORY_FLAGS {
            0x01 => Some(PageKind::Branch),
            0x02 => Some(PageKind::Leaf),
            0x04 => Some(PageKind::Overflow),
            0x08 => Some(PageKind::Meta),
            _ => None,
        }
    }
}

/// What a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageKind {
    Branch,
    Leaf,
    Overflow,
    Meta,
}

/// An entry of a branch or a leaf, every offset of which lies inside its page.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Node {
    /// In a branch: the child's page.
    pub(crate) child: u64,
    pub(crate) flags: u16,
    key: (usize, usize),
    /// In a leaf: bytes of the value, wherever they are.
    pub(crate) value_bytes: u32,
    inline_end: usize,
}

impl Node {
    /// Decodes entry `at` of a branch or leaf that [`check_slots`] has passed:
    /// `low u16 | high u16 | flags u16 | key length u16 | key | value`.
    ///
    /// In a branch the words low, high and flags are the child's page number.
    #[inline]
    pub(crate) fn decode(page: &[u8], at: usize, kind: PageKind) -> Result<Self, PageProblem> {
        let problem = PageProblem::Node { at };
        let slot = PAGE_HEADER_BYTES + 2 * at;
        let offset = usize::from(u16_at(page, slot));
        let head: &[u8; NODE_HEADER_BYTES] =
            page.get(offset..).and_then(|rest| rest.first_chunk()).ok_or(problem)?;
        // A node among the slots would be a part of them.
        if offset <= slot {
            return Err(problem);
        }
        let (low, flags, key_bytes) = (u32_at(head, 0), u16_at(head, 4), usize::from(u16_at(head, 6)));
        let key_start = offset + NODE_HEADER_BYTES;
        let (child, inline_bytes) = match kind {
            PageKind::Leaf if flags & BIG_DATA != 0 => (0, OVERFLOW_NUMBER_BYTES),
            PageKind::Leaf => (0, low as usize),
            _ => (u64::from(low) | u64::from(flags) << 32, 0),
        };
        let inline_end = key_start + key_bytes + inline_bytes;
        if inline_end > page.len() {
            return Err(problem);
        }
        Ok(Self { child, flags, key: (key_start, key_start + key_bytes), value_bytes: low, inline_end })
    }

    /// Where the key is in the page.
    #[inline]
    pub(crate) fn key(&self) -> Range<usize> {
        self.key.0..self.key.1
    }

    /// In a leaf: where the value is in the page, or the 8-byte number of the page where it starts.
    #[inline]
    pub(crate) fn inline(&self) -> Range<usize> {
        self.key.1..self.inline_end
    }
}

/// Checks the header of a page that should be `kind` and number `number`, and returns its count of entries.
pub(crate) fn check_slots(page: &[u8], kind: PageKind, number: u64) -> Result<usize, PageProblem> {
    let header = check_header(page, kind, number)?;
    let (lower, upper) = (usize::from(header.lower), usize::from(header.upper));
    // In pages of 65536 bytes an empty page's upper bound would not fit; such pages are not in a tree.
    let is_ordered = PAGE_HEADER_BYTES < lower && lower <= upper && upper <= page.len() && lower % 2 == 0;
    if is_ordered { Ok((lower - PAGE_HEADER_BYTES) / 2) } else { Err(PageProblem::Bounds) }
}

/// Checks that a page is what its parent says.
pub(crate) fn check_header(page: &[u8], kind: PageKind, number: u64) -> Result<PageHeader, PageProblem> {
    let header = PageHeader::decode(page);
    if header.kind() != Some(kind) {
        return Err(PageProblem::Kind { flags: header.flags });
    }
    if header.number != number {
        return Err(PageProblem::Number { found: header.number });
    }
    Ok(header)
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// Table flag: keys are native integers.
pub(crate) const INTEGER_KEYS: u16 = 0x08;
/// Table flags that this reader understands; the rest are orders and duplicates that no event log has.
pub(crate) const KNOWN_TABLE_FLAGS: u16 = INTEGER_KEYS;
/// Node flag: the value is on pages of its own.
pub(crate) const BIG_DATA: u16 = 0x01;
/// Node flag: the value is a table's record.
pub(crate) const SUB_TREE: u16 = 0x02;
const NODE_HEADER_BYTES: usize = 8;
const OVERFLOW_NUMBER_BYTES: usize = 8;
/// Page flags that mean something in the writer's memory only: dirty, loose, kept.
const MEMORY_FLAGS: u16 = 0xC010;
