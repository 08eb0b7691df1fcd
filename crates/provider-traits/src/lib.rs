#![doc = include_str!("../README.md")]
//!
//! # Rules that hold for every call
//!
//! A program takes one bundle, [`Providers`], and asks it for [time](TimeProvider), [tasks](TaskProvider),
//! [randomness](RandomProvider), [network](NetworkProvider) and [storage](StorageProvider). For all of them:
//!
//! - **One thread.** Futures and handles need not be `Send`: a shard owns its data and one thread runs it.
//! - **Lazy.** A call begins when its future is first polled. A future that was never polled did nothing.
//! - **Owned buffers.** I/O takes its buffer by value and gives it back with the result, in success and in
//!   failure. In between it belongs to the operation, which may outlive a dropped future: see [`IoBuf`].
//! - **Nothing borrowed.** Futures do not borrow the handle they came from; they may be stored beside it.
//! - **Dropping a future loses nothing.** A dropped accept or receive loses no connection and no byte: the next
//!   call gets them. A dropped write may still land, in part or whole; a later sync waits for it and reports
//!   its error.
//! - **Dropping a handle never blocks.** Errors at the end are seen by those who call `close`.
//! - **Errors** are [`std::io::Error`] with the exact [`ErrorKind`](std::io::ErrorKind) that each method names.
//!
//! # What this crate does not do
//!
//! It reaches no operating system and depends on nothing but std. The reference implementation is
//! memory-providers; sim, uring-rt and tokio-providers are the ones to run on. With feature `contract`, the
//! module `contract` holds the suites that all of them pass.

mod io_buf;
mod network;
mod random;
mod storage;
mod task;
mod time;
pub mod workload;

#[cfg(feature = "contract")]
pub mod contract;

#[cfg(feature = "contract")]
pub use io_buf::GuardedBuf;
pub use io_buf::{AlignedBuf, IoBuf, IoBufMut, Slice};
pub use network::{NetworkProvider, TcpListener, TcpStream, UdpSocket};
pub use random::{RandomProvider, RandomRange, RandomValue, SeededRandom};
pub use storage::{
    Access, Alignment, Creation, DirEntry, File, FileKind, Metadata, OpenOptions, Space, StorageProvider,
    relative_path,
};
pub use task::{JoinError, JoinHandle, TaskProvider};
pub use time::{Elapsed, TimeProvider};

/// Outcome of an operation that took a buffer, and the buffer.
pub type BufResult<T, B> = (std::io::Result<T>, B);

/// All a program may ask of the world, in one cheap bundle. Clones are handles to the same world.
pub trait Providers: Clone + 'static {
    /// Clocks and timers.
    type Time: TimeProvider;
    /// Tasks.
    type Task: TaskProvider;
    /// Random streams.
    type Random: RandomProvider;
    /// TCP, UDP and names.
    type Network: NetworkProvider;
    /// Files and folders.
    type Storage: StorageProvider;

    /// Clocks and timers.
    fn time(&self) -> &Self::Time;
    /// Tasks.
    fn task(&self) -> &Self::Task;
    /// Random streams.
    fn random(&self) -> &Self::Random;
    /// TCP, UDP and names.
    fn network(&self) -> &Self::Network;
    /// Files and folders.
    fn storage(&self) -> &Self::Storage;
}
