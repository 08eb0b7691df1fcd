//! The asynchronous face does what the blocking one does, byte for byte.

use std::path::Path;
use std::time::Duration;

use samestep_memory_providers::MemoryWorld;
use samestep_provider_traits::{File, OpenOptions, Providers, StorageProvider};
use samestep_wal::sans_io::{Failure, Opening, StageError};
use samestep_wal::{AppendError, AsyncWal, CommitPolicy, Disk, Index, OpenOutcome, StateRecord, Wal};

use crate::disk::{Image, SimDisk};

/// All files of the log's folder.
async fn image_of<S: StorageProvider>(storage: &S) -> Image {
    let mut image = Image::new();
    for entry in storage.list(Path::new("a/log")).await.unwrap() {
        let path = Path::new("a/log").join(&entry.name);
        let file = storage.open(&path, OpenOptions::read_only()).await.unwrap();
        let len = file.metadata().await.unwrap().len;
        let (outcome, bytes) = file.read_exact_at(vec![0; usize::try_from(len).unwrap()], 0).await;
        outcome.unwrap();
        image.insert(entry.name.to_string_lossy().into_owned(), bytes);
    }
    image
}

fn state(seed: u8) -> StateRecord {
    StateRecord { index: Index::new(1), aux: 2, payload: vec![seed; 5] }
}

#[test]
fn both_faces_leave_the_same_bytes() {
    let mut options = crate::public::small();
    options.force_rotate_every = Some(3);
    let disk = SimDisk::from_image(&Image::new());
    let (wal, _) = Wal::open_on(disk.clone(), options.clone()).unwrap();
    for seed in 0..10 {
        wal.append(&[seed; 9]).unwrap();
        wal.put_state(1, &state(seed)).unwrap();
    }
    wal.truncate_suffix(Index::new(4)).unwrap();
    wal.prune_through(Index::new(2)).unwrap();
    wal.append_batch(&["a".into(), "b".into()]).unwrap();
    wal.close().unwrap();
    let world = MemoryWorld::new(1);
    let image = world.block_on(|providers| async move {
        let storage = providers.storage().clone();
        let (mut wal, _) = AsyncWal::open(storage.clone(), "a/log", options).await.unwrap();
        for seed in 0..10 {
            wal.append(&[seed; 9]).await.unwrap();
            wal.put_state(1, &state(seed)).await.unwrap();
        }
        wal.truncate_suffix(Index::new(4)).await.unwrap();
        wal.prune_through(Index::new(2)).await.unwrap();
        wal.append_batch(&["a".into(), "b".into()]).await.unwrap();
        wal.close().await.unwrap();
        image_of(&storage).await
    });
    assert_eq!(image, disk.image());
}

#[test]
fn the_asynchronous_face_survives_a_power_cut() {
    let world = MemoryWorld::new(1);
    let options = crate::public::small();
    world.block_on(|providers| {
        let options = options.clone();
        async move {
            let (mut wal, _) = AsyncWal::open(providers.storage().clone(), "a/log", options).await.unwrap();
            for seed in 1..=3 {
                wal.append(&[seed; 9]).await.unwrap();
            }
        }
    });
    world.power_cut().block_on(|providers| async move {
        let storage = providers.storage().clone();
        let (mut wal, report) = AsyncWal::open(storage, "a/log", options).await.unwrap();
        assert_eq!((report.outcome, report.next_index), (OpenOutcome::Recovered, Index::new(4)));
        let mut reader = wal.reader(Index::new(2)).await.unwrap();
        assert_eq!(reader.next_entry().await.unwrap().unwrap().payload, [2; 9]);
        assert_eq!(wal.read(Index::new(3)).await.unwrap().payload[..], [3; 9]);
        wal.close().await.unwrap();
    });
}

/// The asynchronous face has no clock: its interval is kept by whoever tells it the time.
#[test]
fn an_interval_is_kept_by_ticks() {
    let mut options = crate::public::small();
    options.commit = CommitPolicy::Interval(Duration::from_millis(10));
    MemoryWorld::new(1).block_on(|providers| async move {
        let (mut wal, _) = AsyncWal::open(providers.storage().clone(), "a/log", options).await.unwrap();
        let at = Duration::from_millis;
        assert_eq!(wal.tick(at(5)).await.unwrap(), None, "nothing waits");
        wal.append(b"a").await.unwrap();
        assert_eq!(wal.tick(at(6)).await.unwrap(), Some(at(16)));
        wal.append(b"b").await.unwrap();
        assert_eq!(wal.tick(at(15)).await.unwrap(), Some(at(16)));
        assert_eq!(wal.durable_index(), None);
        assert_eq!(wal.tick(at(16)).await.unwrap(), None);
        assert_eq!(wal.durable_index(), Some(Index::new(2)));
        wal.close().await.unwrap();
    });
}

/// A dropped future leaves an operation whose outcome nobody knows: nothing is acknowledged after it.
#[test]
fn an_abandoned_operation_poisons() {
    let mut disk = SimDisk::from_image(&Image::new());
    let mut opening = Opening::new(crate::public::small()).unwrap();
    while let Some(mut op) = opening.poll_op() {
        let outcome = disk.perform(&mut op);
        opening.handle_completion(op, outcome).unwrap();
    }
    let (mut log, _) = opening.finish().unwrap();
    while let Some(mut op) = log.poll_op() {
        let outcome = disk.perform(&mut op);
        log.handle_completion(op, outcome).unwrap();
    }
    log.abandon_op().unwrap();
    log.stage(&[b"a".into()]).unwrap();
    log.request_sync().unwrap();
    drop(log.poll_op().expect("the group is to be written"));
    assert!(matches!(log.abandon_op(), Err(Failure::Poisoned(_))));
    assert!(log.poll_op().is_none());
    assert!(matches!(log.stage(&[b"b".into()]), Err(StageError::Append(AppendError::Poisoned(_)))));
}
