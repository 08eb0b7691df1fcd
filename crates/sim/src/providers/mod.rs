//! What programs on a node are given.

mod network;
mod random;
mod storage;
mod task;
mod time;

use samestep_provider_traits::Providers;

use crate::kernel::NodeId;
use crate::world::SimWorld;
use crate::world::registry::Home;

pub use network::{SimNetworkProvider, SimTcpListener, SimTcpStream, SimUdpSocket};
pub use random::SimRandomProvider;
pub(crate) use random::record_draw;
pub use storage::{SimFile, SimLock, SimStorageProvider};
pub use task::SimTaskProvider;
pub use time::SimTimeProvider;

/// The world as one boot of a node sees it.
#[derive(Clone, Debug)]
pub struct SimProviders {
    time: SimTimeProvider,
    task: SimTaskProvider,
    random: SimRandomProvider,
    network: SimNetworkProvider,
    storage: SimStorageProvider,
}

impl SimProviders {
    fn of(home: Home) -> Self {
        Self {
            time: SimTimeProvider::of(home),
            task: SimTaskProvider::of(home),
            random: SimRandomProvider::of(home),
            network: SimNetworkProvider::of(home),
            storage: SimStorageProvider::of(home),
        }
    }

    /// Clocks and timers.
    pub fn time(&self) -> &SimTimeProvider {
        &self.time
    }

    /// Tasks.
    pub fn task(&self) -> &SimTaskProvider {
        &self.task
    }

    /// Random streams.
    pub fn random(&self) -> &SimRandomProvider {
        &self.random
    }

    /// TCP, UDP and names.
    pub fn network(&self) -> &SimNetworkProvider {
        &self.network
    }

    /// Files and folders.
    pub fn storage(&self) -> &SimStorageProvider {
        &self.storage
    }
}

impl Providers for SimProviders {
    type Time = SimTimeProvider;
    type Task = SimTaskProvider;
    type Random = SimRandomProvider;
    type Network = SimNetworkProvider;
    type Storage = SimStorageProvider;

    fn time(&self) -> &SimTimeProvider {
        &self.time
    }

    fn task(&self) -> &SimTaskProvider {
        &self.task
    }

    fn random(&self) -> &SimRandomProvider {
        &self.random
    }

    fn network(&self) -> &SimNetworkProvider {
        &self.network
    }

    fn storage(&self) -> &SimStorageProvider {
        &self.storage
    }
}

impl SimWorld {
    /// The world as the boot of `node` that is now sees it. After the next it is of no use.
    pub fn providers(&self, node: NodeId) -> SimProviders {
        SimProviders::of(self.home(Some(node)))
    }
}
