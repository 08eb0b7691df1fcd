//! The ring whose completions the device is asked for, and what it demands: parts that the device takes in one
//! piece, and another way for what the device or its file system refuses.

use std::mem::ManuallyDrop;
use std::rc::Rc;

use super::{
    Attendance, Closed, Completion, Driver, Lane, Notice, Owner, Phase, Prepared, Record, RingId, State, Tag,
};
use crate::slots::Key;
use crate::sys::erased::Erased;
use crate::sys::ring::Ring;
use crate::sys::sqe::{Op, Sqe};

/// An operation that is done in parts, and how those went.
pub(super) struct Parts {
    /// Bytes of each but the last, which may have fewer.
    part_bytes: u32,
    /// Of each that has ended.
    results: Vec<Option<i32>>,
    left: usize,
}

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
            self.lanes.push(Lane { ring, arena: None, backlog, in_flight: 0 });
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
        let op = prepared.op;
        let total = op.transfer_bytes().expect("only reads and writes are polled");
        if total <= part_bytes_max || self.poll.is_none() {
            return self.start(RingId::Poll, prepared, owner, tag, attendance);
        }
        let (whole, _) = self.record(RingId::Poll, prepared, owner, tag, attendance)?;
        let starts = (0..total).step_by(part_bytes_max as usize);
        let results = vec![None; starts.len()];
        let left = results.len();
        let record = self.records.get_mut(whole).expect("just made");
        record.parts = Some(Box::new(Parts { part_bytes: part_bytes_max, results, left }));
        // Its parts are under way, on the one ring or the other.
        let lane = self.lane_of(RingId::Poll);
        self.lanes[lane].in_flight -= 1;
        for (number, start) in starts.enumerate() {
            let op = op.part(start, part_bytes_max.min(total - start)).expect("within the whole");
            self.start_part(whole, number, op);
        }
        Ok(whole)
    }

    /// The whole owns what the part points at, and ends after all of its parts.
    fn start_part(&mut self, whole: Key, number: usize, op: Op) {
        let key = self.records.insert(Record {
            owned: Erased::new(()),
            fills: None,
            owner: None,
            tag: super::TAG_UNTOLD,
            ring: RingId::Poll,
            op,
            result_before: None,
            parts: None,
            state: State::Part(whole, number),
        });
        let lane = self.lane_of(RingId::Poll);
        self.lanes[lane].in_flight += 1;
        self.push(RingId::Poll, &[Sqe { user_data: key.to_bits(), is_linked: false, op }]);
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

    /// A part has ended, and with the last of them the whole.
    pub(super) fn part_ended(&mut self, whole: Key, number: usize, result: i32, notices: &mut Vec<Notice>) {
        let record = self.records.get_mut(whole).expect("a whole ends after its parts");
        let op = record.op;
        let parts = record.parts.as_mut().expect("it has parts, of which this is one");
        assert!(parts.results[number].replace(result).is_none(), "a part ends once");
        parts.left -= 1;
        if parts.left > 0 {
            return;
        }
        let result = parts.outcome(&op);
        self.end(whole, result, None, notices);
    }
}

impl Parts {
    /// What one operation would have told.
    fn outcome(&self, op: &Op) -> i32 {
        let total = op.transfer_bytes().expect("only reads and writes have parts");
        let results = || self.results.iter().map(|result| result.expect("all have ended"));
        if matches!(op, Op::Write { .. })
            && let Some(error) = results().find(|result| *result < 0)
        {
            return error;
        }
        let (mut moved, mut start) = (0, 0);
        for result in results() {
            let Ok(count) = u32::try_from(result) else {
                // What was read in front of it is good; whoever reads on is told.
                return if moved > 0 { moved } else { result };
            };
            moved += result;
            if count < self.part_bytes.min(total - start) {
                break;
            }
            start += count;
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::{Op, Parts};

    fn outcome(op: &Op, results: &[i32]) -> i32 {
        Parts { part_bytes: 4, results: results.iter().copied().map(Some).collect(), left: 0 }.outcome(op)
    }

    /// Ten bytes in parts of four, four and two.
    #[test]
    fn the_outcome_is_that_of_one_operation() {
        let read = Op::Read { fd: 0, to: std::ptr::null_mut(), len: 10, offset: 0 };
        let write = Op::Write { fd: 0, from: std::ptr::null(), len: 10, offset: 0 };
        for op in [read, write] {
            assert_eq!(outcome(&op, &[4, 4, 2]), 10);
            assert_eq!(outcome(&op, &[4, 1, 2]), 5, "what lies behind a gap is not counted");
            assert_eq!(outcome(&op, &[4, 0, 0]), 4, "the file ends there");
            assert_eq!(outcome(&op, &[-5, 4, 2]), -5);
        }
        assert_eq!(outcome(&read, &[4, -5, 2]), 4, "what was read is good");
        assert_eq!(outcome(&write, &[4, -5, 2]), -5, "nobody may take it for written");
        assert_eq!(outcome(&write, &[1, 4, -28]), -28);
    }
}
