#![doc = include_str!("../README.md")]
//!
//! # What is modelled
//!
//! - **Tasks** run in the order in which they were woken. A panic ends in its join handle.
//! - **Time** stands still while anything can run, then jumps to the next timer. If nothing can run and no timer
//!   is left, [`MemoryWorld::block_on`] panics and names the tasks that wait.
//! - **Network**: TCP and UDP between sockets on loopback addresses; nothing is lost, doubled or reordered.
//! - **Storage** knows what is durable: [`MemoryWorld::power_cut`] drops everything that was not synced, which is
//!   the worst that the traits allow. [`MemoryDisk`] can run full and can fail at a chosen operation.
//!
//! # What this crate does not do
//!
//! No wake from another thread is waited for, and no operation takes time or ends out of order: sim does that.

#![forbid(unsafe_code)]

mod executor;
mod network;
mod random;
mod storage;
mod time;

use std::fmt;
use std::future::Future;

use samestep_provider_traits::Providers;

pub use executor::{MemoryJoinHandle, MemoryTaskProvider};
pub use network::{MemoryNetworkProvider, MemoryTcpListener, MemoryTcpStream, MemoryUdpSocket};
pub use random::MemoryRandomProvider;
pub use storage::{MemoryDisk, MemoryFile, MemoryLock, MemoryStorageProvider};
pub use time::MemoryTimeProvider;

use executor::Executor;

/// One node in memory: its executor and clock, its network and its disk.
///
/// Dropping it drops the tasks that are left, oldest first.
pub struct MemoryWorld {
    seed: u64,
    executor: Executor,
    providers: MemoryProviders,
}

impl MemoryWorld {
    /// A world with an empty disk, whose randomness comes from `seed`.
    pub fn new(seed: u64) -> Self {
        Self::with_disk(seed, MemoryDisk::new())
    }

    /// A world with this disk, whose randomness comes from `seed`.
    pub fn with_disk(seed: u64, disk: MemoryDisk) -> Self {
        let executor = Executor::new();
        let providers = MemoryProviders {
            time: MemoryTimeProvider::new(executor.core()),
            task: MemoryTaskProvider::new(executor.core()),
            random: MemoryRandomProvider::new(seed),
            network: MemoryNetworkProvider::new(),
            storage: MemoryStorageProvider::new(disk),
        };
        Self { seed, executor, providers }
    }

    /// The world as a program sees it.
    pub fn providers(&self) -> MemoryProviders {
        self.providers.clone()
    }

    /// The disk, to inspect it and to make it fail.
    pub fn disk(&self) -> &MemoryDisk {
        self.providers.storage.disk()
    }

    /// Runs `program`, and all tasks beside it, until it gives its output. Tasks that are not over stay, and go
    /// on in the next call.
    ///
    /// # Panics
    ///
    /// If `program` panics, or if it waits for something that can never happen.
    pub fn block_on<Fut: Future>(&self, program: impl FnOnce(MemoryProviders) -> Fut) -> Fut::Output {
        self.executor.block_on(program(self.providers()))
    }

    /// Cuts the power: drops all tasks as they are, and gives a world that has of this one what was durable.
    pub fn power_cut(self) -> Self {
        let (seed, disk) = (self.seed, self.disk().after_power_cut());
        drop(self);
        Self::with_disk(seed, disk)
    }
}

impl fmt::Debug for MemoryWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryWorld").field("executor", &self.executor).finish_non_exhaustive()
    }
}

/// All a program may ask of a [`MemoryWorld`].
#[derive(Clone, Debug)]
pub struct MemoryProviders {
    time: MemoryTimeProvider,
    task: MemoryTaskProvider,
    random: MemoryRandomProvider,
    network: MemoryNetworkProvider,
    storage: MemoryStorageProvider,
}

impl Providers for MemoryProviders {
    type Time = MemoryTimeProvider;
    type Task = MemoryTaskProvider;
    type Random = MemoryRandomProvider;
    type Network = MemoryNetworkProvider;
    type Storage = MemoryStorageProvider;

    fn time(&self) -> &Self::Time {
        &self.time
    }

    fn task(&self) -> &Self::Task {
        &self.task
    }

    fn random(&self) -> &Self::Random {
        &self.random
    }

    fn network(&self) -> &Self::Network {
        &self.network
    }

    fn storage(&self) -> &Self::Storage {
        &self.storage
    }
}
