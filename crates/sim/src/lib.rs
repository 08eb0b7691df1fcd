#![doc = include_str!("../README.md")]
//!
//! # What this crate does not do
//!
//! It opens no socket and no file, and reads no clock: the same seed gives the same run, on every machine.

mod choice;
mod draws;
mod fault;
mod kernel;
mod queue;
mod time;
mod trace;

pub use choice::{Chance, ChoiceFamily, ChoiceKey, Tape};
pub use fault::{FaultEvent, FaultFamily, FaultLog};
pub use kernel::NodeId;
pub use time::SimTime;
pub use trace::{TaskId, TraceEvent, Traced};
