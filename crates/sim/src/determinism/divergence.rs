//! Where two runs of one seed part.

use std::fmt;

use crate::runner::RunReport;
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
    /// Other differences: how the runs ended, if no event differs.
    pub note: String,
}

impl Divergence {
    /// Compares two reports that differ.
    pub(super) fn between(left: &RunReport, right: &RunReport) -> Self {
        let same = left.trace.iter().zip(&right.trace).take_while(|(left, right)| left == right).count();
        let ends = |report: &RunReport| {
            let failure = report.failures.first().map_or("passed", |failure| failure.kind());
            format!(
                "{failure} at {} after {} events, hash {:016x}",
                report.ended_at, report.events, report.hash
            )
        };
        Self {
            seed: left.seed,
            common: left.trace[same.saturating_sub(COMMON_EVENTS)..same].to_vec(),
            first: left.trace.get(same).cloned(),
            second: right.trace.get(same).cloned(),
            note: format!("the first run {}; the second {}", ends(left), ends(right)),
        }
    }
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
        for (name, event) in [("first ", &self.first), ("second", &self.second)] {
            match event {
                Some(event) => writeln!(f, "  {name}  {}", Line(event))?,
                None => writeln!(f, "  {name}  nothing more")?,
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
