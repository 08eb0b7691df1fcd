//! What the runs of a lane amount to.

use std::time::Duration;

use samestep_replay_traits::{Expectation, Seed};

use super::{Finding, LockCheck, Locked, Outcome, RunFailure, Skips, Tally, Verdict};
use crate::lock::Entry;

const SEED: Seed = Seed::new(1);

fn wrote(text: &str) -> Outcome {
    Outcome::Transcript(text.to_owned())
}

fn skipped() -> Outcome {
    Outcome::Skipped { reason: "no ring".to_owned() }
}

fn failed() -> Outcome {
    Outcome::Failed(RunFailure { what: "exited with 3".to_owned(), output_tail: String::new() })
}

fn tally(expectation: Expectation, runs: &[(u32, Outcome)]) -> Tally {
    let mut tally = Tally::new(expectation);
    for (variation, outcome) in runs {
        tally.handle_run(*variation, outcome.clone(), Duration::from_millis(1));
    }
    tally
}

fn judge(runs: &[(u32, Outcome)], locked: Locked) -> Verdict {
    tally(Expectation::Same, runs).judge(SEED, locked, Skips::Allowed)
}

#[test]
fn equal_runs_hold_if_the_lock_agrees() {
    let runs = [(0, wrote("a\n")), (1, wrote("a\n"))];
    let entry = Entry::of(SEED, "a\n");
    assert_eq!(judge(&runs, Locked::Entry(entry)), Verdict::Held { entry, compared: LockCheck::Equal });
    assert_eq!(judge(&runs, Locked::Blessing), Verdict::Held { entry, compared: LockCheck::Blessed });
    assert_eq!(judge(&runs, Locked::Absent), Verdict::Failed(Finding::NotLocked { found: entry }));
}

#[test]
fn another_digest_than_the_locked_one_fails() {
    let verdict = judge(&[(0, wrote("a\n"))], Locked::Entry(Entry::of(SEED, "b\n")));
    assert!(matches!(verdict, Verdict::Failed(Finding::NotAsLocked { .. })), "{verdict:?}");
}

#[test]
fn another_seed_than_the_locked_one_is_not_compared() {
    let locked = Entry::of(Seed::new(2), "b\n");
    let verdict = judge(&[(0, wrote("a\n"))], Locked::Entry(locked));
    let compared = LockCheck::OtherSeed { locked: Seed::new(2) };
    assert_eq!(verdict, Verdict::Held { entry: Entry::of(SEED, "a\n"), compared });
}

/// Runs end in any order; the report speaks of the lowest numbers all the same.
#[test]
fn divergence_names_the_lowest_variations() {
    let runs =
        [(3, wrote("b\n")), (4, wrote("c\n")), (2, wrote("b\n")), (1, wrote("a\n")), (0, wrote("a\n"))];
    let Verdict::Failed(Finding::Diverged(found)) = judge(&runs, Locked::Blessing) else {
        panic!("the runs differ");
    };
    assert_eq!((found.first.variation, found.first.run_count), (0, 2));
    assert_eq!((found.second.variation, found.second.run_count), (2, 2));
    assert_eq!(found.rest_count, 1);
    assert_eq!(found.difference.line_number, 1);
}

#[test]
fn runs_beyond_the_kept_ones_are_counted() {
    let runs: Vec<_> = (0..20).map(|number| (number, wrote(&format!("{number}\n")))).collect();
    let Verdict::Failed(Finding::Diverged(found)) = judge(&runs, Locked::Absent) else {
        panic!("the runs differ");
    };
    assert_eq!(found.rest_count, 18);
}

/// Whoever comes last: the texts that are shown are those of the lowest variations.
#[test]
fn the_kept_texts_do_not_depend_on_the_order_of_the_runs() {
    let runs: Vec<_> = (0..20).map(|number| (number, wrote(&format!("{}\n", number % 13)))).collect();
    let forwards = tally(Expectation::Same, &runs);
    let backwards = tally(Expectation::Same, &runs.iter().rev().cloned().collect::<Vec<_>>());
    assert_eq!(forwards, backwards);
    assert!(forwards.is_sound());

    let [mut left, right] = [&runs[..7], &runs[7..]].map(|part| tally(Expectation::Same, part));
    left.absorb(right);
    assert_eq!(left, forwards);
}

#[test]
fn a_text_that_no_run_wrote_is_unsound() {
    let sound = tally(Expectation::Same, &[(0, wrote("a\n")), (1, wrote("b\n"))]);
    let mut other_text = sound.clone();
    other_text.texts[1].text = "c\n".to_owned();
    let mut other_run = sound.clone();
    other_run.texts[1].variation = 0;
    let mut missing = sound.clone();
    missing.texts.pop();
    for unsound in [other_text, other_run, missing] {
        assert!(!unsound.is_sound(), "{unsound:?}");
    }
    assert!(sound.is_sound());
}

#[test]
fn a_lane_that_says_nothing_fails() {
    assert_eq!(judge(&[(0, wrote("")), (1, wrote(""))], Locked::Blessing), Verdict::Failed(Finding::Empty));
    assert_eq!(judge(&[], Locked::Blessing), Verdict::Failed(Finding::NoRun));
}

#[test]
fn a_failed_run_outweighs_the_rest_and_settles_the_lane() {
    let runs = [(0, wrote("a\n")), (2, failed()), (1, failed()), (3, skipped())];
    assert!(tally(Expectation::Same, &runs).is_settled());
    let verdict = judge(&runs, Locked::Absent);
    assert!(matches!(verdict, Verdict::Failed(Finding::Run { variation: 1, .. })), "{verdict:?}");
}

#[test]
fn skips_are_all_or_none() {
    let reason = "no ring".to_owned();
    let all = [(0, skipped()), (1, skipped())];
    assert_eq!(judge(&all, Locked::Absent), Verdict::Skipped { reason: reason.clone() });
    let refused = tally(Expectation::Same, &all).judge(SEED, Locked::Absent, Skips::Refused);
    assert_eq!(refused, Verdict::Failed(Finding::SkipRefused { reason }));
    let verdict = judge(&[(0, wrote("a\n")), (1, skipped())], Locked::Absent);
    assert!(matches!(verdict, Verdict::Failed(Finding::SkippedInSome { variation: 1, .. })), "{verdict:?}");
}

#[test]
fn a_canary_must_differ() {
    let judge = |runs: &[(u32, Outcome)]| {
        tally(Expectation::Differ, runs).judge(SEED, Locked::Absent, Skips::Allowed)
    };
    let caught = Verdict::Caught { transcript_count: 2 };
    assert_eq!(judge(&[(0, wrote("a\n")), (1, wrote("b\n"))]), caught);
    let agreed = Verdict::Failed(Finding::CanaryAgreed { run_count: 2 });
    assert_eq!(judge(&[(0, wrote("a\n")), (1, wrote("a\n"))]), agreed);
}
