//! The determinism suite of Samestep: every lane of every crate, in one table.
//!
//! A module per crate, named after it, with its lanes; [`LANES`] lists them all. The golden digests stand in
//! `determinism.lock` at the root of the workspace.
//!
//! # What this crate does not do
//!
//! It runs nothing by itself and compares nothing: lane-runner does. The canary is lane-runner's, too.

#![forbid(unsafe_code)]

mod replay;

use samestep_replay_traits::Lane;

/// All lanes, by crate.
pub const LANES: &[&dyn Lane] = &[&replay::TranscriptVectors];
