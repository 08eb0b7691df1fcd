//! The provider traits on a real io_uring, as small as it goes.
//!
//! One thread, one ring. What the kernel may touch is owned by a record of the ring until its completion; a future
//! holds the record's number. A dropped future cancels its operation and says what to do with an outcome that
//! comes all the same. Dropping the world drops its tasks, cancels what is under way, waits until the kernel is
//! done, and only then frees.

mod executor;
mod file;
mod net;
mod op;
mod sys;

use std::fmt;
use std::io;
use std::path::Path;
use std::rc::Rc;

use samestep_memory_providers::{MemoryRandomProvider, MemoryWorld};
use samestep_provider_traits::Providers;

use executor::Core;
pub use executor::{RingJoinHandle, RingTasks, RingTime};
pub use file::{RingFile, RingStorage};
pub use net::{RingListener, RingNetwork, RingSocket, RingStream};

/// A ring, its thread and its tasks.
pub struct RingWorld {
    core: Rc<Core>,
    providers: RingProviders,
}

impl RingWorld {
    /// A world whose files are below `root`.
    ///
    /// # Errors
    ///
    /// If the kernel gives no ring.
    pub fn new(root: &Path) -> io::Result<Self> {
        let core = Core::new()?;
        let providers = RingProviders {
            time: RingTime(Rc::clone(&core)),
            task: RingTasks(Rc::clone(&core)),
            random: MemoryWorld::new(1).providers().random().clone(),
            network: RingNetwork(Rc::clone(&core)),
            storage: RingStorage { core: Rc::clone(&core), root: root.into() },
        };
        Ok(Self { core, providers })
    }

    /// Runs `program`, and all tasks beside it, until it gives its output.
    pub fn block_on<Fut: Future>(&self, program: impl FnOnce(RingProviders) -> Fut) -> Fut::Output {
        self.core.block_on(program(self.providers.clone()))
    }
}

impl Drop for RingWorld {
    fn drop(&mut self) {
        self.core.drop_tasks();
    }
}

impl fmt::Debug for RingWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingWorld").finish_non_exhaustive()
    }
}

/// All a program may ask of a ring's world.
#[derive(Clone)]
pub struct RingProviders {
    time: RingTime,
    task: RingTasks,
    random: MemoryRandomProvider,
    network: RingNetwork,
    storage: RingStorage,
}

impl Providers for RingProviders {
    type Time = RingTime;
    type Task = RingTasks;
    type Random = MemoryRandomProvider;
    type Network = RingNetwork;
    type Storage = RingStorage;

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
