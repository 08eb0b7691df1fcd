//! What frames of one segment mean: which entries are live and where they stand.

use samestep_replay_traits::Index;

use crate::error::DamageKind;
use crate::format::{ALIGN, to_u64};
use crate::frame::{FrameHeader, Kind};

/// A state record: the last value of its slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRecord {
    /// The caller's number, for instance the commit index. Not checked against anything.
    pub index: Index,
    /// The caller's second number, for instance the term.
    pub aux: u64,
    /// The caller's bytes.
    pub payload: Vec<u8>,
}

impl StateRecord {
    pub(crate) fn new(header: &FrameHeader, payload: &[u8]) -> Self {
        Self { index: Index::new(header.index), aux: header.aux, payload: payload.to_vec() }
    }
}

/// A mark that says: the caller has a snapshot that stands for all entries up to `index`. The last one survives
/// every rotation and prune; a truncation of any entry that it covers takes it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotMark {
    /// Last entry that the snapshot covers.
    pub index: Index,
    /// The caller's number, for instance the term of that entry.
    pub aux: u64,
    /// The caller's bytes, for instance where the snapshot is. At most 64 KiB.
    pub payload: Vec<u8>,
}

impl SnapshotMark {
    pub(crate) fn new(header: &FrameHeader, payload: &[u8]) -> Self {
        Self { index: Index::new(header.index), aux: header.aux, payload: payload.to_vec() }
    }
}

/// Offsets of the live entries of one segment, dense by index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentView {
    first_index: Index,
    /// In units of 8 bytes.
    offsets: Vec<u32>,
    truncates: bool,
}

impl SegmentView {
    pub(crate) fn new(first_index: Index) -> Self {
        Self { first_index, offsets: Vec::new(), truncates: false }
    }

    pub(crate) fn with_capacity(first_index: Index, entries: usize) -> Self {
        Self { first_index, offsets: Vec::with_capacity(entries), truncates: false }
    }

    pub(crate) fn from_offsets(first_index: Index, offsets: Vec<u32>) -> Self {
        Self { first_index, offsets, truncates: false }
    }

    /// Takes in the frame at `offset`. Entries must be dense, and a truncation stays inside the segment.
    pub(crate) fn apply(&mut self, offset: u64, header: &FrameHeader) -> Result<(), DamageKind> {
        let index = Index::new(header.index);
        match header.kind {
            Kind::Entry if index == self.next_index() => self.push(offset),
            Kind::Truncate if index >= self.first_index && index < self.next_index() => {
                self.truncate(index);
            }
            Kind::Entry | Kind::Truncate => return Err(DamageKind::Sequence),
            Kind::State | Kind::Snapshot | Kind::Mark | Kind::Pad => {}
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn push(&mut self, offset: u64) {
        self.offsets.push(u32::try_from(offset / ALIGN).expect("segments are at most 4 GiB and a batch"));
    }

    /// Forgets the entries from `index` on and returns their offsets, for [`Self::restore`].
    pub(crate) fn truncate(&mut self, index: Index) -> Vec<u32> {
        self.truncates = true;
        self.offsets.split_off(self.position(index))
    }

    /// Undoes what happened since there were `len` entries: drops the later ones and appends `removed`.
    pub(crate) fn restore(&mut self, len: usize, removed: &[u32]) {
        self.offsets.truncate(len);
        self.offsets.extend_from_slice(removed);
    }

    pub(crate) fn set_truncates(&mut self, truncates: bool) {
        self.truncates = truncates;
    }

    pub(crate) fn first_index(&self) -> Index {
        self.first_index
    }

    /// Index that the next entry gets.
    pub(crate) fn next_index(&self) -> Index {
        Index::new(self.first_index.get() + to_u64(self.offsets.len()))
    }

    pub(crate) fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether a truncation stands in the segment, so that some of its entries are dead.
    pub(crate) fn truncates(&self) -> bool {
        self.truncates
    }

    pub(crate) fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// Where the live entry `index` stands.
    #[inline]
    pub(crate) fn offset_of(&self, index: Index) -> Option<u64> {
        let position = usize::try_from(index.get().checked_sub(self.first_index.get())?).ok()?;
        self.offsets.get(position).map(|&offset| u64::from(offset) * ALIGN)
    }

    fn position(&self, index: Index) -> usize {
        usize::try_from(index.get() - self.first_index.get())
            .expect("entries of a segment are counted in memory")
    }
}
