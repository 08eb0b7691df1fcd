//! Logs as the public interface shows them.
#![expect(clippy::disallowed_methods, reason = "the tests start processes, which are known by their ids")]

mod common;
mod damage;
mod generic;
mod locks;
mod programs;
#[cfg(feature = "vere")]
mod vere;
