#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod atom;
mod bits;
mod cell;
mod cue;
mod distinct;
mod equal;
mod jam;
mod live;
mod mug;
mod nock;
mod noun;
mod parse;
mod show;
mod table;

pub use atom::{Atom, LeBytes};
pub use cell::Cell;
pub use cue::{CueError, CueLimits};
pub use live::{live_bytes, reachable_bytes};
pub use nock::{
    CrashReason, Nock, NockError, NockLimits, ScryAnswer, TraceEntry, TraceReport, WATCH_EVERY, Watch, nock,
};
pub use noun::{Items, Noun};
pub use parse::{ParseNounError, ParseNounErrorKind};
