#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

#[cfg(feature = "cli")]
pub mod cli;
mod data_file;
mod durable;
mod env;
mod epochs;
mod error;
mod format;
mod free_list;
#[cfg(feature = "ipc")]
pub mod ipc;
pub mod lock;
mod log;
pub mod machine;
pub mod play;
mod read_at;
#[cfg(feature = "vere")]
pub mod rock;
#[cfg(feature = "vere")]
mod scan;
pub mod snapshot;
pub mod structure;
mod tree;
#[cfg(feature = "vere")]
pub mod vere;
mod writer;

pub use data_file::{DataFile, Limits, MetaChoice, Pair, Table};
pub use epochs::{EpochDir, Layout};
pub use error::{Lost, MetaProblem, OpenError, PageProblem, ReadError};
pub use format::{Meta, TreeRecord};
pub use log::{EpochLog, LogError, LogReader};
pub use machine::Machine;
pub use play::{Replay, ReplayError, ReplayOptions};
pub use read_at::ReadAt;
pub use samestep_replay_traits::{Index, Record, ReplaySource};
pub use tree::{Event, Events};
pub use writer::{EpochWriter, WriteError, WriteOptions};
