use crate::draws::{Stream, scale};
use crate::oracle::{
    History, KvHistory, LogAgreement, LogDisagreement, Register, RegisterOperation as Op,
    RegisterOutcome as Out, ReplicaHashes, Specification, Verdict, state_hash,
};

type Calls = Vec<(u64, Option<u64>, Op<u8>, Option<Out<u8>>)>;

/// Tries all orders of all subsets that have every call that returned: the definition, without any cleverness.
fn has_order(calls: &Calls) -> bool {
    fn extend(calls: &Calls, used: &mut Vec<usize>, state: Option<u8>) -> bool {
        let rest: Vec<usize> = (0..calls.len()).filter(|place| !used.contains(place)).collect();
        if rest.iter().all(|&place| calls[place].1.is_none()) {
            return true;
        }
        rest.iter().any(|&place| {
            let (invoked, _, operation, outcome) = &calls[place];
            let comes_too_early =
                rest.iter().any(|&other| calls[other].1.is_some_and(|returned| returned < *invoked));
            if comes_too_early {
                return false;
            }
            let Some(state) = Register::new().step(&state, operation, outcome.as_ref()) else {
                return false;
            };
            used.push(place);
            let found = extend(calls, used, state);
            used.pop();
            found
        })
    }
    extend(calls, &mut Vec::new(), None)
}

/// A history of up to seven calls by three clients. Outcomes are those of some order half of the time.
fn some_history(random: &mut Stream) -> (History<Register<u8>>, Calls) {
    let mut draw = |bound| scale(random.next_u64(), bound);
    let history = History::new(Register::new());
    let mut calls = Calls::new();
    let mut open: Vec<Option<(usize, super::OpenCall<Register<u8>>)>> = vec![None, None, None];
    let mut state = None;
    let (mut moment, lies) = (0, draw(2) == 0);
    for _ in 0..14 {
        let client = usize::try_from(draw(3)).unwrap();
        match open[client].take() {
            None if calls.len() < 7 => {
                let value = |number: u64| number.checked_sub(1).map(|number| u8::try_from(number).unwrap());
                let operation = match draw(4) {
                    0 | 1 => Op::Read,
                    2 => Op::Write(value(draw(3))),
                    _ => Op::CompareAndSet { expected: value(draw(3)), new: value(draw(3)) },
                };
                let call = history.invoke(client.to_string(), operation.clone());
                open[client] = Some((calls.len(), call));
                calls.push((moment, None, operation, None));
                moment += 1;
            }
            None => {}
            Some((_, call)) if draw(8) == 0 => drop(call),
            Some((place, call)) => {
                let operation = &calls[place].2;
                let honest = match operation {
                    Op::Read => Out::Value(state),
                    Op::Write(_) => Out::Done,
                    Op::CompareAndSet { expected, .. } if *expected == state => Out::Done,
                    Op::CompareAndSet { .. } => Out::Mismatch,
                };
                let told = match operation {
                    Op::Read if lies && draw(4) == 0 => {
                        Out::Value(draw(3).checked_sub(1).map(|n| u8::try_from(n).unwrap()))
                    }
                    _ => honest.clone(),
                };
                state = Register::new().step(&state, operation, Some(&honest)).unwrap();
                (calls[place].1, calls[place].3) = (Some(moment), Some(told.clone()));
                call.returned(told);
                moment += 1;
            }
        }
    }
    (history, calls)
}

#[test]
fn verdicts_are_those_of_all_orders_tried() {
    let mut random = Stream::from_seed(4);
    let mut violations = 0;
    for _ in 0..4_000 {
        let (history, calls) = some_history(&mut random);
        match history.check() {
            Verdict::Linearizable => assert!(has_order(&calls), "{history:?}"),
            Verdict::Violation(explanation) => {
                violations += 1;
                assert!(!has_order(&calls), "{history:?}\n{explanation}");
                // An explanation stands by itself: no order from any state before explains its calls.
                let seen: Calls = explanation
                    .calls()
                    .iter()
                    .map(|call| {
                        let returned = call.returned.as_ref().map(|returned| returned.moment);
                        (call.invoked, returned, call.operation.clone(), call.outcome().cloned())
                    })
                    .collect();
                let from = |state: &Option<u8>| {
                    let mut seen = seen.clone();
                    let first = (0, Some(0), Op::Write(*state), Some(Out::Done));
                    for (invoked, returned, ..) in &mut seen {
                        *invoked += 1;
                        *returned = returned.map(|moment| moment + 1);
                    }
                    seen.insert(0, first);
                    has_order(&seen)
                };
                assert!(!explanation.states_before().iter().any(from), "{history:?}\n{explanation}");
            }
            Verdict::Undecided { .. } => panic!("{history:?}"),
        }
    }
    assert!((400..3_600).contains(&violations), "{violations} of 4000");
}

/// A thousand calls before and after do not make the explanation longer.
#[test]
fn an_explanation_is_the_stale_read_and_what_it_missed() {
    let history = History::new(Register::new());
    let write = |value: u32| history.invoke("w", Op::Write(Some(value))).returned(Out::Done);
    let read = |value: u32| history.invoke("r", Op::Read).returned(Out::Value(Some(value)));
    for value in 0..500 {
        write(value);
        read(value);
    }
    // The read of 7 is underway while 8 is written and seen by another; then 7 comes back.
    write(7);
    let slow = history.invoke("slow", Op::Read);
    write(8);
    read(8);
    read(8);
    slow.returned(Out::Value(Some(7)));
    read(7);
    write(9);
    read(9);
    let Verdict::Violation(explanation) = history.check() else { panic!("stale") };
    assert_eq!(explanation.states_before(), [Some(8)]);
    assert_eq!(explanation.calls().len(), 1, "{explanation}");
    assert_eq!(explanation.culprit().outcome(), Some(&Out::Value(Some(7))));

    let text = explanation.to_string();
    assert!(text.contains("before them it was Some(8)"), "{text}");
    assert!(text.contains("r: Read -> Value(Some(7))    <- impossible since this returned"), "{text}");
}

#[test]
fn writes_whose_outcome_nobody_knows_may_come_late() {
    let history = History::new(Register::new());
    history.invoke("a", Op::Write(Some(1))).returned(Out::Done);
    drop(history.invoke("b", Op::Write(Some(2))));
    let read = |value| history.invoke("c", Op::Read).returned(Out::Value(Some(value)));
    read(1);
    read(1);
    read(2);
    assert!(matches!(history.check(), Verdict::Linearizable));
    read(1);
    let Verdict::Violation(explanation) = history.check() else { panic!("it comes once") };
    // The write of 1 ended before all others began: it is the state before. One read of 1 is enough after it.
    assert_eq!(explanation.states_before(), [Some(1)]);
    assert_eq!(explanation.calls().len(), 3, "{explanation}");
    assert_eq!(explanation.longest_order().count(), 2, "{explanation}");
}

#[test]
fn a_refused_call_never_happened_and_a_hard_history_is_given_up() {
    let history = History::new(Register::new());
    history.invoke("a", Op::Write(Some(1))).refused();
    history.invoke("b", Op::Read).returned(Out::Value(None));
    assert_eq!(history.len(), 1);
    assert!(matches!(history.check(), Verdict::Linearizable));

    for value in 0..40 {
        drop(history.invoke("w", Op::Write(Some(value))));
    }
    history.invoke("b", Op::Read).returned(Out::Value(Some(99)));
    assert!(matches!(history.check_within(100_000), Verdict::Undecided { steps_max: 100_000 }));
    assert!(history.check_within(1).into_result().unwrap_err().contains("1 steps"));
}

#[test]
fn keys_are_checked_one_by_one() {
    let store = KvHistory::new();
    store.put("a", "x", 1).returned(Out::Done);
    store.get("b", "y").returned(Out::Value(None));
    store.invoke("b", "x", Op::CompareAndSet { expected: Some(1), new: None }).returned(Out::Done);
    assert!(store.check().is_none());
    store.get("c", "x").returned(Out::Value(Some(1)));
    let (key, verdict) = store.check().unwrap();
    assert_eq!(key, "x");
    assert!(verdict.into_result().unwrap_err().starts_with("not linearizable"));
}

#[test]
fn a_log_has_one_entry_at_an_index_and_no_holes() {
    let mut log = LogAgreement::new();
    log.committed("a", 0, 'x').unwrap();
    log.committed("b", 0, 'x').unwrap();
    log.committed("b", 1, 'y').unwrap();
    assert_eq!(log.entries().collect::<String>(), "xy");
    assert_eq!(
        log.committed("a", 2, 'z'),
        Err(LogDisagreement::OutOfOrder { replica: "a".into(), index: 2, expected: 1 })
    );
    let differs = log.committed("a", 1, 'z').unwrap_err();
    assert!(matches!(differs, LogDisagreement::Differs { index: 1, expected: 'y', .. }), "{differs}");
    assert_eq!(log.length_of("a"), 1, "what differs is not committed");
    log.came_back("b", 2).unwrap();
    let lost = LogDisagreement::Lost { replica: "b".into(), found: 1, expected: 2 };
    assert_eq!(log.came_back("b", 1), Err(lost));
    log.began_anew("b");
    log.committed("b", 0, 'x').unwrap();
}

#[test]
fn replicas_are_compared_after_the_same_entry() {
    let mut hashes = ReplicaHashes::new();
    hashes.applied("a", 1, state_hash(b"one")).unwrap();
    hashes.applied("b", 1, state_hash(b"one")).unwrap();
    let error = hashes.applied("c", 1, state_hash(b"two")).unwrap_err();
    assert_eq!((error.replica.as_str(), error.other.as_str(), error.index), ("c", "a", 1));
    hashes.forget_below(2);
    hashes.applied("c", 1, state_hash(b"two")).unwrap();
    // XXH3-64 of nothing with seed 0, from its specification.
    assert_eq!(state_hash(b""), 0x2d06_8005_38d3_94c2);
}
