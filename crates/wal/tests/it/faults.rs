//! Operations that fail: every barrier, every write, every operation, one after the other.

use std::io;

use samestep_wal::{CommitPolicy, OpenError, Options, TailModel, Wal};

use crate::disk::{Fault, FaultOn, SimDisk, State, Tear, crash_images};
use crate::model::{ByIndex, Call, CallError, Model, contents, of_sync, options, run};

pub(crate) const SCRIPT: [Call; 11] = [
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

pub(crate) fn fault(on: FaultOn, at: usize, kind: io::ErrorKind) -> Fault {
    Fault { on, at, more: 0, kind, lands: 60 }
}

pub(crate) fn empty_disk(fault: Fault) -> SimDisk {
    let disk = SimDisk::default();
    *disk.0.borrow_mut() = State::default();
    disk.set_fault(Some(fault));
    disk
}

/// Runs the script until something fails and returns the models that a recovery may find: what was acknowledged,
/// and that with the failed call. The flag says whether anything failed.
pub(crate) fn run_to_failure(disk: &SimDisk, options: &Options) -> (Vec<Model>, bool) {
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

/// A record that found the disk full is not part of the log, also if all of it landed and the power goes at once: the
/// zeros over it are durable before the call returns.
#[test]
fn a_power_cut_after_a_full_disk_shows_nothing_of_what_failed() {
    let options = options(CommitPolicy::StrictSync, Some(4));
    let mut failures = 0;
    for (at, lands) in (0..70).flat_map(|at| [(at, 60), (at, 100)]) {
        let disk = empty_disk(Fault { lands, ..fault(FaultOn::Write, at, io::ErrorKind::StorageFull) });
        let Ok((mut wal, _)) = Wal::open_on(disk.clone(), options.clone()) else { continue };
        let mut model = Model::new();
        for call in SCRIPT {
            let mut target = model.clone();
            target.apply(call);
            if let Err(error) = run(&mut wal, call) {
                assert!(matches!(error, CallError::NoSpace), "fault {at}: {error:?}");
                failures += 1;
                let is_half_done = matches!(call, Call::Truncate { .. } | Call::Prune { .. });
                for image in crash_images(&disk.0.borrow(), Tear::Sectors, 64) {
                    let (mut wal, _) = Wal::open_on(SimDisk::from_image(&image), options.clone()).unwrap();
                    let found = contents(&mut wal, ByIndex::No).unwrap();
                    assert!(
                        found == model || is_half_done && found == target,
                        "fault {at}, {lands} % landed: {call:?} left {found:#?}, not {model:#?}"
                    );
                }
                break;
            }
            model = target;
        }
    }
    assert!(failures > 50, "the full disk is felt: {failures}");
}

/// The disk is full when the header of a new segment is written, and the header lands all the same. The old segment
/// goes on; after a crash the new one must not come between.
#[test]
fn a_rotation_that_failed_leaves_no_segment_behind() {
    let options = options(CommitPolicy::StrictSync, None);
    let disk = SimDisk::default();
    let (mut wal, _) = Wal::open_on(disk.clone(), options.clone()).unwrap();
    let mut model = Model::new();
    let (first, second) = (Call::Append { seed: 1, len: 9 }, Call::Append { seed: 2, len: 9 });
    run(&mut wal, first).unwrap();
    model.apply(first);
    // Without states the writes of a rotation are: create, zero-fill, header.
    let header = Fault { lands: 100, ..fault(FaultOn::Write, 2, io::ErrorKind::StorageFull) };
    disk.set_fault(Some(header));
    assert!(matches!(run(&mut wal, Call::Rotate), Err(CallError::NoSpace)));
    disk.set_fault(None);
    run(&mut wal, second).unwrap();
    model.apply(second);
    assert_eq!(wal.segment_count(), 1);
    let images = crash_images(&disk.0.borrow(), Tear::Sectors, 64);
    for image in images {
        let (mut wal, _) = Wal::open_on(SimDisk::from_image(&image), options.clone()).unwrap();
        assert_eq!(contents(&mut wal, ByIndex::Too).unwrap(), model);
    }
}

/// Once a log is created, no crash takes one of its files.
#[test]
fn a_created_log_has_all_its_names() {
    let disk = SimDisk::default();
    let (_wal, _) = Wal::open_on(disk.clone(), options(CommitPolicy::StrictSync, None)).unwrap();
    for image in crash_images(&disk.0.borrow(), Tear::Sectors, 64) {
        let names: Vec<&str> = image.keys().map(String::as_str).collect();
        assert_eq!(names, ["LOCK", "seg-00000000000000000001.wal", "wal.meta"]);
    }
}
