//! What a check found, as data: every report is made from it, and those of shards are merged into one.

use std::path::PathBuf;
use std::time::Duration;

use samestep_replay_traits::Seed;
use serde::{Deserialize, Serialize};

use crate::report::Choice;
use crate::shard::Shard;
use crate::tally::{Locked, Skips, Tally, Verdict};
use crate::variation::Variation;

/// All that a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// [`FORMAT`].
    pub(crate) format: String,
    /// How many iterations the whole check has.
    pub(crate) iterations: u32,
    /// The single iterations that were repeated, if it is no whole check.
    pub(crate) repeated: Vec<u32>,
    /// Which part of it this is, if not all.
    pub(crate) shard: Option<Shard>,
    pub(crate) skips: Skips,
    /// Where it was made: one part, or as many as there were shards.
    pub(crate) parts: Vec<Part>,
    /// By name.
    pub(crate) lanes: Vec<LaneRecord>,
}

/// The iterations that were made on one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) machine: Machine,
    /// The command that runs these lanes.
    pub(crate) command: String,
    /// The lock file, which need not exist.
    pub(crate) lock_path: PathBuf,
    /// The first iteration, and the one behind the last.
    pub(crate) first: u32,
    pub(crate) end: u32,
    /// How long it took by the clock, with several runs side by side.
    pub(crate) wall_ns: u64,
}

/// What is worth knowing of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) name: String,
    /// Operating system and architecture.
    pub(crate) system: String,
    /// How many CPUs the workers may use.
    pub(crate) cpu_count: usize,
    /// How many workers ran side by side.
    pub(crate) job_count: usize,
}

/// All that was found about one lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LaneRecord {
    pub(crate) name: String,
    pub(crate) about: String,
    #[serde(with = "crate::as_text")]
    pub(crate) seed: Seed,
    pub(crate) locked: Locked,
    #[serde(flatten)]
    pub(crate) tally: Tally,
}

impl Record {
    /// What was asked for.
    pub(crate) fn choice(&self) -> Choice {
        if self.repeated.is_empty() { Choice::Check } else { Choice::Repeat }
    }

    /// The surroundings that an iteration had, on the machine on which it was made.
    pub(crate) fn surroundings(&self, variation: u32) -> Variation {
        surroundings(&self.parts, variation)
    }

    /// The iterations that were made, in order.
    pub(crate) fn variations(&self) -> Vec<u32> {
        if self.repeated.is_empty() {
            self.parts.iter().flat_map(|part| part.first..part.end).collect()
        } else {
            self.repeated.clone()
        }
    }

    /// How long the slowest part took.
    pub(crate) fn wall(&self) -> Duration {
        Duration::from_nanos(self.parts.iter().map(|part| part.wall_ns).max().unwrap_or_default())
    }

    /// How long all runs took, one after the other.
    pub(crate) fn busy(&self) -> Duration {
        self.lanes.iter().map(|lane| lane.tally.busy()).sum()
    }
}

impl LaneRecord {
    /// Judges the lane.
    pub(crate) fn judge(&self, skips: Skips) -> Verdict {
        self.tally.judge(self.seed, self.locked, skips)
    }
}

/// The surroundings of an iteration, on the machine whose part it is.
pub(crate) fn surroundings(parts: &[Part], variation: u32) -> Variation {
    let part = parts.iter().find(|part| (part.first..part.end).contains(&variation)).or(parts.first());
    Variation::draw(variation, part.map_or(1, |part| part.machine.cpu_count))
}

/// The form of a record as a file. Another number says that an older program cannot read it.
pub(crate) const FORMAT: &str = "samestep-determinism-1";
