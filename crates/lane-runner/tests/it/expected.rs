//! The lock file, the choice of lanes, and what the program says about itself.

use std::fs;

use crate::command::{Workspace, fixture};

const TAME: &[(&str, &str)] = &[("SAMESTEP_FIXTURE", "tame")];

#[test]
fn the_whole_suite_holds_with_its_canary() {
    let workspace = Workspace::new();
    workspace
        .run_with("--bless --iterations 3", TAME)
        .check(0, &["wrote ", "determinism.lock: read the difference"]);
    workspace.run_with("--iterations 3", TAME).check(
        0,
        &[
            "caught   canary/hash-order  3 runs",
            "3 different transcripts, as it must",
            "held     control/holds",
            "same: 1 held, 0 failed, 0 skipped, 1 canaries caught",
        ],
    );
}

#[test]
fn without_a_lock_it_says_what_to_do() {
    let ran = Workspace::new().run_with("--iterations 2", TAME);
    ran.check(
        1,
        &[
            "FAILED   control/holds  the lock file has no line for it",
            "determinism.lock: lanes --lane control/holds --bless",
        ],
    );
    assert!(ran.stderr.contains("note: there is no ") && ran.stderr.contains("--bless"), "{ran}");
}

#[test]
fn a_lane_that_does_something_else_than_was_signed_off_fails() {
    let workspace = Workspace::new();
    workspace.run_with("--bless --iterations 2", TAME).check(0, &[]);
    let lock = workspace.lock();
    fs::write(workspace.path().join("determinism.lock"), lock.replace("c255", "c256")).unwrap();
    workspace.run_with("--iterations 2", TAME).check(
        1,
        &[
            "FAILED   control/holds  the transcript is not the one in the lock file",
            "locked  seed 1, 4 lines, digest c256e885e6d9b6ff80353e911db754c6",
            "found   seed 1, 4 lines, digest c255e885e6d9b6ff80353e911db754c6",
            "if that is meant: lanes --lane control/holds --bless",
        ],
    );
    workspace.run_with("--bless --iterations 2", TAME).check(0, &["wrote "]);
    assert_eq!(workspace.lock(), lock);
    workspace.run_with("--bless --iterations 2", TAME).check(0, &["is as it was"]);
}

#[test]
fn blessing_keeps_the_lines_of_lanes_that_were_not_run() {
    let workspace = Workspace::new();
    workspace.run("--lane unruly/chatty --lane control/holds --bless --iterations 2").check(0, &[]);
    let lock = workspace.lock().replace("unruly/chatty 1", "unruly/chatty 77");
    fs::write(workspace.path().join("determinism.lock"), &lock).unwrap();
    workspace.run("--lane control/holds --seed 5 --bless --iterations 2").check(0, &["wrote "]);
    let lock = workspace.lock();
    assert!(lock.contains("\ncontrol/holds 5 4 ") && lock.contains("\nunruly/chatty 77 1 "), "{lock}");
}

#[test]
fn what_does_not_hold_is_not_blessed() {
    let workspace = Workspace::new();
    let ran = workspace.run("--lane control/ --lane planted/hash-order --bless --iterations 3");
    ran.check(1, &["held     control/holds", "determinism.lock was NOT written"]);
    assert!(!workspace.path().join("determinism.lock").exists());
}

#[test]
fn another_seed_is_not_compared_and_says_so() {
    let workspace = Workspace::new();
    workspace.run_with("--bless --iterations 2 --seed 7", TAME).check(0, &[]);
    workspace.run_with("--iterations 2", TAME).check(0, &["held     control/holds"]);
    workspace.run_with("--iterations 2 --seed 8", TAME).check(
        0,
        &[
            "NOT compared with the lock file: seed 8 here, 7 there",
            "note: 1 lanes were not compared with the lock file",
        ],
    );
}

#[test]
fn a_lock_elsewhere_and_a_damaged_one() {
    let workspace = Workspace::new();
    workspace.run_with("--bless --iterations 2 --lock other.lock", TAME).check(0, &["wrote other.lock"]);
    workspace.run_with("--iterations 2 --lock other.lock", TAME).check(0, &[]);
    fs::write(workspace.path().join("other.lock"), "<<<<<<< HEAD\n").unwrap();
    let ran = workspace.run_with("--lock other.lock", TAME);
    ran.check(2, &[]);
    assert!(ran.stderr.contains("error: other.lock: line 1: expected `name seed lines digest`"), "{ran}");
}

#[test]
fn lanes_are_listed_by_name_and_purpose() {
    let ran = Workspace::new().run_with("--list", TAME);
    ran.check(0, &[]);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{ran}");
    assert!(lines[0].starts_with("canary/hash-order  nondeterministic"), "{ran}");
    assert_eq!(lines[1], "control/holds      a fixture: control/holds");
}

#[test]
fn show_prints_the_transcript_and_nothing_else() {
    let workspace = Workspace::new();
    let ran = workspace.run("show control/holds");
    ran.check(0, &["begin\ndraw|a="]);
    assert_eq!((ran.stdout.lines().count(), ran.stderr.as_str()), (4, ""), "{ran}");
    let other = workspace.run("show control/holds --seed 2");
    assert_ne!(ran.stdout, other.stdout);
}

/// The surroundings that iteration 3 has in a whole run are those that `--variation 3` sets.
#[test]
fn a_variation_is_the_same_each_time() {
    let workspace = Workspace::new();
    let show = |number: u32| workspace.run(&format!("show unruly/surroundings --variation {number}")).stdout;
    assert_eq!(show(3), show(3));
    assert_ne!(show(3), show(4));
    let line = "--lane unruly/surroundings --variation 3 --variation 3 --bless";
    workspace.run(line).check(0, &["held     unruly/surroundings  2 runs"]);

    workspace.run("--lane unruly/surroundings --iterations 4 --keep kept").check(1, &["kept:   kept/"]);
    let kept = workspace.path().join("kept/unruly/surroundings/iteration-1.transcript.txt");
    assert_eq!(fs::read_to_string(kept).unwrap(), show(1));
}

#[test]
fn unknown_lanes_are_refused_with_near_names() {
    for line in ["--lane control/hold", "show control/hold", "--list --lane control/hold"] {
        let ran = Workspace::new().run(line);
        ran.check(2, &[]);
        assert_eq!(
            ran.stderr, "error: no lane is called control/hold: did you mean control/holds?\n",
            "{line}"
        );
    }
}

#[test]
fn suites_that_make_no_sense_are_refused() {
    let suites =
        [("same-name", "two lanes are called control/holds"), ("bad-name", "\"Bad_Name\" is no lane name")];
    for (suite, message) in suites {
        let ran = Workspace::new().run_with("", &[("SAMESTEP_FIXTURE", suite)]);
        ran.check(2, &[]);
        assert!(ran.stderr.contains(message), "{ran}");
    }
}

#[test]
fn help_teaches_and_hides_the_worker() {
    let ran = Workspace::new().run("--help");
    ran.check(0, &["Examples:", "Exit codes: 0", "SAMESTEP_REQUIRE", "--variation <K>", "show"]);
    assert!(!ran.stdout.contains("\n  worker"), "{ran}");
    Workspace::new().run("--iterations many").check(2, &[]);
}

/// Another program makes the runs: what it writes is compared, and what it lacks is no success.
#[test]
fn workers_may_be_another_program() {
    let workspace = Workspace::new();
    workspace.run("--lane control/ --bless --iterations 2").check(0, &[]);
    let line =
        |worker: &str| workspace.run_words(&["--lane", "control/", "--iterations", "2", "--worker", worker]);
    let program = fixture().display().to_string();
    line(&program).check(0, &["held     control/holds"]);
    line(&format!("env SAMESTEP_FIXTURE=tame {program}")).check(0, &["held     control/holds"]);
    line(&format!("env SAMESTEP_FIXTURE=tame-but-other {program}"))
        .check(1, &["FAILED   control/holds  the transcript is not the one in the lock file"]);
    line("false").check(1, &["FAILED   control/holds  iteration ", "exited with 1"]);
    line(" ").check(2, &[]);
}
