//! Operations that fail: every barrier, every write, every operation, one after the other.

use std::io;

use samestep_wal::{CommitPolicy, OpenError, Options, TailModel, Wal};

use crate::disk::{Fault, FaultOn, SimDisk, State, Tear, crash_images};
use crate::model::{ByIndex, Call, CallError, Model, contents, of_sync, options, run};

const SCRIPT: [Call; 11] = [
    Call::Append { seed: 1, len: 5 },
    Call::State { slot: 1, seed: 2 },
    Call::Batch { seed: 3, lens: [20, 600, 7] },
    Call::Append { seed: 9, len: 40 },
    Call::Truncate { back: 2 },
    Call::State { slot: 1, seed: 8 },
    Call::Rotate,
    Call::Append { seed: 10, len: 3 },
    Call::Truncate { back: 2 },
    Call::Prune { front: 1 },
    Call::Append { seed: 11, len: 11 },
];

fn fault(on: FaultOn, at: usize, kind: io::ErrorKind) -> Fault {
    Fault { on, at, more: 0, kind, lands: 60 }
}

fn empty_disk(fault: Fault) -> SimDisk {
    let disk = SimDisk::default();
    *disk.0.borrow_mut() = State::default();
    disk.set_fault(Some(fault));
    disk
}

/// Runs the script until something fails and returns the models that a recovery may find: what was acknowledged,
/// and that with the failed call. The flag says whether anything failed.
fn run_to_failure(disk: &SimDisk, options: &Options) -> (Vec<Model>, bool) {
    let mut model = Model::new();
    let mut wal = match Wal::open_on(disk.clone(), options.clone()) {
        Ok((wal, _)) => wal,
        Err(OpenError::Disk(_)) => return (vec![model], true),
        Err(error) => panic!("{error}"),
    };
    for call in SCRIPT {
        let before = model.clone();
        model.apply(call);
        if let Err(error) = run(&mut wal, call) {
            assert!(matches!(error, CallError::Poisoned), "a failed device poisons: {error:?}");
            assert!(matches!(run(&mut wal, call), Err(CallError::Poisoned)), "for good");
            assert!(
                matches!(wal.sync().map_err(of_sync), Err(CallError::Poisoned)),
                "also without work to do"
            );
            return (vec![before, model], true);
        }
    }
    let failed = wal.close().is_err();
    (vec![model], failed)
}

/// A failed barrier poisons; what was acknowledged is found again; what a reopened log serves is on the medium,
/// though the page cache shows bytes that never got there.
fn fails_safely(on: FaultOn) {
    let options = options(CommitPolicy::StrictSync, Some(4));
    for at in 0.. {
        let disk = empty_disk(fault(on, at, io::ErrorKind::Other));
        let (allowed, failed) = run_to_failure(&disk, &options);
        disk.set_fault(None);
        disk.unlock();
        let (mut wal, _) = Wal::open_on(disk.clone(), options.clone()).unwrap();
        let found = contents(&mut wal, ByIndex::Too).unwrap();
        assert!(allowed.contains(&found), "fault {at}: {found:#?} {allowed:#?}");
        drop(wal);
        let images = crash_images(&disk.0.borrow(), Tear::Sectors, 16);
        for image in images {
            let (mut wal, _) = Wal::open_on(SimDisk::from_image(&image), options.clone()).unwrap();
            assert_eq!(contents(&mut wal, ByIndex::No).unwrap(), found, "fault {at}: served and not durable");
        }
        if !failed {
            assert!(at > 20, "the script has barriers to fail");
            break;
        }
    }
}

#[test]
fn every_failed_barrier_poisons_and_loses_nothing() {
    fails_safely(FaultOn::Sync);
}

/// Failures of caches are the only ones that pass unnoticed, so the loop may not end at the first success.
#[test]
fn every_failed_operation_is_survived() {
    let mut options = options(CommitPolicy::StrictSync, Some(4));
    // A write that fails may leave any of its bytes, which the sector model refuses to judge.
    options.tail = TailModel::Evidence;
    for at in 0..150 {
        let disk = empty_disk(fault(FaultOn::Any, at, io::ErrorKind::Other));
        let (allowed, _) = run_to_failure(&disk, &options);
        disk.set_fault(None);
        disk.unlock();
        let (mut wal, _) = Wal::open_on(disk.clone(), options.clone()).unwrap();
        let found = contents(&mut wal, ByIndex::Too).unwrap();
        assert!(allowed.contains(&found), "fault {at}: {found:#?} {allowed:#?}");
    }
}

/// A full disk at every write, for one write or for several in a row: typed, nothing lost, and the same call
/// succeeds once there is space.
fn full_disk(more: usize, kind: io::ErrorKind) {
    let options = options(CommitPolicy::StrictSync, Some(4));
    let mut failures = 0;
    for at in 0..70 {
        let disk = empty_disk(Fault { more, ..fault(FaultOn::Write, at, kind) });
        let mut wal = loop {
            match Wal::open_on(disk.clone(), options.clone()) {
                Ok((wal, _)) => break wal,
                Err(OpenError::NoSpace(_)) => disk.unlock(),
                Err(error) => panic!("fault {at}: {error}"),
            }
        };
        let mut model = Model::new();
        for call in SCRIPT {
            let target = {
                let mut target = model.clone();
                target.apply(call);
                target
            };
            // A truncation or prune that was done and not yet written down must not be done twice.
            while contents(&mut wal, ByIndex::No).unwrap() != target || matches!(call, Call::Rotate) {
                match run(&mut wal, call) {
                    Ok(()) => break,
                    Err(CallError::NoSpace) => failures += 1,
                    Err(CallError::Poisoned) => panic!("fault {at}: {call:?} poisoned by a full disk"),
                }
                let found = contents(&mut wal, ByIndex::No).unwrap();
                let is_half_done =
                    matches!(call, Call::Truncate { .. } | Call::Prune { .. }) && found == target;
                assert!(
                    found == model || is_half_done,
                    "fault {at}: {call:?} left {found:#?}, not {model:#?}"
                );
            }
            model = target;
        }
        match wal.close() {
            Ok(()) => {}
            Err(error) => assert!(matches!(of_sync(error), CallError::NoSpace)),
        }
        disk.set_fault(None);
        disk.unlock();
        let (mut wal, _) = Wal::open_on(disk.clone(), options.clone()).unwrap();
        assert_eq!(contents(&mut wal, ByIndex::Too).unwrap(), model, "fault {at}");
    }
    assert!(failures > 10, "the full disk is felt");
}

#[test]
fn a_full_disk_is_retryable_at_every_write() {
    full_disk(0, io::ErrorKind::StorageFull);
}

#[test]
fn a_disk_that_stays_full_for_a_while_is_retryable() {
    full_disk(3, io::ErrorKind::QuotaExceeded);
}
