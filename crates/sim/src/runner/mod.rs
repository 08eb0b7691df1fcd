//! Runs worlds to an outcome.

mod failure;
mod one;
mod panics;

pub use failure::{Failure, TaskState};
pub(crate) use one::{RunPlan, RunReport, run_one};
pub(crate) use panics::take_location;
