//! The next segment, made ahead of time: its file is there, full of zeros and durable, before it is needed.
//!
//! Its operations form a second lane, which a thread of its own performs beside the log's: they touch one file that
//! is no segment yet, as its header is zero. A rotation waits for a file that is half made, and then only has to
//! write a header. Whatever goes wrong here costs nothing but the rotation's own work.

use std::io;

use crate::id::SegmentId;
use crate::log::Log;
use crate::op::{FileName, Op};

/// What is known of the file behind the newest segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Spare {
    /// There is none.
    #[default]
    None,
    Making {
        id: SegmentId,
        capacity: u64,
        step: Step,
        /// An operation is out.
        is_out: bool,
    },
    /// The file is whole and durable. Its name need not be: the rotation sees to that.
    Ready { id: SegmentId, capacity: u64 },
    /// It could not be made, and is not tried again before the next segment. There may be a file.
    GivenUp { id: SegmentId },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Create,
    ZeroFill,
    Sync,
    Close,
    /// After a failure: the space may be what the log needs.
    Remove,
}

impl Log {
    /// Whether it is time to make the next segment: the newest one is half full.
    pub fn wants_spare(&self) -> bool {
        match self.spare {
            Spare::Making { is_out, .. } => !is_out,
            Spare::Ready { .. } => false,
            Spare::GivenUp { id } if id > self.active.id => false,
            Spare::None | Spare::GivenUp { .. } => {
                let is_due = self.active.end >= self.active.capacity / 2 && self.active.id.get() > 0;
                let rotates = self.requested.is_some() || self.rotation.is_some();
                // A duty may be to remove the file of that very name.
                is_due && self.prepares_segments() && !rotates && !self.duties.are_pending()
            }
        }
    }

    /// Whether segments are made ahead of time at all. Where barriers are rare there is nothing to make: see
    /// [`Op::WriteZeros`].
    pub fn prepares_segments(&self) -> bool {
        self.options.prepares_segments && self.options.commit.is_durable_on_return()
    }

    /// Next operation of the second lane, if any. It may be performed while one of [`Self::poll_op`] is out, on
    /// another handle on the directory.
    pub fn poll_spare_op(&mut self) -> Option<Op> {
        if self.poison.is_some() || !self.wants_spare() {
            return None;
        }
        let Spare::Making { id, capacity, step, .. } = self.spare else {
            let (id, capacity) = (self.active.id.next(), self.options.segment_bytes);
            self.spare = Spare::Making { id, capacity, step: Step::Create, is_out: false };
            return self.poll_spare_op();
        };
        self.spare = Spare::Making { id, capacity, step, is_out: true };
        let file = FileName::Segment(id);
        Some(match step {
            Step::Create => Op::Create { file },
            Step::ZeroFill => Op::WriteZeros { file, len: capacity, may_be_hole: false },
            Step::Sync => Op::SyncData { file },
            Step::Close => Op::Close { file },
            Step::Remove => Op::Remove { file },
        })
    }

    /// Takes an operation of the second lane back.
    ///
    /// # Panics
    ///
    /// If none is out.
    pub fn handle_spare_completion(&mut self, outcome: &io::Result<u64>) {
        let Spare::Making { id, capacity, step, is_out: true } = self.spare else {
            panic!("an operation of the second lane is out")
        };
        let next = match (step, outcome) {
            (Step::Remove, _) => None,
            (_, Err(_)) => Some(Step::Remove),
            (Step::Create, Ok(_)) => Some(Step::ZeroFill),
            (Step::ZeroFill, Ok(_)) => Some(Step::Sync),
            (Step::Sync, Ok(_)) => Some(Step::Close),
            (Step::Close, Ok(_)) => {
                self.spare = Spare::Ready { id, capacity };
                return;
            }
        };
        self.spare = match next {
            Some(step) => Spare::Making { id, capacity, step, is_out: false },
            None => Spare::GivenUp { id },
        };
    }

    /// Nobody performs the second lane any more: a rotation need not wait for it.
    pub fn abandon_spare(&mut self) {
        if let Spare::Making { id, .. } = self.spare {
            self.spare = Spare::GivenUp { id };
        }
    }

    /// Whether a rotation waits for the second lane.
    pub fn awaits_spare(&self) -> bool {
        let is_made = matches!(self.spare, Spare::Making { .. });
        is_made && self.requested.is_some() && self.poison.is_none()
    }

    /// The file for the new segment `id`, if it is there and as long as it must be. There is no spare afterwards.
    pub(super) fn take_spare(&mut self, id: SegmentId, capacity: u64) -> bool {
        std::mem::take(&mut self.spare) == Spare::Ready { id, capacity }
    }

    /// The name of a file that is no segment and must not outlive a close, so that equal logs leave equal files.
    pub(super) fn give_up_spare(&mut self) -> Option<FileName> {
        match std::mem::take(&mut self.spare) {
            Spare::Making { id, .. } | Spare::Ready { id, .. } | Spare::GivenUp { id } => {
                Some(FileName::Segment(id)).filter(|_| id > self.active.id)
            }
            Spare::None => None,
        }
    }
}
