//! Barriers that fail, and the log opened again before the power is cut.
//!
//! The cache then shows what is on no medium, and no later barrier brings it there. Whatever opening believes of it must
//! be written again before anything rests on it.

use std::io;

use samestep_wal::{CommitPolicy, OpenError, Options, TailModel, Wal};

use crate::disk::{Fault, FaultOn, Image, SimDisk, Tear, crash_images};
use crate::faults::{empty_disk, fault, run_to_failure};
use crate::model::{ByIndex, Call, Model, contents, options, run};

/// What is done with a log that was opened again.
const MORE: [Call; 5] = [
    Call::Append { seed: 21, len: 5 },
    Call::State { slot: 2, seed: 22 },
    Call::Prune { front: 2 },
    Call::Rotate,
    Call::Append { seed: 23, len: 30 },
];

/// All options under which the header, the head and `wal.meta` are at stake in turn.
fn variants() -> [Options; 3] {
    let mut evidence = options(CommitPolicy::StrictSync, Some(2));
    evidence.tail = TailModel::Evidence;
    [options(CommitPolicy::StrictSync, Some(4)), options(CommitPolicy::StrictSync, None), evidence]
}

/// Opens what is on `disk` after its process died, and no more than that.
fn reopen(disk: &SimDisk, options: &Options) -> Result<Wal<SimDisk>, OpenError> {
    disk.unlock();
    Wal::open_on(disk.clone(), options.clone()).map(|(wal, _)| wal)
}

fn opened_after_a_power_cut(image: &Image, options: &Options, when: &str) -> Model {
    let opened = Wal::open_on(SimDisk::from_image(image), options.clone());
    let (mut wal, _) = opened.unwrap_or_else(|error| panic!("{when}: {error}"));
    contents(&mut wal, ByIndex::No).unwrap()
}

/// Calls `with` on a disk on which barrier number `at` of the script failed, with what a recovery may find there, for
/// all barriers. Nothing of what the barrier was for has landed, or the greater part.
fn after_each_failed_barrier(options: &Options, mut with: impl FnMut(SimDisk, Vec<Model>, usize)) {
    for lands in [0, 60] {
        for at in 0.. {
            let disk = empty_disk(Fault { lands, ..fault(FaultOn::Sync, at, io::ErrorKind::Other) });
            let (allowed, failed) = run_to_failure(&disk, options);
            disk.set_fault(None);
            if !failed {
                assert!(at > 20, "the script has barriers to fail");
                break;
            }
            with(disk, allowed, at);
        }
    }
}

/// Every call that the reopened log acknowledges is there after a power cut, with all that it served before.
#[test]
fn a_log_reopened_after_a_failed_barrier_rests_on_the_medium() {
    for options in variants() {
        after_each_failed_barrier(&options, |disk, allowed, at| {
            let mut wal = reopen(&disk, &options).unwrap();
            let mut model = contents(&mut wal, ByIndex::Too).unwrap();
            assert!(allowed.contains(&model), "barrier {at}: {model:#?} {allowed:#?}");
            for (number, call) in MORE.into_iter().enumerate() {
                for image in crash_images(&disk.0.borrow(), Tear::Sectors, 8) {
                    let when = format!("barrier {at}, before call {number}");
                    assert_eq!(opened_after_a_power_cut(&image, &options, &when), model, "{when}");
                }
                run(&mut wal, call).unwrap();
                model.apply(call);
            }
            wal.close().unwrap();
            for image in crash_images(&disk.0.borrow(), Tear::Sectors, 8) {
                assert_eq!(opened_after_a_power_cut(&image, &options, "closed"), model, "barrier {at}");
            }
        });
    }
}

/// The barriers of the opening fail in their turn, and the log is opened once more in the same life.
#[test]
fn an_opening_that_fails_too_is_repeated() {
    for options in variants() {
        after_each_failed_barrier(&options, |disk, allowed, at| {
            for again in 0..40 {
                let disk = disk.fork();
                let second = fault(FaultOn::Sync, again, io::ErrorKind::Other);
                disk.set_fault(Some(Fault { lands: 0, ..second }));
                let failed = reopen(&disk, &options).is_err();
                disk.set_fault(None);
                let when = format!("barriers {at} and {again}");
                for image in crash_images(&disk.0.borrow(), Tear::Sectors, 8) {
                    let found = opened_after_a_power_cut(&image, &options, &when);
                    assert!(allowed.contains(&found), "{when}: {found:#?} {allowed:#?}");
                }
                let mut wal = reopen(&disk, &options).unwrap();
                let mut model = contents(&mut wal, ByIndex::Too).unwrap();
                assert!(allowed.contains(&model), "{when}: {model:#?} {allowed:#?}");
                run(&mut wal, MORE[0]).unwrap();
                model.apply(MORE[0]);
                for image in crash_images(&disk.0.borrow(), Tear::Sectors, 8) {
                    assert_eq!(opened_after_a_power_cut(&image, &options, &when), model, "{when}");
                }
                if !failed {
                    assert!(again > 2, "an opening has barriers to fail");
                    return;
                }
            }
        });
    }
}

/// The power is cut after each operation of the opening.
#[test]
fn a_power_cut_while_the_log_is_reopened_loses_nothing() {
    for options in variants() {
        for tear in [Tear::Sectors, Tear::Bytes] {
            if tear == Tear::Bytes && options.tail == TailModel::Sector {
                continue;
            }
            after_each_failed_barrier(&options, |disk, allowed, at| {
                let replayed = disk.fork();
                replayed.unlock();
                disk.take_trace();
                drop(reopen(&disk, &options).unwrap());
                for (number, mut op) in disk.take_trace().into_iter().enumerate() {
                    let _outcome = replayed.0.borrow_mut().apply(&mut op);
                    for image in crash_images(&replayed.0.borrow(), tear, 24) {
                        let when = format!("barrier {at}, {} is operation {number}", op.name());
                        let found = opened_after_a_power_cut(&image, &options, &when);
                        assert!(allowed.contains(&found), "{when}: {found:#?} {allowed:#?}");
                    }
                }
            });
        }
    }
}
