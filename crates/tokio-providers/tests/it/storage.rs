//! What the suites do not ask of the files.

use std::io::ErrorKind;
use std::path::Path;

use samestep_provider_traits::{AlignedBuf, File, IoBufMut, OpenOptions, Providers, StorageProvider};
use samestep_tokio_providers::{TokioProviders, TokioRuntime};

use crate::world::run;

#[test]
fn more_than_one_copy_is_written_and_read() {
    run(|world| async move {
        let options = OpenOptions::read_write().create_new();
        let file = world.storage().open(Path::new("f"), options).await.unwrap();
        let bytes: Vec<u8> = (0..=250).cycle().take(3_000_000).collect();
        let (count, bytes) = file.write_at(bytes, 0).await;
        assert_eq!(count.unwrap(), 1 << 20, "one call copies no more");
        let (outcome, bytes) = file.write_all_at(bytes, 7).await;
        outcome.unwrap();
        let (outcome, read) = file.read_exact_at(vec![0; 3_000_000], 7).await;
        outcome.unwrap();
        assert!(read == bytes);
    });
}

#[test]
fn what_a_reader_may_not_do_is_denied() {
    run(|world| async move {
        let options = OpenOptions::read_only().create();
        let file = world.storage().open(Path::new("f"), options).await.unwrap();
        for outcome in
            [file.set_len(1).await, file.allocate(1).await, file.write_at("x", 0).await.0.map(|_| ())]
        {
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::PermissionDenied);
        }
        file.sync_all().await.unwrap();
    });
}

#[test]
fn a_folder_is_no_file() {
    run(|world| async move {
        world.storage().create_dir_all(Path::new("d")).await.unwrap();
        for options in [OpenOptions::read_only(), OpenOptions::read_write()] {
            let opened = world.storage().open(Path::new("d"), options).await;
            assert_eq!(opened.map(|_| ()).unwrap_err().kind(), ErrorKind::IsADirectory);
        }
        drop(world.storage().open(Path::new("f"), OpenOptions::read_write().create()).await.unwrap());
        for below in ["f/g", "f"] {
            let synced = world.storage().sync_dir(Path::new(below)).await;
            assert_eq!(synced.unwrap_err().kind(), ErrorKind::NotADirectory, "{below}");
        }
    });
}

/// A program finds out here, and not on a ring, where its own buffer goes to the device.
#[test]
fn direct_files_demand_their_alignment() {
    run(|world| async move {
        let options = OpenOptions::read_write().create_new().direct();
        let file = match world.storage().open(Path::new("f"), options).await {
            Ok(file) => file,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
                println!("skipped: no direct I/O to be had here");
                return;
            }
        };
        let alignment = file.alignment();
        let block = usize::try_from(alignment.offset_bytes).unwrap();
        let aligned = || AlignedBuf::zeroed(2 * block, alignment.memory_bytes.max(2));
        assert_eq!(file.write_all_at(aligned(), 0).await.0.map_err(|error| error.kind()), Ok(()));

        let bytes_at_odd_address = aligned().slice_mut(1..1 + block);
        if alignment.memory_bytes > 1 {
            let (outcome, _) = file.read_at(bytes_at_odd_address, 0).await;
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        let (outcome, _) = file.read_at(aligned(), 1).await;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidInput);
        let (outcome, _) = file.read_at(aligned().slice_mut(0..block - 1), 0).await;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidInput);
        // The end of the file cuts a read short.
        let (count, _) = file.read_at(aligned(), block as u64).await;
        assert_eq!(count.unwrap(), block);
    });
}

/// Room is taken from the device, not only promised.
#[test]
#[cfg(target_os = "linux")]
fn allocated_room_is_taken() {
    use std::os::unix::fs::MetadataExt;

    let root = tempfile::tempdir().unwrap();
    TokioRuntime::new().unwrap().block_on(async {
        let world = TokioProviders::new(root.path(), 7);
        let options = OpenOptions::read_write().create_new();
        let file = world.storage().open(Path::new("f"), options).await.unwrap();
        file.allocate(1 << 20).await.unwrap();
        let blocks = std::fs::metadata(root.path().join("f")).unwrap().blocks();
        assert!(blocks * 512 >= 1 << 20, "{blocks} blocks are taken");
        let endless = file.allocate(1 << 60).await.unwrap_err();
        assert!(matches!(endless.kind(), ErrorKind::StorageFull | ErrorKind::FileTooLarge), "{endless}");
        assert_eq!(file.metadata().await.unwrap().len, 1 << 20);
    });
}

/// A lock is kept from other providers too, and a lock that was never asked for is not held.
#[test]
fn locks_are_kept_across_providers() {
    let root = tempfile::tempdir().unwrap();
    TokioRuntime::new().unwrap().block_on(async {
        let (one, two) = (TokioProviders::new(root.path(), 1), TokioProviders::new(root.path(), 2));
        let held = one.storage().lock(Path::new("LOCK")).await.unwrap();
        let refused = two.storage().lock(Path::new("LOCK")).await.map(|_| ()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::WouldBlock);
        drop(held);
        drop(two.storage().lock(Path::new("LOCK")));
        one.storage().lock(Path::new("LOCK")).await.unwrap();
    });
}
