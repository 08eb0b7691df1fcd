//! Files on the poll ring: in parts, refused, dropped and failing.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Waker};

use samestep_provider_traits::{
    AlignedBuf, File, IoBuf, OpenOptions, Providers, StorageProvider, TaskProvider,
};

use super::{Log, polled_runtime};
use crate::sys::{Adversary, Seen};
use crate::{Polling, UringFile, UringProviders};

/// Late and out of order, but as whole as a disk is.
fn disk(seed: u64) -> Adversary {
    Adversary { file_shortness: 0, ..Adversary::new(seed) }
}

/// Runs `test` with a new direct file, of which `part` bytes go in one piece; nothing at all where the file system has
/// no direct I/O.
fn on_file<Fut: Future<Output = ()>>(
    poll: Adversary,
    test: impl FnOnce(UringProviders, UringFile, usize, [Log; 2]) -> Fut,
) {
    let root = tempfile::tempdir().unwrap();
    let (runtime, logs) = polled_runtime(disk(poll.seed), poll);
    let world = runtime.providers(root.path(), 1).unwrap();
    runtime.block_on(async {
        let options = OpenOptions::read_write().create().direct();
        let file = match world.storage().open(Path::new("f"), options).await {
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
                return println!("skipped: {error}");
            }
            file => file.unwrap(),
        };
        assert_eq!(file.polling(), Polling::Polled);
        let part = runtime.info().devices()[0].part_bytes_max as usize;
        // Writes behind the end are not polled.
        file.allocate(LENGTH).await.unwrap();
        test(world, file, part, logs).await;
    });
    runtime.shutdown().unwrap();
}

/// So many bytes, each of which tells where it is.
fn filled(len: usize, salt: usize) -> AlignedBuf {
    let mut buf = AlignedBuf::zeroed(len, 4096);
    for (number, bytes) in buf.chunks_mut(512).enumerate() {
        bytes.fill(u8::try_from((number * 7 + salt) % 251).unwrap());
    }
    buf
}

fn pushed(log: &Log, name: &'static str) -> usize {
    log.borrow().iter().filter(|seen| **seen == Seen::Pushed(name)).count()
}

#[test]
fn what_is_longer_than_the_device_takes_goes_in_parts() {
    for seed in 0..5 {
        on_file(disk(seed), |_, file, part, [main, poll]| async move {
            let len = 3 * part + 4096;
            let (outcome, buf) = file.write_at(filled(len, 1), 4096).await;
            assert_eq!(outcome.unwrap(), len);
            let (outcome, read) = file.read_at(AlignedBuf::zeroed(len + 8192, 4096), 4096).await;
            assert_eq!(outcome.unwrap(), len + 8192);
            assert!(read[..len] == buf[..] && read[len..] == [0; 8192]);
            assert_eq!((pushed(&poll, "write"), pushed(&poll, "read")), (4, 4));
            assert_eq!((pushed(&main, "write"), pushed(&main, "read")), (0, 0));
            let (outcome, _) = file.read_at(AlignedBuf::zeroed(4096, 4096), 1 << 30).await;
            assert_eq!(outcome.unwrap(), 0);
        });
    }
}

/// The kernel waits for these within the call, and on Linux 6.1 for ever if they are polled.
#[test]
fn writes_behind_the_end_and_to_parts_of_blocks_are_not_polled() {
    on_file(disk(7), |_, file, _, [main, poll]| async move {
        let polled = async |offset: u64, len: usize| {
            main.borrow_mut().clear();
            poll.borrow_mut().clear();
            file.write_all_at(filled(len, 1), offset).await.0.unwrap();
            assert_eq!(pushed(&poll, "write") + pushed(&main, "write"), 1);
            pushed(&poll, "write") == 1
        };
        assert!(polled(LENGTH - 4096, 4096).await);
        assert!(!polled(LENGTH - 4096, 8192).await, "it makes the file longer");
        assert!(polled(LENGTH - 4096, 8192).await, "now it does not");
        if file.alignment().offset_bytes <= 512 {
            assert!(!polled(512, 512).await && !polled(4096, 512).await && !polled(512, 4096).await);
        }
        file.set_len(8192).await.unwrap();
        assert!(!polled(8192, 4096).await, "the file was cut");
        assert!(polled(8192, 4096).await);
    });
}

/// Nobody tells of a polled read's end, so the shard asks, and does not wait on another ring.
#[test]
fn a_shard_that_polls_does_not_sleep() {
    on_file(Adversary { promptness: 60, ..disk(3) }, |_, file, _, [main, poll]| async move {
        file.write_all_at(filled(4096, 1), 0).await.0.unwrap();
        main.borrow_mut().clear();
        for _ in 0..20 {
            file.read_exact_at(AlignedBuf::zeroed(4096, 4096), 0).await.0.unwrap();
        }
        let waited = |log: &Log| log.borrow().iter().any(|seen| matches!(seen, Seen::Entered(_, true)));
        assert!(!waited(&main) && !waited(&poll), "{:?}", main.borrow());
        assert!(main.borrow().is_empty(), "a ring without work was entered: {:?}", main.borrow());
    });
}

/// A device, or its file system, that refuses is asked no more; what it refused is done all the same.
#[test]
fn what_the_poll_ring_refuses_goes_to_the_main_one() {
    for (seed, name) in [(1, "read"), (2, "write")] {
        let refuses = Adversary { failing: Some((name, libc::EOPNOTSUPP)), ..disk(seed) };
        on_file(refuses, |_, file, part, [main, poll]| async move {
            let len = 2 * part + 4096;
            file.write_all_at(filled(len, 5), 0).await.0.unwrap();
            let (outcome, read) = file.read_exact_at(AlignedBuf::zeroed(len, 4096), 0).await;
            outcome.unwrap();
            assert!(read[..] == filled(len, 5)[..]);
            assert_eq!(file.polling(), Polling::Refused);
            assert_eq!(pushed(&main, name), 3, "each part went the other way");
            poll.borrow_mut().clear();
            file.read_exact_at(AlignedBuf::zeroed(4096, 4096), 0).await.0.unwrap();
            file.write_all_at(filled(4096, 6), 0).await.0.unwrap();
            assert!(poll.borrow().is_empty(), "{:?}", poll.borrow());
        });
    }
}

/// A queue that is full for now says nothing about the device.
#[test]
fn a_device_that_is_busy_stays_polled() {
    let busy = Adversary { failing: Some(("read", libc::EAGAIN)), ..disk(4) };
    on_file(busy, |_, file, _, [main, _]| async move {
        file.write_all_at(filled(4096, 5), 0).await.0.unwrap();
        file.read_exact_at(AlignedBuf::zeroed(4096, 4096), 0).await.0.unwrap();
        assert_eq!((file.polling(), pushed(&main, "read")), (Polling::Polled, 1));
    });
}

/// A write whose future is gone lands before the next sync ends, all of its parts; its buffer lives until then, or the
/// ring would write what is no more.
#[test]
fn a_dropped_write_in_parts_still_lands() {
    for seed in 0..10 {
        on_file(disk(seed), |world, file, part, _| async move {
            let len = 4 * part;
            {
                let mut write = pin!(file.write_at(filled(len, 9), 0));
                assert!(write.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                for _ in 0..seed {
                    world.task().yield_now().await;
                }
            }
            // Memory that was freed is written over.
            drop(filled(len, 17));
            file.sync_data().await.unwrap();
            let (outcome, read) = file.read_exact_at(AlignedBuf::zeroed(len, 4096), 0).await;
            outcome.unwrap();
            assert!(read.as_bytes() == filled(len, 9).as_bytes());
        });
    }
}

/// The error of any part is the write's; if nobody awaits it the next sync tells.
#[test]
fn a_part_that_fails_fails_the_write() {
    let failing = Adversary { failing: Some(("write", libc::EIO)), ..disk(6) };
    on_file(failing, |world, file, part, _| async move {
        let (outcome, _) = file.write_at(filled(2 * part, 1), 0).await;
        assert_eq!(outcome.unwrap_err().raw_os_error(), Some(libc::EIO));
        {
            let mut write = pin!(file.write_at(filled(2 * part, 1), 0));
            assert!(write.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            world.task().yield_now().await;
        }
        file.sync_data().await.unwrap_err();
        file.sync_data().await.unwrap();
    });
}

/// More than any test writes.
const LENGTH: u64 = 1 << 23;
