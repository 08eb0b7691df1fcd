//! What files and folders are asked beside reads and writes, and by how many threads of the kernel.

use std::cell::Cell;
use std::future::Future;
use std::io::ErrorKind;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use samestep_provider_traits::{File, OpenOptions, Providers, StorageProvider, TaskProvider};
use samestep_uring_rt::{DriverChoice, Runtime, UringFile};

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

/// What the ring has looked up is what is read, also when a descriptor is another file's: closed files leave nothing
/// behind, and more files than the ring's table has slots are files like others.
#[test]
fn many_direct_files_are_told_apart() {
    for machine in ALL {
        let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let Some(runtime) = machine.runtime() else { return };
        let world = runtime.providers(root.path(), 1).unwrap();
        runtime.block_on(async {
            let open = async |number: u16| {
                let options = OpenOptions::read_write().create().direct();
                let opened = world.storage().open(format!("f{number}").as_ref(), options).await;
                match opened {
                    Err(error) if error.kind() == ErrorKind::Unsupported => None,
                    opened => Some(opened.unwrap()),
                }
            };
            let write = async |file: &UringFile, number: u16| {
                let mut buf = world.storage().alloc_dma(4096);
                buf[..2].copy_from_slice(&number.to_le_bytes());
                file.write_all_at(buf, 0).await.0.unwrap();
            };
            let check = async |file: &UringFile, number: u16| {
                let (outcome, buf) = file.read_exact_at(world.storage().alloc_dma(4096), 0).await;
                outcome.unwrap();
                assert_eq!(buf[..2], number.to_le_bytes(), "{machine:?}");
            };
            let mut files = Vec::new();
            for number in 0..270 {
                let Some(file) = open(number).await else { return println!("skipped: no direct I/O here") };
                write(&file, number).await;
                files.push(file);
            }
            // The descriptors of those that go, however they go, are those that come next.
            for (number, file) in (0..).zip(files.drain(..200)) {
                match number % 3 {
                    0 => drop(file),
                    1 => file.close().await.unwrap(),
                    _ => {
                        // Given up while a read is under way.
                        let mut cx = Context::from_waker(Waker::noop());
                        let mut read = pin!(file.read_at(world.storage().alloc_dma(4096), 0));
                        assert!(read.as_mut().poll(&mut cx).is_pending());
                        assert!(pin!(file.clone().close()).poll(&mut cx).is_pending());
                    }
                }
            }
            for number in 1000..1200 {
                let file = open(number).await.unwrap();
                write(&file, number).await;
                files.push(file);
            }
            for (file, number) in files.iter().zip((200..270).chain(1000..1200)) {
                check(file, number).await;
            }
            for number in (0..200).step_by(7) {
                check(&open(number).await.unwrap(), number).await;
            }
        });
        runtime.shutdown().unwrap();
    }
}

/// A file that was closed is open no longer: the ring, which had looked it up, holds it no more. To a file that is open
/// for writing the system says so when it is to be run.
#[test]
fn a_closed_file_is_not_held_open() {
    for machine in ALL {
        let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let Some(runtime) = machine.runtime() else { return };
        let world = runtime.providers(root.path(), 1).unwrap();
        std::fs::copy("/bin/true", root.path().join("f")).unwrap();
        let is_busy = || {
            let ran = std::process::Command::new(root.path().join("f")).status();
            ran.is_err_and(|error| error.kind() == ErrorKind::ExecutableFileBusy)
        };
        runtime.block_on(async {
            let options = OpenOptions::read_write().direct();
            let file = match world.storage().open(Path::new("f"), options).await {
                Err(error) if error.kind() == ErrorKind::Unsupported => return println!("skipped: {error}"),
                file => file.unwrap(),
            };
            assert!(is_busy(), "the instrument tells");
            file.close().await.unwrap();
            // Another test may be about to run a program, and for a moment has what was open when it began.
            assert!((0..100).any(|_| !is_busy()), "{machine:?}");
        });
    }
}

#[test]
fn a_range_is_copied_from_file_to_file() {
    for machine in ALL {
        machine.world(|world| async move {
            let storage = world.storage();
            let open = |name| storage.open(Path::new(name), OpenOptions::read_write().create());
            let [from, to] = [open("from").await.unwrap(), open("to").await.unwrap()];
            let bytes: Vec<u8> = (0..=250).cycle().take(300_000).collect();
            from.write_all_at(bytes.clone(), 0).await.0.unwrap();
            to.write_all_at(vec![9; 20], 0).await.0.unwrap();
            assert_eq!(from.copy_range(1000..200_001, &to, 10).await.unwrap(), 199_001);
            assert_eq!(from.copy_range(299_990..400_000, &to, 0).await.unwrap(), 10, "the file ends there");
            assert_eq!(from.copy_range(5..5, &to, 0).await.unwrap(), 0);
            let copied = to.read_exact_at(vec![0; 199_011], 0).await.1;
            assert!(copied[..10] == bytes[299_990..] && copied[10..] == bytes[1000..200_001], "{machine:?}");
            assert_eq!(to.metadata().await.unwrap().len, 199_011);

            let overlapping = from.copy_range(0..100, &from, 50).await.unwrap_err();
            assert_eq!(overlapping.kind(), ErrorKind::InvalidInput);
            let read_only = storage.open(Path::new("to"), OpenOptions::read_only()).await.unwrap();
            let refused = from.copy_range(0..100, &read_only, 0).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
            from.clone().close().await.unwrap();
            assert_eq!(from.copy_range(0..1, &to, 0).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        });
    }
}

/// A sync waits for a copy that was given up, and tells if it failed.
#[test]
fn a_copy_that_is_given_up_is_synced() {
    for machine in ALL {
        machine.world(|world| async move {
            let storage = world.storage();
            let open = |name| storage.open(Path::new(name), OpenOptions::read_write().create());
            let [from, to] = [open("from").await.unwrap(), open("to").await.unwrap()];
            let len = 64 << 20;
            from.set_len(len).await.unwrap();
            from.write_all_at(vec![7; 10], len - 10).await.0.unwrap();
            let mut copy = Box::pin(from.copy_range(0..len, &to, 0));
            assert!(copy.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            world.task().yield_now().await;
            drop(copy);
            to.sync_data().await.unwrap();
            assert_eq!(to.metadata().await.unwrap().len, len);
            assert_eq!(to.read_exact_at(vec![0; 10], len - 10).await.1, [7; 10]);

            let mut copy = Box::pin(from.copy_range(0..10, &from, 5));
            assert!(copy.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            drop(copy);
            assert_eq!(from.sync_data().await.unwrap_err().kind(), ErrorKind::InvalidInput);
            from.sync_data().await.unwrap();
        });
    }
}

#[test]
fn a_file_without_a_name_is_gone_when_it_is_closed() {
    for machine in ALL {
        machine.world(|world| async move {
            let storage = world.storage();
            storage.create_dir_all(Path::new("d")).await.unwrap();
            for options in [OpenOptions::read_only(), OpenOptions::read_only().direct()] {
                let file = match storage.create_unnamed(Path::new("d"), options).await {
                    // In memory, say.
                    Err(error) if error.kind() == ErrorKind::Unsupported => continue,
                    file => file.unwrap(),
                };
                assert_eq!(file.is_direct(), options.is_direct());
                let mut buf = storage.alloc_dma(8192);
                buf.fill(5);
                file.write_all_at(buf, 4096).await.0.unwrap();
                let read = file.read_exact_at(storage.alloc_dma(8192), 0).await.1;
                assert!(read[..4096] == [0; 4096] && read[4096..] == [5; 4096], "{machine:?}");
                assert!(storage.list(Path::new("d")).await.unwrap().is_empty());
                file.close().await.unwrap();
                assert!(storage.list(Path::new("d")).await.unwrap().is_empty());
            }
            let missing =
                storage.create_unnamed(Path::new("no"), OpenOptions::read_write()).await.unwrap_err();
            assert_eq!(missing.kind(), ErrorKind::NotFound);
        });
    }
}
