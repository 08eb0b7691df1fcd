//! Runs worlds to an outcome: tests over many seeds, the seed's builder, and what they report.

mod attrition;
mod builder;
mod campaign;
mod chaos;
mod check;
mod clock;
mod cluster;
mod context;
mod environment;
mod explain;
mod failure;
mod fresh;
mod inject;
mod metrics;
mod one;
mod panics;
mod parallel;
mod phases;
mod progress;
mod race;
mod regressions;
mod replay;
mod scenario;
mod shrink;
mod test;

pub use attrition::{Attrition, AttritionScope, RebootKind};
pub use builder::{
    IntoOutcome, LocalityConfig, Process, ProcessFuture, SimulationBuilder, WorkloadRunner, WorkloadTopology,
};
pub use campaign::IterationControl;
pub use chaos::Chaos;
pub use check::{Check, CheckReport, check, replay, timeline};
pub use context::{LocalityInfo, Peer, SimContext};
pub use inject::{FaultContext, FaultInjector};
pub use metrics::{SimulationMetrics, SimulationReport, panic_on_assertion_violations};
pub use replay::{Replay, ReplayParseError};

pub use crate::determinism::Divergence;
pub(crate) use scenario::Outcome;
pub use test::{Count, Holds, Node, Test};

pub use failure::{Failure, TaskState};
pub(crate) use one::{RunPlan, RunReport, run_one};
pub(crate) use panics::take_location;
pub(crate) use parallel::{jobs_of_machine, run_in_order};
