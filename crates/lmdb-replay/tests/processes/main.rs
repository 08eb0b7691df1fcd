//! The command as a process: what it prints, what it leaves when it is killed, and what it does beside others.
#![expect(clippy::disallowed_methods, reason = "a process is told by its environment what it is to do")]

mod cli;
mod deaths;
#[path = "../it/kernel.rs"]
mod kernel;
mod lmdb_0_9;
mod model;
mod piers;
mod play;
#[path = "../it/programs.rs"]
mod programs;
