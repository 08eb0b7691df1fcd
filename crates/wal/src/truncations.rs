//! What followers must know about truncations: from where, since when.

use std::collections::VecDeque;

use samestep_replay_traits::Index;

/// The truncations of an open log, as far as a follower may not have seen them.
///
/// For every follower only the lowest truncation since it last looked matters, so one that is followed by an equal
/// or lower one is forgotten. The list is limited; beyond the limit the two oldest become one, with the lower place
/// and the later time, so that a follower far behind may be sent back too far, and never not far enough.
#[derive(Clone, Debug, Default)]
pub(crate) struct Truncations {
    count: u64,
    /// Number of the truncation, and from where; both ascending.
    lowest: VecDeque<(u64, Index)>,
}

impl Truncations {
    /// Entries from `from` on were removed.
    pub(crate) fn push(&mut self, from: Index) {
        self.count += 1;
        while self.lowest.back().is_some_and(|&(_, lowest)| lowest >= from) {
            self.lowest.pop_back();
        }
        self.lowest.push_back((self.count, from));
        if self.lowest.len() > KEPT_MAX
            && let (Some((_, from)), Some(second)) = (self.lowest.pop_front(), self.lowest.front_mut())
        {
            second.1 = from;
        }
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The lowest since there were `seen`.
    pub(crate) fn lowest_since(&self, seen: u64) -> Option<Index> {
        let position = self.lowest.partition_point(|&(number, _)| number <= seen);
        self.lowest.get(position).map(|&(_, from)| from)
    }
}

/// How many are told apart.
const KEPT_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the plain list, for every moment at which a follower may have looked last.
    #[test]
    fn the_lowest_since_any_moment_is_known() {
        let mut truncations = Truncations::default();
        let mut all = Vec::new();
        for number in 0..300_u64 {
            let from = Index::new(number * 7919 % 101 + number / 3);
            truncations.push(from);
            all.push(from);
            for seen in 0..=all.len() {
                let expected = all[seen..].iter().min().copied();
                assert_eq!(truncations.lowest_since(seen as u64), expected, "{all:?} since {seen}");
            }
        }
    }

    /// Beyond the limit the answer may be too low, and is never too high.
    #[test]
    fn a_long_list_errs_on_the_low_side() {
        let mut truncations = Truncations::default();
        for from in 0..3000 {
            truncations.push(Index::new(from));
        }
        for seen in 0..3000 {
            let found = truncations.lowest_since(seen).expect("there was one since");
            assert!(found.get() <= seen, "{found} since {seen}");
        }
        assert_eq!(truncations.lowest_since(2990), Some(Index::new(2990)));
        assert_eq!(truncations.lowest_since(3000), None);
    }
}
