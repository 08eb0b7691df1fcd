//! The lock file, by both of Vere's protocols.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use samestep_lmdb_replay::lock::{self, Evidence, Holder, LockError, LockState, ProcessIds, Stale};

use crate::programs::{Holding, try_compile};

const HONOUR: ProcessIds = ProcessIds::Honour;

fn compile(folder: &Path) -> PathBuf {
    try_compile(folder, "hold", &[]).unwrap()
}

fn hold(folder: &Path, file: &Path, kind: &str) -> Holding {
    let program = compile(folder);
    Holding::start(Command::new(program).arg(file).arg(kind))
}

fn holder(error: LockError) -> Holder {
    match error {
        LockError::InUse { holder, .. } => holder,
        other => panic!("{other}"),
    }
}

/// A ship of Vere 3.1 or later holds a record lock: neither reading nor writing is allowed, and its id is told.
#[test]
fn a_record_lock_of_another_process_is_honoured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".vere.lock");
    let ship = hold(folder.path(), &path, "w");
    let expected = Holder { pid: Some(ship.pid()), evidence: Evidence::RecordLock };
    assert_eq!(lock::probe(&path).unwrap(), LockState::Held(expected.clone()));
    assert_eq!(holder(lock::read(&path, HONOUR).unwrap_err()), expected);
    assert_eq!(holder(lock::write(&path, HONOUR).unwrap_err()), expected);
    // What a stranger's reused id excuses, a record lock does not.
    assert_eq!(holder(lock::write(&path, ProcessIds::Ignore).unwrap_err()), expected);
    drop(ship);
    drop(lock::write(&path, HONOUR).unwrap());
}

/// Readers share; a writer waits for none of them, and readers wait for no writer.
#[test]
fn readers_share_and_writers_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".vere.lock");
    fs::write(&path, "").unwrap();
    let other = hold(folder.path(), &path, "r");
    let reader = lock::read(&path, HONOUR).unwrap();
    let second = lock::read(&path, HONOUR).unwrap();
    assert!(reader.is_held() && second.is_held());
    // One guard that ends does not end the lock of the other, as closing a descriptor would.
    drop(second);
    drop(other);
    let program = compile(folder.path());
    let refused = Command::new(&program).arg(&path).arg("w").status().unwrap();
    assert_eq!(refused.code(), Some(1), "a ship cannot start while the log is read");
    let error = holder(lock::write(&path, HONOUR).unwrap_err());
    assert_eq!(error, Holder { pid: Some(std::process::id()), evidence: Evidence::RecordLock });
    drop(reader);

    let writer = lock::write(&path, HONOUR).unwrap();
    // Read by another process: to close the file in this one would end the lock.
    let text = Command::new("cat").arg(&path).output().unwrap().stdout;
    assert_eq!(text, format!("{}\n", std::process::id()).into_bytes());
    holder(lock::read(&path, HONOUR).unwrap_err());
    holder(lock::write(&path, HONOUR).unwrap_err());
    assert_eq!(Command::new(&program).arg(&path).arg("r").status().unwrap().code(), Some(1));
    drop(writer);
    assert!(!path.exists());
}

/// Reading creates no lock file where there is none.
#[test]
fn reading_creates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".vere.lock");
    assert_eq!(lock::probe(&path).unwrap(), LockState::Free);
    assert!(!lock::read(&path, HONOUR).unwrap().is_held());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A living process whose id stands in the file is a ship of Vere 3.0, unless the caller knows better. It is not
/// killed, as Vere 3.0 would.
#[test]
fn the_id_of_a_living_process_is_honoured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".vere.lock");
    let program = compile(folder.path());
    let ship = Holding::start(Command::new(program).arg(folder.path().join("other")).arg("w"));
    fs::write(&path, format!("{}\n", ship.pid())).unwrap();
    let expected = Holder { pid: Some(ship.pid()), evidence: Evidence::ProcessId };
    assert_eq!(lock::probe(&path).unwrap(), LockState::Held(expected.clone()));
    assert_eq!(holder(lock::read(&path, HONOUR).unwrap_err()), expected);
    assert_eq!(holder(lock::write(&path, HONOUR).unwrap_err()), expected);
    let guard = lock::write(&path, ProcessIds::Ignore).unwrap();
    assert_eq!(guard.stale(), Some(&Stale::Forced { pid: ship.pid() }));
}

/// What a ship that crashed or a full disk left behind is no obstacle, and is told.
#[test]
fn stale_files_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path());
    let ended = Holding::start(Command::new(program).arg(folder.path().join("other")).arg("w"));
    let dead = ended.pid();
    drop(ended);
    for (text, stale) in [
        (format!("{dead}\n"), Some(Stale::Dead { pid: dead })),
        ("not a number".to_owned(), Some(Stale::Garbage)),
        ("-1\n".to_owned(), Some(Stale::Garbage)),
        ("0\n".to_owned(), Some(Stale::Garbage)),
        ("99999999999999999999\n".to_owned(), Some(Stale::Garbage)),
        (String::new(), None),
    ] {
        let path = folder.path().join(".vere.lock");
        fs::write(&path, &text).unwrap();
        assert_eq!(lock::read(&path, HONOUR).unwrap().stale(), stale.as_ref(), "{text:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "reading changes nothing");
        assert_eq!(lock::write(&path, HONOUR).unwrap().stale(), stale.as_ref(), "{text:?}");
    }
}

/// A process that started long after the file was written did not write it: its id was used again.
#[test]
fn a_reused_id_is_stale() {
    if !cfg!(target_os = "linux") {
        println!("skipped: when a process started is told on Linux only");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".vere.lock");
    let program = compile(folder.path());
    let stranger = Holding::start(Command::new(program).arg(folder.path().join("other")).arg("w"));
    fs::write(&path, format!("{}\n", stranger.pid())).unwrap();
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_modified(written - Duration::from_secs(1000)).unwrap();
    drop(file);
    let stale = Stale::Reused { pid: stranger.pid() };
    assert_eq!(lock::probe(&path).unwrap(), LockState::Stale(stale.clone()));
    assert_eq!(lock::write(&path, HONOUR).unwrap().stale(), Some(&stale));
}
