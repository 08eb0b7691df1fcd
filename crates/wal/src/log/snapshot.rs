//! Snapshot marks: which entries a snapshot of the caller's stands for.

use samestep_replay_traits::Index;

use crate::error::SnapshotError;
use crate::format::to_u64;
use crate::frame::{Kind, frame_bytes};
use crate::log::{Body, Log, STATE_BYTES_MAX, StageError, UndoStep};
use crate::view::SnapshotMark;

impl Log {
    /// Places a mark in the open group. `Ok(false)`: perform the operations and call again.
    pub fn stage_snapshot(&mut self, mark: &SnapshotMark) -> Result<bool, SnapshotError> {
        let bytes = to_u64(mark.payload.len());
        if bytes > STATE_BYTES_MAX {
            return Err(SnapshotError::TooLarge { bytes, bytes_max: STATE_BYTES_MAX });
        }
        let (index, first, next) = (mark.index, self.live_first, self.next_index());
        if !(first..next).contains(&index) {
            return Err(SnapshotError::NotInLog { index, first, next });
        }
        self.check_poison()?;
        match self.make_room(frame_bytes(u32::try_from(bytes).expect("checked above"))) {
            Ok(()) => {}
            Err(StageError::Full) => return Ok(false),
            Err(StageError::Append(error)) => panic!("room is made or not: {error}"),
        }
        let body = Body { kind: Kind::Snapshot, index: index.get(), aux: mark.aux, slot: 0, flags: 0 };
        self.stage_frame(body, &mark.payload, crc32fast::hash(&mark.payload));
        self.active.appends = self.active.appends.saturating_add(1);
        self.set_snapshot(Some(mark.clone()));
        Ok(true)
    }

    /// The last mark, a staged one included.
    pub fn snapshot(&self) -> Option<&SnapshotMark> {
        self.snapshot.as_ref()
    }

    /// Entries from `from` on are removed: a snapshot of them is of a history that is no more.
    pub(super) fn take_back_snapshot(&mut self, from: Index) {
        if self.snapshot.as_ref().is_some_and(|mark| mark.index >= from) {
            self.set_snapshot(None);
        }
    }

    fn set_snapshot(&mut self, mark: Option<SnapshotMark>) {
        let old = std::mem::replace(&mut self.snapshot, mark);
        self.undo.steps.push(UndoStep::Snapshot { old });
    }
}
