//! The order of operations: which comes next, and what its outcome means.
//!
//! Duties come first: what opening believed is written again, zeros over what a failed write may have left, removal of
//! a half-made segment, `wal.meta`.
//! Then the open group, its barrier, a rotation, and last what may as well never happen.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;

use samestep_replay_traits::Index;

use crate::error::Failure;
use crate::format::{BLOCK_BYTES, to_u64, to_usize};
use crate::id::{Lsn, SegmentId};
use crate::log::Log;
use crate::op::{DiskError, FileName, Op};

/// Which operation is out, and what follows from its completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    WriteGroup {
        end: u64,
        next: Index,
        chain: u32,
    },
    SyncGroup {
        end: u64,
        next: Index,
    },
    Renew,
    ScrubWrite,
    ScrubSync,
    DiscardRemove,
    DiscardSync,
    MetaCreate,
    MetaWrite {
        durable: Lsn,
    },
    MetaSync,
    MetaSyncDir,
    Remove,
    RemoveSync,
    Rotate,
    /// The outcome does not matter.
    Chore,
}

/// Work that must be done before anything is staged or acknowledged again.
#[derive(Debug)]
pub(super) struct Duties {
    renewals: VecDeque<Op>,
    scrub: Option<Scrub>,
    discard: Option<Discard>,
    meta: MetaDuty,
    removals: VecDeque<FileName>,
    wants_removal_sync: bool,
    chores: VecDeque<Op>,
    /// A duty failed for lack of space; it waits until the caller asks for something.
    is_stalled: bool,
}

/// Where a failed write may have left bytes, zeros go before anything else does.
#[derive(Debug)]
enum Scrub {
    Write(Range<u64>),
    Sync,
}

/// The file of a rotation that failed must be gone for good: its header may be whole.
#[derive(Debug)]
enum Discard {
    Remove(SegmentId),
    Sync,
}

/// What is known of `wal.meta` and what it still needs.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a step that is due on its own")]
struct MetaDuty {
    is_dirty: bool,
    file_exists: bool,
    /// Created and not written yet, so its name is not durable either.
    is_new: bool,
    wants_sync: bool,
    wants_dir_sync: bool,
    next_sequence: u64,
    /// The durable position that is on disk.
    durable: Option<Lsn>,
}

impl Duties {
    pub(super) fn new(next_sequence: u64, file_exists: bool, durable: Option<Lsn>) -> Self {
        let meta = MetaDuty {
            is_dirty: false,
            file_exists,
            is_new: false,
            wants_sync: false,
            wants_dir_sync: false,
            next_sequence,
            durable,
        };
        Self {
            renewals: VecDeque::new(),
            scrub: None,
            discard: None,
            meta,
            removals: VecDeque::new(),
            wants_removal_sync: false,
            chores: VecDeque::new(),
            is_stalled: false,
        }
    }

    pub(super) fn renew(&mut self, ops: VecDeque<Op>) {
        self.renewals = ops;
    }

    pub(super) fn discard(&mut self, id: Option<SegmentId>) {
        self.discard = id.map(Discard::Remove);
    }

    pub(super) fn remove(&mut self, files: Vec<FileName>) {
        self.wants_removal_sync |= !files.is_empty();
        self.removals.extend(files);
    }

    pub(super) fn chore(&mut self, op: Op) {
        self.chores.push_back(op);
    }

    pub(super) fn set_meta_dirty(&mut self, is_dirty: bool) {
        self.meta.is_dirty |= is_dirty;
    }

    pub(super) fn meta_durable(&self) -> Option<Lsn> {
        self.meta.durable
    }

    pub(super) fn meta_sequence(&self) -> u64 {
        self.meta.next_sequence
    }

    pub(super) fn unstall(&mut self) {
        self.is_stalled = false;
    }

    pub(super) fn are_pending(&self) -> bool {
        let tidies = self.scrub.is_some() || self.discard.is_some();
        !self.renewals.is_empty() || tidies || self.meta.is_pending()
    }
}

impl MetaDuty {
    fn is_pending(&self) -> bool {
        self.is_dirty || self.wants_sync || self.wants_dir_sync
    }
}

impl Log {
    /// Next operation to perform, if any. None while one is out, and for ever once the log is poisoned.
    #[must_use]
    pub fn poll_op(&mut self) -> Option<Op> {
        if self.doing.is_some() || self.poison.is_some() {
            return None;
        }
        let (doing, op) = if self.duties.is_stalled {
            // What is written can be made durable all the same, and somebody may wait for it.
            self.next_sync()?
        } else if self.duties.are_pending() {
            self.next_duty()
        } else {
            self.next_work()?
        };
        self.doing = Some(doing);
        Some(op)
    }

    /// Takes `op` back with its outcome.
    ///
    /// # Errors
    ///
    /// [`Failure::NoSpace`] if space was short: go on performing operations, they tidy up. [`Failure::Poisoned`] if
    /// the device failed; no further operation comes.
    ///
    /// # Panics
    ///
    /// If no operation is out.
    pub fn handle_completion(&mut self, op: Op, outcome: io::Result<u64>) -> Result<(), Failure> {
        let doing = self.doing.take().expect("an operation is out");
        match outcome {
            Ok(_) => {
                self.complete(doing, op);
                Ok(())
            }
            Err(error) if is_forgivable(doing, &error) => {
                self.complete(doing, op);
                Ok(())
            }
            Err(error) => Err(self.fail(doing, &op, error)),
        }
    }

    /// Tells the log that the operation that is out, if any, will never be completed, so that its outcome stays
    /// unknown. That poisons.
    ///
    /// # Errors
    ///
    /// [`Failure::Poisoned`] if one was out, or the log is poisoned already.
    pub fn abandon_op(&mut self) -> Result<(), Failure> {
        if self.doing.take().is_some() {
            let source = io::Error::other("the operation was abandoned, its outcome is not known").into();
            self.poison = Some(DiskError { op: "finish an operation", file: None, source });
        }
        self.check_poison()
    }

    /// Whether something was asked for, or must be done, so that operations are to be performed, or one is out.
    pub fn wants_work(&self) -> bool {
        let asked = self.flush_to.is_some() || self.sync_to.is_some() || self.requested.is_some();
        let due = self.rotation.is_some() || self.duties.are_pending();
        let wants = if self.duties.is_stalled { self.wants_sync() } else { asked || due };
        self.poison.is_none() && (self.doing.is_some() || wants)
    }

    /// Whether the operation that is out writes records, or is their barrier.
    pub fn is_committing(&self) -> bool {
        matches!(self.doing, Some(Doing::WriteGroup { .. } | Doing::SyncGroup { .. }))
    }

    /// Poisons the log, unless it is poisoned: the driver broke down and cannot say in which state.
    pub(crate) fn break_down(&mut self, reason: &'static str) {
        let source = io::Error::other(reason).into();
        self.doing = None;
        self.poison.get_or_insert(DiskError { op: "go on", file: None, source });
    }

    fn next_duty(&mut self) -> (Doing, Op) {
        let active = FileName::Segment(self.active.id);
        let duties = &mut self.duties;
        if let Some(op) = duties.renewals.front() {
            return (Doing::Renew, op.clone());
        }
        match (&duties.scrub, &duties.discard) {
            (Some(Scrub::Write(range)), _) => {
                let buf = vec![0; to_usize(range.end - range.start)];
                return (Doing::ScrubWrite, Op::WriteAt { file: active, offset: range.start, buf });
            }
            (Some(Scrub::Sync), _) => return (Doing::ScrubSync, Op::SyncData { file: active }),
            (None, Some(Discard::Remove(id))) => {
                return (Doing::DiscardRemove, Op::Remove { file: FileName::Segment(*id) });
            }
            (None, Some(Discard::Sync)) => return (Doing::DiscardSync, Op::SyncDir),
            (None, None) => {}
        }
        let file = FileName::Meta;
        if duties.meta.wants_sync {
            return (Doing::MetaSync, Op::SyncData { file });
        }
        if duties.meta.wants_dir_sync {
            return (Doing::MetaSyncDir, Op::SyncDir);
        }
        if !duties.meta.file_exists {
            return (Doing::MetaCreate, Op::Create { file });
        }
        let meta = self.meta();
        let mut buf = meta.encode();
        if self.duties.meta.is_new {
            // The first write makes the file as long as it stays.
            buf.resize(2 * BLOCK_BYTES, 0);
        }
        (Doing::MetaWrite { durable: meta.durable }, Op::WriteAt { file, offset: meta.slot_offset(), buf })
    }

    fn next_work(&mut self) -> Option<(Doing, Op)> {
        if self.requested.is_some() {
            self.sync_to = Some(self.active.end);
        }
        let write_to = self.flush_to.max(self.sync_to);
        if write_to.is_some_and(|to| self.active.written < to) && !self.is_sync_due {
            let file = FileName::Segment(self.active.id);
            let buf = std::mem::replace(&mut self.group, std::mem::take(&mut self.spare_group));
            self.undo.writing = Some(self.undo.steps.len());
            let (end, next, chain) = (self.active.end, self.next_index(), self.active.chain);
            let doing = Doing::WriteGroup { end, next, chain };
            return Some((doing, Op::WriteAt { file, offset: self.active.written, buf }));
        }
        // A barrier that is due goes before the write that somebody asked for meanwhile, and does not replace it.
        self.flush_to.take_if(|to| *to <= self.active.written);
        if let Some(sync) = self.next_sync() {
            return Some(sync);
        }
        self.sync_to = None;
        if self.requested.is_some() || self.rotation.is_some() {
            // What the last rotation left comes first, or it would pile up under load.
            if let Some(op) = self.duties.chores.pop_front() {
                return Some((Doing::Chore, op));
            }
        }
        if let Some(op) = self.next_rotation_op() {
            return Some((Doing::Rotate, op));
        }
        if let Some(file) = self.duties.removals.front() {
            return Some((Doing::Remove, Op::Remove { file: *file }));
        }
        if self.duties.wants_removal_sync {
            return Some((Doing::RemoveSync, Op::SyncDir));
        }
        self.duties.chores.pop_front().map(|op| (Doing::Chore, op))
    }

    /// The barrier for what is written, if one was asked for.
    fn next_sync(&mut self) -> Option<(Doing, Op)> {
        if !self.wants_sync() {
            return None;
        }
        let doing = Doing::SyncGroup { end: self.active.written, next: self.active.written_next };
        Some((doing, Op::SyncData { file: FileName::Segment(self.active.id) }))
    }

    fn wants_sync(&self) -> bool {
        self.sync_to.is_some_and(|to| self.active.durable < to.min(self.active.written))
    }

    fn complete(&mut self, doing: Doing, op: Op) {
        let duties = &mut self.duties;
        match doing {
            Doing::WriteGroup { end, next, chain } => {
                self.active.written = end;
                self.active.written_next = next;
                self.active.written_chain = chain;
                self.is_sync_due = self.sync_to.is_some_and(|to| self.active.durable < to);
                let steps = self.undo.writing.take().expect("a group is being written");
                self.undo.steps.drain(..steps);
                self.undo.base = self.undo.open;
                if let Op::WriteAt { mut buf, .. } = op {
                    // The buffer comes back to be filled again, so that appending allocates nothing.
                    buf.clear();
                    self.spare_group = buf;
                }
            }
            Doing::SyncGroup { end, next } => {
                self.is_sync_due = false;
                self.active.durable = end;
                self.active.durable_next = next.min(self.next_index());
            }
            Doing::Renew => drop(duties.renewals.pop_front()),
            Doing::ScrubWrite => duties.scrub = Some(Scrub::Sync),
            Doing::ScrubSync => duties.scrub = None,
            Doing::DiscardRemove => duties.discard = Some(Discard::Sync),
            Doing::DiscardSync => duties.discard = None,
            Doing::MetaCreate => {
                duties.meta.file_exists = true;
                duties.meta.is_new = true;
            }
            Doing::MetaWrite { durable } => {
                duties.meta.is_dirty = false;
                duties.meta.wants_sync = true;
                duties.meta.wants_dir_sync = std::mem::take(&mut duties.meta.is_new);
                duties.meta.next_sequence += 1;
                duties.meta.durable = Some(durable);
            }
            Doing::MetaSync => duties.meta.wants_sync = false,
            Doing::MetaSyncDir => duties.meta.wants_dir_sync = false,
            Doing::Remove => drop(duties.removals.pop_front()),
            Doing::RemoveSync => duties.wants_removal_sync = false,
            Doing::Rotate => self.complete_rotation_op(),
            Doing::Chore => {}
        }
    }

    fn fail(&mut self, doing: Doing, op: &Op, error: io::Error) -> Failure {
        let cause = DiskError::new(op, error);
        let is_retryable = match doing {
            Doing::WriteGroup { .. } | Doing::ScrubWrite | Doing::MetaCreate | Doing::MetaWrite { .. } => {
                true
            }
            Doing::Rotate | Doing::Renew => !matches!(op, Op::SyncData { .. } | Op::SyncDir),
            _ => false,
        };
        if !is_retryable || !cause.is_no_space() {
            self.poison = Some(cause.clone());
            return Failure::Poisoned(cause);
        }
        self.flush_to = None;
        self.sync_to = self.sync_to.map(|to| to.min(self.active.written));
        match doing {
            Doing::WriteGroup { .. } => {
                let Op::WriteAt { buf, .. } = op else { panic!("a group is written by a write") };
                let end = self.active.written + to_u64(buf.len());
                self.duties.scrub = Some(Scrub::Write(self.active.written..end));
                self.roll_back();
                self.requested = None;
            }
            Doing::Rotate => {
                let id = self.abandon_rotation();
                self.duties.discard(Some(id));
            }
            _ => self.duties.is_stalled = true,
        }
        Failure::NoSpace(cause)
    }
}

/// Failures that change nothing: what should be gone is gone, and a cache that was not written is only slower.
fn is_forgivable(doing: Doing, error: &io::Error) -> bool {
    match doing {
        Doing::Chore => true,
        Doing::Remove | Doing::DiscardRemove => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}
