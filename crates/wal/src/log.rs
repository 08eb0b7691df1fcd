//! The core of an open log: what is appended, what is durable, and which operation comes next.
//!
//! [`Log`] owns no file. Calls change its state and leave work, [`Log::poll_op`] hands the work out one operation
//! at a time, [`Log::handle_completion`] takes outcomes in. A driver repeats the two until there is no work.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use samestep_replay_traits::Index;

use crate::error::{AppendError, Failure, TruncateError};
use crate::format::{ALIGN, BLOCK_END, Meta, to_u64, to_usize};
use crate::frame::{FLAG_MORE, FRAME_HEADER_BYTES, FrameHeader, FrameKey, Kind, frame_bytes};
use crate::id::{LogId, Lsn, SegmentId};
use crate::op::{DiskError, FileName, Op};
use crate::options::{CommitPolicy, Options};
use crate::record::Prepared;
use crate::truncations::Truncations;
use crate::view::{SegmentView, SnapshotMark, StateRecord};

mod ops;
mod rotation;
mod snapshot;
mod span;
mod spare;

pub(crate) use rotation::{Rehomed, RotationRequest};
pub(crate) use span::Sealed;
pub use span::Span;

/// An open log without its files: stages records, orders the work, knows what is durable.
///
/// Order of calls: stage or request something; then perform operations until [`Self::poll_op`] gives none. At most
/// one operation is out at a time. Calls that return [`StageError::Full`] did nothing but leave work: perform it
/// and call again.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "a log id is called so wherever it stands")]
pub struct Log {
    options: Options,
    log_id: LogId,
    /// Older segments, oldest first, with ids ascending by one.
    sealed: VecDeque<Sealed>,
    active: Active,
    states: BTreeMap<u16, StateRecord>,
    /// The last mark, of entries that are still there or pruned.
    snapshot: Option<SnapshotMark>,
    truncations: Truncations,
    /// First index that is not pruned.
    live_first: Index,
    /// Staged frames, not yet handed out.
    group: Vec<u8>,
    /// The buffer of the group that was written last, to be filled again.
    spare_group: Vec<u8>,
    undo: Undo,
    /// Offset up to which writing was asked for.
    flush_to: Option<u64>,
    /// Offset up to which a barrier was asked for.
    sync_to: Option<u64>,
    /// A group was written for a barrier: the barrier comes before the next group, or it might never come.
    is_sync_due: bool,
    /// When it was first seen that something is not durable, under [`CommitPolicy::Interval`].
    unsynced_since: Option<Duration>,
    requested: Option<RotationRequest>,
    rotation: Option<rotation::Rotation>,
    spare: spare::Spare,
    duties: ops::Duties,
    doing: Option<ops::Doing>,
    poison: Option<DiskError>,
}

/// The segment that is appended to. Offsets are in its file: `durable <= written <= end <= capacity`.
#[derive(Debug)]
pub(crate) struct Active {
    /// 0 before the first segment of a log exists.
    pub(crate) id: SegmentId,
    pub(crate) key: FrameKey,
    pub(crate) base_lsn: Lsn,
    pub(crate) capacity: u64,
    pub(crate) view: SegmentView,
    /// End of all staged frames.
    pub(crate) end: u64,
    /// Header checksum of the last staged frame.
    pub(crate) chain: u32,
    /// `prev` of its first frame.
    pub(crate) prev_chain: u32,
    /// End of what is written to the file.
    pub(crate) written: u64,
    pub(crate) written_next: Index,
    /// Header checksum of the last written frame.
    pub(crate) written_chain: u32,
    /// End of what is durable.
    pub(crate) durable: u64,
    pub(crate) durable_next: Index,
    /// Appends since the segment was started or the log opened.
    pub(crate) appends: u32,
    pub(crate) ends_with_mark: bool,
    /// Length the file is cut to when it is sealed, if above `end`: keeps dropped bytes as evidence.
    pub(crate) evidence_end: u64,
}

/// What takes staged frames back if they cannot be written: the group on its way, and the open one behind it.
#[derive(Debug, Default)]
struct Undo {
    /// Before the oldest group that is not written.
    base: UndoPoint,
    /// Before the open group, while another one is being written.
    open: UndoPoint,
    /// While a group is being written: how many of the steps are its own.
    writing: Option<usize>,
    steps: Vec<UndoStep>,
}

/// How the active segment was before a group.
#[derive(Clone, Copy, Debug, Default)]
struct UndoPoint {
    view_len: usize,
    truncates: bool,
    chain: u32,
    appends: u32,
    ends_with_mark: bool,
}

#[derive(Debug)]
enum UndoStep {
    State { slot: u16, old: Option<StateRecord> },
    Truncate { len: usize, removed: Vec<u32>, durable_next: Index, written_next: Index },
    Snapshot { old: Option<SnapshotMark> },
}

/// Why nothing was staged.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// Work must be done first: perform operations until there are none, then call again.
    #[error("operations must be performed first")]
    Full,
    /// The call is refused.
    #[error(transparent)]
    Append(AppendError),
}

impl Log {
    /// A log as opening found it; `requested` is the segment to start before anything else.
    pub(crate) fn new(options: Options, start: Start) -> Self {
        let mut duties =
            ops::Duties::new(start.meta_next_sequence, start.meta_file_exists, start.meta_durable);
        duties.renew(start.renewals);
        duties.discard(start.discard);
        duties.remove(start.removals);
        duties.set_meta_dirty(start.meta_is_stale);
        Self {
            options,
            log_id: start.log_id,
            sealed: start.sealed,
            active: start.active,
            states: start.states,
            snapshot: start.snapshot,
            truncations: Truncations::default(),
            live_first: start.live_first,
            group: Vec::new(),
            spare_group: Vec::new(),
            undo: Undo::default(),
            flush_to: None,
            sync_to: None,
            is_sync_due: false,
            unsynced_since: None,
            requested: start.requested,
            rotation: None,
            spare: spare::Spare::default(),
            duties,
            doing: None,
            poison: None,
        }
    }

    /// Places `records` in the open group, as one batch that a crash keeps or drops whole, and returns the index
    /// of the first. Not durable yet, see [`Self::durable_next`].
    pub fn stage(&mut self, records: &[Prepared<'_>]) -> Result<Index, StageError> {
        let first = self.active.view.next_index();
        self.check_poison().map_err(|failure| StageError::Append(failure.into()))?;
        // By far the most batches are of one record.
        if let [record] = records {
            let bytes = self.check_record(record, first).map_err(StageError::Append)?;
            self.make_room(bytes)?;
            self.stage_entry(record, first.get(), 0);
            return Ok(first);
        }
        let bytes = self.check_batch(records, first).map_err(StageError::Append)?;
        self.make_room(bytes)?;
        for (position, record) in records.iter().enumerate() {
            let more = if position + 1 < records.len() { FLAG_MORE } else { 0 };
            self.stage_entry(record, first.get() + to_u64(position), more);
        }
        Ok(first)
    }

    #[inline]
    fn stage_entry(&mut self, record: &Prepared<'_>, index: u64, flags: u8) {
        self.active.view.push(self.active.end);
        let body = Body { kind: Kind::Entry, index, aux: record.aux, slot: record.slot, flags };
        self.stage_frame(body, record.payload, record.payload_crc);
        self.active.appends = self.active.appends.saturating_add(1);
    }

    /// Places the new value of `slot` in the open group.
    pub fn stage_state(&mut self, slot: u16, record: &StateRecord) -> Result<(), StageError> {
        let bytes = to_u64(record.payload.len());
        if bytes > STATE_BYTES_MAX {
            return Err(StageError::Append(AppendError::TooLarge { bytes, bytes_max: STATE_BYTES_MAX }));
        }
        self.check_poison().map_err(|failure| StageError::Append(failure.into()))?;
        self.make_room(frame_bytes(u32::try_from(bytes).expect("checked above")))?;
        let body = Body { kind: Kind::State, index: record.index.get(), aux: record.aux, slot, flags: 0 };
        self.stage_frame(body, &record.payload, crc32fast::hash(&record.payload));
        self.active.appends = self.active.appends.saturating_add(1);
        let old = self.states.insert(slot, record.clone());
        self.undo.steps.push(UndoStep::State { slot, old });
        Ok(())
    }

    /// Removes the entries from `from` on. Inside the newest segment that is a frame in the open group; below it,
    /// a new segment whose header says so. `Ok(false)`: perform the operations and call again.
    pub fn stage_truncate(&mut self, from: Index) -> Result<bool, TruncateError> {
        self.check_poison()?;
        if from >= self.next_index() {
            return Ok(true);
        }
        if from < self.live_first {
            return Err(TruncateError::Pruned { first: self.live_first });
        }
        if !self.is_ready() || self.doing.is_some() {
            return Ok(false);
        }
        if from < self.active.view.first_index() {
            self.request_rotation(RotationRequest { first_index: Some(from), ..RotationRequest::default() });
            return Ok(false);
        }
        if self.make_room(frame_bytes(0)).is_err() {
            return Ok(false);
        }
        let body = Body { kind: Kind::Truncate, index: from.get(), aux: 0, slot: 0, flags: 0 };
        self.stage_frame(body, &[], 0);
        let (durable_next, written_next) = (self.active.durable_next, self.active.written_next);
        self.active.durable_next = durable_next.min(from);
        self.active.written_next = written_next.min(from);
        let removed = self.active.view.truncate(from);
        let len = self.active.view.len();
        self.undo.steps.push(UndoStep::Truncate { len, removed, durable_next, written_next });
        self.truncations.push(from);
        self.take_back_snapshot(from);
        Ok(true)
    }

    /// Removes the entries up to `index`, as far as they are there. Whole segments go at once, the rest of the
    /// last one with it. Everything staged must be durable: see [`Self::request_sync`].
    ///
    /// # Panics
    ///
    /// If something staged is not durable.
    pub fn prune_through(&mut self, index: Index) -> Result<(), Failure> {
        self.check_poison()?;
        assert_eq!(self.active.durable, self.active.end, "a prune follows a sync");
        let first = index.next().map_or(self.next_index(), |next| next.min(self.next_index()));
        if first <= self.live_first {
            return Ok(());
        }
        self.live_first = first;
        let mut removals = Vec::new();
        while let Some(id) =
            self.sealed.front().filter(|oldest| oldest.live_end <= first).map(|oldest| oldest.id)
        {
            removals.push(FileName::Segment(id));
            removals.push(FileName::Sidecar(id));
            self.sealed.pop_front();
        }
        self.duties.remove(removals);
        self.duties.set_meta_dirty(true);
        Ok(())
    }

    /// Asks for everything staged to be written, not synced.
    pub fn request_flush(&mut self) -> Result<(), Failure> {
        self.check_poison()?;
        self.duties.unstall();
        if self.has_unwritten() {
            self.flush_to = Some(self.active.end);
        }
        Ok(())
    }

    /// Asks for everything staged to be durable.
    pub fn request_sync(&mut self) -> Result<(), Failure> {
        self.check_poison()?;
        self.duties.unstall();
        if self.has_unsynced() {
            self.sync_to = Some(self.active.end);
        }
        Ok(())
    }

    /// Asks for everything staged to be durable if it has waited for [`CommitPolicy::Interval`], and says when to
    /// tell the time again. `now` is any clock that never goes back; what is staged counts from the first call
    /// that sees it. `None`: nothing waits, or a barrier was asked for.
    pub fn handle_tick(&mut self, now: Duration) -> Result<Option<Duration>, Failure> {
        let CommitPolicy::Interval(interval) = self.options.commit else { return Ok(None) };
        self.check_poison()?;
        if !self.has_unsynced() {
            self.unsynced_since = None;
            return Ok(None);
        }
        let deadline = self.unsynced_since.get_or_insert(now).saturating_add(interval);
        if now < deadline {
            return Ok(Some(deadline));
        }
        self.unsynced_since = None;
        self.request_sync()?;
        Ok(None)
    }

    /// Asks for a new segment, unless the newest holds nothing yet.
    pub fn request_rotate(&mut self) -> Result<(), Failure> {
        self.check_poison()?;
        self.duties.unstall();
        if self.active.appends > 0 || self.active.view.len() > 0 {
            self.request_rotation(RotationRequest::default());
        }
        Ok(())
    }

    /// Prepares the end: stages a mark that proves all before it. Everything must be durable; sync afterwards and
    /// then call [`Self::finish_close`].
    pub fn stage_close(&mut self) -> Result<(), Failure> {
        self.check_poison()?;
        let has_room = self.active.end + MARK_BYTES <= self.active.capacity;
        if !self.active.ends_with_mark && has_room {
            self.stage_frame(Body { kind: Kind::Mark, index: 0, aux: 0, slot: 0, flags: 0 }, &[], 0);
            self.active.ends_with_mark = true;
        }
        Ok(())
    }

    /// Writes down how far the log is durable, if that is not on disk yet, and removes a file that was made ahead.
    pub fn finish_close(&mut self) -> Result<(), Failure> {
        self.check_poison()?;
        let durable = self.lsn_of(self.active.durable);
        let is_stale = self.duties.meta_durable() != Some(durable);
        self.duties.set_meta_dirty(is_stale);
        let spare = self.give_up_spare();
        self.duties.remove(spare.into_iter().collect());
        Ok(())
    }

    /// Index that the next entry gets.
    pub fn next_index(&self) -> Index {
        self.active.view.next_index()
    }

    /// First index that is not pruned. Equals [`Self::next_index`] if there is no entry.
    pub fn live_first(&self) -> Index {
        self.live_first
    }

    /// Index of the oldest entry, or `None` if there is none.
    pub fn first_index(&self) -> Option<Index> {
        Some(self.live_first).filter(|&first| first < self.next_index())
    }

    /// Index of the newest entry, or `None` if there is none.
    pub fn last_index(&self) -> Option<Index> {
        self.next_index().previous().filter(|&last| last >= self.live_first)
    }

    /// Index of the newest entry that survives a crash, or `None` if there is none.
    pub fn durable_index(&self) -> Option<Index> {
        self.durable_next().previous().filter(|&last| last >= self.live_first)
    }

    /// Index behind the newest durable entry.
    pub fn durable_next(&self) -> Index {
        self.active.durable_next
    }

    /// Every byte of the log before this position survives a crash. Never moves back.
    pub fn durable_watermark(&self) -> Lsn {
        self.lsn_of(self.active.durable)
    }

    /// Position behind everything staged. Moves back when a group could not be written.
    pub fn end_watermark(&self) -> Lsn {
        self.lsn_of(self.active.end)
    }

    /// Position at which the open group starts: all before it is written, or on its way.
    pub fn group_start(&self) -> Lsn {
        Lsn::new(self.end_watermark().get() - to_u64(self.group.len()))
    }

    /// Position behind everything that is written to its file.
    pub fn written_watermark(&self) -> Lsn {
        self.lsn_of(self.active.written)
    }

    /// Bytes in the open group.
    pub fn group_bytes(&self) -> usize {
        self.group.len()
    }

    /// Index behind the newest entry that is written to its file, and so can be read there.
    pub fn written_next(&self) -> Index {
        self.active.written_next
    }

    /// The last value of each slot, staged ones included.
    pub fn states(&self) -> &BTreeMap<u16, StateRecord> {
        &self.states
    }

    /// Identity of the log.
    pub fn log_id(&self) -> LogId {
        self.log_id
    }

    /// The options it was opened with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Newest segment.
    pub fn active_segment(&self) -> SegmentId {
        self.active.id
    }

    /// Number of segments, the newest included.
    pub fn segment_count(&self) -> usize {
        self.sealed.len() + 1
    }

    /// Whether staged frames are not yet written to the file.
    pub fn has_unwritten(&self) -> bool {
        self.active.written < self.active.end
    }

    /// Whether nothing can be staged before operations are performed.
    pub fn is_blocked(&self) -> bool {
        let rotates = self.requested.is_some() || self.rotation.is_some();
        rotates || self.duties.are_pending() || self.group.len() > self.options.group_bytes_max()
    }

    /// Whether any staged byte is not yet durable.
    pub fn has_unsynced(&self) -> bool {
        self.active.durable < self.active.end
    }

    /// Why the log is poisoned, if it is.
    pub fn poison(&self) -> Option<&DiskError> {
        self.poison.as_ref()
    }

    pub(crate) fn check_poison(&self) -> Result<(), Failure> {
        match &self.poison {
            Some(cause) => Err(Failure::Poisoned(cause.clone())),
            None => Ok(()),
        }
    }

    /// Whether `record` may get the index `expected`, and how long its frame is.
    #[inline]
    fn check_record(&self, record: &Prepared<'_>, expected: Index) -> Result<u64, AppendError> {
        if expected.get() == u64::MAX {
            return Err(AppendError::Exhausted);
        }
        if let Some(found) = record.index.filter(|&found| found != expected) {
            return Err(AppendError::Index { expected, found });
        }
        let bytes_max = u64::from(self.options.record_bytes_max);
        let payload_bytes = to_u64(record.payload.len());
        if payload_bytes > bytes_max {
            return Err(AppendError::TooLarge { bytes: payload_bytes, bytes_max });
        }
        Ok(frame_bytes(u32::try_from(payload_bytes).expect("checked above")))
    }

    fn check_batch(&self, records: &[Prepared<'_>], first: Index) -> Result<u64, AppendError> {
        if records.is_empty() {
            return Err(AppendError::EmptyBatch);
        }
        let mut bytes = 0;
        for (position, record) in records.iter().enumerate() {
            let expected = first.get().checked_add(to_u64(position)).ok_or(AppendError::Exhausted)?;
            bytes += self.check_record(record, Index::new(expected))?;
        }
        let bytes_max = self.options.batch_bytes_max;
        if bytes > bytes_max {
            return Err(AppendError::TooLarge { bytes, bytes_max });
        }
        Ok(bytes)
    }

    /// Nothing stands between a frame and the open group.
    #[inline]
    fn is_ready(&mut self) -> bool {
        self.duties.unstall();
        let rotates = self.requested.is_some() || self.rotation.is_some();
        !rotates && !self.duties.are_pending()
    }

    /// Makes sure that `bytes` more fit the segment, with room for a closing mark, or asks for a new one.
    #[inline]
    fn make_room(&mut self, bytes: u64) -> Result<(), StageError> {
        if !self.is_ready() {
            return Err(StageError::Full);
        }
        let is_full = self.active.end + bytes + MARK_BYTES > self.active.capacity;
        let is_due = self.options.force_rotate_every.is_some_and(|every| self.active.appends >= every);
        if is_full || is_due {
            self.request_rotation(RotationRequest { room: bytes, ..RotationRequest::default() });
            return Err(StageError::Full);
        }
        if self.group.len() > self.options.group_bytes_max() {
            self.flush_to = Some(self.active.end);
            return Err(StageError::Full);
        }
        Ok(())
    }

    fn request_rotation(&mut self, request: RotationRequest) {
        self.requested = Some(request);
    }

    #[inline]
    fn stage_frame(&mut self, body: Body, payload: &[u8], payload_crc: u32) {
        if self.group.is_empty() {
            let point = UndoPoint {
                view_len: self.active.view.len() - usize::from(body.kind == Kind::Entry),
                truncates: self.active.view.truncates(),
                chain: self.active.chain,
                appends: self.active.appends,
                ends_with_mark: self.active.ends_with_mark,
            };
            match self.undo.writing {
                Some(_) => self.undo.open = point,
                None => self.undo.base = point,
            }
        }
        let header = FrameHeader {
            payload_bytes: u32::try_from(payload.len()).expect("payloads are limited to 1 GiB"),
            index: body.index,
            aux: body.aux,
            payload_crc,
            prev: self.active.chain,
            durable_distance: distance(self.active.end - self.active.durable),
            kind: body.kind,
            flags: body.flags,
            slot: body.slot,
        };
        self.active.chain =
            append_frame(&mut self.group, &self.active.key, self.active.end, &header, payload);
        self.active.end += header.frame_bytes();
        self.active.ends_with_mark = false;
    }

    /// Takes back the group that could not be written, and the open one behind it.
    fn roll_back(&mut self) {
        for step in std::mem::take(&mut self.undo.steps).into_iter().rev() {
            match step {
                UndoStep::State { slot, old: Some(old) } => {
                    self.states.insert(slot, old);
                }
                UndoStep::State { slot, old: None } => {
                    self.states.remove(&slot);
                }
                UndoStep::Truncate { len, removed, durable_next, written_next } => {
                    self.active.view.restore(len, &removed);
                    self.active.durable_next = durable_next;
                    self.active.written_next = written_next;
                }
                UndoStep::Snapshot { old } => self.snapshot = old,
            }
        }
        let base = self.undo.base;
        self.undo.writing = None;
        self.active.view.restore(base.view_len, &[]);
        self.active.view.set_truncates(base.truncates);
        self.active.chain = base.chain;
        self.active.appends = base.appends;
        self.active.ends_with_mark = base.ends_with_mark;
        self.active.end = self.active.written;
        if self.active.durable == self.active.written {
            // A barrier may have come between a truncation and its roll-back.
            self.active.durable_next = self.active.written_next;
        }
        self.group.clear();
    }

    fn lsn_of(&self, offset: u64) -> Lsn {
        Lsn::new(self.active.base_lsn.get() + offset)
    }

    /// What `wal.meta` should say now.
    fn meta(&self) -> Meta {
        Meta {
            log_id: self.log_id,
            sequence: self.duties.meta_sequence(),
            lowest: self.sealed.front().map_or(self.active.id, |oldest| oldest.id),
            highest: self.active.id,
            live_first: self.live_first,
            durable: self.lsn_of(self.active.durable),
        }
    }
}

/// All that opening knows when it hands over.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) log_id: LogId,
    pub(crate) sealed: VecDeque<Sealed>,
    pub(crate) active: Active,
    pub(crate) states: BTreeMap<u16, StateRecord>,
    pub(crate) snapshot: Option<SnapshotMark>,
    pub(crate) live_first: Index,
    /// Writes and their barriers that come before all else: what was believed is made durable.
    pub(crate) renewals: VecDeque<Op>,
    pub(crate) requested: Option<RotationRequest>,
    /// A file that was created and never activated.
    pub(crate) discard: Option<SegmentId>,
    pub(crate) removals: Vec<FileName>,
    pub(crate) meta_next_sequence: u64,
    pub(crate) meta_file_exists: bool,
    pub(crate) meta_is_stale: bool,
    /// The durable position that `wal.meta` names.
    pub(crate) meta_durable: Option<Lsn>,
}

impl Active {
    /// A segment that ends at `end`, all of it durable.
    pub(crate) fn durable_until(
        id: SegmentId,
        log_id: LogId,
        view: SegmentView,
        end: u64,
        chain: u32,
    ) -> Self {
        let next = view.next_index();
        Self {
            id,
            key: FrameKey::new(log_id, id),
            base_lsn: Lsn::default(),
            capacity: end,
            view,
            end,
            chain,
            prev_chain: 0,
            written: end,
            written_next: next,
            written_chain: chain,
            durable: end,
            durable_next: next,
            appends: 0,
            ends_with_mark: false,
            evidence_end: 0,
        }
    }

    /// Stands before the first segment of a log whose first entry gets `first_index`.
    pub(crate) fn before_first(log_id: LogId, first_index: Index) -> Self {
        Self::durable_until(SegmentId::new(0), log_id, SegmentView::new(first_index), 0, 0)
    }
}

/// What a frame says, but for its payload and what follows from its place.
#[derive(Clone, Copy)]
struct Body {
    kind: Kind,
    index: u64,
    aux: u64,
    slot: u16,
    flags: u8,
}

/// Encodes a frame for `offset` behind `out`, padding included, and returns its header checksum.
#[inline]
pub(crate) fn append_frame(
    out: &mut Vec<u8>,
    key: &FrameKey,
    offset: u64,
    header: &FrameHeader,
    payload: &[u8],
) -> u32 {
    let padding = payload.len().wrapping_neg() % to_usize(ALIGN);
    out.reserve(FRAME_HEADER_BYTES + payload.len() + padding);
    let checksum = key.append(out, offset, header);
    out.extend_from_slice(payload);
    out.extend_from_slice(&PADDING[..padding]);
    checksum
}

/// A promise's distance in units of 8 bytes.
pub(crate) fn distance(bytes: u64) -> u32 {
    u32::try_from(bytes / ALIGN).expect("segments are shorter than 32 GiB")
}

/// Zeros up to the next multiple of 8.
const PADDING: [u8; 7] = [0; 7];
/// Bytes of the mark that a close writes.
const MARK_BYTES: u64 = FRAME_HEADER_BYTES as u64;
/// Largest state record: all of them are copied into every new segment.
const STATE_BYTES_MAX: u64 = 64 << 10;

const _: () = assert!(MARK_BYTES.is_multiple_of(ALIGN) && BLOCK_END.is_multiple_of(ALIGN));
