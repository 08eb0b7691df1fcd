//! The machine, opcode by opcode.
//!
//! Expected values are reductions done by hand from the specification of Nock 4K,
//! <https://docs.urbit.org/nock/definition>.

use std::cell::Cell;

use samestep_noun::{
    CrashReason, Nock, NockError, NockLimits, Noun, ScryAnswer, WATCH_EVERY, Watch, live_bytes, nock,
};

use crate::alloc::peak_bytes;

fn noun(text: &str) -> Noun {
    text.parse().unwrap()
}

/// `*[subject formula]` is the third.
fn check(cases: &[(&str, &str, &str)]) {
    for (subject, formula, product) in cases {
        let found = nock(&noun(subject), &noun(formula));
        assert_eq!(found, Ok(noun(product)), "*[{subject} {formula}]");
    }
}

/// `*[subject formula]` crashes.
fn crash(subject: &str, formula: &str) -> CrashReason {
    match nock(&noun(subject), &noun(formula)) {
        Err(NockError::Crash { reason, .. }) => reason,
        other => panic!("*[{subject} {formula}] is {other:?}"),
    }
}

fn no_axis(axis: &str) -> CrashReason {
    CrashReason::NoSuchAxis { axis: axis.to_owned() }
}

fn malformed(opcode: u64) -> CrashReason {
    CrashReason::MalformedFormula { opcode }
}

#[test]
fn opcode_0_is_a_part_of_the_subject() {
    check(&[
        ("[[4 5] 6 7]", "[0 1]", "[[4 5] 6 7]"),
        ("[[4 5] 6 7]", "[0 2]", "[4 5]"),
        ("[[4 5] 6 7]", "[0 5]", "5"),
        ("[[4 5] 6 7]", "[0 7]", "7"),
        ("42", "[0 1]", "42"),
    ]);
    assert_eq!(crash("42", "[0 2]"), no_axis("2"));
    assert_eq!(crash("[1 2]", "[0 0]"), CrashReason::BadAxis);
    assert_eq!(crash("[1 2]", "[0 [1 1]]"), CrashReason::BadAxis);
    assert_eq!(crash("[1 2]", "[0 0x1000000000000000000]"), no_axis("0x01000000000000000000"));
    // Inside another formula as well.
    assert_eq!(crash("[1 2]", "[4 0 0]"), CrashReason::BadAxis);
    assert_eq!(crash("[1 2]", "[4 0 8]"), no_axis("8"));
}

#[test]
fn opcode_1_is_a_constant() {
    check(&[("42", "[1 0]", "0"), ("42", "[1 153 218]", "[153 218]")]);
}

#[test]
fn opcode_2_evaluates_a_formula_that_was_made() {
    check(&[
        ("[40 [4 0 1]]", "[2 [0 2] 0 3]", "41"),
        ("77", "[2 [1 42] 1 1 153 218]", "[153 218]"),
        ("[1 2]", "[2 [[0 3] 0 2] 1 0 1]", "[2 1]"),
    ]);
    assert_eq!(crash("1", "[2 0 1]"), CrashReason::AtomicFormula);
    assert_eq!(crash("1", "[2 [0 1] 0 1]"), CrashReason::AtomicFormula);
    assert_eq!(crash("1", "[2 1]"), malformed(2));
}

#[test]
fn opcode_3_asks_for_a_cell() {
    check(&[("[1 2]", "[3 0 1]", "0"), ("[1 2]", "[3 0 2]", "1")]);
    assert_eq!(crash("1", "[3 1]"), CrashReason::AtomicFormula);
}

#[test]
fn opcode_4_adds_one() {
    check(&[
        ("41", "[4 0 1]", "42"),
        ("0xffffffffffffffff", "[4 0 1]", "0x10000000000000000"),
        ("0xffffffffffffffffffff", "[4 4 0 1]", "0x100000000000000000001"),
    ]);
    assert_eq!(crash("[1 2]", "[4 0 1]"), CrashReason::IncrementOfCell);
}

#[test]
fn opcode_5_compares() {
    check(&[
        ("[[1 2] 1 2]", "[5 [0 2] 0 3]", "0"),
        ("[[1 2] 1 3]", "[5 [0 2] 0 3]", "1"),
        ("[1 1 2]", "[5 [0 2] 0 3]", "1"),
        ("3", "[5 [4 0 1] 1 4]", "0"),
    ]);
    assert_eq!(crash("1", "[5 0]"), malformed(5));
}

#[test]
fn opcode_6_branches_and_leaves_the_other_branch_alone() {
    check(&[
        ("42", "[6 [1 0] [4 0 1] 0 0]", "43"),
        ("42", "[6 [1 1] [0 0] 1 233]", "233"),
        ("42", "[6 [3 0 1] [0 0] 4 4 0 1]", "44"),
    ]);
    assert_eq!(crash("1", "[6 [1 2] [1 0] 1 0]"), CrashReason::NotLoobean);
    assert_eq!(crash("1", "[6 [1 0 0] [1 0] 1 0]"), CrashReason::NotLoobean);
    assert_eq!(crash("1", "[6 [1 0] 1]"), malformed(6));
}

#[test]
fn opcode_7_composes() {
    check(&[("42", "[7 [4 0 1] 4 0 1]", "44"), ("[1 2]", "[7 [0 3] [0 1] 0 1]", "[2 2]")]);
    assert_eq!(crash("1", "[7 [0 1] 1]"), CrashReason::AtomicFormula);
}

#[test]
fn opcode_8_extends_the_subject() {
    check(&[("42", "[8 [4 0 1] 0 1]", "[43 42]"), ("42", "[8 [4 0 1] 4 0 3]", "43")]);
    assert_eq!(crash("1", "[8 0 1]"), CrashReason::AtomicFormula);
}

#[test]
fn opcode_9_calls_an_arm_on_its_core() {
    check(&[("[[4 0 3] 41]", "[9 2 0 1]", "42"), ("5", "[9 2 [1 [0 3] 7]]", "7")]);
    assert_eq!(crash("5", "[9 2 0 1]"), no_axis("2"));
    assert_eq!(crash("5", "[9 0 0 1]"), CrashReason::BadAxis);
}

#[test]
fn opcode_10_edits() {
    check(&[
        ("[[4 5] 6 7]", "[10 [2 1 11] 0 1]", "[11 6 7]"),
        ("[[4 5] 6 7]", "[10 [5 4 0 4] 0 1]", "[[4 5] 6 7]"),
        ("[[4 5] 6 7]", "[10 [7 [0 2]] 0 1]", "[[4 5] 6 4 5]"),
        ("[[4 5] 6 7]", "[10 [6 1 0] 0 1]", "[[4 5] 0 7]"),
        ("9", "[10 [1 1 8] 0 1]", "8"),
    ]);
    assert_eq!(crash("[1 2]", "[10 [0 1 3] 0 1]"), CrashReason::BadAxis);
    assert_eq!(crash("[1 2]", "[10 [4 1 3] 0 1]"), no_axis("4"));
    assert_eq!(crash("[1 2]", "[10 3 0 1]"), malformed(10));
    // The part and the target are evaluated, whatever the axis.
    assert_eq!(crash("[1 2]", "[10 [1 1 3] 0 4]"), no_axis("4"));
    assert_eq!(crash("[1 2]", "[10 [2 0 4] 0 1]"), no_axis("4"));
}

#[test]
fn opcode_11_gives_hints_that_change_nothing() {
    check(&[("41", "[11 37 4 0 1]", "42"), ("41", "[11 [%mean 4 0 1] 4 0 1]", "42")]);
    // A clue is evaluated, and may crash.
    assert_eq!(crash("41", "[11 [%mean 0 2] 4 0 1]"), no_axis("2"));
}

/// Only a handler makes 12 more than a crash.
#[test]
fn opcode_12_asks_the_handler() {
    assert_eq!(crash("5", "[12 [1 0] 1 0]"), CrashReason::BareScry);
    let mut answers = Nock::new(NockLimits::default()).with_scry(|reference, path| match path.as_u64() {
        Some(1) => ScryAnswer::Known(Noun::cell(reference, path)),
        Some(2) => ScryAnswer::Absent,
        _ => ScryAnswer::Blocked,
    });
    let mut ask = |formula: &str| answers.run(&Noun::from(5), &noun(formula));
    assert_eq!(ask("[12 [4 0 1] 1 1]"), Ok(noun("[6 1]")));
    let absent = CrashReason::ScryAbsent { path: "2".to_owned() };
    assert!(matches!(ask("[12 [1 0] 1 2]"), Err(NockError::Crash { reason, .. }) if reason == absent));
    assert_eq!(ask("[12 [1 0] 1 3 4]"), Err(NockError::Blocked { path: "[3 4]".to_owned() }));
}

#[test]
fn a_cell_as_operator_makes_a_cell() {
    check(&[("42", "[[4 0 1] 3 0 1]", "[43 1]"), ("1", "[[[0 1] 0 1] [0 1] [1 2]]", "[[1 1] 1 2]")]);
}

#[test]
fn what_is_no_formula_crashes() {
    assert_eq!(crash("1", "5"), CrashReason::AtomicFormula);
    assert_eq!(crash("1", "[13 0]"), CrashReason::UnknownOpcode { opcode: "13".to_owned() });
    let large = CrashReason::UnknownOpcode { opcode: "0x010000000000000000".to_owned() };
    assert_eq!(crash("1", "[0x10000000000000000 0]"), large);
}

/// Decrement, which counts up to the number: n calls, constant stack.
const DECREMENT: &str = "[8 [1 0] 8 [1 6 [5 [0 7] 4 0 6] [0 6] 9 2 [0 2] [4 0 6] 0 7] 9 2 0 1]";

#[test]
fn decrement_counts_a_million_in_constant_memory() {
    let (product, peak) = peak_bytes(|| nock(&Noun::from(1_000_000), &noun(DECREMENT)));
    assert_eq!(product, Ok(Noun::from(999_999)));
    assert!(peak < 20_000, "{peak}");
    // 0 has no predecessor, and it is looked for until the fuel is gone.
    let mut short = Nock::new(NockLimits::default().with_fuel(10_000));
    assert!(matches!(
        short.run(&Noun::ZERO, &noun(DECREMENT)),
        Err(NockError::OutOfFuel { fuel: 10_000, .. })
    ));
    assert_eq!(short.reductions(), 10_000);
}

/// A loop through the tail position of each opcode runs for a million turns on the same stack, hints of traces
/// included. The subject is `[formula count]`; each turn counts down from the million by counting up to it.
#[test]
fn tail_positions_add_nothing_to_the_stack() {
    let again = "[[0 2] 4 0 3]";
    let turns = [
        format!("[2 {again} 0 2]"),
        format!("[7 {again} 2 [0 1] 0 2]"),
        "[8 [0 1] 2 [[0 6] 4 0 7] 0 6]".to_owned(),
        format!("[9 2 {again}]"),
        format!("[11 7 2 {again} 0 2]"),
        format!("[11 [%spot 0 3] 2 {again} 0 2]"),
        format!("[11 [%mean 0 1] 9 2 {again}]"),
    ];
    for turn in turns {
        let formula = noun(&format!("[6 [5 [0 3] 1 1000000] [1 %done] {turn}]"));
        let subject = Noun::cell(&formula, 0);
        let (product, peak) = peak_bytes(|| nock(&subject, &formula));
        assert_eq!(product, Ok(Noun::from("done")), "{turn}");
        assert!(peak < 20_000, "{turn}: {peak}");
    }
}

/// Recursion that is not in tail position uses the heap, as long as there is memory, and never the stack.
#[test]
fn deep_recursion_uses_the_heap() {
    // Count down from the subject by a list: [n-1 .. ] grows by one cell per frame.
    let formula = noun("[6 [5 [0 3] 1 1000000] [1 0] [0 3] 2 [[0 2] 4 0 3] 0 2]");
    let subject = Noun::cell(&formula, 0);
    let product = nock(&subject, &formula).unwrap();
    assert_eq!(product.items().count(), 1_000_000);
    let mut small = Nock::new(NockLimits::default().with_memory_bytes_max(1_000_000));
    let (outcome, peak) = peak_bytes(|| small.run(&subject, &formula));
    assert!(
        matches!(outcome, Err(NockError::OutOfMemory { memory_bytes_max: 1_000_000, .. })),
        "{outcome:?}"
    );
    assert!(peak < 4_000_000, "{peak}");
}

/// A noun that grows without end meets the limit, and everything is given back.
#[test]
fn memory_has_a_limit() {
    let before = live_bytes();
    {
        let formula = noun("[2 [[0 2] [0 3] 0 3] 0 2]");
        let hoard = noun("[2 [[0 2] [4 0 6] 0 7] 0 2]");
        let list = noun("[2 [[0 2] [1 1] 0 3] 0 2]");
        let mut small =
            Nock::new(NockLimits::default().with_fuel(3_000_000).with_memory_bytes_max(10_000_000));
        for formula in [formula, list] {
            let outcome = small.run(&Noun::cell(&formula, (0, 0)), &formula);
            assert!(matches!(outcome, Err(NockError::OutOfMemory { .. })), "{outcome:?}");
            assert!(small.reductions() < 1_000_000);
        }
        // What is given up again does not count.
        let outcome = small.run(&Noun::cell(&hoard, (0, 0)), &hoard);
        assert!(matches!(outcome, Err(NockError::OutOfFuel { .. })), "{outcome:?}");
    }
    assert_eq!(live_bytes(), before);
}

#[test]
fn a_watcher_ends_it() {
    let endless = noun("[2 [0 1] 0 1]");
    for (answer, is_it) in [
        (Watch::Deadline, (|error| matches!(error, NockError::Deadline { .. })) as fn(&NockError) -> bool),
        (Watch::Interrupt, |error| matches!(error, NockError::Interrupted { .. })),
    ] {
        let asked = Cell::new(0);
        let mut machine = Nock::new(NockLimits::default()).with_watch(|| {
            asked.set(asked.get() + 1);
            if asked.get() == 4 { answer } else { Watch::Continue }
        });
        let error = machine.run(&endless, &endless).unwrap_err();
        assert!(is_it(&error), "{error:?}");
        assert_eq!(machine.reductions(), 3 * WATCH_EVERY);
    }
}

/// A crash tells the hints around it, innermost first, and not those that are over.
#[test]
fn a_crash_has_a_trace() {
    let formula = noun(
        "[11 [%spot 1 [%sys %arvo %hoon 0] [12 3] 14 15] \
          8 [11 [%mean 1 'over by then'] 1 0] \
          [11 [%mean 1 %leaf 97 98 99 0] 11 [%fast 1 1] 11 [%mean 0 1] 4 0 0] 0 1]",
    );
    let mut machine = Nock::new(NockLimits::default());
    let error = machine.run(&noun("[1 2]"), &formula).unwrap_err();
    expect_test::expect![[r#"
        crash: an axis is 0 or a cell
          at %mean [0 1 2]
          at %mean abc
          at %spot /sys/arvo/hoon:<[12 3].[14 15]>"#]]
    .assert_eq(&error.to_string());
    let innermost = machine.trace().next().map(|(tag, clue)| (tag.clone(), clue.clone()));
    assert_eq!(innermost, Some((Noun::from("mean"), noun("[0 1 2]"))));
}

/// A trace has an end, however deep the crash is.
#[test]
fn a_trace_is_bounded() {
    let formula = noun("[6 [5 [0 3] 1 1000] [0 0] 11 [%mean 0 3] [0 3] 2 [[0 2] 4 0 3] 0 2]");
    let error = nock(&Noun::cell(&formula, 0), &formula).unwrap_err();
    let NockError::Crash { trace, .. } = error else { panic!("{error:?}") };
    assert_eq!((trace.entries.len(), trace.omitted_count), (64, 1000 - 64));
    assert_eq!(trace.entries[0].text, "999");
}
