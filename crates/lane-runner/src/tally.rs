//! Collects the runs of one lane and judges them.

use std::time::Duration;

use samestep_replay_traits::{Expectation, Seed};

use crate::compare::{Difference, first_difference};
use crate::lock::Entry;

/// What became of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The lane wrote this.
    Transcript(String),
    /// The lane says that this machine cannot run it.
    Skipped { reason: String },
    /// The lane failed, or its process did.
    Failed(RunFailure),
}

/// How a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunFailure {
    /// What happened, in one line.
    pub(crate) what: String,
    /// The end of what the process printed.
    pub(crate) output_tail: String,
}

/// The runs of one lane so far.
#[derive(Debug)]
pub(crate) struct Tally {
    expectation: Expectation,
    groups: Vec<Group>,
    ungrouped_count: u32,
    skipped: Option<(u32, String)>,
    skipped_count: u32,
    failed: Option<(u32, RunFailure)>,
    run_count: u32,
    busy: Duration,
}

/// Runs that wrote the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// The lowest variation among them.
    pub(crate) variation: u32,
    /// How many they are.
    pub(crate) run_count: u32,
    /// What they wrote.
    pub(crate) text: String,
}

impl Tally {
    pub(crate) fn new(expectation: Expectation) -> Self {
        Self {
            expectation,
            groups: Vec::new(),
            ungrouped_count: 0,
            skipped: None,
            skipped_count: 0,
            failed: None,
            run_count: 0,
            busy: Duration::ZERO,
        }
    }

    /// Counts the run with this variation, which took `busy`. Runs may come in any order.
    pub(crate) fn handle_run(&mut self, variation: u32, outcome: Outcome, busy: Duration) {
        self.run_count += 1;
        self.busy += busy;
        match outcome {
            Outcome::Transcript(text) => self.handle_transcript(variation, text),
            Outcome::Skipped { reason } => {
                self.skipped_count += 1;
                keep_lowest(&mut self.skipped, variation, reason);
            }
            Outcome::Failed(failure) => keep_lowest(&mut self.failed, variation, failure),
        }
    }

    fn handle_transcript(&mut self, variation: u32, text: String) {
        if let Some(group) = self.groups.iter_mut().find(|group| group.text == text) {
            group.run_count += 1;
            group.variation = group.variation.min(variation);
        } else if self.groups.len() < GROUPS_MAX {
            self.groups.push(Group { variation, run_count: 1, text });
        } else {
            self.ungrouped_count += 1;
        }
    }

    /// Whether further runs are a waste: a process failed, which is bad enough, and may take long each time.
    pub(crate) fn is_settled(&self) -> bool {
        self.failed.is_some()
    }

    /// How many runs were counted.
    pub(crate) fn run_count(&self) -> u32 {
        self.run_count
    }

    /// How long one run took in the mean.
    pub(crate) fn run_mean(&self) -> Duration {
        self.busy / self.run_count.max(1)
    }

    /// Judges the runs, when all are in. `seed` is the one they had, `locked` what the lock file demands.
    pub(crate) fn judge(mut self, seed: Seed, locked: Locked, skips: Skips) -> Verdict {
        self.groups.sort_by_key(|group| group.variation);
        if let Some((variation, failure)) = self.failed {
            return Verdict::Failed(Finding::Run { variation, failure });
        }
        if let Some((variation, reason)) = self.skipped {
            return match (self.groups.first(), skips) {
                (Some(group), _) => Verdict::Failed(Finding::SkippedInSome {
                    variation,
                    reason,
                    skipped_count: self.skipped_count,
                    ran_variation: group.variation,
                }),
                (None, Skips::Refused) => Verdict::Failed(Finding::SkipRefused { reason }),
                (None, Skips::Allowed) => Verdict::Skipped { reason },
            };
        }
        let group_count = self.groups.len();
        let mut groups = self.groups.into_iter();
        let Some(first) = groups.next() else {
            return Verdict::Failed(Finding::NoRun);
        };
        match (self.expectation, groups.next()) {
            (Expectation::Differ, Some(_)) => {
                Verdict::Caught { transcript_count: group_count, is_at_least: self.ungrouped_count > 0 }
            }
            (Expectation::Differ, None) => {
                Verdict::Failed(Finding::CanaryAgreed { run_count: self.run_count })
            }
            (Expectation::Same, Some(second)) => {
                let difference = first_difference(&first.text, &second.text).expect("groups differ");
                let rest_count = groups.map(|group| group.run_count).sum::<u32>() + self.ungrouped_count;
                Verdict::Failed(Finding::Diverged(Box::new(Divergence {
                    first,
                    second,
                    difference,
                    rest_count,
                })))
            }
            (Expectation::Same, None) => judge_agreed(&first, seed, locked),
        }
    }
}

fn judge_agreed(group: &Group, seed: Seed, locked: Locked) -> Verdict {
    if group.text.is_empty() {
        return Verdict::Failed(Finding::Empty);
    }
    let found = Entry::of(seed, &group.text);
    let compared = match locked {
        Locked::Blessing => LockCheck::Blessed,
        Locked::Absent => return Verdict::Failed(Finding::NotLocked { found }),
        Locked::Entry(entry) if entry.seed != seed => LockCheck::OtherSeed { locked: entry.seed },
        Locked::Entry(entry) if entry == found => LockCheck::Equal,
        Locked::Entry(locked) => {
            let group = Box::new(group.clone());
            return Verdict::Failed(Finding::NotAsLocked { found, locked, group });
        }
    };
    Verdict::Held { entry: found, compared }
}

fn keep_lowest<T>(kept: &mut Option<(u32, T)>, variation: u32, value: T) {
    if kept.as_ref().is_none_or(|(lowest, _)| variation < *lowest) {
        *kept = Some((variation, value));
    }
}

/// What the lock file says about a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locked {
    /// Its transcript must be this one.
    Entry(Entry),
    /// Nothing, or there is no lock file.
    Absent,
    /// It is about to be written anew.
    Blessing,
}

/// Whether a lane that every run skips is all right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skips {
    Allowed,
    Refused,
}

/// What is to be said about a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All runs wrote the same, and what they must.
    Held { entry: Entry, compared: LockCheck },
    /// A canary, and its runs differ.
    Caught { transcript_count: usize, is_at_least: bool },
    /// No run could be made on this machine.
    Skipped { reason: String },
    /// Something is wrong.
    Failed(Finding),
}

/// How the lock file was consulted for a lane that held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockCheck {
    Equal,
    OtherSeed { locked: Seed },
    Blessed,
}

/// What is wrong with a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Two runs wrote different transcripts.
    Diverged(Box<Divergence>),
    /// The runs agree with each other, and not with the lock file.
    NotAsLocked { found: Entry, locked: Entry, group: Box<Group> },
    /// The lock file has no line for the lane.
    NotLocked { found: Entry },
    /// A run failed.
    Run { variation: u32, failure: RunFailure },
    /// The lane wrote nothing.
    Empty,
    /// The runs of a canary agree.
    CanaryAgreed { run_count: u32 },
    /// Some runs were skipped and others not: whether it can run depends on what must not matter.
    SkippedInSome { variation: u32, reason: String, skipped_count: u32, ran_variation: u32 },
    /// All runs were skipped, where nothing may be.
    SkipRefused { reason: String },
    /// No run was made at all.
    NoRun,
}

/// Two runs that wrote different transcripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Divergence {
    /// The runs that wrote what the first one did.
    pub(crate) first: Group,
    /// The first runs that wrote something else.
    pub(crate) second: Group,
    /// Where the two part.
    pub(crate) difference: Difference,
    /// How many runs wrote neither.
    pub(crate) rest_count: u32,
}

/// How many different transcripts of one lane are kept in memory. Two are shown; more only help to count.
const GROUPS_MAX: usize = 8;

#[cfg(test)]
mod tests;
