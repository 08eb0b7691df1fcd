#![doc = include_str!("../README.md")]
//!
//! # What is here
//!
//! - [`Record`] and [`ReplaySource`]: numbered payloads, handed out oldest to newest without copying.
//! - [`Event`], [`Transcript`] and [`Digest`]: what a program did, as canonical lines with a rolling digest.
//! - [`Lane`]: a named scenario that turns a [`Seed`] into a transcript, the same one each time it is run.
//!
//! # What this crate does not do
//!
//! It stores nothing, reads nothing and runs nothing: logs implement [`ReplaySource`], lane-runner runs a
//! [`Lane`] many times and compares.

#![forbid(unsafe_code)]

pub mod contract;
mod event;
mod lane;
mod record;
mod seed;
mod transcript;

pub use event::Event;
pub use lane::{Expectation, Lane, LaneContext, LaneError, Seeding};
pub use record::{Index, Record, ReplaySource};
pub use seed::Seed;
pub use transcript::{Digest, ParseDigestError, Transcript};
