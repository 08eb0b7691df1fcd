//! Disks that fail: what a program is told, and when.

use std::cell::Cell;
use std::future::Future;
use std::io::ErrorKind;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use samestep_provider_traits::{File, GuardedBuf, OpenOptions, Providers, StorageProvider, TaskProvider};

use super::world;
use crate::UringFile;
use crate::sys::Adversary;

/// A test on a file, on a ring on which operations of this name fail with this error number.
fn on_file<Fut: Future<Output = ()>>(
    name: &'static str,
    error: i32,
    test: impl Fn(crate::UringProviders, UringFile) -> Fut,
) {
    for seed in 0..10 {
        let adversary = Adversary { failing: Some((name, error)), ..Adversary::new(seed) };
        let ended = world(adversary, |world| async {
            let options = OpenOptions::read_write().create();
            let file = world.storage().open(Path::new("f"), options).await.unwrap();
            test(world, file).await;
        });
        ended.unwrap();
    }
}

/// After a failed sync nobody knows what is durable, and no later one of the open file may say that it is; one of a
/// file that was opened again may.
#[test]
fn a_failed_sync_makes_all_later_ones_fail() {
    on_file("fdatasync", libc::EIO, |world, file| async move {
        file.write_all_at(vec![1; 100], 0).await.0.unwrap();
        for _ in 0..3 {
            let error = file.sync_data().await.unwrap_err();
            assert!(error.to_string().contains("not known what is durable"), "{error}");
        }
        // This one does not fail by itself on this ring.
        file.sync_all().await.unwrap_err();
        file.write_all_and_sync(vec![1; 100], 0).await.0.unwrap_err();
        let again = world.storage().open(Path::new("f"), OpenOptions::read_write()).await.unwrap();
        again.sync_all().await.unwrap();
    });
}

/// Of syncs that run at the same time none may take the failure of one for the success of another.
#[test]
fn syncs_at_the_same_time_all_fail() {
    on_file("fdatasync", libc::EIO, |world, file| async move {
        let syncs: Vec<_> = (0..5)
            .map(|_| {
                let file = file.clone();
                world.task().spawn("sync", async move { file.sync_data().await })
            })
            .collect();
        for sync in syncs {
            sync.await.unwrap().unwrap_err();
        }
    });
}

/// The error of a write that nobody awaits any more is told by the next sync, once.
#[test]
fn a_dropped_writes_error_is_told_by_the_next_sync() {
    on_file("write", libc::EIO, |world, file| async move {
        let freed = Rc::new(Cell::new(0));
        {
            let mut write = pin!(file.write_at(GuardedBuf::new(100, 1, &freed), 0));
            assert!(write.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            world.task().yield_now().await;
        }
        file.sync_data().await.unwrap_err();
        assert_eq!(freed.get(), 1);
        file.sync_data().await.unwrap();
    });
}

/// A full disk, or quota, is told as such, and the call may be repeated.
#[test]
fn a_full_disk_is_told_as_such() {
    for error in [libc::ENOSPC, libc::EDQUOT] {
        on_file("write", error, |_, file| async move {
            let (outcome, buf) = file.write_at(vec![5; 10], 0).await;
            assert_eq!((outcome.unwrap_err().kind(), buf), (ErrorKind::StorageFull, vec![5; 10]));
            let (outcome, _) = file.write_all_and_sync(vec![5; 10], 0).await;
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::StorageFull);
            // The sync behind the write did not run, and so did not fail.
            file.sync_data().await.unwrap();
        });
    }
}
