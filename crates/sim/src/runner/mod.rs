//! Runs worlds to an outcome.

mod failure;
mod one;
mod panics;
mod parallel;

pub use failure::{Failure, TaskState};
pub(crate) use one::{Main, RunPlan, RunReport, run_one};
pub(crate) use panics::take_location;
pub(crate) use parallel::{jobs_of_machine, run_in_order};
