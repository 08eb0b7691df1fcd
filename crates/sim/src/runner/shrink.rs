//! Finds the least decisions that still make a run fail.
//!
//! A tape lists decisions that were not plain, so that a subset of it is a simpler run, and each step is to take some
//! away: whole families, then places, then pieces that get smaller (Zeller and Hildebrandt, "Simplifying and isolating
//! failure-inducing input", 2002). What is left is brought nearer to plain, value by value. Nodes and time are
//! decisions too.

use std::collections::BTreeSet;

use crate::choice::{ChoiceFamily, ChoiceKey, Tape};
use crate::draws::Stream;
use crate::runner::Failure;
use crate::runner::scenario::{Outcome, Request, Scenario, run_twice};

/// What shrinking came to.
#[derive(Debug)]
pub(crate) struct Shrunk {
    /// The run's seed, which may be another one than that which failed first.
    pub(crate) seed: u64,
    pub(crate) tape: Tape,
    /// Why the run of that tape fails.
    pub(crate) failures: Vec<Failure>,
    /// How many decisions there were before.
    pub(crate) choices_before: usize,
    /// How many runs it took.
    pub(crate) runs: u32,
    /// Whether it ended because it had run often enough.
    pub(crate) is_cut_short: bool,
}

/// Shrinks as [`shrink`] does, and if many decisions are left, from runs of other seeds that fail the same way: one may
/// lead to a least run that is less.
pub(crate) fn shrink_best(
    scenario: &dyn Scenario,
    seed: u64,
    tape: Tape,
    failure: &Failure,
    runs_max: u32,
) -> Option<Shrunk> {
    let mut best = shrink(scenario, seed, tape, failure, runs_max)?;
    let mut seeds = Stream::from_seed(seed).fork("simpler");
    for attempt in 0..OTHER_SEEDS_MAX {
        if best.tape.len() <= FEW || best.runs >= runs_max {
            break;
        }
        let other = seeds.next_u64();
        // Those faults that were left; every other time fewer of them; or others altogether.
        let dropped = if attempt % 2 == 1 { seeds.next_u64() } else { 0 };
        let mut setup = best.tape.clone();
        let mut place = 0_u32;
        setup.retain(|key, _| {
            place += 1;
            is_setup(key) && dropped.rotate_right(place) & 1 == 0
        });
        let setup = (attempt % 3 != 2).then_some(setup);
        // And with the least latencies: a fault that strikes at one moment of the plain run is simpler.
        let plain = if attempt % 4 > 1 { PLAIN } else { &[] };
        let request = Request { setup, plain, keeps_tape: true, ..Request::of_seed(other) };
        let outcome = scenario.run(&request);
        best.runs += 1;
        let is_divergence = matches!(failure, Failure::Divergence(_));
        if is_divergence || outcome.failure().is_some_and(|found| found.kind() == failure.kind()) {
            let shrunk = shrink(scenario, other, outcome.report.tape, failure, runs_max - best.runs);
            let Some(mut shrunk) = shrunk else {
                best.runs += 1;
                continue;
            };
            let runs = best.runs + shrunk.runs;
            if shrunk.tape.len() < best.tape.len() {
                shrunk.choices_before = best.choices_before;
                best = shrunk;
            }
            best.runs = runs;
        }
    }
    Some(best)
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
    let is_divergence = matches!(failure, Failure::Divergence(_));
    let mut search = Search {
        scenario,
        seed,
        kind,
        is_divergence,
        attempts: FIRST_ATTEMPTS,
        runs: 0,
        runs_max,
        best: None,
    };
    search.try_tape(tape).then_some(())?;
    search.attempts = DIVERGENCE_ATTEMPTS;
    search.drop_setup();
    search.drop_all();
    search.drop_groups(|key| (key.family as u32, None::<u32>));
    search.drop_groups(|key| (key.family as u32, Some(key.place)));
    while (search.drop_pieces() | search.drop_shifting() | search.lower_values() | search.drop_pairs())
        && !search.is_over()
    {}
    let is_cut_short = search.is_over();
    let Search { runs, best, .. } = search;
    let (tape, outcome) = best?;
    let failures = outcome.report.failures;
    Some(Shrunk { seed, tape, failures, choices_before, runs, is_cut_short })
}

struct Search<'a> {
    scenario: &'a dyn Scenario,
    seed: u64,
    kind: String,
    /// The failure is that two runs differ.
    is_divergence: bool,
    /// How often a run is then compared with itself.
    attempts: u32,
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
        let outcome = self.run(&Request::of_tape(self.seed, tape.clone()));
        let fails = self.fails(&outcome);
        if fails {
            self.best = Some((tape, outcome));
        }
        fails
    }

    fn run(&self, request: &Request) -> Outcome {
        if self.is_divergence {
            run_twice(self.scenario, request, self.attempts, None)
        } else {
            self.scenario.run(request)
        }
    }

    fn fails(&self, outcome: &Outcome) -> bool {
        outcome.failure().is_some_and(|failure| failure.kind() == self.kind)
    }

    /// Tries with fewer families of faults and members, and all other decisions drawn anew: a run with fewer of them
    /// may fail for other reasons than this one, which are as good.
    fn drop_setup(&mut self) {
        let mut setup = self.tape().clone();
        setup.retain(|key, _| is_setup(key));
        let mut plain: &'static [ChoiceFamily] = &[];
        for key in [None].into_iter().chain(setup.keys().copied().map(Some).collect::<Vec<_>>()) {
            let mut fewer = setup.clone();
            let plainer = match key {
                None => PLAIN,
                Some(key) => {
                    fewer.remove(&key);
                    plain
                }
            };
            let drawn = Request {
                setup: Some(fewer.clone()),
                plain: plainer,
                keeps_tape: true,
                ..Request::of_seed(self.seed)
            };
            if self.is_over() {
                return;
            }
            self.runs += 1;
            let outcome = self.run(&drawn);
            // The tape must give the same run, which it does unless a thread or the like plays its part.
            if self.fails(&outcome) && self.try_tape(outcome.report.tape) {
                (setup, plain) = (fewer, plainer);
            }
        }
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
                fewer.retain(|key, _| !keys.contains(key));
                if !self.try_tape(fewer) {
                    start += piece;
                }
            }
            piece /= 2;
        }
        self.tape().len() < before
    }

    /// Tries without each, with those that its place makes later a few numbers earlier: a fault that did not happen may
    /// have made the program ask for some decisions less, as a write that took all has none that follows it.
    fn drop_shifting(&mut self) -> bool {
        let before = self.tape().len();
        if before > SHIFTED_MAX {
            return false;
        }
        for key in self.tape().keys().copied().collect::<Vec<_>>().into_iter().rev() {
            for shift in 1..=SHIFT_MAX {
                if !self.tape().contains_key(&key) || self.is_over() {
                    break;
                }
                let is_later = |other: &ChoiceKey| {
                    (other.family, other.place) == (key.family, key.place)
                        && other.number > key.number + shift
                };
                if !self.tape().keys().any(is_later) {
                    break;
                }
                let moved = self.tape().iter().filter(|(other, _)| **other != key).map(|(other, value)| {
                    let number = if is_later(other) { other.number - shift } else { other.number };
                    (ChoiceKey { number, ..*other }, *value)
                });
                let moved = moved.collect();
                self.try_tape(moved);
            }
        }
        self.tape().len() < before
    }

    /// Tries without any two of few: of two that undo each other, neither can be dropped alone.
    fn drop_pairs(&mut self) -> bool {
        let keys: Vec<ChoiceKey> = self.tape().keys().copied().collect();
        if keys.len() > LOWERED_MAX {
            return false;
        }
        let pairs = keys
            .iter()
            .enumerate()
            .flat_map(|(place, one)| keys[..place].iter().map(move |other| [one, other]));
        for pair in pairs {
            let mut fewer = self.tape().clone();
            if pair.iter().all(|key| fewer.remove(key).is_some()) && self.try_tape(fewer) {
                return true;
            }
        }
        false
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

/// Decisions that are made before there is a world.
fn is_setup(key: &ChoiceKey) -> bool {
    matches!(key.family, ChoiceFamily::Setup | ChoiceFamily::Test)
}

/// Decisions that few enough runs can move, and by how much.
const SHIFTED_MAX: usize = 128;
const SHIFT_MAX: u32 = 4;
/// Families that have many decisions, of which few matter.
const PLAIN: &[ChoiceFamily] = &[ChoiceFamily::Latency, ChoiceFamily::Schedule];
/// So few decisions can be understood.
const FEW: usize = 8;
const OTHER_SEEDS_MAX: u32 = 400;
/// How often the run that is to be shrunk is compared with itself: if it seems to be the same, nothing is shrunk. An order
/// of two shows itself in all but one of a million.
const FIRST_ATTEMPTS: u32 = 20;
/// How often runs are compared that differ by chance, when missing a difference costs an entry that could have gone.
const DIVERGENCE_ATTEMPTS: u32 = 5;
/// Values of more decisions than these are left as they are: each takes up to 64 runs.
const LOWERED_MAX: usize = 24;

#[cfg(test)]
mod tests;
