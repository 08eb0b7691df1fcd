//! What it means to be replayable.
//!
//! - [`Record`] and [`ReplaySource`]: numbered payloads, handed out oldest to newest without copying.
//! - [`Event`], [`Transcript`] and [`Digest`]: what a program did, as canonical lines with a rolling digest.
//! - [`Lane`]: a named scenario that turns a [`Seed`] into a transcript, the same one each time it is run.
//!
//! ```
//! use samestep_replay_traits::{Event, Transcript};
//!
//! let mut transcript = Transcript::new();
//! transcript.event(&Event::new("append").field("index", 1).bytes("payload", b"a|b"));
//! assert_eq!(transcript.text(), "append|index=1|payload=a\\x7cb\n");
//! ```
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
pub use lane::{Expectation, Lane, LaneContext, LaneError};
pub use record::{Index, Record, ReplaySource};
pub use seed::Seed;
pub use transcript::{Digest, ParseDigestError, Transcript};
