//! The rolling hash of a run at points on the way, by which the first event that differs between two long runs is found
//! without keeping all events of either.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The rolling hash after every so many events. There are at most [`MARKS_MAX`]: when they are so many, every other one
/// goes, and those to come are twice as far apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marks {
    every: u64,
    hashes: Vec<u64>,
}

impl Marks {
    pub(crate) const fn new() -> Self {
        Self { every: EVENTS_BETWEEN_MIN, hashes: Vec::new() }
    }

    /// After `count` events the hash is `hash`. To be told of each.
    pub(crate) fn note(&mut self, count: u64, hash: u64) {
        if !count.is_multiple_of(self.every) {
            return;
        }
        self.hashes.push(hash);
        if self.hashes.len() == MARKS_MAX {
            let mut place = 0;
            self.hashes.retain(|_| {
                place += 1;
                place % 2 == 0
            });
            self.every *= 2;
        }
    }

    /// Numbers of the events among which is the first that differs, if any does. Behind the last mark of the shorter run
    /// these are as many as lie between two, and one more.
    pub(crate) fn first_difference(&self, other: &Self) -> Range<u64> {
        let step = self.every.max(other.every);
        let at = |marks: &Self, place: u64| {
            let place = usize::try_from((place + 1) * step / marks.every - 1).ok()?;
            marks.hashes.get(place).copied()
        };
        let mut place = 0;
        while let (Some(one), Some(another)) = (at(self, place), at(other, place)) {
            if one != another {
                return place * step..(place + 1) * step;
            }
            place += 1;
        }
        place * step..(place + 1) * step + 1
    }
}

const EVENTS_BETWEEN_MIN: u64 = 64;
const MARKS_MAX: usize = 1024;

const _: () = assert!(MARKS_MAX.is_multiple_of(2));

#[cfg(test)]
mod tests {
    use super::{MARKS_MAX, Marks};

    /// A run of `count` events that is as any other until event `differs`.
    fn run(count: u64, differs: u64) -> Marks {
        let mut marks = Marks::new();
        for event in 0..count {
            marks.note(event + 1, if event < differs { event } else { !event });
        }
        marks
    }

    #[test]
    fn the_first_difference_is_between_two_marks() {
        for (count, differs) in [(1_000, 0), (1_000, 63), (1_000, 64), (1_000, 999), (3_000_000, 2_345_678)] {
            let window = run(count, u64::MAX).first_difference(&run(count, differs));
            assert!(window.contains(&differs), "{differs} of {count}: {window:?}");
            assert!(window.end - window.start <= (count / 256).max(65), "{differs} of {count}: {window:?}");
        }
    }

    /// A run that ends early differs where it ends, also if the other has its marks farther apart.
    #[test]
    fn runs_of_other_lengths_differ_where_the_shorter_ends() {
        for (count, longer) in [(0, 1), (64, 65), (100, 1_000_000), (1_000_000, 1_000_001)] {
            for (one, other) in [(count, longer), (longer, count)] {
                let window = run(one, u64::MAX).first_difference(&run(other, u64::MAX));
                assert!(window.contains(&count), "{one} and {other}: {window:?}");
            }
        }
    }

    #[test]
    fn there_are_never_many() {
        assert!(run(10_000_000, u64::MAX).hashes.len() < MARKS_MAX);
    }
}
