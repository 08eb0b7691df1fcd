//! Planted bugs, each caught by the default run of a hundred iterations, and a control that holds.

use std::fs;

use crate::command::Workspace;

/// Runs `lane` as everybody does, and demands that it is caught with its first differing line on both sides.
#[track_caller]
fn check_caught(lane: &str, marked: &str) {
    let workspace = Workspace::new();
    let ran = workspace.run(&format!("--lane {lane}"));
    ran.check(
        1,
        &[
            &format!("FAILED   {lane}  two runs wrote different transcripts\n"),
            "seed 1, 100 runs",
            "the first line that differs is line 2:\n  iteration 0\n          1 | begin\n    >     2 | ",
            "what differed around them (iteration 0 / iteration",
            &format!("repeat: lanes --lane {lane} --seed 1 --variation 0 --variation "),
            "NOT THE SAME: 0 held, 1 failed, 0 skipped, 1 canaries caught",
        ],
    );
    let lines: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("    >     2 | ")).collect();
    assert!(lines.len() == 2 && lines[0] != lines[1], "{ran}");
    assert!(lines.iter().all(|line| line.contains(marked)), "{ran}");
    check_kept(&workspace, lane, &lines);

    // What is printed as the way to repeat it does repeat it.
    let repeat = ran.stdout.lines().find_map(|line| line.trim().strip_prefix("repeat: lanes ")).unwrap();
    workspace.run(repeat).check(1, &["two runs wrote different transcripts", "seed 1, 2 runs"]);
}

/// Both transcripts are kept whole: the marked lines are their second lines.
#[track_caller]
fn check_kept(workspace: &Workspace, lane: &str, marked: &[&str]) {
    let folder = workspace.path().join("target/determinism").join(lane);
    let mut kept: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    kept.sort();
    assert_eq!(kept.len(), 2, "{kept:?}");
    for (path, marked) in kept.iter().zip(marked) {
        let text = fs::read_to_string(path).unwrap();
        assert!(marked.ends_with(text.lines().nth(1).unwrap()), "{text} {marked}");
    }
}

#[test]
fn the_order_of_a_hash_map() {
    check_caught("planted/hash-order", "keys|are=");
}

#[test]
fn the_order_of_addresses() {
    check_caught("planted/address-order", "node|number=");
}

#[test]
fn local_time() {
    check_caught("planted/local-time", "created|at=2001-09-");
}

#[test]
fn uninitialised_padding() {
    check_caught("planted/uninitialised-padding", "record|bytes=[07, ");
}

/// On a machine with one CPU there is nothing to vary, and the test says so.
#[test]
fn the_number_of_threads() {
    #[expect(clippy::disallowed_methods, reason = "whether the bug can show depends on the machine")]
    let cpu_count = std::thread::available_parallelism().unwrap().get();
    if cpu_count == 1 || cfg!(not(target_os = "linux")) {
        eprintln!("skipped: one CPU, or no way to choose among them");
        return;
    }
    check_caught("planted/thread-count", "part|sum=");
}

/// Seconds differ, since the last run of a lane starts a second later than the first at least.
#[test]
fn wall_time_in_seconds() {
    let ran = Workspace::new().run("--lane planted/wall-clock --iterations 2");
    ran.check(1, &["two runs wrote different transcripts", "stamp|seconds="]);
}

#[test]
fn the_control_holds() {
    let workspace = Workspace::new();
    workspace.run("--lane control/holds --bless").check(0, &["held     control/holds", "wrote "]);
    workspace.run("--lane control/holds").check(
        0,
        &[
            "held     control/holds  100 runs",
            "4 lines, digest c255e885e6d9b6ff80353e911db754c6\n",
            "same: 1 held, 0 failed, 0 skipped, 1 canaries caught",
        ],
    );
}

/// A race and a use after free do the same a hundred times over; `sanitized` has what finds them.
#[test]
fn what_only_a_sanitizer_sees() {
    let workspace = Workspace::new();
    let line = "--lane planted/race --lane planted/use-after-free";
    workspace.run(&format!("{line} --iterations 2 --bless")).check(0, &[]);
    workspace
        .run(line)
        .check(0, &["held     planted/race  100 runs", "held     planted/use-after-free  100 runs"]);
}
