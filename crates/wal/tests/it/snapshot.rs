//! Snapshot marks: what they survive, and what takes them back.

use samestep_wal::{CommitPolicy, Index, SnapshotError, SnapshotMark, TailModel, Wal};

use crate::crash::{Face, sweep};
use crate::disk::{Image, SimDisk, Tear};
use crate::model::options;

fn index(number: u64) -> Index {
    Index::new(number)
}

/// A log of six entries in three segments.
fn six() -> (SimDisk, Wal<SimDisk>) {
    six_in(Some(2))
}

fn six_in(every: Option<u32>) -> (SimDisk, Wal<SimDisk>) {
    let disk = SimDisk::from_image(&Image::new());
    let (wal, _) = Wal::open_on(disk.clone(), options(CommitPolicy::StrictSync, every)).unwrap();
    for number in 1..=6_u8 {
        wal.append(&[number]).unwrap();
    }
    (disk, wal)
}

fn marked(wal: &Wal<SimDisk>) -> Option<(u64, u64, Vec<u8>)> {
    wal.snapshot().map(|mark| (mark.index.get(), mark.aux, mark.payload))
}

fn reopened(wal: Wal<SimDisk>, disk: &SimDisk, ends: Ends) -> Wal<SimDisk> {
    match ends {
        Ends::Closed => wal.close().unwrap(),
        Ends::Crashed => {
            drop(wal);
            disk.unlock();
        }
    }
    Wal::open_on(disk.clone(), options(CommitPolicy::StrictSync, Some(2))).unwrap().0
}

#[derive(Clone, Copy, Debug)]
enum Ends {
    Closed,
    Crashed,
}

#[test]
fn the_last_mark_survives_rotations_prunes_and_openings() {
    for ends in [Ends::Closed, Ends::Crashed] {
        let (disk, wal) = six();
        assert_eq!(wal.snapshot(), None);
        wal.mark_snapshot(index(2), 7, b"old").unwrap();
        wal.mark_snapshot(index(4), 8, b"four").unwrap();
        wal.prune_through(index(4)).unwrap();
        for number in 7..=12_u8 {
            wal.append(&[number]).unwrap();
        }
        assert_eq!(marked(&wal), Some((4, 8, b"four".to_vec())));
        let wal = reopened(wal, &disk, ends);
        assert_eq!(marked(&wal), Some((4, 8, b"four".to_vec())), "{ends:?}");
        wal.rotate().unwrap();
        wal.append("13").unwrap();
        wal.prune_through(index(13)).unwrap();
        let wal = reopened(wal, &disk, ends);
        assert_eq!(marked(&wal), Some((4, 8, b"four".to_vec())), "{ends:?}, with every older segment gone");
        assert_eq!(wal.segment_count(), 1);
    }
}

#[test]
fn only_an_entry_in_the_log_can_be_marked() {
    let (_, wal) = six();
    wal.mark_snapshot(index(3), 0, b"").unwrap();
    wal.prune_through(index(2)).unwrap();
    for number in [0, 2, 7, u64::MAX] {
        let error = wal.mark_snapshot(index(number), 0, b"x").unwrap_err();
        let SnapshotError::NotInLog { index: found, first, next } = error else { panic!("{error}") };
        assert_eq!((found.get(), first.get(), next.get()), (number, 3, 7));
    }
    let error = wal.mark_snapshot(index(5), 0, &vec![0; (64 << 10) + 1]).unwrap_err();
    assert!(matches!(error, SnapshotError::TooLarge { bytes: 65_537, bytes_max: 65_536 }), "{error}");
    assert_eq!(marked(&wal), Some((3, 0, vec![])), "the mark that was there stays");
}

/// In the newest segment, and below it; closed and crashed.
#[test]
fn a_truncation_that_reaches_a_mark_takes_it_back() {
    for ends in [Ends::Closed, Ends::Crashed] {
        for (mark, from, stays) in [(6, 6, false), (5, 6, true), (4, 3, false), (3, 4, true), (6, 1, false)] {
            for every in [None, Some(2)] {
                let (disk, wal) = six_in(every);
                wal.mark_snapshot(index(mark), 1, b"m").unwrap();
                wal.truncate_suffix(index(from)).unwrap();
                let expected =
                    stays.then(|| SnapshotMark { index: index(mark), aux: 1, payload: b"m".to_vec() });
                assert_eq!(wal.snapshot(), expected, "{mark} from {from}");
                // Entries of another history at the same indices do not bring it back.
                for number in from..=7 {
                    wal.append(&number.to_le_bytes()).unwrap();
                }
                let wal = reopened(wal, &disk, ends);
                assert_eq!(wal.snapshot(), expected, "{mark} from {from}, {ends:?}, {every:?}");
            }
        }
    }
}

mod crashes {
    use crate::model::Call;

    use super::*;

    const SCRIPT: [Call; 9] = [
        Call::Append { seed: 1, len: 5 },
        Call::Batch { seed: 3, lens: [20, 30, 7] },
        Call::Mark { back: 2, seed: 40 },
        Call::Prune { front: 2 },
        Call::Append { seed: 9, len: 40 },
        Call::Mark { back: 0, seed: 41 },
        Call::Truncate { back: 1 },
        Call::Mark { back: 0, seed: 42 },
        Call::Append { seed: 11, len: 11 },
    ];

    #[test]
    fn marks_survive_every_torn_sector() {
        for (images_min, every) in [(50, None), (500, Some(2))] {
            sweep(
                images_min,
                Face::Blocking,
                CommitPolicy::StrictSync,
                every,
                TailModel::Sector,
                Tear::Sectors,
                &SCRIPT,
            );
        }
    }

    #[test]
    fn unsynced_marks_survive_every_torn_byte() {
        let mut calls = SCRIPT.to_vec();
        calls.insert(4, Call::Sync);
        sweep(1_000, Face::Async, CommitPolicy::NoSync, Some(4), TailModel::Evidence, Tear::Bytes, &calls);
    }
}
