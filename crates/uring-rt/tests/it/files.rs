//! What files and folders are asked beside reads and writes, and by how many threads of the kernel.

use std::cell::Cell;
use std::io::ErrorKind;
use std::path::Path;
use std::rc::Rc;

use samestep_provider_traits::{File, OpenOptions, Providers, StorageProvider, TaskProvider};
use samestep_uring_rt::{DriverChoice, Runtime};

use crate::machine::ALL;

#[test]
fn a_second_name_is_the_same_file() {
    for machine in ALL {
        machine.world(|world| async move {
            let storage = world.storage();
            let file = storage.open(Path::new("a"), OpenOptions::read_write().create()).await.unwrap();
            storage.hard_link(Path::new("a"), Path::new("b")).await.unwrap();
            file.write_all_and_sync("same", 0).await.0.unwrap();
            let error = storage.hard_link(Path::new("a"), Path::new("b")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
            storage.remove(Path::new("a")).await.unwrap();
            let other = storage.open(Path::new("b"), OpenOptions::read_only()).await.unwrap();
            assert_eq!(other.read_exact_at(vec![0; 4], 0).await.1, b"same");
            let outside = storage.hard_link(Path::new("b"), Path::new("../c")).await.unwrap_err();
            assert_eq!(outside.kind(), ErrorKind::InvalidInput);
        });
    }
}

#[test]
fn a_folder_is_removed_when_it_is_empty() {
    for machine in ALL {
        machine.world(|world| async move {
            let storage = world.storage();
            storage.create_dir_all(Path::new("a/b")).await.unwrap();
            let error = storage.remove_dir(Path::new("a")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::DirectoryNotEmpty, "{error}");
            storage.remove_dir(Path::new("a/b")).await.unwrap();
            storage.remove_dir(Path::new("a")).await.unwrap();
            assert!(storage.list(Path::new("")).await.unwrap().is_empty());
        });
    }
}

#[test]
fn what_is_deallocated_reads_as_zeros() {
    for machine in ALL {
        machine.world(|world| async move {
            let options = OpenOptions::read_write().create();
            let file = world.storage().open(Path::new("f"), options).await.unwrap();
            file.write_all_at(vec![1; 20_000], 0).await.0.unwrap();
            match file.deallocate(5000..15_000).await {
                Err(error) if error.kind() == ErrorKind::Unsupported => return println!("skipped: {error}"),
                done => done.unwrap(),
            }
            file.deallocate(7..7).await.unwrap();
            let (outcome, bytes) = file.read_exact_at(vec![0; 20_000], 0).await;
            outcome.unwrap();
            let is_zero = |at: usize| (5000..15_000).contains(&at);
            assert!(
                bytes.iter().enumerate().all(|(at, byte)| *byte == u8::from(!is_zero(at))),
                "{machine:?}"
            );
            let reader = world.storage().open(Path::new("f"), OpenOptions::read_only()).await.unwrap();
            assert_eq!(reader.deallocate(0..1).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
        });
    }
}

/// Threads that the kernel made to do what would block for this one. They linger for a while, and are named after it.
fn kernel_workers() -> usize {
    let this = std::fs::read_link("/proc/thread-self").unwrap();
    let name = format!("iou-wrk-{}", this.file_name().unwrap().to_str().unwrap());
    let comm = |entry: std::io::Result<std::fs::DirEntry>| {
        // A thread may end meanwhile.
        std::fs::read_to_string(entry.unwrap().path().join("comm")).unwrap_or_default()
    };
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.map(comm).filter(|comm| comm.trim() == name).count()
}

#[test]
fn the_kernel_makes_no_more_threads_than_it_may() {
    let Ok(runtime) = Runtime::builder().driver(DriverChoice::Ring).kernel_workers(2).build() else {
        return println!("skipped: no ring");
    };
    let info = runtime.info();
    let Some(count) = info.workers_max() else {
        return println!("skipped: the kernel refused the limit");
    };
    assert_eq!(count, 2);
    assert!(info.to_string().lines().any(|line| line.starts_with("workers at most") && line.ends_with('2')));
    let root = tempfile::tempdir().unwrap();
    let world = runtime.providers(root.path(), 1).unwrap();
    let most = Rc::new(Cell::new(0));
    runtime.block_on(async {
        let opens: Vec<_> = (0..200)
            .map(|number| {
                let (storage, most) = (world.storage().clone(), Rc::clone(&most));
                world.task().spawn("open", async move {
                    let path = format!("f{number}");
                    storage.open(path.as_ref(), OpenOptions::read_write().create()).await.unwrap();
                    most.set(most.get().max(kernel_workers()));
                })
            })
            .collect();
        for open in opens {
            open.await.unwrap();
        }
    });
    assert!(most.get() > 0, "no thread of the kernel was seen, so the test shows nothing");
    assert!(most.get() <= 2, "{} threads", most.get());
}
