//! Collects the runs of one lane and judges them.

use std::collections::BTreeMap;
use std::time::Duration;

use samestep_replay_traits::{Digest, Expectation, Seed};
use serde::{Deserialize, Serialize};

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunFailure {
    /// What happened, in one line.
    pub(crate) what: String,
    /// The end of what the process printed.
    pub(crate) output_tail: String,
}

/// The runs of one lane so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    #[serde(with = "crate::as_text::expectation")]
    expectation: Expectation,
    runs: Vec<Run>,
    /// Of the first [`TEXTS_MAX`] different transcripts, by the lowest variation that wrote each.
    #[serde(rename = "transcripts", default)]
    texts: Vec<Written>,
}

/// One run, without what it wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    #[serde(rename = "iteration")]
    pub(crate) variation: u32,
    pub(crate) time_ns: u64,
    #[serde(flatten)]
    pub(crate) end: End,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum End {
    Wrote {
        #[serde(with = "crate::as_text")]
        digest: Digest,
    },
    Skipped {
        reason: String,
    },
    Failed(RunFailure),
}

/// What some runs wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    #[serde(rename = "iteration")]
    variation: u32,
    #[serde(with = "crate::as_text")]
    digest: Digest,
    text: String,
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
        Self { expectation, runs: Vec::new(), texts: Vec::new() }
    }

    /// Counts the run with this variation, which took `busy`. Runs may come in any order.
    pub(crate) fn handle_run(&mut self, variation: u32, outcome: Outcome, busy: Duration) {
        let end = match outcome {
            Outcome::Transcript(text) => self.handle_transcript(variation, text),
            Outcome::Skipped { reason } => End::Skipped { reason },
            Outcome::Failed(failure) => End::Failed(failure),
        };
        let time_ns = u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX);
        self.insert(Run { variation, time_ns, end });
    }

    /// Adds the runs of the same lane that were made elsewhere.
    pub(crate) fn absorb(&mut self, other: Self) {
        for Written { variation, text, .. } in other.texts {
            if let End::Failed(failure) = self.handle_transcript(variation, text) {
                self.insert(Run { variation, time_ns: 0, end: End::Failed(failure) });
            }
        }
        other.runs.into_iter().for_each(|run| self.insert(run));
    }

    /// Forgets what was written, and keeps the digests.
    pub(crate) fn drop_texts(&mut self) {
        self.texts.clear();
    }

    fn insert(&mut self, run: Run) {
        let at = self.runs.partition_point(|other| other.variation <= run.variation);
        self.runs.insert(at, run);
    }

    /// Keeps the text if it is among the first different ones by variation, in whatever order they come.
    fn handle_transcript(&mut self, variation: u32, text: String) -> End {
        let digest = Entry::of(Seed::new(0), &text).digest;
        if let Some(known) = self.texts.iter_mut().find(|known| known.digest == digest) {
            if known.text != text {
                let what =
                    format!("wrote another transcript than iteration {}, with one digest", known.variation);
                return End::Failed(RunFailure { what, output_tail: String::new() });
            }
            known.variation = known.variation.min(variation);
        } else {
            self.texts.push(Written { variation, digest, text });
        }
        self.texts.sort_by_key(|known| known.variation);
        self.texts.truncate(TEXTS_MAX);
        End::Wrote { digest }
    }

    /// Whether further runs are a waste: a process failed, which is bad enough, and may take long each time.
    pub(crate) fn is_settled(&self) -> bool {
        self.runs.iter().any(|run| matches!(run.end, End::Failed(_)))
    }

    /// The runs, by their variations.
    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    pub(crate) fn expectation(&self) -> Expectation {
        self.expectation
    }

    /// How many runs were counted.
    pub(crate) fn run_count(&self) -> u32 {
        u32::try_from(self.runs.len()).unwrap_or(u32::MAX)
    }

    /// How long all runs took, one after the other.
    pub(crate) fn busy(&self) -> Duration {
        self.runs.iter().map(|run| Duration::from_nanos(run.time_ns)).sum()
    }

    /// How long one run took in the mean.
    pub(crate) fn run_mean(&self) -> Duration {
        self.busy() / self.run_count().max(1)
    }

    /// The digests of different transcripts, by the lowest variations that wrote them.
    pub(crate) fn digests(&self) -> Vec<Digest> {
        let mut digests = Vec::new();
        for run in &self.runs {
            if let End::Wrote { digest } = run.end
                && !digests.contains(&digest)
            {
                digests.push(digest);
            }
        }
        digests
    }

    /// Whether the texts are those that the runs wrote, as far as they are kept: for what was read from a file.
    pub(crate) fn is_sound(&self) -> bool {
        let is_written = |text: &Written| {
            let end = End::Wrote { digest: text.digest };
            Entry::of(Seed::new(0), &text.text).digest == text.digest
                && self.runs.iter().find(|run| run.end == end).map(|run| run.variation)
                    == Some(text.variation)
        };
        self.runs.is_sorted_by_key(|run| run.variation)
            && self.texts.iter().map(|text| text.digest).eq(self.digests().into_iter().take(TEXTS_MAX))
            && self.texts.iter().all(is_written)
    }

    /// Judges the runs, when all are in. `seed` is the one they had, `locked` what the lock file demands.
    pub(crate) fn judge(&self, seed: Seed, locked: Locked, skips: Skips) -> Verdict {
        let mut first_skip = None;
        let mut skipped_count = 0;
        for Run { variation, end, .. } in &self.runs {
            match end {
                End::Failed(failure) => {
                    let (variation, failure) = (*variation, failure.clone());
                    return Verdict::Failed(Finding::Run { variation, failure });
                }
                End::Skipped { reason } => {
                    skipped_count += 1;
                    first_skip.get_or_insert((*variation, reason.clone()));
                }
                End::Wrote { .. } => {}
            }
        }
        let ran = self.runs.iter().find(|run| matches!(run.end, End::Wrote { .. }));
        if let Some((variation, reason)) = first_skip {
            return match (ran, skips) {
                (Some(run), _) => Verdict::Failed(Finding::SkippedInSome {
                    variation,
                    reason,
                    skipped_count,
                    ran_variation: run.variation,
                }),
                (None, Skips::Refused) => Verdict::Failed(Finding::SkipRefused { reason }),
                (None, Skips::Allowed) => Verdict::Skipped { reason },
            };
        }
        let digests = self.digests();
        match (self.expectation, digests.len()) {
            (_, 0) => Verdict::Failed(Finding::NoRun),
            (Expectation::Differ, 1) => {
                Verdict::Failed(Finding::CanaryAgreed { run_count: self.run_count() })
            }
            (Expectation::Differ, transcript_count) => Verdict::Caught { transcript_count },
            (Expectation::Same, 1) => judge_agreed(&self.groups()[0], seed, locked),
            (Expectation::Same, _) => Verdict::Failed(Finding::Diverged(Box::new(self.divergence()))),
        }
    }

    /// The different transcripts whose texts were kept, by the lowest variations that wrote them.
    fn groups(&self) -> Vec<Group> {
        let mut run_counts: BTreeMap<Digest, u32> = BTreeMap::new();
        for run in &self.runs {
            if let End::Wrote { digest } = run.end {
                *run_counts.entry(digest).or_default() += 1;
            }
        }
        let group = |Written { variation, digest, text }: &Written| {
            let run_count = run_counts.get(digest).copied().unwrap_or_default();
            Group { variation: *variation, run_count, text: text.clone() }
        };
        self.texts.iter().map(group).collect()
    }

    fn divergence(&self) -> Divergence {
        let mut groups = self.groups().into_iter();
        let pair = groups.next().zip(groups.next());
        let (first, second) = pair.expect("the first two different transcripts are kept");
        let difference = first_difference(&first.text, &second.text).expect("their digests differ");
        let rest_count = self.run_count() - first.run_count - second.run_count;
        Divergence { first, second, difference, rest_count }
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

/// What the lock file says about a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Locked {
    /// Its transcript must be this one.
    Entry(Entry),
    /// Nothing, or there is no lock file.
    Absent,
    /// It is about to be written anew.
    Blessing,
}

/// Whether a lane that every run skips is all right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    Caught { transcript_count: usize },
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

/// How many different transcripts of one lane are kept. Two are shown; of the others the digests are enough.
const TEXTS_MAX: usize = 8;

#[cfg(test)]
mod tests;
