//! Lanes that fail in other ways than by differing.

use crate::command::Workspace;

#[track_caller]
fn check(line: &str, code: i32, texts: &[&str]) {
    Workspace::new().run(line).check(code, texts);
}

#[test]
fn a_lane_that_says_nothing_fails() {
    check("--lane unruly/silent --iterations 3", 1, &["FAILED   unruly/silent  an empty transcript"]);
}

#[test]
fn a_panic_fails_and_is_shown() {
    check(
        "--lane unruly/panicking --iterations 3",
        1,
        &[
            "FAILED   unruly/panicking  iteration ",
            "exited with 101 (a panic)",
            "the planted panic",
            "repeat: lanes --lane unruly/panicking --seed 1 --variation ",
        ],
    );
}

#[test]
fn a_lane_that_fails_is_quoted() {
    check("--lane unruly/failing --iterations 3", 1, &["the lane failed: a planted fault"]);
}

#[test]
fn an_early_exit_is_no_success() {
    check("--lane unruly/exiting --iterations 3", 1, &["left the process before the lane returned"]);
}

#[test]
fn a_signal_is_named() {
    check("--lane unruly/aborting --iterations 3", 1, &["killed by signal 6"]);
}

/// Workers stand in other folders than the runner, and find theirs all the same.
#[test]
fn a_relative_temporary_folder_will_do() {
    let ran = Workspace::new().run_with("--lane control/ --bless --iterations 2", &[("TMPDIR", ".")]);
    ran.check(0, &["held     control/holds"]);
}

/// The time out holds for one run, and the first such run settles its lane.
#[test]
fn a_hanging_lane_is_killed() {
    check(
        "--lane unruly/hanging --timeout 0.5 --jobs 1",
        1,
        &[
            "FAILED   unruly/hanging  iteration 0 no end after 0.5 s: killed",
            "seed 1, 1 runs",
            "| about to hang",
        ],
    );
}

#[test]
fn a_skip_is_counted_and_quoted() {
    check(
        "--lane unruly/skipping --iterations 3",
        0,
        &["skipped  unruly/skipping  no ring here\n", "0 held, 0 failed, 1 skipped"],
    );
}

#[test]
fn a_skip_fails_where_all_is_required() {
    let line = "--lane unruly/skipping --iterations 3";
    let ran = Workspace::new().run_with(line, &[("SAMESTEP_REQUIRE", "all")]);
    ran.check(1, &["SAMESTEP_REQUIRE=all forbids it: no ring here", "0 held, 1 failed, 0 skipped"]);
    let ran = Workspace::new().run_with(line, &[("SAMESTEP_REQUIRE", "some")]);
    ran.check(2, &[]);
    assert!(ran.stderr.contains("expected `all`"), "{ran}");
}

#[test]
fn a_lane_that_is_skipped_in_some_runs_fails() {
    check(
        "--lane unruly/skipping-sometimes --iterations 10",
        1,
        &[
            "2 runs were skipped (the first is iteration 4) and others not (iteration 0)",
            "reason given: seven is too many",
        ],
    );
}

#[test]
fn a_canary_that_agrees_fails_the_run() {
    check("--lane canary/agreeing --iterations 3", 1, &["a canary whose 3 runs agree"]);
    // Beside the built-in one, which is caught, too.
    let workspace = Workspace::new();
    let suite = [("SAMESTEP_FIXTURE", "agreed")];
    workspace.run_with("--lane control/ --bless", &suite).check(0, &[]);
    workspace.run_with("--iterations 3", &suite).check(
        1,
        &[
            "caught   canary/hash-order",
            "held     control/holds",
            "FAILED   canary/agreeing",
            "NOT THE SAME: 1 held, 1 failed, 0 skipped, 1 canaries caught",
        ],
    );
}

#[test]
fn what_a_lane_prints_is_no_part_of_it() {
    let workspace = Workspace::new();
    workspace.run("--lane unruly/chatty --iterations 3 --bless").check(0, &["held     unruly/chatty"]);
    let ran = workspace.run("show unruly/chatty");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "written\n"));
    assert!(ran.stderr.contains("this is not the transcript\nnor is this\n"), "{ran}");
}
