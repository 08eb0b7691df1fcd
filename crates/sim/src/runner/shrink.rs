//! Finds the least decisions that still make a run fail.
//!
//! A tape lists decisions that were not plain, so that a subset of it is a simpler run, and each step is to take some
//! away: whole families, then places, then pieces that get smaller (Zeller and Hildebrandt, "Simplifying and isolating
//! failure-inducing input", 2002). What is left is brought nearer to plain, value by value. Nodes and time are
//! decisions too.

use std::collections::BTreeSet;

use crate::choice::{ChoiceKey, Tape};
use crate::runner::Failure;
use crate::runner::scenario::{Outcome, Request, Scenario};

/// What shrinking came to.
#[derive(Debug)]
pub(crate) struct Shrunk {
    pub(crate) tape: Tape,
    /// The run of that tape.
    pub(crate) outcome: Outcome,
    /// How many decisions there were before.
    pub(crate) choices_before: usize,
    /// How many runs it took.
    pub(crate) runs: u32,
    /// Whether it ended because it had run often enough.
    pub(crate) is_cut_short: bool,
}

/// Shrinks `tape`, with which the run of `seed` fails as `failure` does, in at most `runs_max` runs. None if it does not
/// fail so, which means that the run is not the seed's alone.
pub(crate) fn shrink(
    scenario: &dyn Scenario,
    seed: u64,
    tape: Tape,
    failure: &Failure,
    runs_max: u32,
) -> Option<Shrunk> {
    let choices_before = tape.len();
    let kind = failure.kind().to_owned();
    let mut search = Search { scenario, seed, kind, runs: 0, runs_max, best: None };
    search.try_tape(tape).then_some(())?;
    search.drop_all();
    search.drop_groups(|key| (key.family as u32, None::<u32>));
    search.drop_groups(|key| (key.family as u32, Some(key.place)));
    while search.drop_pieces() | search.lower_values() && !search.is_over() {}
    let is_cut_short = search.is_over();
    let Search { runs, best, .. } = search;
    let (tape, outcome) = best?;
    Some(Shrunk { tape, outcome, choices_before, runs, is_cut_short })
}

struct Search<'a> {
    scenario: &'a dyn Scenario,
    seed: u64,
    kind: String,
    runs: u32,
    runs_max: u32,
    best: Option<(Tape, Outcome)>,
}

impl Search<'_> {
    /// Runs `tape` and keeps it if it still fails.
    fn try_tape(&mut self, tape: Tape) -> bool {
        if self.is_over() {
            return false;
        }
        self.runs += 1;
        let outcome = self.scenario.run(&Request::of_tape(self.seed, tape.clone()));
        let fails = outcome.failure().is_some_and(|failure| failure.kind() == self.kind);
        if fails {
            self.best = Some((tape, outcome));
        }
        fails
    }

    fn drop_all(&mut self) {
        self.try_tape(Tape::new());
    }

    /// Tries without each group of decisions.
    fn drop_groups<G: Ord + Copy>(&mut self, group: impl Fn(&ChoiceKey) -> G) {
        let groups: BTreeSet<G> = self.tape().keys().map(&group).collect();
        for dropped in groups {
            let mut fewer = self.tape().clone();
            fewer.retain(|key, _| group(key) != dropped);
            self.try_tape(fewer);
        }
    }

    /// Tries without each half, then each quarter, and so on. Tells whether anything could be dropped.
    fn drop_pieces(&mut self) -> bool {
        let before = self.tape().len();
        let mut piece = before.div_ceil(2);
        while piece > 0 {
            let mut start = 0;
            while start < self.tape().len() && !self.is_over() {
                let keys: Vec<ChoiceKey> = self.tape().keys().skip(start).take(piece).copied().collect();
                let mut fewer = self.tape().clone();
                keys.iter().for_each(|key| drop(fewer.remove(key)));
                if !self.try_tape(fewer) {
                    start += piece;
                }
            }
            piece /= 2;
        }
        self.tape().len() < before
    }

    /// Tries each value nearer to plain. Tells whether any could be.
    fn lower_values(&mut self) -> bool {
        let mut has_lowered = false;
        if self.tape().len() > LOWERED_MAX {
            return false;
        }
        for key in self.tape().keys().copied().collect::<Vec<_>>() {
            // By bisection: most are times or shares, of which less is simpler.
            let mut least = 1;
            while let Some(&value) = self.tape().get(&key).filter(|value| **value > least) {
                let middle = least + (value - least) / 2;
                let mut lower = self.tape().clone();
                lower.insert(key, middle);
                if self.try_tape(lower) {
                    has_lowered = true;
                } else if self.is_over() {
                    return has_lowered;
                } else {
                    least = middle + 1;
                }
            }
        }
        has_lowered
    }

    fn tape(&self) -> &Tape {
        &self.best.as_ref().expect("the first tape fails").0
    }

    fn is_over(&self) -> bool {
        self.runs >= self.runs_max
    }
}

/// Values of more decisions than these are left as they are: each takes up to 64 runs.
const LOWERED_MAX: usize = 24;

#[cfg(test)]
mod tests;
