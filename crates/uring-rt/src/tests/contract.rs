//! The contract suites, on mock rings.

use std::future::Future;

use samestep_provider_traits::contract::{self, Harness};

use super::world;
use crate::UringProviders;
use crate::sys::Adversary;

#[derive(Debug)]
struct Mock {
    seed: u64,
}

impl Harness for Mock {
    type Providers = UringProviders;

    fn run<Fut: Future<Output = ()> + 'static>(&self, test: impl FnOnce(UringProviders) -> Fut) {
        // The suites expect whole files in one read, as a kernel gives.
        let adversary = Adversary { file_shortness: 0, ..Adversary::new(self.seed) };
        world(adversary, test).unwrap();
    }
}

#[test]
fn tasks_and_time_keep_the_contract_on_a_hostile_ring() {
    for seed in 0..3 {
        contract::check(&Mock { seed }, &contract::task::cases());
        contract::check(&Mock { seed }, &contract::time::cases());
    }
}

#[test]
fn the_network_keeps_the_contract_on_a_hostile_ring() {
    for seed in 0..4 {
        contract::check(&Mock { seed }, &contract::network::cases());
    }
}

#[test]
fn storage_keeps_the_contract_on_a_hostile_ring() {
    for seed in 0..8 {
        contract::check(&Mock { seed }, &contract::storage::cases());
    }
}
