//! The bundle of all that a program may ask.

use std::fmt;
use std::io;
use std::path::Path;
use std::rc::Rc;

use samestep_provider_traits::{Providers, SeededRandom};

use crate::core::Core;
use crate::net::UringNetwork;
use crate::storage::UringStorage;
use crate::tasks::UringTasks;
use crate::time::UringTime;

/// Time, tasks, randomness, network and storage of one shard: from [`Runtime::providers`](crate::Runtime::providers).
#[derive(Clone)]
pub struct UringProviders {
    time: UringTime,
    task: UringTasks,
    random: SeededRandom,
    network: UringNetwork,
    storage: UringStorage,
}

impl UringProviders {
    pub(crate) fn new(core: &Rc<Core>, root: &Path, seed: u64) -> io::Result<Self> {
        Ok(Self {
            time: UringTime(Rc::clone(core)),
            task: UringTasks(Rc::clone(core)),
            random: SeededRandom::new(seed),
            network: UringNetwork(Rc::clone(core)),
            storage: UringStorage::open_root(Rc::clone(core), root)?,
        })
    }
}

impl Providers for UringProviders {
    type Time = UringTime;
    type Task = UringTasks;
    type Random = SeededRandom;
    type Network = UringNetwork;
    type Storage = UringStorage;

    fn time(&self) -> &UringTime {
        &self.time
    }

    fn task(&self) -> &UringTasks {
        &self.task
    }

    fn random(&self) -> &SeededRandom {
        &self.random
    }

    fn network(&self) -> &UringNetwork {
        &self.network
    }

    fn storage(&self) -> &UringStorage {
        &self.storage
    }
}

impl fmt::Debug for UringProviders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UringProviders").field("random", &self.random).finish_non_exhaustive()
    }
}
