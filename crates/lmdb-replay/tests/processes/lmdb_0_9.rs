//! Beside the LMDB that is installed, as a ship has it: 0.9.x, whose lock file has another format than that of the
//! LMDB in this crate.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use samestep_lmdb_replay::lock::{self, Evidence, Holder, LockError, ProcessIds};
use samestep_lmdb_replay::vere::{Access, DiskVersion, Pier, PierError};
use samestep_lmdb_replay::{DataFile, EpochLog, EpochWriter, Index, Layout, WriteError, structure};

use crate::model::{WRITE, append, events, make_pier, run, scratch, text};
use crate::programs::{Holding, try_compile};

/// The program that uses the installed LMDB, or `None` where none is installed.
fn peer(folder: &Path) -> Option<PathBuf> {
    let compiled = try_compile(folder, "lmdb_peer", &["-O2", "-llmdb"]);
    compiled.map_err(|error| println!("skipped: liblmdb is not installed: {error}")).ok()
}

/// What the peer prints of the events in `dir`.
fn read_by_peer(peer: &Path, dir: &Path) -> String {
    let output = Command::new(peer).arg("read").arg(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn line(number: u64, value: &[u8]) -> String {
    let sum = value.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    format!("{number} {} {sum}\n", value.len())
}

/// While a ship has an environment open, everybody else is told so, with its id; also through .vere.lock being
/// missing, as with programs that do not know of it.
#[test]
fn a_held_environment_is_in_use() {
    let folder = scratch();
    let Some(peer) = peer(folder.path()) else { return };
    let root = folder.path().join("pier");
    make_pier(&root, DiskVersion::Epochs, 20);
    let dir = root.join(".urb/log/0i0");
    let ship = Holding::start(Command::new(&peer).arg("hold").arg(&dir));
    for access in [Access::Read, Access::Write] {
        match Pier::open(&root, access, ProcessIds::Honour).unwrap_err() {
            PierError::EnvironmentInUse { holder, .. } => {
                assert_eq!(holder, Holder { pid: Some(ship.pid()), evidence: Evidence::Environment });
            }
            other => panic!("{other}"),
        }
    }
    for words in [&["info"][..], &["verify"], &["dump"], &["roll"], &["chop"], &["lock"]] {
        let output = run(&[words, &[text(&root)]].concat());
        assert_eq!(output.status.code(), Some(3), "{words:?}");
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains(&ship.pid().to_string()), "{words:?}: {told}");
    }
    drop(ship);
    assert_eq!(events(&root).len(), 20);
    append(&root, 30);
    assert_eq!(events(&root).len(), 30);
}

/// Below that, LMDB itself refuses: the formats of the lock files differ.
#[test]
fn lmdb_refuses_a_held_environment() {
    let folder = scratch();
    let Some(peer) = peer(folder.path()) else { return };
    let root = folder.path().join("pier");
    make_pier(&root, DiskVersion::Epochs, 20);
    let dir = root.join(".urb/log/0i0");
    let ship = Holding::start(Command::new(&peer).arg("hold").arg(&dir));
    let guard = lock::write(&folder.path().join("lock"), ProcessIds::Honour).unwrap();
    let refused = EpochWriter::open(&dir, 0, Layout::VERE, WRITE, &guard).unwrap_err();
    assert!(matches!(refused, WriteError::InUse { .. }), "{refused}");
    drop(ship);
    EpochWriter::open(&dir, 0, Layout::VERE, WRITE, &guard).unwrap().close();
    // The lock file that the other version wrote is no obstacle to it either.
    assert_eq!(read_by_peer(&peer, &dir).lines().count(), 20);
}

/// Two processes of this crate: readers share, all else refuses, and both are told who it is.
#[test]
fn a_writer_in_another_process() {
    let folder = scratch();
    let root = folder.path().join("pier");
    make_pier(&root, DiskVersion::Epochs, 20);
    let held = Pier::open(&root, Access::Write, ProcessIds::Honour).unwrap();
    for words in [&["info"][..], &["verify"], &["roll"], &["lock"]] {
        let output = run(&[words, &[text(&root)]].concat());
        assert_eq!(output.status.code(), Some(3), "{words:?}");
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(told.contains(&std::process::id().to_string()), "{words:?}: {told}");
    }
    assert!(matches!(
        Pier::open(&root, Access::Read, ProcessIds::Honour),
        Err(PierError::Lock(LockError::InUse { .. }))
    ));
    drop(held);
    // A lock file that is there can be held for reading; where there is none, nothing is created.
    fs::write(root.join(".vere.lock"), "").unwrap();
    let reader = Pier::open(&root, Access::Read, ProcessIds::Honour).unwrap();
    assert!(reader.is_held());
    assert_eq!(run(&["verify", text(&root)]).status.code(), Some(0));
    assert_eq!(run(&["roll", text(&root)]).status.code(), Some(3));
}

/// What is written here, the LMDB of ships reads, and goes on writing.
#[test]
fn the_installed_lmdb_reads_what_is_written_here() {
    let folder = scratch();
    let Some(peer) = peer(folder.path()) else { return };
    let root = folder.path().join("pier");
    make_pier(&root, DiskVersion::Epochs, 300);
    let expected: String = events(&root).iter().map(|(number, value)| line(*number, value)).collect();
    assert_eq!(read_by_peer(&peer, &root.join(".urb/log/0i0")), expected);
}

/// And the other way round, a transaction an event.
#[test]
fn what_the_installed_lmdb_writes_is_read_here() {
    let folder = scratch();
    let Some(peer) = peer(folder.path()) else { return };
    let dir = folder.path().join("0i0");
    fs::create_dir(&dir).unwrap();
    let status = Command::new(&peer).arg("write").arg(&dir).arg("3000").status().unwrap();
    assert!(status.success());
    let file = DataFile::open(dir.join("data.mdb")).unwrap();
    let structure = structure::check(&file).unwrap();
    assert_eq!((structure.damages.len(), structure.leaked_pages), (0, 0));
    let log = EpochLog::open(folder.path(), Layout::VERE).unwrap();
    let mut reader = log.reader(Index::new(1)).unwrap();
    let mut lines = String::new();
    while let Some(event) = reader.next_event().unwrap() {
        lines += &line(event.number, event.value);
    }
    assert_eq!(lines.lines().count(), 3000);
    assert_eq!(lines, read_by_peer(&peer, &dir));
}
