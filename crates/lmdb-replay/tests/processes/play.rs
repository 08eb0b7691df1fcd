//! `play` and `rock` as processes: what they print and leave, also when they are stopped and killed.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use samestep_lmdb_replay::snapshot::{LogTag, SnapshotStore};
use samestep_noun::Noun;
use serde_json::Value;

use crate::deaths::kill_everywhere;
use crate::kernel::{self, Logged};
use crate::model::{command, events, run, scratch, text, tree};

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn check(arguments: &[&str], code: i32, said: &str) -> Output {
    let output = run(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    assert!(error.contains(said), "{arguments:?}: {error}");
    output
}

/// Each way to end has its exit code and says why, and the pier is what it was.
#[test]
fn exit_codes_tell_how_a_replay_ended() {
    let folder = scratch();
    let at = |name: &str| folder.path().join(name);
    let events = kernel::events();
    let good = at("good");
    drop(kernel::write(&good, &events, &[20]));
    let before = tree(&good);
    let (pier, state) = (text(&good), at("state"));
    let report = json(&check(&["play", "--json", pier], 0, ""));
    assert_eq!((&report["state"], &report["verified"]), (&45.into(), &38.into()));
    assert_eq!(report["mug"], format!("{:08x}", events[44].mug));
    let lines = check(&["play", "--mugs", "-n", "12", pier], 0, "").stdout;
    let last = String::from_utf8(lines).unwrap().lines().last().unwrap().to_owned();
    assert_eq!(last, format!("12 {:08x}", events[11].mug));
    let plan = check(&["play", "-D", "-n", "12", pier], 0, "").stdout;
    assert_eq!(String::from_utf8(plan).unwrap(), "would replay from the first event to 12\n");
    check(&["play", "--gc-abort", "--auto-meld", "--no-demand", "--yolo", "--loom", "25", pier], 0, "");
    check(&["play", "-n", "0", "--gc", pier], 0, "");
    check(&["play", "-n", "1", pier], 1, "is one of the first 2");
    check(&["play", "-r", "7", pier], 1, "7.jam");
    check(&["play", "--snap-at", "7", pier], 1, "--state");
    check(&["play", "--fuel", "3", pier], 4, "out of fuel");
    check(&["play", "--loom", "20", "--boot", "99", pier], 4, "99 events boot the machine");
    check(&["play", "-n", "30", "--state", text(&state), pier], 0, "");
    let report = json(&check(&["play", "--json", "--state", text(&state), pier], 0, ""));
    assert_eq!(report["started_from"], "the snapshot of event 30");
    assert_eq!(tree(&good), before);

    let mut wrong = events.clone();
    wrong[29].mug ^= 1;
    let path = at("wrong");
    drop(kernel::write(&path, &wrong, &[]));
    check(&["play", text(&path)], 4, "event 30 gives mug");
    let soft = check(&["play", "--soft-mugs", "--json", text(&path)], 2, "event 30 gives mug");
    assert_eq!(json(&soft)["first_divergence"]["event"], 30);

    let mut failing: Vec<Logged> = events[..10].to_vec();
    kernel::append(&mut failing, ("fail", 0));
    let path = at("failing");
    drop(kernel::write(&path, &failing, &[]));
    let states = at("states of failing");
    check(&["play", "--state", text(&states), text(&path)], 4, "event 11 failed: crash: ");
    check(&["play", text(&path)], 4, "nothing is saved");
    // The state of a log that is longer: it belongs to the same ship.
    check(&["play", "--state", text(&state), text(&path)], 2, "it is ahead of the log");
    // And with the event gone the state that was saved is good.
    let path = at("mended");
    drop(kernel::write(&path, &events, &[]));
    let report = json(&check(&["play", "--json", "--state", text(&states), text(&path)], 0, ""));
    assert_eq!((&report["start"], &report["verified"]), (&10.into(), &35.into()));
    check(&["play", text(&at("none"))], 1, "no pier");
}

/// A rock that is saved is listed, and is a start.
#[test]
fn rocks_are_saved_and_listed() {
    let folder = scratch();
    let events = kernel::events();
    let pier = folder.path().join("pier");
    drop(kernel::write(&pier, &events, &[20]));
    let saved = json(&check(&["rock", "save", "--json", "-n", "20", text(&pier)], 0, ""));
    assert_eq!(saved["mug"], format!("{:08x}", events[19].mug));
    let elsewhere = folder.path().join("a rock");
    check(&["rock", "save", "-n", "20", "--full", "--to", text(&elsewhere), text(&pier)], 0, "");
    assert_eq!(fs::read(&elsewhere).unwrap(), fs::read(pier.join(".urb/roc/20.jam")).unwrap());
    let listed = json(&check(&["rock", "list", "--json", text(&pier)], 0, ""));
    assert_eq!((&listed["rocks"][0]["event"], &listed["rocks"][0]["mug"]), (&20.into(), &saved["mug"]));
    let report = json(&check(&["play", "--json", text(&pier)], 0, ""));
    assert_eq!(report["started_from"], "the rock of event 20");
    fs::write(pier.join(".urb/roc/20.jam"), b"cut").unwrap();
    check(&["rock", "list", text(&pier)], 2, "");
    check(&["play", "-r", "20", text(&pier)], 4, "");
    check(&["play", text(&pier)], 0, "not started from the rock of event 20");
}

/// A kernel that takes atoms and loops on cells: `[battery sample kernel]`, of which the battery is
/// `[6 [3 0 6] [9 2 0 1] [[1 0] 0 7]]`.
fn looping() -> Vec<Logged> {
    let arm: Noun = "[[1 6 [3 0 6] [9 2 0 1] [1 0] 0 7] [1 0] 0 1]".parse().unwrap();
    let kernel = Noun::from(((0, 0, 0, arm), 0));
    let boot = Noun::from((1, 0, 0, kernel));
    let log = |number: u64, noun: Noun| Logged { number, mug: 0, jam: noun.jam() };
    vec![log(1, boot), log(2, 0.into()), log(3, 7.into()), log(4, Noun::from((1, 2))), log(5, 7.into())]
}

/// An interrupt inside an event that takes for ever saves the state before it and says so; so does a deadline.
#[test]
fn an_interrupt_saves_the_state() {
    let folder = scratch();
    let (pier, state) = (folder.path().join("pier"), folder.path().join("state"));
    drop(kernel::write(&pier, &looping(), &[]));
    let saved = || {
        let mut tag = [0; 16];
        tag[1] = 1;
        let store = SnapshotStore::new(&state, LogTag(tag));
        store.load(u64::MAX).unwrap().snapshot.map(|snapshot| snapshot.number)
    };
    for signal in [Signal::INT, Signal::TERM] {
        let mut playing = command(&["play", "--state", text(&state), "--snap-at", "1", text(&pier)]);
        let mut child = playing.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        // The state behind event 3 is there once event 4 is under way, or was there before.
        while saved() != Some(3) {
            std::thread::sleep(Duration::from_millis(5));
        }
        // The second one starts there: time for it to take signals.
        std::thread::sleep(Duration::from_millis(300));
        kill_process(Pid::from_child(&child), signal).unwrap();
        let mut error = String::new();
        child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(4), "{error}");
        assert!(error.contains("stopped behind event 3"), "{error}");
        assert_eq!(saved(), Some(3));
    }
    let start = ["play", "--state", text(&state), "--timeout", "1", text(&pier)];
    check(&start, 4, "event 4 failed: deadline passed");
    check(&["play", "--fuel", "100000", text(&pier)], 4, "event 4 failed: out of fuel");
    check(&["play", "-n", "3", text(&pier)], 0, "");
}

/// Killed before any system call that changes a file, a replay leaves a whole state or none, and goes on.
#[test]
fn play_is_killed_everywhere() {
    let folder = scratch();
    let base = folder.path().join("base");
    drop(kernel::write(&base, &kernel::events(), &[20]));
    let expected = events(&base);
    let playing = |work: &Path| -> Command {
        let state = work.join("state");
        command(&["play", "--state", text(&state), "--snap-at", "8", text(work)])
    };
    let saved = |work: &Path| {
        let mut tag = [0; 16];
        tag[1] = 1;
        let loaded = SnapshotStore::new(work.join("state"), LogTag(tag)).load(u64::MAX).unwrap();
        assert!(loaded.damaged.is_empty(), "{:?}", loaded.damaged);
        loaded.snapshot.map(|snapshot| snapshot.number)
    };
    kill_everywhere(
        folder.path(),
        &base,
        playing,
        |work, at| {
            assert_eq!(events(work), expected, "call {at}");
            let whole = [None, Some(8), Some(16), Some(24), Some(32), Some(40), Some(45)];
            assert!(whole.contains(&saved(work)), "call {at}");
        },
        |work, at| {
            assert_eq!(saved(work), Some(45), "call {at}");
            assert_eq!(events(work), expected, "call {at}");
        },
    );
}
