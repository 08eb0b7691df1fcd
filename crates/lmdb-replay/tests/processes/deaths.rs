//! The command is killed before each system call that changes a file. What is left is whole, and the same command
//! again does the rest.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use samestep_lmdb_replay::lock::ProcessIds;
use samestep_lmdb_replay::vere::{Access, Depth, DiskVersion, Pier, Severity, verify};

use crate::model::{
    append, command, copy_tree, epochs, events, make_pier, make_three_epochs, put_snapshot, run, scratch,
    text, tree,
};
use crate::programs::try_compile;

/// The library that kills, or `None` where there are none such.
fn shim(folder: &Path) -> Option<PathBuf> {
    let compiled = try_compile(folder, "die_at", &["-shared", "-fPIC", "-ldl"]);
    match compiled {
        Ok(library) if cfg!(target_os = "linux") => Some(library),
        other => {
            println!("skipped: there is no library that kills at a system call: {other:?}");
            None
        }
    }
}

/// Runs `command` on copies of `base`, killed before call 0, 1, 2 and so on until it is not killed any more. After
/// each death `check` looks at what is left; the command again must succeed, and `check_done` looks at the result.
pub(crate) fn kill_everywhere(
    folder: &Path,
    base: &Path,
    command_of: impl Fn(&Path) -> Command,
    check: impl Fn(&Path, usize),
    check_done: impl Fn(&Path, usize),
) {
    let Some(library) = shim(folder) else { return };
    let mut deaths = 0;
    for at in 0.. {
        let work = folder.join("work");
        if work.exists() {
            fs::remove_dir_all(&work).unwrap();
        }
        copy_tree(base, &work);
        let mut killed = command_of(&work);
        let killed = killed.env("LD_PRELOAD", &library).env("DIE_AT", at.to_string()).output().unwrap();
        if killed.status.success() {
            check_done(&work, at);
            break;
        }
        let error = String::from_utf8_lossy(&killed.stderr);
        assert_eq!(killed.status.signal(), Some(9), "call {at}: {error}");
        deaths += 1;
        check(&work, at);
        let again = command_of(&work).output().unwrap();
        let error = String::from_utf8_lossy(&again.stderr);
        assert!(again.status.success(), "call {at}, again: {error}");
        check_done(&work, at);
        // And once more there is nothing to do.
        let before = tree(&work);
        assert!(command_of(&work).output().unwrap().status.success(), "call {at}, once more");
        assert_eq!(tree(&work), before, "call {at}, once more");
    }
    println!("killed before {deaths} calls");
    assert!(deaths > 20, "the deaths are felt: {deaths}");
}

/// No page or event is damaged, and the events are these.
fn assert_whole(root: &Path, expected: &BTreeMap<u64, Vec<u8>>, at: usize) {
    assert_eq!(&events(root), expected, "call {at}");
    let pier = Pier::open(root, Access::Read, ProcessIds::Honour).unwrap();
    let verified = verify(&pier, Depth::Events, |_, _| {}).unwrap();
    let damages: Vec<_> =
        verified.findings.iter().filter(|finding| finding.severity() == Severity::Damage).collect();
    assert!(damages.is_empty(), "call {at}: {damages:?}");
}

/// Nothing is left over.
fn assert_clean(root: &Path, at: usize) {
    let left: Vec<String> =
        tree(root).into_keys().filter(|name| name.contains("samestep") || name.ends_with("tmp")).collect();
    assert_eq!(left, [""; 0], "call {at}");
    assert!(!root.join(".vere.lock").exists(), "call {at}");
}

#[test]
fn roll() {
    let folder = scratch();
    let base = folder.path().join("base");
    make_pier(&base, DiskVersion::Epochs, 40);
    let expected = events(&base);
    kill_everywhere(
        folder.path(),
        &base,
        |work| command(&["roll", text(work)]),
        |work, at| assert_whole(work, &expected, at),
        |work, at| {
            assert_whole(work, &expected, at);
            assert_eq!(epochs(work), [0, 40], "call {at}");
            let snapshot = fs::read(work.join(".urb/log/0i40/south.bin")).unwrap();
            assert_eq!(snapshot, fs::read(work.join(".urb/chk/south.bin")).unwrap(), "call {at}");
            assert_clean(work, at);
        },
    );
}

#[test]
fn chop() {
    let folder = scratch();
    let base = folder.path().join("base");
    make_three_epochs(&base);
    let all = events(&base);
    let kept: BTreeMap<_, _> = all.clone().into_iter().filter(|(number, _)| *number > 60).collect();
    kill_everywhere(
        folder.path(),
        &base,
        |work| command(&["chop", text(work), "--keep", "1"]),
        |work, at| {
            // From some epoch on all is there, and the newest always is.
            let left = events(work);
            assert!(all.iter().rev().take(left.len()).eq(left.iter().rev()), "call {at}");
            assert!(left.len() >= kept.len(), "call {at}");
        },
        |work, at| {
            assert_whole(work, &kept, at);
            assert_eq!(epochs(work), [60], "call {at}");
            assert_clean(work, at);
        },
    );
}

#[test]
fn migrate() {
    let folder = scratch();
    let base = folder.path().join("base");
    make_pier(&base, DiskVersion::Flat, 40);
    let expected = events(&base);
    kill_everywhere(
        folder.path(),
        &base,
        |work| command(&["migrate", text(work)]),
        |work, at| assert_whole(work, &expected, at),
        |work, at| {
            assert_whole(work, &expected, at);
            assert_eq!(epochs(work), [0, 40], "call {at}");
            assert_clean(work, at);
        },
    );
}

#[test]
fn import() {
    let folder = scratch();
    let [pier, base] = ["pier", "base"].map(|name| folder.path().join(name));
    make_three_epochs(&pier);
    fs::create_dir(&base).unwrap();
    let expected = events(&pier);
    let before = tree(&pier);
    kill_everywhere(
        folder.path(),
        &base,
        |work| command(&["import", text(&pier), text(work)]),
        |work, at| {
            // There is no log, or the whole one.
            if work.join(".urb").exists() {
                assert_whole(work, &expected, at);
            }
        },
        |work, at| {
            assert_whole(work, &expected, at);
            assert_clean(work, at);
        },
    );
    assert_eq!(tree(&pier), before, "what is imported is only read");
}

/// Appending to what a killed command left goes on where it was.
#[test]
fn a_rolled_pier_takes_events() {
    let folder = scratch();
    let root = folder.path().join("pier");
    make_three_epochs(&root);
    assert!(run(&["roll", text(&root)]).status.success());
    append(&root, 70);
    put_snapshot(&root.join(".urb/chk"), 70);
    assert_eq!(epochs(&root), [0, 40, 60, 61]);
    assert_eq!(events(&root).len(), 70);
}
