use std::future::Future;

use samestep_memory_providers::{MemoryProviders, MemoryWorld};
use samestep_provider_traits::contract::{self, Harness, Outcome};

struct Memory;

impl Harness for Memory {
    type Providers = MemoryProviders;

    fn run<Fut: Future<Output = ()> + 'static>(&self, test: impl FnOnce(MemoryProviders) -> Fut) {
        MemoryWorld::new(1).block_on(test);
    }

    fn run_across_power_cut<Before, After>(
        &self,
        before: impl FnOnce(MemoryProviders) -> Before,
        after: impl FnOnce(MemoryProviders) -> After,
    ) -> Outcome
    where
        Before: Future<Output = ()> + 'static,
        After: Future<Output = ()> + 'static,
    {
        let world = MemoryWorld::new(1);
        world.block_on(before);
        world.power_cut().block_on(after);
        Outcome::Held
    }
}

#[test]
fn time_keeps_the_contract() {
    contract::check(&Memory, &contract::time::cases());
}

#[test]
fn tasks_keep_the_contract() {
    contract::check(&Memory, &contract::task::cases());
}

#[test]
fn randomness_keeps_the_contract() {
    contract::check(&Memory, &contract::random::cases());
}

#[test]
fn the_network_keeps_the_contract() {
    contract::check(&Memory, &contract::network::cases());
}

#[test]
fn storage_keeps_the_contract() {
    contract::check(&Memory, &contract::storage::cases());
}
