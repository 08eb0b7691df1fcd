//! Reads that others share, and files that change no more, on a ring that is late, short and failing.

use std::future::Future;
use std::io::ErrorKind;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use proptest::prelude::*;
use samestep_provider_traits::{File, OpenOptions, Providers, StorageProvider, TaskProvider, TimeProvider};

use super::{Log, PATIENCE, runtime, world};
use crate::sys::{Adversary, Seen};
use crate::{Merging, Streaming, UringFile, UringProviders};

/// A byte for each place, which repeats only after 251.
fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

fn reads(log: &Log) -> usize {
    log.borrow().iter().filter(|seen| **seen == Seen::Pushed("read")).count()
}

/// Whole reads, late and out of order.
fn whole(seed: u64) -> Adversary {
    Adversary { file_shortness: 0, entries: 64, ..Adversary::new(seed) }
}

fn on_file<Fut: Future<Output = ()>>(
    adversary: Adversary,
    test: impl FnOnce(UringProviders, UringFile, Log) -> Fut,
) {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("f"), content(9000)).unwrap();
    let (runtime, [main, _]) = runtime(adversary, PATIENCE);
    let world = runtime.providers(root.path(), 1).unwrap();
    runtime.block_on(async {
        let file = world.storage().open(Path::new("f"), OpenOptions::read_write()).await.unwrap();
        test(world.clone(), file, main).await;
    });
    drop(world);
    runtime.shutdown().unwrap();
}

/// Reads of these ranges at the same time take so many operations.
#[test]
fn reads_of_the_same_bytes_are_one() {
    for seed in 0..4 {
        on_file(whole(seed), |world, file, log| async move {
            let (all, others) = (0..4096, [0..4096, 100..200, 4095..4096, 7..7, 0..1]);
            let tasks: Vec<_> = std::iter::once(all)
                .chain(others)
                .chain([4000..4097, 4096..4097, 8000..10_000])
                .map(|range| {
                    let file = file.clone();
                    world
                        .task()
                        .spawn("reader", async move { (range.clone(), file.read_shared(range).await) })
                })
                .collect();
            for task in tasks {
                let (range, bytes) = task.await.unwrap();
                let within = |at: u64| usize::try_from(at).unwrap().min(9000);
                assert!(
                    bytes.unwrap()[..] == content(9000)[within(range.start)..within(range.end)],
                    "{range:?}"
                );
            }
            // The first, the one that is no part of it, and the last, which needs another to find the end of the file.
            assert_eq!(reads(&log), 4);
            // It was under way, and is no more.
            file.read_shared(0..10).await.unwrap();
            assert_eq!(reads(&log), 5);
        });
    }
}

/// A read that begins after a change sees it, though one that began before is under way.
#[test]
fn what_was_changed_meanwhile_is_read_anew() {
    for seed in 0..20 {
        on_file(whole(seed), |world, file, log| async move {
            let mut cx = Context::from_waker(Waker::noop());
            let mut old = pin!(file.read_shared(0..4096));
            assert!(old.as_mut().poll(&mut cx).is_pending());
            file.write_all_at(vec![255; 100], 0).await.0.unwrap();
            assert_eq!(file.read_shared(0..100).await.unwrap()[..], [255; 100], "seed {seed}");
            let before = reads(&log);
            let mut old = pin!(file.read_shared(0..4096));
            assert!(old.as_mut().poll(&mut cx).is_pending());
            file.set_len(50).await.unwrap();
            assert_eq!(file.read_shared(0..100).await.unwrap().len(), 50);
            // Beside the old one two, as a second finds the end of the file.
            assert_eq!(reads(&log), before + 3);
            world.task().yield_now().await;
        });
    }
}

/// A failed read is told to all who share it.
#[test]
fn a_failure_is_told_to_all() {
    let failing = Adversary { failing: Some(("read", libc::EIO)), ..whole(3) };
    on_file(failing, |world, file, log| async move {
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let file = file.clone();
                world.task().spawn("reader", async move { file.read_shared(0..10).await.map(|_| ()) })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap_err().raw_os_error(), Some(libc::EIO));
        }
        assert_eq!(reads(&log), 1);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whoever gives up, at any time and in any order, the others have their bytes.
    #[test]
    fn who_gives_up_leaves_the_read_to_the_others(
        seed in any::<u64>(),
        readers in prop::collection::vec((0_u64..6000, 0_u64..5000, prop::option::of(0_usize..8)), 1..20),
    ) {
        on_file(Adversary::new(seed), |world, file, _| async move {
            let tasks: Vec<_> = readers
                .into_iter()
                .map(|(start, len, polls)| {
                    let (file, range) = (file.clone(), start..start + len);
                    let wanted = content(9000);
                    let within = |at: u64| usize::try_from(at).unwrap().min(9000);
                    let expected = wanted[within(range.start)..within(range.end)].to_vec();
                    let tasks = world.task().clone();
                    world.task().spawn("reader", async move {
                        let mut read = pin!(file.read_shared(range));
                        match polls {
                            None => assert!(read.await.unwrap()[..] == expected),
                            Some(polls) => {
                                for _ in 0..polls {
                                    let polled = std::future::poll_fn(|cx| {
                                        std::task::Poll::Ready(read.as_mut().poll(cx).is_ready())
                                    });
                                    if polled.await {
                                        break;
                                    }
                                    tasks.yield_now().await;
                                }
                            }
                        }
                    })
                })
                .collect();
            for task in tasks {
                let patience = Duration::from_secs(20);
                world.time().timeout(patience, task).await.expect("a reader is left behind").unwrap();
            }
        });
    }
}

const STREAMING: Streaming = Streaming { chunk_bytes: 1000, chunks_max: 3 };

/// What was written is read, by one who wrote it and by one who opens it, and cannot be written again.
#[test]
fn a_sealed_file_is_whole() {
    for seed in 0..4 {
        let ended = world(whole(seed), |world| async move {
            let (storage, path) = (world.storage(), Path::new("d/f"));
            storage.create_dir_all(Path::new("d")).await.unwrap();
            let mut writer = storage.create_immutable(path, STREAMING).await.unwrap();
            for piece in content(10_007).chunks(333) {
                writer.write(piece).await.unwrap();
            }
            assert_eq!(writer.position(), 10_007);
            assert_eq!(storage.metadata(path).await.unwrap_err().kind(), ErrorKind::NotFound);
            let sealed = writer.seal().await.unwrap();
            let opened = storage.open_immutable(path).await.unwrap();
            for file in [sealed, opened] {
                assert_eq!((file.len(), file.is_empty()), (10_007, false));
                assert!(file.read(0..u64::MAX).await.unwrap()[..] == content(10_007));
                assert!(file.read(99..1234).await.unwrap()[..] == content(10_007)[99..1234]);
                assert!(file.read(20_000..30_000).await.unwrap().is_empty());
                let mut reader = file.stream_reader(10_000..u64::MAX, STREAMING);
                assert_eq!(reader.next_chunk().await.unwrap().unwrap().len(), 7);
                assert!(reader.next_chunk().await.is_none());
                let merging = Merging { joined_bytes_max: 100, gap_bytes_max: 0, reads_max: 1 };
                let mut many = file.read_many(std::iter::once(5..7), merging);
                assert_eq!(many.next().await.unwrap().1.unwrap()[..], [5, 6]);
                file.close().await.unwrap();
            }
            let error = storage.create_immutable(path, STREAMING).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
            let names: Vec<_> =
                storage.list(Path::new("d")).await.unwrap().into_iter().map(|entry| entry.name).collect();
            assert_eq!(names, ["f"]);
        });
        ended.unwrap();
    }
}

/// Before all is durable there is no file; one that was not sealed is in nobody's way.
#[test]
fn a_file_that_was_not_sealed_is_not_there() {
    for name in ["write", "fsync", "link", "none"] {
        let failing = Adversary { failing: Some((name, libc::EIO)), ..whole(1) };
        let ended = world(failing, |world| async move {
            let (storage, path) = (world.storage(), Path::new("f"));
            for _ in 0..2 {
                let mut writer = storage.create_immutable(path, STREAMING).await.unwrap();
                // More than the next one writes: nothing of it is left.
                let _ = writer.write(&content(5000)).await;
                if name != "none" {
                    writer.seal().await.unwrap_err();
                }
                assert_eq!(
                    storage.open_immutable(path).await.unwrap_err().kind(),
                    ErrorKind::NotFound,
                    "{name}"
                );
            }
            if name == "none" {
                let mut writer = storage.create_immutable(path, STREAMING).await.unwrap();
                writer.write(b"less").await.unwrap();
                let file = writer.seal().await.unwrap();
                assert_eq!(file.read(0..100).await.unwrap()[..], *b"less");
            }
        });
        ended.unwrap();
    }
}
