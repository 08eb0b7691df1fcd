//! All that is to be shown of one run.

use std::fmt;

use crate::chaos::CheckFailure;
use crate::fault::FaultEvent;
use crate::kernel::NodeId;
use crate::report::mark::{Mark, marks};
use crate::report::{html, perfetto};
use crate::runner::{Failure, Outcome};
use crate::time::SimTime;
use crate::trace::TraceEvent;
use crate::world::SimWorld;

/// What happened in one run, by node and time.
///
/// ```
/// use samestep_sim::{SimWorld, WorldConfig, report::Timeline};
///
/// let world = SimWorld::with_config(WorldConfig::new(7).keep_trace());
/// world.add_node("server", "10.0.1.1".parse().unwrap());
/// let timeline = Timeline::of("an empty run", &world);
/// assert!(timeline.to_html().contains("an empty run"));
/// ```
#[derive(Clone)]
pub struct Timeline {
    pub(super) title: String,
    pub(super) seed: u64,
    pub(super) end: SimTime,
    /// Names of nodes, by number.
    pub(super) nodes: Vec<String>,
    pub(super) events: Vec<TraceEvent>,
    pub(super) faults: Vec<FaultEvent>,
    pub(super) failures: Vec<CheckFailure>,
}

impl Timeline {
    /// What happened in `world` so far. It is empty of events unless the world
    /// [keeps them](crate::WorldConfig::keep_trace).
    pub fn of(title: impl Into<String>, world: &SimWorld) -> Self {
        Self {
            title: title.into(),
            seed: world.seed(),
            end: world.time(),
            nodes: world.nodes().into_iter().map(|node| world.node_name(node)).collect(),
            events: world.trace(),
            faults: world.faults().events().to_vec(),
            failures: Vec::new(),
        }
    }

    /// What happened in a run that is over.
    pub(crate) fn of_outcome(title: &str, outcome: &Outcome) -> Self {
        let report = &outcome.report;
        Self {
            title: title.to_owned(),
            seed: report.seed,
            end: report.ended_at,
            nodes: outcome.nodes.clone(),
            events: report.trace.clone(),
            faults: report.faults.events().to_vec(),
            failures: report.failures.iter().map(check_failure).collect(),
        }
    }

    /// With checks that failed, so that their marks say why.
    pub fn with_failures(mut self, failures: impl IntoIterator<Item = CheckFailure>) -> Self {
        self.failures.extend(failures);
        self
    }

    /// The events, oldest first.
    pub fn events(&self) -> &[TraceEvent] {
        &self.events
    }

    /// The trace event format that <https://ui.perfetto.dev> and `chrome://tracing` read: a process a node, a thread a
    /// kind, flows for messages. Times are in microseconds, as the format has it, with three digits for nanoseconds.
    pub fn to_perfetto(&self) -> String {
        perfetto::trace(self)
    }

    /// One page that needs nothing else: a lane a node, messages as arrows, faults and failed checks marked, to zoom,
    /// filter and walk through. It shows the last hundred thousand events that are not only polls and timers, and says
    /// how many it leaves out.
    pub fn to_html(&self) -> String {
        html::page(self)
    }

    pub(super) fn marks(&self) -> Vec<Mark> {
        marks(self)
    }

    pub(super) fn node_name(&self, node: Option<NodeId>) -> &str {
        node.map_or("test", |node| self.nodes.get(node.0 as usize).map_or("?", String::as_str))
    }
}

fn check_failure(failure: &Failure) -> CheckFailure {
    let detail = match failure {
        Failure::Check { message, .. } => message.clone(),
        failure => failure.to_string(),
    };
    CheckFailure { name: failure.kind().to_owned(), detail, site: None, time: None, node: None }
}

impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeline")
            .field("title", &self.title)
            .field("seed", &self.seed)
            .field("events", &self.events.len())
            .finish_non_exhaustive()
    }
}
