//! New seeds without end, and those that failed saved.

use std::fs;

use crate::command::Workspace;

#[test]
fn seeds_that_fail_are_saved_and_run_first_ever_after() {
    let workspace = Workspace::new();
    let path = workspace.path().join("determinism.seeds");
    let ran = workspace.run("soak --for 2s --seed 1 --lane random/");
    ran.check(
        1,
        &[
            "2 lanes, 0 saved seeds; new seeds come from --seed 1\n",
            "FAILED   random/odd-one-out  iteration ",
            "the lane failed: the planted fault of one seed in eight",
            "  saved:  random/odd-one-out ",
            "; faults: bit-flip ",
            ", random/sound ",
        ],
    );
    let saved = fs::read_to_string(&path).unwrap();
    let seeds: Vec<&str> = saved.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(!seeds.is_empty() && seeds.iter().all(|line| line.starts_with("random/odd-one-out ")), "{saved}");

    // What is printed as the way to repeat it does repeat it.
    let repeat = ran.stdout.lines().find_map(|line| line.trim().strip_prefix("repeat: lanes ")).unwrap();
    workspace.run(repeat).check(1, &["the lane failed: the planted fault"]);

    let ran = workspace.run("soak --for 0s");
    let count = seeds.len();
    ran.check(
        1,
        &[
            &format!("2 lanes, {count} saved seeds"),
            &format!("soak: {count} seeds, "),
            &format!(" {count} failures"),
        ],
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), saved, "none is saved twice");
}

#[test]
fn what_holds_saves_nothing() {
    let workspace = Workspace::new();
    workspace.run("soak --for 1s --lane random/sound").check(0, &[" 0 failures; faults: bit-flip "]);
    assert!(!workspace.path().join("determinism.seeds").exists());
}

#[test]
fn what_cannot_be_soaked_is_refused() {
    let workspace = Workspace::new();
    let refused = |line: &str, message: &str| {
        let ran = workspace.run(line);
        ran.check(2, &[]);
        assert!(ran.stderr.contains(message), "{ran}");
    };
    refused("soak --for 1s --lane control/", "no chosen lane says that another seed is another workload");
    refused("soak --for 1d", "expected a number and s, m or h");
    refused("soak", "--for <TIME>");
    fs::write(workspace.path().join("determinism.seeds"), "# x\nrandom/sound\n").unwrap();
    refused("soak --for 1s", "determinism.seeds, line 2: expected `lane seed`");
    fs::write(workspace.path().join("determinism.seeds"), "gone/lane 3\n").unwrap();
    workspace
        .run("soak --for 0s")
        .check(1, &["note: gone/lane 3 is saved, and gone/lane draws nothing", "soak: 0 seeds"]);
}
