//! The ring whose completions the device is asked for, and what it demands: [parts](super::held) that the device takes
//! in one piece, and another way for what the device or its file system refuses.

use std::mem::ManuallyDrop;
use std::rc::Rc;

use super::{
    Attendance, Closed, Completion, Driver, Lane, LaneCounters, Notice, Owner, Phase, Prepared, RingId,
    State, Tag,
};
use crate::slots::Key;
use crate::sys::ring::Ring;
use crate::sys::sqe::Sqe;

impl Driver {
    /// Adds the poll ring. Operations on it end only when the ring is entered, so that the shard does not sleep while
    /// any is under way.
    ///
    /// # Panics
    ///
    /// If there is one.
    pub(crate) fn add_poll_ring(&mut self, mut ring: Box<dyn Ring>) {
        assert!(self.poll.is_none(), "a shard has one poll ring");
        if self.phase == Phase::Open {
            if let Some(arena) = &self.arena {
                // It does without if it cannot.
                let _ = ring.register_arena(arena);
            }
            self.poll = Some(self.lanes.len());
            let (ring, backlog) = (ManuallyDrop::new(ring), std::collections::VecDeque::new());
            let counters = LaneCounters::default();
            self.lanes.push(Lane { ring, arena: None, backlog, in_flight: 0, counters });
        }
    }

    /// Whether the poll ring was made.
    pub(crate) fn has_poll_ring(&self) -> bool {
        self.poll.is_some()
    }

    /// Whether operations are under way of whose end nobody tells.
    pub(crate) fn is_polling(&self) -> bool {
        self.poll.is_some_and(|lane| self.lanes.get(lane).is_some_and(|lane| lane.in_flight > 0))
    }

    /// Starts a read or write on the poll ring as several of at most `part_bytes_max` bytes, all at once. The outcome
    /// is that of one: of a read the bytes up to the first part that was short; of a write that, or the error of any.
    ///
    /// What the poll ring refuses is done on the main one. The owner is told of it once for each part, with
    /// `-EOPNOTSUPP` as a completion that is not the last.
    pub(crate) fn start_polled(
        &mut self,
        prepared: Prepared,
        part_bytes_max: u32,
        owner: Option<Rc<dyn Owner>>,
        tag: Tag,
        attendance: Attendance,
    ) -> Result<Key, Closed> {
        let total = prepared.transfer_bytes().expect("only reads and writes are polled");
        if total <= part_bytes_max || self.poll.is_none() {
            return self.start(RingId::Poll, prepared, owner, tag, attendance);
        }
        let whole = self.hold(RingId::Poll, prepared, part_bytes_max, owner, tag, attendance)?;
        for number in 0..total.div_ceil(part_bytes_max) as usize {
            self.start_held(whole, number, None);
        }
        Ok(whole)
    }

    /// Whether the poll ring did not take an operation, which then goes to the main one.
    pub(super) fn is_refused(&mut self, key: Key, result: i32, notices: &mut Vec<Notice>) -> bool {
        let is_for_now = result == -libc::EAGAIN;
        if result != -libc::EOPNOTSUPP && !is_for_now {
            return false;
        }
        self.counters.poll_refusals += 1;
        let from = self.lane_of(RingId::Poll);
        self.lanes[from].in_flight -= 1;
        self.lanes[0].in_flight += 1;
        let record = self.records.get_mut(key).expect("looked at by the caller");
        record.ring = RingId::Main;
        let op = record.op;
        let whole = if let State::Part(whole, _) = record.state { whole } else { key };
        self.push(RingId::Main, &[Sqe { user_data: key.to_bits(), is_linked: false, op }]);
        let record = self.records.get(whole).expect("a whole ends after its parts");
        if let Some(owner) = record.owner.as_ref().filter(|_| !is_for_now) {
            let completion = Completion {
                tag: record.tag,
                result,
                buffer: None,
                is_last: false,
                owned: None,
                was_told: false,
            };
            notices.push(Notice::Tell(Rc::clone(owner), completion));
        }
        true
    }
}
