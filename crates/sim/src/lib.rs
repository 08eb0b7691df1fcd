#![doc = include_str!("../README.md")]
//!
//! # What this crate does not do
//!
//! It opens no socket and no file, and reads no clock: the same seed gives the same run, on every machine.

mod choice;
mod draws;
mod error;
mod fault;
mod kernel;
mod providers;
mod queue;
mod runner;
mod time;
mod trace;
mod world;

pub use choice::{Chance, ChoiceFamily, ChoiceKey, Tape};
pub use error::{SimulationError, SimulationResult};
pub use fault::{FaultEvent, FaultFamily, FaultLog};
pub use kernel::NodeId;
pub use providers::{SimProviders, SimRandomProvider, SimTaskProvider, SimTimeProvider};
pub use runner::{Failure, TaskState};
pub use time::SimTime;
pub use trace::{DiskOperation, TaskId, TraceEvent, Traced};
pub use world::{
    ConnectionStateChange, Down, Event, EventQueue, NetworkOperation, SchedulePolicy, ScheduledEvent,
    SimJoinHandle, SimWorld, SleepFuture, TaskPanic, WeakSimWorld, WorldConfig,
};
