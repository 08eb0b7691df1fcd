use std::cell::RefCell;
use std::rc::Rc;

use serde_json::json;

use crate::chaos::buggify::{Buggify, listing};
use crate::chaos::contracts::{all_sometimes_reached, violations};
use crate::chaos::current::publish;
use crate::chaos::invariant::{Invariants, JsonInvariant};
use crate::chaos::{Checks, Scope, StateRegistry, invariant_fn, sites};
use crate::choice::Chance;
use crate::time::SimTime;

/// Runs `f` with a table of its own and returns it.
fn tallied(buggify: Buggify, f: impl FnOnce()) -> Checks {
    let checks = Rc::new(RefCell::new(Checks::new(buggify)));
    let scope = Scope::enter(&checks);
    f();
    drop(scope);
    Rc::try_unwrap(checks).unwrap().into_inner()
}

/// Their sites are in a module of their own, so that no other test's sites are under test with them.
mod program {
    pub(super) fn counts(numbers: &[i32]) {
        for &number in numbers {
            crate::always_assert!(is_small, number < 100, "it is {number}");
            crate::sometimes_assert!(is_even, number % 2 == 0, "even numbers come");
            crate::assert_sometimes!(number > 1000, "thousands");
            crate::assert_always_less_than_or_equal_to!(number, 200, "at most 200");
            crate::assert_sometimes_all!("both", [("odd", number % 2 == 1), ("large", number > 50)]);
            crate::assert_sometimes_each!("digits", [number % 10]);
            if number == 77 {
                crate::assert_unreachable!("77", "came with {}", numbers.len());
            }
            if number < 0 {
                crate::assert_reachable!("negative");
            }
        }
    }
}

/// What stays silent in all runs, for the contracts.
mod silent {
    pub(super) fn ask(is_run: bool) {
        crate::assert_always_or_unreachable!(true, "may be skipped");
        if is_run {
            crate::assert_always!(true, "must not be skipped");
        }
    }
}

#[test]
fn each_check_is_tallied_by_name() {
    let checks = tallied(Buggify::default(), || program::counts(&[1, 2, 52, 151]));
    let results = checks.results();
    let seen: Vec<_> =
        results.iter().map(|(name, stats)| (name.as_str(), stats.successes, stats.total_checks)).collect();
    let expected = [
        ("at most 200", 4, 4),
        ("both", 1, 4),
        ("digits", 4, 4),
        ("is_even", 2, 4),
        ("is_small", 3, 4),
        ("thousands", 0, 4),
    ];
    assert_eq!(seen, expected);
    assert_eq!(results["at most 200"].margins, Some((-199, -49)));
    assert_eq!(results["both"].frontier, 2);
    let digits = &results["digits"].buckets;
    assert_eq!((digits[[1].as_slice()], digits[[2].as_slice()], digits.len()), (2, 2, 2));
    assert!((results["is_small"].success_rate() - 75.0).abs() < 1e-9);

    let [failure] = checks.failures() else { panic!("{:?}", checks.failures()) };
    assert_eq!((failure.name.as_str(), failure.detail.as_str()), ("is_small", "it is 151"));
    assert!(failure.to_string().contains("crates/sim/src/chaos/tests.rs:"), "{failure}");
}

#[test]
fn contracts_name_what_failed_what_never_held_and_what_never_ran() {
    let checks = tallied(Buggify::default(), || {
        program::counts(&[77]);
        silent::ask(false);
    });
    let found: Vec<String> = violations(&checks)
        .iter()
        .map(ToString::to_string)
        .map(|text| text.replace("crates/sim/src/chaos/tests.rs", "F"))
        .map(|text| {
            text.split_once(" at F:").map_or(text.clone(), |(name, rest)| {
                let (_line, what) = rest.split_once(": ").unwrap();
                format!("{name}: {what}")
            })
        })
        .collect();
    let expected = [
        "sometimes \"is_even\": looked at 1 times and never so",
        "sometimes \"thousands\": looked at 1 times and never so",
        "unreachable \"77\": failed 1 of 1 times",
        "reachable \"negative\": never executed",
        "always \"must not be skipped\": never executed",
    ];
    assert_eq!(found, expected);
    assert!(!all_sometimes_reached(&checks));

    let checks = tallied(Buggify::default(), || silent::ask(true));
    assert_eq!(violations(&checks), []);
    assert!(!all_sometimes_reached(&checks), "there is none");
    let checks = tallied(Buggify::default(), || program::counts(&[-1, 1002, 51]));
    assert!(all_sometimes_reached(&checks), "{:?}", checks.results());
}

#[test]
fn tables_of_runs_add_up() {
    let mut total = Checks::default();
    for number in 0..300 {
        total.absorb(&tallied(Buggify::default(), || program::counts(&[number])));
    }
    let results = total.results();
    assert_eq!((results["is_small"].successes, results["is_small"].total_checks), (100, 300));
    assert_eq!(results["digits"].buckets.len(), 10);
    assert_eq!(results["at most 200"].margins, Some((-200, 99)));
    // 200 of `is_small`, 99 of `at most 200`, 1 of `77`; the first hundred are kept.
    assert_eq!((total.failure_count(), total.failures().len()), (300, 100));
}

#[test]
fn what_is_published_is_seen_by_the_seeds_functions() {
    crate::reset_assertion_results();
    publish(&tallied(Buggify::default(), || program::counts(&[77])));
    assert_eq!(crate::get_assertion_results()["77"].total_checks, 1);
    assert!(crate::validate_assertion_contracts().iter().any(|text| text.starts_with("unreachable \"77\"")));
    crate::reset_assertion_results();
    assert_eq!(crate::get_assertion_results().len(), 0);
}

fn two_places() -> (bool, bool) {
    (crate::buggify!("first"), crate::buggify_with_prob!(1.0, "second"))
}

#[test]
fn buggify_is_off_outside_of_a_simulation() {
    let checks = tallied(Buggify::default(), || assert_eq!(two_places(), (false, false)));
    assert_eq!(listing(&checks), []);
}

#[test]
fn buggify_init_is_honoured_in_both_stages() {
    let all = tallied(Buggify::default(), || {
        crate::buggify_init(1.0, 1.0);
        assert_eq!(two_places(), (true, true));
        crate::buggify_init(1.0, 0.0);
        assert_eq!(two_places(), (false, true));
        crate::buggify_init(0.0, 1.0);
        assert_eq!(two_places(), (false, false));
        crate::buggify_init(1.0, 1.0);
        crate::buggify_reset();
        assert_eq!(two_places(), (false, false));
    });
    let listed = listing(&all);
    let seen: Vec<_> = listed.iter().map(|s| (s.site.name(), s.active_runs, s.fired, s.calls)).collect();
    assert_eq!(seen, [("first", 2, 1, 3), ("second", 2, 2, 3)]);
    assert!(listed[0].to_string().contains("tests.rs:"), "{}", listed[0]);
}

/// A quarter of places active, an active one fires a quarter of the times; an inactive one never.
#[test]
fn buggify_has_two_stages_of_a_quarter() {
    let (mut active, mut fired) = (0_u32, 0_u32);
    for seed in 0..2_000 {
        let mut own = Buggify::on(Chance::one_in(1, 4), Chance::one_in(1, 4));
        own.decide_by(crate::choice::Choices::drawn(seed));
        let mut now = 0;
        let checks = tallied(own, || {
            now = (0..20).map(|_| u32::from(crate::buggify!("staged"))).sum();
        });
        let is_active = listing(&checks)[0].active_runs == 1;
        assert!(is_active || now == 0);
        active += u32::from(is_active);
        fired += now;
    }
    // Standard deviations: sqrt(2000 * 3/16) = 19, and of the firing given it sqrt(500 * 20 * 3/16) = 43.
    assert!((384..=616).contains(&active), "{active}");
    assert!((active * 5 - 260..=active * 5 + 260).contains(&fired), "{fired} of {active}");
}

#[test]
fn a_knob_is_turned_once_a_run() {
    let knob = || crate::buggify_knob!(1000_u32, 5..9, "knob");
    let checks = tallied(Buggify::default(), || assert_eq!(knob(), 1000));
    assert_eq!(listing(&checks), []);
    let mut values = std::collections::BTreeSet::new();
    for seed in 0..64 {
        let mut own = Buggify::on(Chance::ALWAYS, Chance::NEVER);
        own.decide_by(crate::choice::Choices::drawn(seed));
        tallied(own, || {
            let value = knob();
            assert_eq!([knob(), knob()], [value, value]);
            values.insert(value);
        });
    }
    assert_eq!(values.into_iter().collect::<Vec<_>>(), [5, 6, 7, 8]);
}

#[test]
fn sites_are_known_before_they_are_executed() {
    fn never_called<T: Default>() -> T {
        crate::assert_reachable!("in a generic function that nothing calls");
        T::default()
    }
    let _ = never_called::<u8>;
    let found = sites().iter().find(|site| site.name() == "in a generic function that nothing calls");
    let found = found.expect("the linker gathers it");
    assert_eq!((found.module(), found.kind().name()), ("samestep_sim::chaos::tests", "reachable"));
    assert!(sites().is_sorted());
}

#[test]
fn state_is_shown_as_json_and_as_values() {
    let state = StateRegistry::new();
    state.register_state("leader", json!({"term": 3}));
    state.publish("log", vec![1_u8, 2]);
    assert_eq!(state.get_state("leader"), Some(json!({"term": 3})));
    assert_eq!(state.get_all_states().len(), 1);
    assert_eq!(state.get::<Vec<u8>>("log"), Some(vec![1, 2]));
    assert_eq!(state.get::<String>("log"), None);
    assert_eq!(state.inspect("log", |log: &Vec<u8>| log.len()), Some(2));
    assert!(state.contains("log") && state.contains("leader") && !state.contains("other"));
    assert_eq!(state.changes(), 2);
    state.clear();
    assert!(!state.contains("log") && !state.contains("leader"));
}

/// A value whose drop uses the registry: nothing may be borrowed then.
#[test]
fn what_is_shown_may_use_the_registry_in_its_drop() {
    struct Says(StateRegistry);
    impl Drop for Says {
        fn drop(&mut self) {
            self.0.register_state("dropped", json!(true));
        }
    }
    let state = StateRegistry::new();
    state.publish("value", Says(state.clone()));
    state.publish("value", 1);
    assert_eq!(state.get_state("dropped"), Some(json!(true)));
}

#[test]
fn invariants_look_at_what_is_new_and_a_panic_is_a_failure() {
    let state = StateRegistry::new();
    let looks = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&looks);
    let counts = invariant_fn("counts", move |view| {
        seen.borrow_mut().push((view.time().as_nanos(), view.state().get_all_states().len()));
        Ok(())
    });
    let one_leader: super::InvariantCheck = Box::new(|states, milliseconds| {
        let leaders = states.values().filter(|state| **state == json!("leader")).count();
        assert!(leaders < 2, "{leaders} leaders at {milliseconds} ms");
    });
    let json = JsonInvariant { name: "one leader".into(), check: std::sync::Arc::new(one_leader) };
    let mut invariants = Invariants::new(vec![Box::new(counts), Box::new(json)]);
    let checks = tallied(Buggify::default(), || {
        state.register_state("a", json!("leader"));
        invariants.look(SimTime::from_nanos(1_000_000), &[], &state, true);
        invariants.look(SimTime::from_nanos(2_000_000), &[], &state, false);
        state.register_state("b", json!("leader"));
        invariants.look(SimTime::from_nanos(3_000_000), &[], &state, true);
    });
    assert_eq!(*looks.borrow(), [(1_000_000, 1), (2_000_000, 1), (3_000_000, 2)]);
    let found: Vec<_> = checks.failures().iter().map(|f| (f.name.as_str(), f.detail.as_str())).collect();
    assert_eq!(found, [("one leader", "2 leaders at 3 ms")]);
}
