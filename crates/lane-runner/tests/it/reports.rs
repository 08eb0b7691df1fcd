//! Reports in files, and shards whose reports are merged.

use std::fs;
use std::path::Path;

use roxmltree::Document;
use serde_json::Value;

use crate::command::Workspace;

/// Lanes that end in all ways but by a failed process, after which a lane runs no more, wherever that was.
const LANES: &str = "--lane control/ --lane canary/ --lane planted/local-time --lane unruly/surroundings \
                     --lane unruly/chatty --lane unruly/skipping --lane unruly/skipping-sometimes";

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn each_form_is_written_where_it_was_asked_for() {
    let workspace = Workspace::new();
    let line = "--lane control/ --lane planted/local-time --iterations 4 --report out/r.html --report out/r.json \
                --report out/r.xml --report out/r.txt";
    let ran = workspace.run(line);
    ran.check(1, &["where the time went: ", "wrote out/r.html\n", "wrote out/r.json\n", "wrote out/r.xml\n"]);
    let read = |name: &str| fs::read_to_string(workspace.path().join("out").join(name)).unwrap();
    let xml = read("r.xml");
    let document = Document::parse(&xml).unwrap();
    let count = |tag: &str| document.descendants().filter(|node| node.has_tag_name(tag)).count();
    assert_eq!((count("testcase"), count("failure")), (3, 2), "{xml}");
    assert!(read("r.html").contains("planted/local-time"));
    // Lanes finish in any order; in a file they stand by name.
    let mut printed: Vec<_> = ran.stdout.lines().filter(|line| line.starts_with("caught")).collect();
    printed.extend(ran.stdout.lines().filter(|line| line.starts_with("FAILED")));
    printed.sort_by_key(|line| line.split_whitespace().nth(1).unwrap().to_owned());
    let text = read("r.txt");
    let filed = text.lines().filter(|line| line.starts_with("caught") || line.starts_with("FAILED"));
    assert_eq!(filed.collect::<Vec<_>>(), printed);
}

#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    let workspace = Workspace::new();
    fs::write(workspace.path().join("file"), "").unwrap();
    let ran = workspace.run("--lane control/ --iterations 2 --report file/r.html");
    ran.check(2, &[]);
    assert!(ran.stderr.contains("error: cannot write the report file/r.html: "), "{ran}");
}

/// Removes what differs between a whole run and four shards: times, machines, and what a canary drew.
fn normalize(value: &mut Value) {
    value.as_object_mut().unwrap().remove("parts").unwrap();
    for lane in value["lanes"].as_array_mut().unwrap() {
        let is_canary = lane["expectation"] == "differ";
        for run in lane["runs"].as_array_mut().unwrap() {
            run.as_object_mut().unwrap().remove("time_ns").unwrap();
            if is_canary {
                run.as_object_mut().unwrap().remove("digest");
            }
        }
        if is_canary {
            lane.as_object_mut().unwrap().remove("transcripts");
        }
    }
}

#[test]
fn four_shards_merged_are_one_whole_run() {
    let workspace = Workspace::new();
    workspace.run("--lane control/ --lane unruly/chatty --bless --iterations 2").check(0, &[]);
    let whole = workspace.run(&format!("{LANES} --iterations 22 --report whole.json --report whole.txt"));
    for number in [3, 1, 4, 2] {
        let ran =
            workspace.run(&format!("{LANES} --iterations 22 --shard {number}/4 --report {number}.json"));
        assert_eq!(ran.code, Some(1), "{ran}");
    }
    let merged = workspace.run("merge 4.json 2.json 1.json 3.json --report merged.json --report merged.txt");
    assert_eq!((merged.code, whole.code), (Some(1), Some(1)), "{merged}");
    merged.check(
        1,
        &["held     control/holds  22 runs", "FAILED   planted/local-time", "canary/hash-order  22 runs"],
    );

    let [mut left, mut right] = ["whole.json", "merged.json"].map(|name| json(&workspace.path().join(name)));
    assert_eq!(right["parts"].as_array().unwrap().len(), 4);
    assert_ne!(left, right);
    normalize(&mut left);
    normalize(&mut right);
    assert_eq!(left, right);
}

/// What each shard holds for right is wrong if another shard wrote something else.
#[test]
fn a_difference_between_shards_is_found_by_merging() {
    let workspace = Workspace::new();
    for (number, suite) in [(1, "tame"), (2, "tame-but-other")] {
        let line = format!("--lane control/ --iterations 4 --shard {number}/2 --report {number}.json");
        let ran = workspace.run_with(&line, &[("SAMESTEP_FIXTURE", suite)]);
        ran.check(1, &["FAILED   control/holds  the lock file has no line for it"]);
    }
    workspace.run("merge 1.json 2.json").check(
        1,
        &[
            "FAILED   control/holds  two runs wrote different transcripts",
            "2 runs wrote what iteration 0 did, 2 what iteration 2 did, 0 something else",
        ],
    );
}

#[test]
fn what_is_no_whole_is_not_merged() {
    let workspace = Workspace::new();
    let shard = |line: &str| {
        workspace.run(&format!("--lane control/ {line}"));
    };
    shard("--iterations 4 --shard 1/2 --report 1.json");
    shard("--iterations 4 --shard 2/2 --report 2.json");
    shard("--iterations 6 --shard 2/2 --report other.json");
    shard("--iterations 4 --seed 5 --shard 2/2 --report seed.json");
    shard("--iterations 6 --shard 2/3 --report third.json");
    shard("--iterations 4 --report whole.json");
    let path = workspace.path().join("2.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(workspace.path().join("damaged.json"), text.replace("begin", "began")).unwrap();
    fs::write(workspace.path().join("newer.json"), text.replace("determinism-1", "determinism-2")).unwrap();
    fs::write(workspace.path().join("torn.json"), &text[..text.len() / 2]).unwrap();
    for (files, message) in [
        ("1.json", "shard 2/2 is missing"),
        ("1.json 2.json 1.json", "shard 1 is there twice"),
        ("1.json other.json", "do not agree on the number of iterations"),
        ("1.json seed.json", "do not agree on the lanes, their seeds or the lock file"),
        ("1.json third.json", "do not agree on the number of shards"),
        ("1.json whole.json", "whole.json is of a whole check"),
        ("1.json damaged.json", "damaged.json: the transcripts of "),
        ("1.json newer.json", "newer.json has the format \"samestep-determinism-2\""),
        ("1.json torn.json", "torn.json is no JSON report: "),
        ("1.json none.json", "cannot read none.json: "),
    ] {
        let ran = workspace.run(&format!("merge {files}"));
        ran.check(2, &[]);
        assert!(ran.stderr.contains(message), "{message}: {ran}");
    }
    let ran = workspace.run("--lane control/ --iterations 3 --shard 1/2 --report x.json");
    ran.check(2, &[]);
    assert!(ran.stderr.contains("each shard needs 2 at least"), "{ran}");
}
