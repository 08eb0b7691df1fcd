//! Two quick implementations of the provider traits, to try the traits' shape before it is frozen.
//!
//! - [`deferred`]: a toy simulation in which every operation takes a random time and ends out of order, and in
//!   which three defects can be planted. It shows that the contract suites notice them.
//! - `ring` (Linux): files and TCP on a real io_uring, where the kernel owns a buffer until it says otherwise.
//!
//! What they taught stands in the workspace's ARCHITECTURE.md.
//!
//! # What this crate does not do
//!
//! It is not published and nothing depends on it. When sim and uring-rt pass the suites, it has done its work and
//! goes.

pub mod deferred;
#[cfg(target_os = "linux")]
pub mod ring;
mod wait;
mod writes;
