//! Logs as the public interface shows them.
#![expect(clippy::disallowed_methods, reason = "the tests start processes, which are known by their ids")]

mod by_hand;
mod common;
mod damage;
mod generic;
#[cfg(feature = "vere")]
mod genuine;
#[cfg(feature = "ipc")]
mod ipc;
#[cfg(feature = "vere")]
mod kernel;
mod locks;
#[cfg(feature = "vere")]
mod play;
mod programs;
mod replay;
#[cfg(feature = "vere")]
mod vere;
