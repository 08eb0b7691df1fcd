//! The suites of the traits, each case in a world of its own, over several seeds.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};

use samestep_provider_traits::JoinError;
use samestep_provider_traits::contract::{self, Harness};
use samestep_sim::{SchedulePolicy, SimProviders, SimWorld, WorldConfig};

/// Makes a fresh world for each case.
struct Fresh {
    config: WorldConfig,
}

impl Harness for Fresh {
    type Providers = SimProviders;

    fn run<Fut: Future<Output = ()> + 'static>(&self, test: impl FnOnce(SimProviders) -> Fut) {
        let world = SimWorld::with_config(self.config.clone());
        let node = world.add_node("node", IpAddr::V4(Ipv4Addr::LOCALHOST));
        let mut task = world.spawn(Some(node), "test", test(world.providers(node)));
        let end = world.block_on(&mut task);
        match end {
            Some(Ok(())) => {}
            Some(Err(JoinError::Panicked { message })) => panic!("{message}"),
            other => panic!("{other:?}: {world:?}"),
        }
    }
}

fn worlds() -> Vec<Fresh> {
    let policies = [SchedulePolicy::Fifo, SchedulePolicy::Random];
    let configs = policies
        .into_iter()
        .flat_map(|policy| (0..8).map(move |seed| WorldConfig::new(seed).schedule(policy.clone())));
    configs.map(|config| Fresh { config }).collect()
}

#[test]
fn time_keeps_the_contract() {
    for world in worlds() {
        contract::check(&world, &contract::time::cases());
    }
}

#[test]
fn tasks_keep_the_contract() {
    for world in worlds() {
        contract::check(&world, &contract::task::cases());
    }
}

#[test]
fn randomness_keeps_the_contract() {
    for world in worlds() {
        contract::check(&world, &contract::random::cases());
    }
}

#[test]
fn the_network_keeps_the_contract() {
    for seed in 0..20 {
        let config = WorldConfig::new(seed);
        contract::check(&Fresh { config }, &contract::network::cases());
    }
}
