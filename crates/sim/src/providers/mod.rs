//! What programs on a node are given.

mod random;
mod storage;
mod task;
mod time;

use crate::kernel::NodeId;
use crate::world::SimWorld;
use crate::world::registry::Home;

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
    storage: SimStorageProvider,
}

impl SimProviders {
    fn of(home: Home) -> Self {
        Self {
            time: SimTimeProvider::of(home),
            task: SimTaskProvider::of(home),
            random: SimRandomProvider::of(home),
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

    /// Files and folders.
    pub fn storage(&self) -> &SimStorageProvider {
        &self.storage
    }
}

impl SimWorld {
    /// The world as the boot of `node` that is now sees it. After the next it is of no use.
    pub fn providers(&self, node: NodeId) -> SimProviders {
        SimProviders::of(self.home(Some(node)))
    }
}
