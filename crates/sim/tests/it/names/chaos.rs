//! Buggify, checks and the state registry, from outside.

use samestep_sim::chaos::{AssertionStats, FaultFamily};
use samestep_sim::{
    IterationControl, NetworkConfiguration, SimContext, SimulationBuilder, StateRegistry, always_assert,
    buggify, buggify_init, buggify_reset, buggify_with_prob, get_assertion_results, reset_assertion_results,
    sometimes_assert, validate_assertion_contracts,
};

fn quiet() -> SimulationBuilder {
    SimulationBuilder::new().network(NetworkConfiguration::without_faults()).ignore_environment()
}

#[test]
fn buggify_acts_between_init_and_reset() {
    let fires = || (buggify!("names one"), buggify_with_prob!(0.0, "names two"));
    assert_eq!(fires(), (false, false));
    buggify_init(1.0, 1.0);
    assert_eq!(fires(), (true, false));
    assert!(buggify_with_prob!(1.0, "names three"));
    buggify_reset();
    assert_eq!(fires(), (false, false));
}

/// In 800 runs a place is active in a quarter, and an active one fires a quarter of the times.
#[test]
fn in_a_simulation_a_quarter_of_places_fires_in_a_quarter_of_calls() {
    let report = quiet().set_iterations(800).run(|_| async {
        for _ in 0..10 {
            let _ = buggify!("names quarter");
            let _ = buggify_with_prob!(1.0, "names always");
        }
    });
    let site = |name| report.buggify_sites.iter().find(|site| site.site.name() == name).unwrap().clone();
    let (quarter, always) = (site("names quarter"), site("names always"));
    // Of 8,000 calls a sixteenth fires, 500; by runs, the standard deviation is below 60.
    assert!((200..=800).contains(&quarter.fired), "{quarter}");
    // Of 800 runs 200 have it active, with a standard deviation of 13; there each call fires.
    assert!((120..=280).contains(&always.active_runs), "{always}");
    assert_eq!(always.fired, 10 * always.active_runs);
}

mod program {
    use samestep_sim::{always_assert, sometimes_assert};

    pub(super) fn counts(numbers: &[u32]) {
        for number in numbers {
            always_assert!(names_below_ten, *number < 10, "{number} is not");
            sometimes_assert!(names_is_even, number % 2 == 0, "an even one");
            sometimes_assert!(names_is_a_hundred, *number == 100, "a hundred");
        }
    }
}

#[test]
fn checks_are_counted_validated_and_forgotten() {
    reset_assertion_results();
    program::counts(&[1, 2, 3, 4]);
    let results = get_assertion_results();
    let even: &AssertionStats = &results["names_is_even"];
    assert_eq!((even.total_checks, even.successes), (4, 2));
    assert!((even.success_rate() - 50.0).abs() < 1e-9);
    let said = |name: &str| validate_assertion_contracts().iter().any(|text| text.contains(name));
    assert_eq!(["names_below_ten", "names_is_even", "names_is_a_hundred"].map(said), [false, false, true]);
    program::counts(&[10]);
    assert!(said("names_below_ten"));
    reset_assertion_results();
    assert_eq!(get_assertion_results().len(), 0);
}

#[test]
fn an_assertion_that_fails_fails_its_run_and_names_itself() {
    let report = quiet().run_report(|_| async {
        always_assert!(names_never, 1 > 2, "one is {}", 1);
        sometimes_assert!(names_sometimes, true, "it is");
    });
    assert_eq!(report.failed_runs, 1);
    assert!(report.assertion_violations[0].contains("names_never"), "{report}");
    let why = report.individual_metrics[0].as_ref().unwrap_err();
    assert!(why.contains("names_never: one is 1"), "{why}");
    assert_eq!(report.assertion_results["names_sometimes"].successes, 1);
}

#[test]
fn a_registry_shows_what_was_registered() {
    let registry = StateRegistry::new();
    registry.register_state("server-0", serde_json::json!({ "role": "leader" }));
    registry.register_state("server-1", serde_json::json!({ "role": "follower" }));
    assert_eq!(registry.get_state("server-0").unwrap()["role"], "leader");
    let all = registry.get_all_states();
    assert_eq!(all.keys().collect::<Vec<_>>(), ["server-0", "server-1"]);
    registry.clear();
    assert_eq!((registry.get_state("server-0"), registry.get_all_states().len()), (None, 0));
}

/// What one member registers, another reads.
#[test]
fn members_of_a_run_have_one_registry() {
    let report = quiet().run_count(IterationControl::FixedCount(3)).run(|context: SimContext| async move {
        let registry: &StateRegistry = context.state();
        assert!(registry.get_all_states().is_empty(), "another run's state");
        registry.register_state("x", serde_json::json!(context.number()));
        assert_eq!(context.state().get_state("x"), Some(serde_json::json!(0)));
    });
    assert_eq!(report.successful_runs, 3);
    assert_eq!(report.faults.get(&FaultFamily::Crash), None);
}
