//! The modules of the seed: what stands at the root stands in one of them, and is the same.

use std::any::TypeId;

use samestep_sim::{chaos, network, providers, runner, sim};

/// Both paths name one type.
macro_rules! same {
    ($($module:ident: $($name:ident),+;)+) => {
        [$($((
            concat!(stringify!($module), "::", stringify!($name)),
            TypeId::of::<$module::$name>() == TypeId::of::<samestep_sim::$name>(),
        )),+),+]
    };
}

#[test]
fn types_at_the_root_are_those_of_the_modules() {
    let all = same! {
        chaos: AssertionStats, InvariantCheck, StateRegistry;
        network: ChaosConfiguration, ConnectFailureMode, NetworkConfiguration, SimNetworkProvider;
        providers: SimRandomProvider, SimTimeProvider;
        runner: IterationControl, SimulationBuilder, SimulationMetrics, SimulationReport, WorkloadTopology;
        sim: ConnectionStateChange, Event, EventQueue, NetworkOperation, ScheduledEvent, SimWorld, SleepFuture,
            WeakSimWorld;
    };
    for (name, is_same) in all {
        assert!(is_same, "{name}");
    }
}

#[test]
fn functions_of_the_modules_act_on_what_those_of_the_root_do() {
    sim::set_sim_seed(5);
    assert_eq!(samestep_sim::get_current_sim_seed(), 5);
    let drawn: u64 = samestep_sim::sim_random();
    sim::set_sim_seed(5);
    assert_eq!(sim::sim_random::<u64>(), drawn);
    assert!((1..7).contains(&sim::sim_random_range(1..7)));
    assert_eq!(sim::sim_random_range_or_default(3..3), 3);
    sim::reset_sim_rng();
    assert_eq!(sim::get_current_sim_seed(), 0);
    let range = std::time::Duration::from_millis(1)..std::time::Duration::from_millis(2);
    assert!(range.contains(&network::sample_duration(&range)));
    chaos::buggify_init(1.0, 1.0);
    assert!(samestep_sim::buggify!("modules"));
    chaos::buggify_reset();
    assert!(!samestep_sim::buggify!("modules"));
    samestep_sim::sometimes_assert!(modules_are_there, true, "they are");
    assert!(chaos::get_assertion_results().contains_key("modules_are_there"));
    assert!(!chaos::validate_assertion_contracts().iter().any(|text| text.contains("modules_are_there")));
    chaos::reset_assertion_results();
    assert!(chaos::get_assertion_results().is_empty());
    chaos::panic_on_assertion_violations(&runner::SimulationReport::default());
}
