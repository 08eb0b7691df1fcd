use samestep_provider_traits::contract;

use crate::machine::ALL;

#[test]
fn time_keeps_the_contract() {
    for machine in &ALL {
        contract::check(machine, &contract::time::cases());
    }
}

#[test]
fn tasks_keep_the_contract() {
    for machine in &ALL {
        contract::check(machine, &contract::task::cases());
    }
}

#[test]
fn randomness_keeps_the_contract() {
    for machine in &ALL {
        contract::check(machine, &contract::random::cases());
    }
}

#[test]
fn the_network_keeps_the_contract() {
    for machine in &ALL {
        contract::check(machine, &contract::network::cases());
    }
}

#[test]
fn storage_keeps_the_contract() {
    for machine in &ALL {
        contract::check(machine, &contract::storage::cases());
    }
}
