//! The suite of files and folders, over several seeds, with power cuts by a crash of the node.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};

use samestep_memory_providers::{MemoryNetworkProvider, MemoryWorld};
use samestep_provider_traits::contract::{self, Harness, Outcome};
use samestep_provider_traits::{JoinError, Providers};
use samestep_sim::{
    CrashConfiguration, Down, NodeId, SimProviders, SimRandomProvider, SimStorageProvider, SimTaskProvider,
    SimTimeProvider, SimWorld, StorageConfiguration, WorldConfig,
};

/// Makes a fresh world for each case.
struct Fresh {
    config: WorldConfig,
}

impl Fresh {
    fn world(&self) -> (SimWorld, NodeId) {
        let world = SimWorld::with_config(self.config.clone());
        let node = world.add_node("node", IpAddr::V4(Ipv4Addr::LOCALHOST));
        (world, node)
    }
}

impl Harness for Fresh {
    type Providers = Ours;

    fn run<Fut: Future<Output = ()> + 'static>(&self, test: impl FnOnce(Ours) -> Fut) {
        let (world, node) = self.world();
        run_on(&world, node, test);
    }

    fn run_across_power_cut<Before, After>(
        &self,
        before: impl FnOnce(Ours) -> Before,
        after: impl FnOnce(Ours) -> After,
    ) -> Outcome
    where
        Before: Future<Output = ()> + 'static,
        After: Future<Output = ()> + 'static,
    {
        let (world, node) = self.world();
        run_on(&world, node, before);
        world.kill(node, Down::Crash);
        world.boot(node);
        run_on(&world, node, after);
        Outcome::Held
    }
}

fn run_on<Fut: Future<Output = ()> + 'static>(
    world: &SimWorld,
    node: NodeId,
    test: impl FnOnce(Ours) -> Fut,
) {
    let ours =
        Ours { sim: world.providers(node), network: MemoryWorld::new(0).providers().network().clone() };
    let mut task = world.spawn(Some(node), "test", test(ours));
    match world.block_on(&mut task) {
        Some(Ok(())) => {}
        Some(Err(JoinError::Panicked { message })) => panic!("{message}"),
        other => panic!("{other:?}: {world:?}"),
    }
}

/// All of ours but the network.
#[derive(Clone)]
struct Ours {
    sim: SimProviders,
    network: MemoryNetworkProvider,
}

impl Providers for Ours {
    type Time = SimTimeProvider;
    type Task = SimTaskProvider;
    type Random = SimRandomProvider;
    type Network = MemoryNetworkProvider;
    type Storage = SimStorageProvider;

    fn time(&self) -> &Self::Time {
        self.sim.time()
    }

    fn task(&self) -> &Self::Task {
        self.sim.task()
    }

    fn random(&self) -> &Self::Random {
        self.sim.random()
    }

    fn network(&self) -> &Self::Network {
        &self.network
    }

    fn storage(&self) -> &Self::Storage {
        self.sim.storage()
    }
}

#[test]
fn storage_keeps_the_contract_over_twenty_seeds() {
    for seed in 0..20 {
        contract::check(&Fresh { config: WorldConfig::new(seed) }, &contract::storage::cases());
    }
}

/// Torn sectors and runs that are rolled back: a crash that loses something each time, and large sectors.
#[test]
fn storage_keeps_the_contract_when_every_crash_loses_something() {
    let crash = CrashConfiguration { clean_probability: 0.0, ..CrashConfiguration::default() };
    let storage = StorageConfiguration {
        sector_bytes: 4096,
        atomic_bytes: 8,
        crash,
        ..StorageConfiguration::default()
    };
    for seed in 0..20 {
        let config = WorldConfig::new(seed).storage(storage.clone());
        contract::check(&Fresh { config }, &contract::storage::cases());
    }
}
