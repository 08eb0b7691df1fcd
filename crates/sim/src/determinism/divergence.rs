//! Where two runs of one seed part.

use std::fmt;

use crate::determinism::Witness;
use crate::trace::TraceEvent;

/// Two runs of one seed that differ: something in the test is not decided by the seed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct Divergence {
    /// The seed.
    pub seed: u64,
    /// What both runs did last before they differed, the latest at the end; at most eight events.
    pub common: Vec<TraceEvent>,
    /// What the first run did then; none if it was over.
    pub first: Option<TraceEvent>,
    /// What the second run did then; none if it was over.
    pub second: Option<TraceEvent>,
    /// How both runs ended, and where the second was made.
    pub note: String,
}

impl Divergence {
    /// Compares two runs that differ, of which the second was made at `place`.
    pub(super) fn between(left: &Witness, right: &Witness, place: &str) -> Self {
        let same = left.trace.iter().zip(&right.trace).take_while(|(left, right)| left == right).count();
        let (first, second) = (left.trace.get(same).cloned(), right.trace.get(same).cloned());
        let mut note = format!("the first run {}; the second, {place}, {}", end_of(left), end_of(right));
        if left.hash == right.hash && left.tables != right.tables {
            note.push_str(
                "; no event differs, but what checks counted, or the state that was shown in the end",
            );
        } else if first.is_none() && second.is_none() {
            note.push_str("; where they part differs from run to run");
        }
        let common = left.trace[same.saturating_sub(COMMON_EVENTS)..same].to_vec();
        Self { seed: left.seed, common, first, second, note }
    }
}

fn end_of(run: &Witness) -> String {
    let how = run.failures.first().map_or("passed", String::as_str);
    format!("{how} at {} after {} events, hash {:016x}", run.ended_at, run.events, run.hash)
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "two runs of seed {} differ: something is not decided by the seed, such as the order of a",
            self.seed
        )?;
        writeln!(f, "HashMap, an address, a clock of the machine, a thread, or a static of an earlier run")?;
        for event in &self.common {
            writeln!(f, "  both    {}", Line(event))?;
        }
        if self.first.is_some() || self.second.is_some() {
            for (name, event) in [("first ", &self.first), ("second", &self.second)] {
                match event {
                    Some(event) => writeln!(f, "  {name}  {}", Line(event))?,
                    None => writeln!(f, "  {name}  nothing more")?,
                }
            }
        }
        write!(f, "{}", self.note)
    }
}

struct Line<'a>(&'a TraceEvent);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TraceEvent { number, time, node, task, what } = self.0;
        write!(f, "event {number} at {time}")?;
        if let Some(node) = node {
            write!(f, ", {node}")?;
        }
        if let Some(task) = task {
            write!(f, ", {task}")?;
        }
        write!(f, ": {what:?}")
    }
}

const COMMON_EVENTS: usize = 8;
