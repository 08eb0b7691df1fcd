//! Failures on real files: barriers and writes that fail, by a wrapper around the real driver, by a library that is
//! loaded before the C library, and by a file system that is really full.
#![expect(clippy::disallowed_methods, reason = "a child process is told by its environment what it is to do")]

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use samestep_wal::{CommitPolicy, Disk, Index, Op, OpenError, Options, StdDisk, Wal};

use crate::model::{ByIndex, Call, CallError, Model, contents, options, run};

const SCRIPT: [Call; 9] = [
    Call::Append { seed: 1, len: 5 },
    Call::State { slot: 1, seed: 2 },
    Call::Batch { seed: 3, lens: [20, 600, 7] },
    Call::Truncate { back: 1 },
    Call::Rotate,
    Call::Append { seed: 10, len: 3 },
    Call::Truncate { back: 2 },
    Call::Prune { front: 1 },
    Call::Append { seed: 11, len: 11 },
];

/// The real driver, whose call number `at` of a kind fails.
struct Failing {
    disk: StdDisk,
    counts: fn(&Op) -> bool,
    kind: io::ErrorKind,
    at: usize,
    count: usize,
}

impl Disk for Failing {
    fn perform(&mut self, op: &mut Op) -> io::Result<u64> {
        if (self.counts)(op) {
            self.count += 1;
            if self.count == self.at + 1 {
                return Err(self.kind.into());
            }
        }
        self.disk.perform(op)
    }

    fn reader(&self) -> Self {
        Self { disk: self.disk.reader(), ..*self }
    }
}

fn is_barrier(op: &Op) -> bool {
    matches!(op, Op::SyncData { .. } | Op::SyncDir | Op::SyncParent)
}

fn is_write(op: &Op) -> bool {
    matches!(op, Op::WriteAt { .. } | Op::WriteZeros { .. } | Op::Create { .. })
}

fn strict() -> Options {
    options(CommitPolicy::StrictSync, Some(4))
}

/// Runs the script until a call fails. What the log may then hold: all acknowledged, or that and the failed call.
fn run_script<D: Disk>(wal: &mut Wal<D>) -> (Vec<Model>, Option<CallError>) {
    let mut model = Model::new();
    for call in SCRIPT {
        let before = model.clone();
        model.apply(call);
        if let Err(error) = run(wal, call) {
            return (vec![before, model], Some(error));
        }
    }
    (vec![model], None)
}

fn reopen(dir: &Path, allowed: &[Model], what: &str) {
    let (mut wal, _) = Wal::open(dir, strict()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = contents(&mut wal, ByIndex::Too).unwrap();
    assert!(allowed.contains(&found), "{what}: {found:#?}, not {allowed:#?}");
}

#[test]
fn every_barrier_that_fails_on_real_files_poisons() {
    let _alone = crate::alone();
    for at in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("log");
        let disk = Failing {
            disk: StdDisk::new(&dir),
            counts: is_barrier,
            kind: io::ErrorKind::Other,
            at,
            count: 0,
        };
        let mut wal = match Wal::open_on(disk, strict()) {
            Ok((wal, _)) => wal,
            Err(OpenError::Disk(_)) => {
                reopen(&dir, &[Model::new()], &format!("barrier {at}"));
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let (allowed, failure) = run_script(&mut wal);
        let Some(failure) = failure else {
            assert!(at > 20, "the script has barriers to fail");
            break;
        };
        assert!(matches!(failure, CallError::Poisoned), "barrier {at}: {failure:?}");
        for call in SCRIPT {
            // Calls that have nothing to do may succeed; none that has may.
            let outcome = run(&mut wal, call);
            let has_nothing_to_do = matches!(call, Call::Truncate { .. } | Call::Prune { .. });
            assert!(outcome.is_err() || has_nothing_to_do, "barrier {at}: {call:?} after a failed barrier");
        }
        drop(wal);
        reopen(&dir, &allowed, &format!("barrier {at}"));
    }
}

#[test]
fn every_write_that_finds_the_disk_full_can_be_repeated() {
    let _alone = crate::alone();
    let mut failures = 0;
    for at in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("log");
        let kind = io::ErrorKind::StorageFull;
        let disk = Failing { disk: StdDisk::new(&dir), counts: is_write, kind, at, count: 0 };
        let mut wal = match Wal::open_on(disk, strict()) {
            Ok((wal, _)) => wal,
            Err(OpenError::NoSpace(_)) => {
                reopen(&dir, &[Model::new()], &format!("write {at}"));
                continue;
            }
            Err(error) => panic!("write {at}: {error}"),
        };
        let mut model = Model::new();
        let mut has_failed = false;
        for call in SCRIPT {
            let mut target = model.clone();
            target.apply(call);
            // A truncation or prune that was done, and not yet written down, must not be done twice.
            while contents(&mut wal, ByIndex::No).unwrap() != target || call == Call::Rotate {
                match run(&mut wal, call) {
                    Ok(()) => break,
                    Err(CallError::NoSpace) => has_failed = true,
                    Err(CallError::Poisoned) => panic!("write {at}: {call:?} poisoned by a full disk"),
                }
            }
            model = target;
        }
        // What was full is no longer, so that the close succeeds and all is as if nothing had happened.
        let _closed = wal.close();
        reopen(&dir, &[model], &format!("write {at}"));
        failures += usize::from(has_failed);
        if !has_failed && at > 40 {
            break;
        }
    }
    assert!(failures > 10, "the full disk is felt: {failures}");
}

/// What the library in front of the C library is made of: call number `FAIL_AT` of fsync and fdatasync fails.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
static int count;
static int fails(void) {
    const char *at = getenv("FAIL_AT");
    return at != NULL && count++ == atoi(at);
}
int fsync(int fd) {
    if (fails()) { errno = EIO; return -1; }
    return ((int (*)(int)) dlsym(RTLD_NEXT, "fsync"))(fd);
}
int fdatasync(int fd) {
    if (fails()) { errno = EIO; return -1; }
    return ((int (*)(int)) dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
"#;

/// One life under the library. A test like any other, which does nothing unless it is the child.
#[test]
fn child() {
    let Ok(dir) = std::env::var("SAMESTEP_WAL_SHIM_DIR") else { return };
    let acked = match Wal::open(&dir, strict()) {
        Ok((mut wal, _)) => {
            let mut acked = 0;
            for seed in 1..=8 {
                match run(&mut wal, Call::Append { seed, len: 30 }) {
                    Ok(()) => acked += 1,
                    Err(CallError::Poisoned) => {
                        assert!(matches!(
                            run(&mut wal, Call::Append { seed, len: 3 }),
                            Err(CallError::Poisoned)
                        ));
                        assert!(matches!(run(&mut wal, Call::Sync), Err(CallError::Poisoned)));
                        break;
                    }
                    Err(CallError::NoSpace) => panic!("EIO is not a full disk"),
                }
            }
            acked
        }
        Err(OpenError::Disk(_)) => 0,
        Err(error) => panic!("{error}"),
    };
    fs::write(Path::new(&dir).with_file_name("acked"), acked.to_string()).unwrap();
}

/// The system call itself fails, so nothing of ours stands between the failure and the log.
#[test]
fn an_fsync_that_the_kernel_fails_poisons() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    let (source, library) = (folder.path().join("shim.c"), folder.path().join("shim.so"));
    fs::write(&source, SHIM).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
    if !cfg!(target_os = "linux") || !cc.status().is_ok_and(|status| status.success()) {
        println!("skipped: there is no C compiler for a library that fails fsync");
        return;
    }
    let mut poisoned = 0;
    for at in 0..40 {
        let dir = folder.path().join(format!("log-{at}")).join("log");
        fs::create_dir(dir.parent().unwrap()).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["real_faults::child", "--exact", "--test-threads=1"])
            .env("SAMESTEP_WAL_SHIM_DIR", &dir)
            .env("LD_PRELOAD", &library)
            .env("FAIL_AT", at.to_string())
            .output()
            .unwrap();
        assert!(child.status.success(), "call {at}: {}", String::from_utf8_lossy(&child.stdout));
        let acked: u64 = fs::read_to_string(dir.with_file_name("acked")).unwrap().parse().unwrap();
        let (mut wal, _) = Wal::open(&dir, strict()).unwrap();
        let last = wal.last_index().map_or(0, Index::get);
        assert!(last == acked || last == acked + 1, "call {at}: {acked} acknowledged, {last} found");
        contents(&mut wal, ByIndex::Too).unwrap();
        poisoned += usize::from(acked < 8);
    }
    assert!(poisoned > 10, "the failures are felt: {poisoned}");
}

/// A file system of 64 KiB that fills up, is freed and goes on. Needs root for the mount.
#[test]
fn a_file_system_that_is_really_full_recovers() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "none"])
        .arg(folder.path())
        .output()
        .is_ok_and(|out| out.status.success());
    if !mounted {
        println!("skipped: a small file system cannot be mounted here; the wrapper stands in for it");
        return;
    }
    let dir = folder.path().join("log");
    let filled = std::panic::catch_unwind(|| fill_and_go_on(&dir));
    let unmounted = Command::new("umount").arg(folder.path()).status().unwrap();
    assert!(unmounted.success());
    filled.unwrap();
}

fn fill_and_go_on(dir: &Path) {
    let (mut wal, _) = Wal::open(dir, options(CommitPolicy::StrictSync, None)).unwrap();
    let mut model = Model::new();
    for _ in 0..3 {
        let mut fullness = 0;
        while fullness < 2 {
            let call = Call::Append { seed: 9, len: 600 };
            match run(&mut wal, call) {
                Ok(()) => model.apply(call),
                Err(CallError::NoSpace) => fullness += 1,
                Err(CallError::Poisoned) => panic!("poisoned by a full file system"),
            }
        }
        assert_eq!(contents(&mut wal, ByIndex::No).unwrap(), model);
        let call = Call::Prune { front: model.entries.len() as u64 - 3 };
        run(&mut wal, call).unwrap();
        model.apply(call);
    }
    drop(wal);
    let (mut wal, _) = Wal::open(dir, options(CommitPolicy::StrictSync, None)).unwrap();
    assert_eq!(contents(&mut wal, ByIndex::Too).unwrap(), model);
}
