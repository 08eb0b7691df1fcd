//! All providers in one bundle.

use std::path::PathBuf;

use samestep_provider_traits::{Providers, RandomProvider, SeededRandom};

use crate::{TokioNetworkProvider, TokioStorageProvider, TokioTaskProvider, TokioTimeProvider};

/// The world as tokio and the operating system give it to one node.
#[derive(Clone, Debug)]
pub struct TokioProviders {
    time: TokioTimeProvider,
    task: TokioTaskProvider,
    random: SeededRandom,
    network: TokioNetworkProvider,
    storage: TokioStorageProvider,
}

impl TokioProviders {
    /// A world whose files are below the folder `root`, which must exist by the time it is used, and whose random
    /// streams come from `seed`. Its time starts now.
    ///
    /// Making one asks nothing of the operating system but the clock. Using it needs a [`TokioRuntime`], or
    /// another current-thread runtime with a `LocalSet`.
    ///
    /// [`TokioRuntime`]: crate::TokioRuntime
    pub fn new(root: impl Into<PathBuf>, seed: u64) -> Self {
        Self {
            time: TokioTimeProvider::new(),
            task: TokioTaskProvider::new(),
            random: SeededRandom::new(seed),
            network: TokioNetworkProvider::new(),
            storage: TokioStorageProvider::new(root),
        }
    }

    /// The same world for another node: the same clock, files below `root`, and a random stream of its own.
    pub(crate) fn for_member(&self, root: PathBuf, name: &str) -> Self {
        Self { random: self.random.fork(name), storage: TokioStorageProvider::new(root), ..self.clone() }
    }
}

impl Providers for TokioProviders {
    type Time = TokioTimeProvider;
    type Task = TokioTaskProvider;
    type Random = SeededRandom;
    type Network = TokioNetworkProvider;
    type Storage = TokioStorageProvider;

    fn time(&self) -> &TokioTimeProvider {
        &self.time
    }

    fn task(&self) -> &TokioTaskProvider {
        &self.task
    }

    fn random(&self) -> &SeededRandom {
        &self.random
    }

    fn network(&self) -> &TokioNetworkProvider {
        &self.network
    }

    fn storage(&self) -> &TokioStorageProvider {
        &self.storage
    }
}
