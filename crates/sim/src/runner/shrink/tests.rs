use std::cell::RefCell;
use std::rc::Rc;

use crate::chaos::Checks;
use crate::choice::{Chance, ChoiceFamily, ChoiceKey, Choices, Tape};
use crate::runner::scenario::{Outcome, Request};
use crate::runner::shrink::shrink;
use crate::runner::{Failure, RunPlan, run_one};
use crate::world::{SimWorld, WorldConfig};

/// A run of 600 decisions that fails if two of them, and one value, are as they must be.
fn two_faults(request: &Request) -> Outcome {
    let config = WorldConfig::new(request.seed);
    let config = match &request.tape {
        Some(tape) => config.replay(tape.clone()),
        None => config.keep_tape(),
    };
    let failed = Rc::new(RefCell::new(false));
    let report = run_one(
        &RunPlan::new(config),
        |world: &SimWorld| {
            let is_bad = decide(&mut world.shared.core.borrow_mut().kernel.choices);
            *failed.borrow_mut() = is_bad;
            if is_bad {
                world.fail(Failure::Check { name: "both".into(), message: String::new() });
            }
            world.spawn(None, "main", async { Ok(()) })
        },
        &mut |_| {},
    );
    Outcome {
        report,
        checks: Checks::default(),
        config: 0,
        families_on: Vec::new(),
        nodes: Vec::new(),
        dump: None,
        states: std::collections::BTreeMap::new(),
        notes: Vec::new(),
    }
}

fn decide(choices: &mut Choices) -> bool {
    let mut seen = Vec::new();
    for _ in 0..200 {
        for place in 0..2 {
            seen.push(choices.happens(ChoiceFamily::Network, place, Chance::one_in(1, 2)));
        }
        choices.pick(ChoiceFamily::Latency, 0, 1_000);
    }
    // One of each of two links, and of a disk a value of 100 at least.
    seen[17] && seen[300] && choices.pick(ChoiceFamily::Disk, 3, 1_000) >= 100
}

#[test]
fn two_faults_shrink_to_just_those_two_and_the_least_value() {
    let key = |family, place, number| ChoiceKey { family, place, number };
    // Numbers 17 and 300 of all are numbers 8 of place 1 and 150 of place 0.
    let expected = Tape::from([
        (key(ChoiceFamily::Network, 0, 150), 1),
        (key(ChoiceFamily::Network, 1, 8), 1),
        (key(ChoiceFamily::Disk, 3, 0), 100),
    ]);
    let mut found = 0;
    for seed in 0..20 {
        let request = Request { keeps_tape: true, ..Request::of_seed(seed) };
        let outcome = two_faults(&request);
        let Some(failure) = outcome.failure() else { continue };
        let shrunk = shrink(&two_faults, seed, outcome.report.tape.clone(), failure, 2_000).unwrap();
        assert_eq!(shrunk.tape, expected);
        assert!(!shrunk.is_cut_short && shrunk.choices_before > 300, "{shrunk:?}");
        assert_eq!(shrunk.failures.first(), Some(failure));
        found += 1;
    }
    assert!(found >= 2, "{found}");
}

#[test]
fn a_run_that_does_not_fail_again_is_not_shrunk() {
    let failure = Failure::Check { name: "other".into(), message: String::new() };
    assert!(shrink(&two_faults, 1, Tape::new(), &failure, 100).is_none());
}

#[test]
fn it_ends_when_it_has_run_often_enough() {
    let seed = (0..1_000).find(|seed| two_faults(&Request::of_seed(*seed)).failure().is_some()).unwrap();
    let outcome = two_faults(&Request { keeps_tape: true, ..Request::of_seed(seed) });
    let failure = outcome.failure().unwrap();
    let shrunk = shrink(&two_faults, seed, outcome.report.tape.clone(), failure, 5).unwrap();
    assert!(shrunk.is_cut_short && shrunk.runs == 5 && shrunk.tape.len() > 3, "{shrunk:?}");
}
