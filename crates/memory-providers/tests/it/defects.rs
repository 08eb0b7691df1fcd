//! The suites of the contract hold for operations that end out of order, and notice three ways of breaking it.

use crate::deferred::{Defect, DeferredHarness};
use samestep_provider_traits::contract;

#[test]
fn the_contract_is_kept() {
    for seed in 0..20 {
        let harness = DeferredHarness { seed, defect: Defect::None };
        contract::check(&harness, &contract::time::cases());
        contract::check(&harness, &contract::task::cases());
        contract::check(&harness, &contract::random::cases());
        contract::check(&harness, &contract::network::cases());
        contract::check(&harness, &contract::storage::cases());
    }
}

/// The names of the cases that notice `defect`, over ten seeds, each once.
fn noticed_by(defect: Defect) -> Vec<&'static str> {
    let mut names: Vec<&str> = (0..10)
        .flat_map(|seed| {
            let harness = DeferredHarness { seed, defect };
            let network = contract::failures(&harness, &contract::network::cases());
            let storage = contract::failures(&harness, &contract::storage::cases());
            network.into_iter().chain(storage).map(|failure| failure.case)
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[test]
fn a_byte_lost_on_a_dropped_receive_is_noticed() {
    let names = noticed_by(Defect::ByteLostOnDroppedReceive);
    assert!(names.contains(&"a_dropped_read_loses_no_byte"), "{names:?}");
    assert!(names.contains(&"a_dropped_read_with_bytes_under_way_loses_no_byte"), "{names:?}");
}

#[test]
fn a_sync_that_returns_before_the_data_is_noticed() {
    let names = noticed_by(Defect::SyncBeforeData);
    let expected = [
        "a_dropped_write_lands_before_a_sync_and_its_buffer_lives_until_then",
        "a_dropped_write_survives_a_sync",
        "a_linked_write_and_sync_survives",
        "synced_bytes_survive",
    ];
    for case in expected {
        assert!(names.contains(&case), "{case} is not among {names:?}");
    }
}

#[test]
fn a_buffer_reused_in_flight_is_noticed() {
    let names = noticed_by(Defect::BufferReusedInFlight);
    let case = "a_dropped_write_lands_before_a_sync_and_its_buffer_lives_until_then";
    assert!(names.contains(&case), "{names:?}");
}
