//! Reads and writes that are done in parts, each of which begins when it is told to.
//!
//! The whole owns what its parts point at, and ends after the last of them.

use std::ops::Range;
use std::rc::Rc;

use super::{Attendance, Closed, Driver, Notice, Owner, Prepared, Record, RingId, State, TAG_UNTOLD, Tag};
use crate::schedule::Charge;
use crate::slots::Key;
use crate::sys::erased::Erased;
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
    /// Takes a read or write of which nothing is under way before its parts, of at most `part_bytes` each, are
    /// [started](Self::start_held), in any order, or [left out](Self::drop_held). The outcome is that of one: of a read
    /// the bytes up to the first part that was short; of a write that, or the error of any.
    ///
    /// # Errors
    ///
    /// Gives the operation back if the driver was shut down.
    pub(crate) fn hold(
        &mut self,
        ring: RingId,
        prepared: Prepared,
        part_bytes: u32,
        owner: Option<Rc<dyn Owner>>,
        tag: Tag,
        attendance: Attendance,
    ) -> Result<Key, Closed> {
        let total = prepared.transfer_bytes().expect("only reads and writes have parts");
        let (whole, _) = self.record(ring, prepared, owner, tag, attendance)?;
        // Its parts are under way, on the one ring or the other.
        let lane = self.lane_of(ring);
        self.lanes[lane].in_flight -= 1;
        let left = total.div_ceil(part_bytes) as usize;
        let record = self.records.get_mut(whole).expect("just made");
        record.parts = Some(Box::new(Parts { part_bytes, results: vec![None; left], left }));
        Ok(whole)
    }

    /// Starts a part, which is charged until it has ended. Once for each that was not left out, while the driver is
    /// open.
    pub(crate) fn start_held(&mut self, whole: Key, number: usize, charge: Option<Charge>) {
        let record = self.records.get(whole).expect("a whole ends after its parts");
        let (ring, parts) = (record.ring, record.parts.as_ref().expect("it has parts"));
        let start = u32::try_from(number).expect("parts are few") * parts.part_bytes;
        let total = record.op.transfer_bytes().expect("only reads and writes have parts");
        let op = record.op.part(start, parts.part_bytes.min(total - start)).expect("within the whole");
        let key = self.records.insert(Record {
            owned: Erased::new(()),
            fills: None,
            owner: None,
            tag: TAG_UNTOLD,
            ring,
            op,
            result_before: None,
            parts: None,
            charge,
            state: State::Part(whole, number),
        });
        let lane = self.lane_of(ring);
        self.lanes[lane].in_flight += 1;
        self.push(ring, &[Sqe { user_data: key.to_bits(), is_linked: false, op }]);
    }

    /// Leaves parts out, as if each had been cancelled. What is to be done is added to `notices`.
    pub(crate) fn drop_held(&mut self, whole: Key, numbers: Range<usize>, notices: &mut Vec<Notice>) {
        for number in numbers {
            self.part_ended(whole, number, -libc::ECANCELED, notices);
        }
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
        if matches!(op, Op::Write { .. }) {
            // That the rest was given up tells less than what went wrong.
            let errors = results().filter(|result| *result < 0);
            if let Some(error) = errors.max_by_key(|error| *error != -libc::ECANCELED) {
                return error;
            }
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
        let given_up = -libc::ECANCELED;
        assert_eq!(outcome(&write, &[4, -5, given_up]), -5, "what went wrong is told");
        assert_eq!(outcome(&write, &[4, 4, given_up]), given_up);
    }
}
