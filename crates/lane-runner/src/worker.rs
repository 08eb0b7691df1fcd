//! The worker: one run of one lane, in a process of its own.
//!
//! It speaks to the parent through files in the run's folder, so that a lane may print what it likes.

use std::fs;
use std::hint::black_box;
use std::io;
use std::path::Path;

use samestep_replay_traits::{Lane, LaneContext, LaneError, Seed, Transcript};

use crate::variation::{CpuShare, Draws, Variation, heap_block_count};

/// What the worker writes when it is done; without it, the run did not end as it should.
pub(crate) const VERDICT_FILE: &str = "verdict";
/// The lane's transcript.
pub(crate) const TRANSCRIPT_FILE: &str = "transcript";
/// What the process printed, on both streams.
pub(crate) const OUTPUT_FILE: &str = "output";
/// The lane's scratch folder.
pub(crate) const SCRATCH_FOLDER: &str = "scratch";

/// Runs `lane` once, in surroundings that `variation` draws, and leaves what came of it in `folder`.
///
/// To be called before the process has a second thread.
pub(crate) fn run(lane: &dyn Lane, seed: Seed, variation: u32, folder: &Path) -> io::Result<()> {
    let variation = Variation::draw(variation, cpu_count());
    die_with_parent()?;
    confine(variation.cpus())?;
    let context = LaneContext::new(seed, folder.join(SCRATCH_FOLDER));
    let mut transcript = Transcript::new();
    stir_heap(&mut variation.heap_draws());
    let result = lane.run(&context, &mut transcript);
    fs::write(folder.join(TRANSCRIPT_FILE), transcript.text())?;
    let verdict = match result {
        Ok(()) => RunVerdict::Done,
        Err(LaneError::Skipped { reason }) => RunVerdict::Skipped { reason },
        Err(error @ LaneError::Failed(_)) => RunVerdict::Failed { what: error.to_string() },
    };
    fs::write(folder.join(VERDICT_FILE), verdict.render())
}

/// How a run ended, as the worker tells the parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunVerdict {
    Done,
    Skipped { reason: String },
    Failed { what: String },
}

impl RunVerdict {
    /// The text of a verdict file: a word in the first line, and what else there is to say behind it.
    pub(crate) fn render(&self) -> String {
        match self {
            Self::Done => "done\n".to_owned(),
            Self::Skipped { reason } => format!("skipped\n{reason}"),
            Self::Failed { what } => format!("failed\n{what}"),
        }
    }

    /// Reads the text of a verdict file.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.split_once('\n')? {
            ("done", "") => Some(Self::Done),
            ("skipped", reason) => Some(Self::Skipped { reason: reason.to_owned() }),
            ("failed", what) => Some(Self::Failed { what: what.to_owned() }),
            _ => None,
        }
    }
}

/// Allocates a drawn number of blocks of drawn sizes, frees half of them in a drawn order, and leaks the rest.
///
/// Leaking alone would move all that follows by the same distance, as does the kernel's random layout: the
/// order of a lane's own blocks would stay. Holes of the sizes that lanes use, freed in no order, shuffle it.
fn stir_heap(draws: &mut Draws) {
    let count = heap_block_count(draws);
    let mut blocks: Vec<Box<[u8]>> = (0..count)
        .map(|_| {
            // Small blocks are the common ones, and a heap keeps a list of holes for each of their sizes.
            let steps = 1 + draws.below(HEAP_BLOCK_STEPS);
            vec![(draws.next() & 0xff) as u8 | 1; steps * HEAP_BLOCK_STEP_BYTES].into_boxed_slice()
        })
        .collect();
    for _ in 0..count / 2 {
        drop(blocks.swap_remove(draws.below(blocks.len())));
    }
    for block in blocks {
        black_box(Box::leak(block));
    }
}

/// How many CPUs this process may use.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn cpu_count() -> usize {
    rustix::thread::sched_getaffinity(None).map_or(1, |cpus| cpus.count() as usize)
}

/// How many CPUs this process may use: 1, where it cannot be told which, so that no share is drawn.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn cpu_count() -> usize {
    1
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn confine(share: CpuShare) -> io::Result<()> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    if share.count == share.available {
        return Ok(());
    }
    let allowed = sched_getaffinity(None)?;
    let numbers = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect::<Vec<_>>();
    let mut kept = CpuSet::new();
    for cpu in numbers.iter().cycle().skip(share.first).take(share.count) {
        kept.set(*cpu);
    }
    Ok(sched_setaffinity(None, &kept)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn confine(_: CpuShare) -> io::Result<()> {
    Ok(())
}

/// An interrupted check leaves no workers behind. They are in process groups of their own, where the terminal's
/// interrupt does not reach them.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn die_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn die_with_parent() -> io::Result<()> {
    Ok(())
}

const HEAP_BLOCK_STEP_BYTES: usize = 16;
const HEAP_BLOCK_STEPS: usize = 32;

#[cfg(test)]
mod tests {
    use super::{RunVerdict, stir_heap};
    use crate::variation::Variation;

    #[test]
    fn verdicts_read_back() {
        let text = || "two\nlines".to_owned();
        for verdict in
            [RunVerdict::Done, RunVerdict::Skipped { reason: text() }, RunVerdict::Failed { what: text() }]
        {
            assert_eq!(RunVerdict::parse(&verdict.render()), Some(verdict));
        }
        for text in ["", "done", "don", "done\nmore", "other\n"] {
            assert_eq!(RunVerdict::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn every_heap_can_be_stirred() {
        for number in 0..100 {
            stir_heap(&mut Variation::draw(number, 1).heap_draws());
        }
    }
}
