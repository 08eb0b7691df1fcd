//! What the command prints, how it ends, and that commands that only look change nothing.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use samestep_lmdb_replay::vere::DiskVersion;
use serde_json::Value;

use crate::model::{
    append, events, hex, make_pier, make_three_epochs, put_snapshot, run, scratch, text, tree,
};

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

const LOOKING: [&[&str]; 12] = [
    &["info"],
    &["info", "--json"],
    &["epochs"],
    &["epochs", "--json"],
    &["verify"],
    &["verify", "--json"],
    &["dump"],
    &["dump", "--json"],
    &["stats"],
    &["lock"],
    &["roll", "--dry-run"],
    &["chop", "--keep", "1", "--dry-run"],
];

/// No byte, no name and no lock file changes, in a sound pier and in a damaged one, on a medium that can be written
/// and on one that cannot.
#[test]
fn looking_changes_nothing() {
    let folder = scratch();
    let sound = folder.path().join("sound");
    make_three_epochs(&sound);
    let damaged = folder.path().join("damaged");
    crate::model::copy_tree(&sound, &damaged);
    let data = damaged.join(".urb/log/0i40/data.mdb");
    let mut bytes = fs::read(&data).unwrap();
    bytes[3 * 4096..4 * 4096].fill(0);
    fs::write(&data, bytes).unwrap();
    for root in [&sound, &damaged] {
        look(root, root);
        let mounted = folder.path().join("mounted");
        fs::create_dir_all(&mounted).unwrap();
        let bind = Command::new("mount").args(["--bind", "-o", "ro"]).arg(root).arg(&mounted).output();
        if bind.is_ok_and(|output| output.status.success()) {
            let looked = std::panic::catch_unwind(|| look(root, &mounted));
            assert!(Command::new("umount").arg(&mounted).status().unwrap().success());
            looked.unwrap();
        } else {
            println!("skipped: a read-only mount needs more rights than these");
        }
    }
}

/// Runs all commands that look on `at`, where the pier `root` is seen.
fn look(root: &Path, at: &Path) {
    let before = tree(root);
    for words in LOOKING {
        let output = run(&[words, &[text(at)]].concat());
        assert!(matches!(output.status.code(), Some(0 | 2)), "{words:?}: {output:?}");
        assert_eq!(tree(root), before, "{words:?}");
    }
    let shown = run(&["show", text(at), "3"]);
    assert!(shown.status.success(), "{shown:?}");
    assert_eq!(tree(root), before, "show");
}

/// Exit codes are those of `--help`.
#[test]
fn exit_codes() {
    let folder = scratch();
    let root = folder.path().join("pier");
    make_three_epochs(&root);
    let pier = text(&root);
    for (words, code) in [
        (&["--help"][..], 0),
        (&["verify", pier], 0),
        (&["verify", "--no-such-flag", pier], 1),
        (&["verify", text(folder.path())], 1),
        (&["show", pier, "62"], 1),
        (&["show", pier, "61"], 0),
        (&["chop", "--keep", "0", pier], 1),
    ] {
        assert_eq!(run(words).status.code(), Some(code), "{words:?}");
    }
    let data = root.join(".urb/log/0i0/data.mdb");
    fs::OpenOptions::new().write(true).open(&data).unwrap().set_len(3 * 4096).unwrap();
    for words in
        [&["verify", pier][..], &["verify", "--json", pier], &["dump", pier], &["chop", "--keep", "3", pier]]
    {
        let expected = if words[0] == "chop" { 0 } else { 2 };
        assert_eq!(run(words).status.code(), Some(expected), "{words:?}");
    }
    // The epochs that are kept are sound, so the damaged one may go; it may not if it would be kept.
    assert_eq!(run(&["chop", "--keep", "2", pier]).status.code(), Some(0));
    assert_eq!(events(&root).len(), 21);
}

/// Each finding says what, where, what is lost and what to do.
#[test]
fn findings_for_machines() {
    let folder = scratch();
    let root = folder.path().join("pier");
    make_three_epochs(&root);
    fs::remove_file(root.join(".urb/log/0i40/epoc.txt")).unwrap();
    fs::write(root.join(".urb/log/0i60/epoc.txt"), "").unwrap();
    fs::write(root.join(".urb/log/0i99"), "").unwrap();
    fs::create_dir(root.join(".urb/log/0i0060")).unwrap();
    let output = run(&["verify", "--json", text(&root)]);
    assert_eq!(output.status.code(), Some(2));
    let found = json(&output);
    assert_eq!(found["is_sound"], false);
    let findings: Vec<(u64, &str)> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            for key in ["severity", "path", "what", "lost", "advice"] {
                assert!(finding[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {finding}");
            }
            (finding["invariant"].as_u64().unwrap(), finding["what"].as_str().unwrap())
        })
        .collect();
    for expected in [
        (11, "a file with the name of an epoch"),
        (11, "this is epoch 60, as 0i0060 is"),
        (3, "epoc.txt is missing: Vere 3.0 deletes such an epoch with all its events"),
        (3, "epoc.txt is empty"),
    ] {
        assert!(findings.contains(&expected), "{expected:?} in {findings:?}");
    }
}

/// An epoch with events is never deleted because a text file is missing, as Vere 3.0 does.
#[test]
fn no_epoch_is_deleted_for_a_missing_text_file() {
    let folder = scratch();
    let root = folder.path().join("pier");
    make_three_epochs(&root);
    let expected = events(&root);
    for name in ["epoc.txt", "vere.txt"] {
        fs::remove_file(root.join(".urb/log/0i60").join(name)).unwrap();
    }
    for words in [&["info"][..], &["verify"], &["roll"], &["chop", "--keep", "9"], &["migrate"], &["dump"]] {
        run(&[words, &[text(&root)]].concat());
        assert_eq!(events(&root), expected, "{words:?}");
    }
}

/// `roll` is right for an epoch of one event, where Vere says that it is empty, and refuses a stale snapshot.
#[test]
fn roll_takes_an_epoch_of_one_event_and_no_stale_snapshot() {
    let folder = scratch();
    let root = folder.path().join("pier");
    make_three_epochs(&root);
    put_snapshot(&root.join(".urb/chk"), 60);
    let refused = run(&["roll", text(&root)]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("of event 60, but the log ends with 61"), "{said}");
    put_snapshot(&root.join(".urb/chk"), 61);
    assert!(run(&["roll", text(&root)]).status.success());
    let listed = json(&run(&["epochs", "--json", text(&root)]));
    let names: Vec<&str> =
        listed["epochs"].as_array().unwrap().iter().map(|epoch| epoch["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["0i0", "0i40", "0i60", "0i61"]);
    assert_eq!(listed["epochs"][3]["snapshot"]["event"], 61);
    // Again: the newest epoch is empty, and there is nothing to do.
    assert_eq!(stdout(&run(&["roll", text(&root)])), "nothing to do\n");
}

/// A snapshot of a layout that is not known is taken at the caller's word only.
#[test]
fn roll_asks_which_event_an_unknown_snapshot_is_of() {
    let folder = scratch();
    let root = folder.path().join("pier");
    make_pier(&root, DiskVersion::Epochs, 9);
    fs::write(root.join(".urb/chk/south.bin"), [7; 100]).unwrap();
    assert_eq!(run(&["roll", text(&root)]).status.code(), Some(1));
    assert_eq!(run(&["roll", text(&root), "--snapshot-at", "8"]).status.code(), Some(1));
    assert_eq!(run(&["roll", text(&root), "--snapshot-at", "9"]).status.code(), Some(0));
}

/// Where address space is short, reading needs none of it, and writing says what to do.
#[test]
fn a_map_that_is_refused_can_be_made_smaller() {
    if !cfg!(target_os = "linux") {
        println!("skipped: address space is limited on Linux only");
        return;
    }
    let folder = scratch();
    let root = folder.path().join("pier");
    make_pier(&root, DiskVersion::Epochs, 9);
    let limited = |words: &[&str]| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -v 4000000 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_samestep-lmdb")]);
        shell.args(words).output().unwrap()
    };
    assert_eq!(limited(&["verify", text(&root)]).status.code(), Some(0));
    let refused = limited(&["roll", text(&root)]);
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("1099511627776 bytes of address space cannot be mapped, map less"), "{said}");
    assert_eq!(limited(&["roll", text(&root), "--lmdb-map-size", "1000001"]).status.code(), Some(0));
}

/// Nothing is chopped that is still needed.
#[test]
fn chop_refuses_what_could_not_stand_alone() {
    let folder = scratch();
    let root = folder.path().join("pier");
    make_three_epochs(&root);
    let before = events(&root);
    fs::remove_file(root.join(".urb/log/0i60/north.bin")).unwrap();
    let refused = run(&["chop", text(&root), "--keep", "1"]);
    assert_eq!(refused.status.code(), Some(1));
    put_snapshot(&root.join(".urb/log/0i60"), 59);
    let refused = run(&["chop", text(&root), "--keep", "1"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(events(&root), before);
}

/// Snapshots that do not fit the log are named as that.
#[test]
fn a_snapshot_ahead_of_the_log_is_called_so() {
    let folder = scratch();
    let root = folder.path().join("pier");
    make_three_epochs(&root);
    put_snapshot(&root.join(".urb/chk"), 1000);
    let said = stdout(&run(&["verify", text(&root)]));
    assert!(said.contains("is of event 1000, but the log ends with 61: it is ahead of the log"), "{said}");
    put_snapshot(&root.join(".urb/chk"), 59);
    let said = stdout(&run(&["verify", text(&root)]));
    assert!(said.contains("is of event 59, but the newest epoch starts behind 60"), "{said}");
}

/// Salvage copies all but what is lost, and says what that is.
#[test]
fn salvage_goes_around_damage() {
    let folder = scratch();
    let [root, saved] = ["pier", "saved"].map(|name| folder.path().join(name));
    make_pier(&root, DiskVersion::Epochs, 400);
    let all = events(&root);
    let before = tree(&root);
    // Whole, it is copied whole.
    assert_eq!(run(&["salvage", text(&root), text(&saved)]).status.code(), Some(0));
    assert_eq!(events(&saved), all);
    assert_eq!(tree(&root), before);
    fs::remove_dir_all(&saved).unwrap();

    let data = root.join(".urb/log/0i0/data.mdb");
    let mut bytes = fs::read(&data).unwrap();
    // Every leaf that has event 200, and the older ones of the same events.
    let key = 200_u64.to_le_bytes();
    for page in 2..bytes.len() / 4096 {
        let page = &mut bytes[page * 4096..][..4096];
        if page[10] == 2 && page.windows(8).any(|window| window == key) {
            page.fill(0xEE);
        }
    }
    fs::write(&data, &bytes).unwrap();
    let output = run(&["salvage", "--json", text(&root), text(&saved)]);
    assert_eq!(output.status.code(), Some(2));
    let report = json(&output);
    let missing: Vec<u64> = report["epochs"][0]["missing"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|range| range[0].as_u64().unwrap()..=range[1].as_u64().unwrap())
        .collect();
    assert!(missing.contains(&200) && missing.len() < 100, "{missing:?}");
    // All that is not called missing is there, and right.
    let verified = json(&run(&["verify", "--json", text(&saved)]));
    assert_eq!(verified["events"].as_u64(), Some(400 - missing.len() as u64));
    let dumped = run(&["dump", "--json", text(&saved), "--to", &(missing[0] - 1).to_string()]);
    for line in stdout(&dumped).lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let stored = &all[&event["number"].as_u64().unwrap()];
        assert_eq!(event["jam_hex"], hex(&stored[4..]).as_str());
    }
    assert!(all.keys().filter(|number| !missing.contains(number)).count() == 400 - missing.len());
}

/// A log without either meta page: only what the pages themselves say is left, which is nearly all.
#[test]
fn salvage_without_any_meta_page() {
    let folder = scratch();
    let [root, saved] = ["pier", "saved"].map(|name| folder.path().join(name));
    make_pier(&root, DiskVersion::Epochs, 100);
    let all = events(&root);
    let data = root.join(".urb/log/0i0/data.mdb");
    let mut bytes = fs::read(&data).unwrap();
    bytes[..8192].fill(0);
    fs::write(&data, &bytes).unwrap();
    assert_eq!(run(&["verify", text(&root)]).status.code(), Some(2));
    assert_eq!(run(&["salvage", text(&root), text(&saved)]).status.code(), Some(2));
    assert_eq!(events(&saved), all);
}

/// A copy is the same log, and putting one over a log is refused.
#[test]
fn export_and_import() {
    let folder = scratch();
    let [root, copy, back] = ["pier", "copy", "back"].map(|name| folder.path().join(name));
    make_three_epochs(&root);
    assert!(run(&["export", text(&root), text(&copy)]).status.success());
    assert_eq!(events(&copy), events(&root));
    assert!(run(&["import", text(&copy), text(&back)]).status.success());
    assert_eq!(events(&back), events(&root));
    append(&root, 70);
    assert_eq!(run(&["export", text(&root), text(&copy)]).status.code(), Some(1));
    assert_eq!(run(&["import", text(&root), text(&back)]).status.code(), Some(1));
    assert_eq!(events(&back).len(), 61);
    // Damage is not carried on.
    let data = copy.join(".urb/log/0i0/data.mdb");
    fs::OpenOptions::new().write(true).open(&data).unwrap().set_len(3 * 4096).unwrap();
    let fresh = folder.path().join("fresh");
    assert_eq!(run(&["import", text(&copy), text(&fresh)]).status.code(), Some(2));
    assert!(!fresh.join(".urb").exists());
}

/// While somebody appends, an export is one state: a prefix of what the log is afterwards.
#[test]
fn export_of_a_live_log_is_one_state() {
    let folder = scratch();
    let [root, copy] = ["pier", "copy"].map(|name| folder.path().join(name));
    make_pier(&root, DiskVersion::Epochs, 50);
    assert!(run(&["export", text(&root), text(&copy)]).status.success());
    fs::remove_dir_all(&copy).unwrap();
    let held = samestep_lmdb_replay::vere::Pier::open(
        &root,
        samestep_lmdb_replay::vere::Access::Write,
        samestep_lmdb_replay::lock::ProcessIds::Honour,
    )
    .unwrap();
    assert_eq!(run(&["export", text(&root), text(&copy)]).status.code(), Some(3));
    let mut appender =
        samestep_lmdb_replay::vere::maintain::Appender::open(&held, crate::model::WRITE).unwrap();
    for round in 0..10 {
        let mut export = crate::model::command(&["export", "--live", text(&root), text(&copy)]);
        let mut export = export.stdout(Stdio::piped()).spawn().unwrap();
        // An event for each file that the copy begins with, and one before: they come in the middle of it.
        for line in BufReader::new(export.stdout.take().unwrap()).lines() {
            let jam = crate::model::jam(appender.last() + 1);
            appender.append(&[samestep_lmdb_replay::vere::StoredEvent { mug: 5, jam: &jam }]).unwrap();
            drop(line);
        }
        assert!(export.wait().unwrap().success(), "round {round}");
        let found = events(&copy);
        assert!(found.len() >= 50 && found.len() as u64 <= appender.last(), "round {round}");
        assert!(
            found.iter().all(|(number, value)| value[4..] == crate::model::jam(*number)),
            "round {round}"
        );
        fs::remove_dir_all(&copy).unwrap();
    }
    assert!(appender.last() > 60);
}

/// Counts by wire and tag add up.
#[test]
fn stats_add_up() {
    let folder = scratch();
    let root = folder.path().join("pier");
    make_three_epochs(&root);
    let stats = json(&run(&["stats", "--json", text(&root)]));
    assert_eq!(stats["events"], 61);
    let groups: Vec<(&str, &str, u64)> = stats["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| {
            (
                group["wire"].as_str().unwrap(),
                group["tag"].as_str().unwrap(),
                group["events"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(groups, [("/d/term", "%belt", 59), ("boot", "", 2)]);
    let bytes: u64 = events(&root).values().map(|value| value.len() as u64).sum();
    assert_eq!(stats["bytes"], bytes);
}
