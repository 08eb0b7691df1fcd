//! What is said about a check, in each form: all are made from one [`Judged`] record.

mod escaped;
mod file;
mod html;
mod json;
mod junit;
mod text;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use samestep_replay_traits::Seed;

pub(crate) use crate::report::file::ReportFile;
pub(crate) use crate::report::text::{headline, kept_path, layout_note};

use crate::record::{LaneRecord, Part, Record, surroundings};
use crate::tally::{LockCheck, Verdict};
use crate::variation::Variation;

/// A record, and what follows from it.
#[derive(Debug)]
pub(crate) struct Judged<'a> {
    pub(crate) record: &'a Record,
    pub(crate) setting: Setting,
    /// One for each lane of the record.
    pub(crate) lanes: Vec<LaneReport>,
    pub(crate) summary: Summary,
}

/// What is known of a lane when all its runs are in.
#[derive(Debug)]
pub(crate) struct LaneReport {
    pub(crate) name: String,
    pub(crate) seed: Seed,
    pub(crate) verdict: Verdict,
    pub(crate) run_count: u32,
    pub(crate) run_mean: Duration,
    /// The files in which transcripts or output were kept.
    pub(crate) kept: Vec<PathBuf>,
}

/// What a report needs to know of the run that it reports on.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// The command that runs these lanes.
    pub(crate) command: String,
    /// The lock file, which need not exist.
    pub(crate) lock_path: PathBuf,
    /// Who made which iterations.
    pub(crate) parts: Vec<Part>,
}

impl<'a> Judged<'a> {
    /// Puts a record and the reports on its lanes together.
    pub(crate) fn new(record: &'a Record, setting: Setting, lanes: Vec<LaneReport>) -> Self {
        let mut summary = Summary::default();
        for lane in &lanes {
            summary.handle_verdict(&lane.verdict);
        }
        Self { record, setting, lanes, summary }
    }
}

impl LaneReport {
    pub(crate) fn new(lane: &LaneRecord, verdict: Verdict, kept: Vec<PathBuf>) -> Self {
        let LaneRecord { name, seed, tally, .. } = lane;
        let (run_count, run_mean) = (tally.run_count(), tally.run_mean());
        Self { name: name.clone(), seed: *seed, verdict, run_count, run_mean, kept }
    }

    /// How long its runs took, one after the other.
    pub(crate) fn busy(&self) -> Duration {
        self.run_mean * self.run_count
    }
}

impl Setting {
    /// The setting of whoever made the first of `parts`.
    pub(crate) fn new(parts: &[Part]) -> Self {
        let first = parts.first();
        Self {
            command: first.map(|part| part.command.clone()).unwrap_or_default(),
            lock_path: first.map(|part| part.lock_path.clone()).unwrap_or_default(),
            parts: parts.to_vec(),
        }
    }

    /// The surroundings that an iteration had.
    pub(crate) fn surroundings(&self, variation: u32) -> Variation {
        surroundings(&self.parts, variation)
    }

    /// The command that makes some iterations of a lane again.
    pub(crate) fn repeat(&self, lane: &str, seed: Seed, variations: &[u32]) -> String {
        let mut command = format!("{} --lane {lane} --seed {seed}", self.command);
        for number in variations {
            write!(command, " --variation {number}").expect(WRITES);
        }
        command
    }
}

/// What the check amounts to: numbers of lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) held: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
    pub(crate) caught: usize,
    pub(crate) not_compared: usize,
}

impl Summary {
    /// Counts one lane.
    fn handle_verdict(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Held { compared, .. } => {
                self.held += 1;
                self.not_compared += usize::from(matches!(compared, LockCheck::OtherSeed { .. }));
            }
            Verdict::Caught { .. } => self.caught += 1,
            Verdict::Skipped { .. } => self.skipped += 1,
            Verdict::Failed(_) => self.failed += 1,
        }
    }

    /// Whether the check has shown what it is there to show: all is as expected, and differences are noticed.
    pub(crate) fn has_held(&self, choice: Choice) -> bool {
        self.failed == 0 && (self.caught > 0 || choice == Choice::Repeat)
    }
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// A check.
    Check,
    /// Single iterations again, to look into a mismatch. No canary stands beside them.
    Repeat,
}

const WRITES: &str = "a String takes every write";

#[cfg(test)]
mod tests;
