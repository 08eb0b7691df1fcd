//! All that is `unsafe`: what the kernel may touch and who owns it meanwhile, tasks in one allocation, and the queue
//! through which other threads wake them.
//!
//! **Invariant:** what an operation points at is freed after its last completion, or never: `Driver`.
//! **Invariant:** a future is polled and dropped on the thread that spawned it: `TaskRef`, which is not `Send`.

mod address;
mod arena;
mod budget;
mod dma;
mod door_bell;
mod driver;
mod erased;
mod flags;
mod fork;
mod kernel;
mod message;
#[cfg(test)]
mod mock;
mod pages;
mod perform;
mod pulse;
mod refs;
mod remote;
mod ring;
mod sleeper;
mod spsc;
mod sqe;
mod stack;
mod sync;
mod task;
mod threads;

pub(crate) use address::{Address, Message};
pub(crate) use arena::Arena;
pub(crate) use budget::Budget;
pub use dma::DmaBuffer;
pub(crate) use dma::{DmaArena, Spares};
pub use driver::RingStats;
pub(crate) use driver::{
    Attendance, Closed, Completion, Driver, DriverCounters, Notice, OnDrop, Outcome, Owner, Picked, RingId,
    TAG_UNTOLD, Tag, outcome,
};
pub(crate) use fork::ForkMark;
pub(crate) use kernel::KernelRing;
#[cfg(test)]
pub(crate) use mock::{Adversary, MockRing, Seen};
pub(crate) use pulse::{Moment, Pulse, default_signal};
pub(crate) use remote::Remote;
pub(crate) use ring::{Registered, Ring, Wait};
pub(crate) use spsc::{Consumer, Producer, queue};
pub(crate) use sqe::{Prepared, Stat};
pub(crate) use task::{
    CurrentGuard, Home, JoinRef, Queue, Run, TaskRef, TaskSet, new_task, note_wait, woken_by,
};
pub(crate) use threads::ThreadsRing;

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// The descriptor that a completed accept or open gave.
pub(crate) fn own(result: u32) -> OwnedFd {
    let fd = RawFd::try_from(result).expect("descriptors are small");
    // SAFETY: it comes from a completion, which is looked at once, so nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
