//! Every way in which a save can end, and every way in which a file can be damaged.

use super::*;

const TAG: LogTag = LogTag(*b"a log of a test.");
const STEPS: [SaveStep; 7] = [
    SaveStep::CreateDir,
    SaveStep::Create,
    SaveStep::WriteFront,
    SaveStep::WriteBack,
    SaveStep::Sync,
    SaveStep::Rename,
    SaveStep::SyncDir,
];

fn snapshot(number: u64) -> Snapshot {
    Snapshot { number, mug: 7, state: format!("the state after event {number}").into_bytes() }
}

fn newest(store: &SnapshotStore) -> Option<u64> {
    store.load(u64::MAX).unwrap().snapshot.map(|snapshot| snapshot.number)
}

/// What is saved is loaded, and two are kept in turn.
#[test]
fn two_are_kept_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let store = SnapshotStore::new(folder.path().join("deep/states"), TAG);
    assert_eq!(newest(&store), None, "a folder that is not there holds none");
    for number in [10, 20, 30, 40] {
        store.save(&snapshot(number)).unwrap();
        assert_eq!(store.load(u64::MAX).unwrap().snapshot, Some(snapshot(number)));
    }
    assert_eq!(store.load(39).unwrap().snapshot, Some(snapshot(30)));
    assert_eq!(store.load(29).unwrap().snapshot, None);
    assert_eq!(fs::read_dir(store.dir()).unwrap().count(), 2);
}

/// A save that fails or dies before any step leaves the newest one there was; dying behind the rename, the new one.
/// The next save succeeds.
#[test]
fn a_save_that_ends_at_any_step_loses_nothing() {
    for saved_before in 0..4 {
        for last in STEPS {
            let folder = tempfile::tempdir().unwrap();
            let store = SnapshotStore::new(folder.path(), TAG);
            for number in 1..=saved_before {
                store.save(&snapshot(number)).unwrap();
            }
            let new = saved_before + 1;
            let outcome = store.save_through(&snapshot(new), &mut |step| {
                if step == last { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
            });
            assert!(matches!(outcome, Err(SnapshotError::Io { .. })));
            let expected = if last == SaveStep::SyncDir { new } else { saved_before };
            assert_eq!(newest(&store), Some(expected).filter(|number| *number > 0), "{last:?}");
            store.save(&snapshot(new)).unwrap();
            assert_eq!(newest(&store), Some(new));
        }
    }
}

/// Each byte of the newest one, changed, makes it damaged and never another one; each cut too. The one before is used.
#[test]
fn damage_falls_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = SnapshotStore::new(folder.path(), TAG);
    store.save(&snapshot(1)).unwrap();
    let path = store.save(&snapshot(2)).unwrap();
    let whole = fs::read(&path).unwrap();
    let check = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let loaded = store.load(u64::MAX).unwrap();
        assert_eq!(loaded.snapshot, Some(snapshot(1)));
        assert!(matches!(&loaded.damaged[..], [SnapshotError::Damaged { .. }]), "{:?}", loaded.damaged);
    };
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        check(&bytes);
        check(&whole[..at]);
    }
    check(&[&whole[..], b"x"].concat());
    // The damaged one is what the next save replaces.
    store.save(&snapshot(3)).unwrap();
    let loaded = store.load(u64::MAX).unwrap();
    assert!(loaded.damaged.is_empty());
    assert_eq!(loaded.snapshot, Some(snapshot(3)));
    assert_eq!(store.load(2).unwrap().snapshot, Some(snapshot(1)));
}

/// States of two logs are not mixed up, and neither is overwritten by the other.
#[test]
fn a_snapshot_of_another_log_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    SnapshotStore::new(folder.path(), TAG).save(&snapshot(1)).unwrap();
    let other = SnapshotStore::new(folder.path(), LogTag([0; 16]));
    assert!(matches!(other.load(u64::MAX), Err(SnapshotError::OtherLog { .. })));
    assert!(matches!(other.save(&snapshot(2)), Err(SnapshotError::OtherLog { .. })));
}

/// A version that is not known is told as such.
#[test]
fn a_newer_version_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = SnapshotStore::new(folder.path(), TAG);
    let path = store.save(&snapshot(1)).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 2;
    let sum = xxh3_64(&bytes[..HEADER_BYTES - 8]).to_le_bytes();
    bytes[HEADER_BYTES - 8..HEADER_BYTES].copy_from_slice(&sum);
    fs::write(&path, bytes).unwrap();
    let damaged = store.load(u64::MAX).unwrap().damaged;
    let problem = SnapshotProblem::Version { found: 2 };
    assert!(matches!(&damaged[..], [SnapshotError::Damaged { problem: found, .. }] if *found == problem));
}
