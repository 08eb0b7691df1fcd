//! What reports say.

use std::path::PathBuf;
use std::time::Duration;

use expect_test::{Expect, expect};
use samestep_replay_traits::{Expectation, Seed};

use super::layout_note;
use crate::lock::Entry;
use crate::record::{Machine, Part};
use crate::report::{Choice, LaneReport, Setting, Summary};
use crate::tally::{Locked, Outcome, RunFailure, Skips, Tally, Verdict};

const SEED: Seed = Seed::new(1);

#[track_caller]
fn check(runs: &[(u32, Outcome)], locked: Locked, expected: &Expect) {
    let mut tally = Tally::new(Expectation::Same);
    for (variation, outcome) in runs {
        tally.handle_run(*variation, outcome.clone(), Duration::from_micros(1500));
    }
    let (run_count, run_mean) = (tally.run_count(), tally.run_mean());
    let verdict = tally.judge(SEED, locked, Skips::Refused);
    let kept = vec![PathBuf::from("kept/one"), PathBuf::from("kept/two")];
    let report = LaneReport { name: "a/b".into(), seed: SEED, verdict, run_count, run_mean, kept };
    let setting = Setting {
        command: "cargo xtask determinism".into(),
        lock_path: "determinism.lock".into(),
        parts: vec![part()],
    };
    expected.assert_eq(&report.render(&setting));
}

fn part() -> Part {
    let machine = Machine { name: "one".into(), system: "linux".into(), cpu_count: 2, job_count: 2 };
    Part {
        machine,
        command: "lanes".into(),
        lock_path: "determinism.lock".into(),
        first: 0,
        end: 100,
        wall_ns: 1_234_000_000,
    }
}

fn wrote(text: &str) -> Outcome {
    Outcome::Transcript(text.to_owned())
}

#[test]
fn held() {
    check(
        &[(0, wrote("a\n"))],
        Locked::Entry(Entry::of(SEED, "a\n")),
        &expect![[r#"
        held     a/b  1 runs, 1.5 ms each, 1 lines, digest ea7daf8b8b8e0899adea399fbae36cb2
    "#]],
    );
    check(
        &[(0, wrote("a\n"))],
        Locked::Entry(Entry::of(Seed::new(2), "a\n")),
        &expect![[r#"
        held     a/b  1 runs, 1.5 ms each, 1 lines, digest ea7daf8b8b8e0899adea399fbae36cb2; NOT compared with the lock file: seed 1 here, 2 there
    "#]],
    );
}

#[test]
fn diverged() {
    let runs = [(0, wrote("a\nb\nc\n")), (1, wrote("a\nb\nc\n")), (2, wrote("a\nx\nc\n"))];
    check(
        &runs,
        Locked::Blessing,
        &expect![[r#"
        FAILED   a/b  two runs wrote different transcripts
          seed 1, 3 runs, 1.5 ms each
          2 runs wrote what iteration 0 did, 1 what iteration 2 did, 0 something else
          the first line that differs is line 2:
          iteration 0
                  1 | a
            >     2 | b
                  3 | c
          iteration 2
                  1 | a
            >     2 | x
                  3 | c
          what differed around them (iteration 0 / iteration 2)
            time zone (TZ): UTC / AoE12
            locale (LANG, LC_ALL): C / de_DE.UTF-8
            heap fill (MALLOC_PERTURB_): 0 / 85
            heap blocks before the lane: 254 / 868
            thread counts (RAYON_NUM_THREADS, ..): 4 / 3
            extra environment: 0 variables, 0 bytes / 2 variables, 899 bytes
            depth of the current directory: 1 / 3
            and in any two processes: hash seeds, addresses, process ids, folder names, wall time
          repeat: cargo xtask determinism --lane a/b --seed 1 --variation 0 --variation 2
          kept:   kept/one
                  kept/two
    "#]],
    );
}

#[test]
fn not_as_locked() {
    check(
        &[(0, wrote("a\n"))],
        Locked::Entry(Entry::of(SEED, "b\nc\n")),
        &expect![[r#"
        FAILED   a/b  the transcript is not the one in the lock file
          seed 1, 1 runs, 1.5 ms each
          locked  seed 1, 2 lines, digest ef95ab4c2bc5280afecbb4b8e2314b55
          found   seed 1, 1 lines, digest ea7daf8b8b8e0899adea399fbae36cb2
          The runs agree with each other, so this is no flake: the lane does something else
          than when determinism.lock was signed off.
          if that is meant: cargo xtask determinism --lane a/b --bless
          kept:   kept/one
                  kept/two
    "#]],
    );
}

#[test]
fn not_locked() {
    check(
        &[(0, wrote("a\n"))],
        Locked::Absent,
        &expect![[r#"
        FAILED   a/b  the lock file has no line for it
          seed 1, 1 runs, 1.5 ms each
          found   seed 1, 1 lines, digest ea7daf8b8b8e0899adea399fbae36cb2
          to add it to determinism.lock: cargo xtask determinism --lane a/b --bless
          kept:   kept/one
                  kept/two
    "#]],
    );
}

#[test]
fn failed() {
    let failure = RunFailure { what: "exited with 101 (a panic)".into(), output_tail: "one\ntwo".into() };
    check(
        &[(3, Outcome::Failed(failure))],
        Locked::Absent,
        &expect![[r#"
        FAILED   a/b  iteration 3 exited with 101 (a panic)
          seed 1, 1 runs, 1.5 ms each
          the end of what it printed:
            | one
            | two
          repeat: cargo xtask determinism --lane a/b --seed 1 --variation 3
          kept:   kept/one
                  kept/two
    "#]],
    );
}

#[test]
fn skipped() {
    let skip = || Outcome::Skipped { reason: "no ring".into() };
    check(
        &[(0, skip()), (1, skip())],
        Locked::Absent,
        &expect![[r#"
        FAILED   a/b  skipped where SAMESTEP_REQUIRE=all forbids it: no ring
          seed 1, 2 runs, 1.5 ms each
          kept:   kept/one
                  kept/two
    "#]],
    );
    check(
        &[(0, wrote("a\n")), (1, skip())],
        Locked::Absent,
        &expect![[r#"
        FAILED   a/b  1 runs were skipped (the first is iteration 1) and others not (iteration 0)
          seed 1, 2 runs, 1.5 ms each
          reason given: no ring
          what differed around them (iteration 0 / iteration 1)
            time zone (TZ): UTC / Asia/Kathmandu
            locale (LANG, LC_ALL): C / en_US.UTF-8
            heap fill (MALLOC_PERTURB_): 0 / 255
            heap blocks before the lane: 254 / 121
            CPUs: 2 of 2, from number 0 / 1 of 2, from number 1
            thread counts (RAYON_NUM_THREADS, ..): 4 / 1
            extra environment: 0 variables, 0 bytes / 1 variables, 529 bytes
            depth of the current directory: 1 / 2
            and in any two processes: hash seeds, addresses, process ids, folder names, wall time
          repeat: cargo xtask determinism --lane a/b --seed 1 --variation 0 --variation 1
          kept:   kept/one
                  kept/two
    "#]],
    );
}

#[test]
fn a_summary_demands_a_canary_of_every_check() {
    let mut summary = Summary { held: 1, ..Summary::default() };
    assert!(!summary.has_held(Choice::Check));
    assert!(summary.has_held(Choice::Repeat));
    summary.handle_verdict(&Verdict::Caught { transcript_count: 2 });
    assert!(summary.has_held(Choice::Check));
    expect![[r#"
        same: 1 held, 0 failed, 0 skipped, 1 canaries caught, in 1.2 s
    "#]]
    .assert_eq(&summary.render(Choice::Check, Duration::from_millis(1234)));
    summary.handle_verdict(&Verdict::Skipped { reason: String::new() });
    assert!(summary.has_held(Choice::Check));
    summary.failed = 1;
    assert!(!summary.has_held(Choice::Check) && !summary.has_held(Choice::Repeat));
    let summary = Summary { failed: 1, not_compared: 2, ..Summary::default() };
    expect![[r#"
        NOT THE SAME: 0 held, 1 failed, 0 skipped, 0 canaries caught, in 1.2 s
        note: 2 lanes were not compared with the lock file
        note: no canary was caught, so nothing shows that a difference would be noticed
    "#]]
    .assert_eq(&summary.render(Choice::Repeat, Duration::from_millis(1234)));
}

#[test]
fn layouts_that_do_not_differ_are_noted() {
    assert_eq!(layout_note(Some("2\n"), Some("00000000\n")), None);
    assert_eq!(layout_note(None, None), None);
    assert!(layout_note(Some("0\n"), None).is_some_and(|note| note.contains("randomize_va_space")));
    assert!(layout_note(Some("2\n"), Some("00040000\n")).is_some_and(|note| note.contains("ADDR_NO")));
}
