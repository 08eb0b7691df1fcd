//! The suites of the traits, each case in a runtime and a root folder of its own.

use std::future::Future;

use samestep_provider_traits::contract::{self, Harness};
use samestep_tokio_providers::{TokioProviders, TokioRuntime};

/// Makes a fresh world for each case.
struct Fresh;

impl Harness for Fresh {
    type Providers = TokioProviders;

    fn run<Fut: Future<Output = ()> + 'static>(&self, test: impl FnOnce(TokioProviders) -> Fut) {
        let root = tempfile::tempdir().unwrap();
        let world = TokioProviders::new(root.path(), 7);
        TokioRuntime::new().unwrap().block_on(test(world));
    }
}

#[test]
fn time_keeps_the_contract() {
    contract::check(&Fresh, &contract::time::cases());
}

#[test]
fn tasks_keep_the_contract() {
    contract::check(&Fresh, &contract::task::cases());
}

#[test]
fn randomness_keeps_the_contract() {
    contract::check(&Fresh, &contract::random::cases());
}

#[test]
fn the_network_keeps_the_contract() {
    contract::check(&Fresh, &contract::network::cases());
}

#[test]
fn storage_keeps_the_contract() {
    contract::check(&Fresh, &contract::storage::cases());
}
