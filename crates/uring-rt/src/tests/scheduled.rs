//! Direct reads and writes that wait for their turn: what goes when, what is given up, and what is left.

use std::future::Future;
use std::io::ErrorKind;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use samestep_provider_traits::{
    AlignedBuf, File, IoBuf, OpenOptions, Providers, Slice, StorageProvider, TaskProvider,
};

use super::{Log, scheduled_runtime};
use crate::runtime::Runtime;
use crate::schedule::REQUESTS_MAX;
use crate::sys::{Adversary, Seen};
use crate::{
    DeviceProperties, IoProperties, Latency, PollChoice, Shares, TaskGroup, UringFile, UringProviders,
};

/// So fast that nothing waits for the clock, and so shallow that two parts are all that is under way.
const SHALLOW: DeviceProperties = DeviceProperties {
    read_bytes_per_s: u64::MAX,
    write_bytes_per_s: u64::MAX,
    reads_per_s: 1_000_000_000,
    writes_per_s: 1_000_000_000,
    latency_goal: Duration::from_nanos(2),
    part_bytes_max: 16 * 1024,
};

/// One part, and then nothing for a day.
const STUCK: DeviceProperties = DeviceProperties {
    reads_per_s: 1,
    writes_per_s: 1,
    read_bytes_per_s: 1,
    write_bytes_per_s: 1,
    ..SHALLOW
};

const PART: usize = 16 * 1024;

/// Late and out of order, but as whole as a disk is.
fn disk(seed: u64) -> Adversary {
    Adversary { file_shortness: 0, ..Adversary::new(seed) }
}

/// Runs `test` with a new direct file on a device with these properties; nothing at all where the file system has no
/// direct I/O. The runtime is there after it.
fn on_file<Fut: Future<Output = ()>>(
    (seed, polling): (u64, PollChoice),
    properties: DeviceProperties,
    test: impl FnOnce(UringProviders, UringFile, [Log; 2]) -> Fut,
) -> Option<(Runtime, UringFile)> {
    let root = tempfile::tempdir().unwrap();
    let known = IoProperties::new().folder(root.path(), properties).unwrap();
    let (runtime, logs) = scheduled_runtime(disk(seed), polling, known);
    let world = runtime.providers(root.path(), 1).unwrap();
    let file = runtime.block_on(async {
        let options = OpenOptions::read_write().create().direct();
        let file = match world.storage().open(Path::new("f"), options).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                println!("skipped: {error}");
                return None;
            }
            file => file.unwrap(),
        };
        file.allocate(1 << 20).await.unwrap();
        test(world.clone(), file.clone(), logs).await;
        Some(file)
    })?;
    Some((runtime, file))
}

const UNPOLLED: PollChoice = PollChoice::Never;

/// So many bytes, each of which tells where it is.
fn filled(len: usize, salt: usize) -> AlignedBuf {
    let mut buf = AlignedBuf::zeroed(len, 4096);
    for (number, bytes) in buf.chunks_mut(512).enumerate() {
        bytes.fill(u8::try_from((number * 7 + salt) % 251).unwrap());
    }
    buf
}

/// Aligned bytes that are shared, so that it can be told whether somebody still has them.
fn shared(len: usize) -> (Arc<[u8]>, Slice<Arc<[u8]>>) {
    let bytes: Arc<[u8]> = Arc::from(vec![9; len + 4096]);
    let skip = bytes.as_ptr().align_offset(4096);
    (Arc::clone(&bytes), bytes.slice(skip..skip + len))
}

fn pushed(log: &Log, name: &'static str) -> usize {
    log.borrow().iter().filter(|seen| **seen == Seen::Pushed(name)).count()
}

/// Starts what a future does first.
fn begin<F: Future>(future: std::pin::Pin<&mut F>) {
    assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

fn waiting(runtime: &Runtime) -> u64 {
    runtime.stats().io_devices[0].classes.iter().map(|class| class.waiting).sum()
}

/// On the main ring and on the poll ring.
#[test]
fn long_requests_go_in_parts_and_come_back_as_one() {
    for seed in 0..6 {
        let polling = if seed % 2 == 0 { UNPOLLED } else { PollChoice::Always };
        let ended = on_file((seed, polling), SHALLOW, |_, file, [main, poll]| async move {
            let log = if polling == UNPOLLED { &main } else { &poll };
            let len = 9 * PART + 4096;
            let (outcome, buf) = file.write_at(filled(len, 1), 4096).await;
            assert_eq!(outcome.unwrap(), len);
            let (outcome, read) = file.read_at(AlignedBuf::zeroed(len + 8192, 4096), 4096).await;
            assert_eq!(outcome.unwrap(), len + 8192);
            assert!(read[..len] == buf[..] && read[len..] == [0; 8192]);
            assert_eq!((pushed(log, "write"), pushed(log, "read")), (10, 10));
            // The file ends within it, at the end of a part and within one.
            for (from, count) in [(PART * 2, PART * 2), (PART * 2 + 4096, PART * 2 + 4096)] {
                let at = (1 << 20) - from as u64;
                let (outcome, _) = file.read_at(AlignedBuf::zeroed(8 * PART, 4096), at).await;
                assert_eq!(outcome.unwrap(), count);
            }
        });
        let Some((runtime, file)) = ended else { return };
        let stats = &runtime.stats().io_devices[0];
        assert_eq!((stats.in_flight, stats.in_flight_ns), (0, 0));
        let class = &stats.classes[0];
        assert_eq!((class.requests, class.waiting, class.cancelled), (4, 0, 0));
        assert_eq!(class.bytes_written, 9 * PART as u64 + 4096);
        assert!(class.delayed >= 1, "{class:?}");
        drop(file);
        runtime.shutdown().unwrap();
    }
}

/// No more is under way than the goal permits, whatever is asked for, and all of it is done.
#[test]
fn what_is_under_way_is_bounded() {
    for seed in 0..4 {
        let ended = on_file((seed, UNPOLLED), SHALLOW, |world, file, [main, _]| async move {
            let write = |at: u64| {
                let file = file.clone();
                async move { file.write_all_at(filled(PART, 3), at * PART as u64).await.0.unwrap() }
            };
            let writes: Vec<_> = (0..40).map(|at| world.task().spawn("write", write(at))).collect();
            for write in writes {
                write.await.unwrap();
            }
            let (mut under_way, mut most) = (0_i32, 0);
            for seen in &*main.borrow() {
                match seen {
                    Seen::Pushed("write") => under_way += 1,
                    Seen::Completed("write", _) => under_way -= 1,
                    _ => {}
                }
                most = most.max(under_way);
            }
            assert_eq!((under_way, most), (0, 2));
        });
        let Some((runtime, file)) = ended else { return };
        drop(file);
        runtime.shutdown().unwrap();
    }
}

/// One that is given up before its turn was never submitted; its buffer is back at once, and no sync hears of it.
#[test]
fn a_request_that_is_given_up_before_its_turn_never_began() {
    let ended = on_file((3, UNPOLLED), STUCK, |_, file, [main, _]| async move {
        file.write_all_at(filled(4096, 1), 0).await.0.unwrap();
        let (bytes, buf) = shared(4096);
        {
            let mut write = pin!(file.write_at(buf, 4096));
            begin(write.as_mut());
            assert_eq!(Arc::strong_count(&bytes), 2);
        }
        assert_eq!(Arc::strong_count(&bytes), 1, "somebody still has the buffer");
        {
            let mut read = pin!(file.read_at(AlignedBuf::zeroed(4 * PART, 4096), 0));
            begin(read.as_mut());
        }
        // It waits for no write that is not there.
        file.sync_data().await.unwrap();
        assert_eq!((pushed(&main, "write"), pushed(&main, "read")), (1, 0));
    });
    let Some((runtime, file)) = ended else { return };
    let class = &runtime.stats().io_devices[0].classes[0];
    assert_eq!((class.requests, class.parts, class.cancelled, class.waiting), (3, 1, 2, 0));
    drop(file);
    runtime.shutdown().unwrap();
}

/// Of a write that is given up between two of its parts the buffer is the kernel's until those that went have ended; a
/// sync waits for them.
#[test]
fn a_request_that_is_given_up_halfway_leaves_what_began() {
    for seed in 0..10 {
        let ended = on_file((seed, UNPOLLED), SHALLOW, |world, file, [main, _]| async move {
            let (bytes, buf) = shared(20 * PART);
            {
                let mut write = pin!(file.write_at(buf, 0));
                begin(write.as_mut());
                for _ in 0..seed {
                    world.task().yield_now().await;
                }
            }
            file.sync_data().await.unwrap();
            assert_eq!(Arc::strong_count(&bytes), 1);
            let count = pushed(&main, "write");
            assert!((2..20).contains(&count), "{count} parts of 20 went");
            let (outcome, read) = file.read_exact_at(AlignedBuf::zeroed(2 * PART, 4096), 0).await;
            outcome.unwrap();
            assert!(read.iter().all(|byte| *byte == 9), "what went is there");
        });
        let Some((runtime, file)) = ended else { return };
        assert_eq!(runtime.stats().io_devices[0].in_flight_ns, 0);
        drop(file);
        runtime.shutdown().unwrap();
    }
}

/// The error of any part is the write's; when nobody awaits it the next sync tells, given up or not.
#[test]
fn a_part_that_fails_fails_the_write() {
    let root = tempfile::tempdir().unwrap();
    let known = IoProperties::new().folder(root.path(), SHALLOW).unwrap();
    let failing = Adversary { failing: Some(("write", libc::EIO)), ..disk(6) };
    let (runtime, [main, _]) = scheduled_runtime(failing, UNPOLLED, known);
    let world = runtime.providers(root.path(), 1).unwrap();
    runtime.block_on(async {
        let options = OpenOptions::read_write().create().direct();
        let Ok(file) = world.storage().open(Path::new("f"), options).await else {
            return println!("skipped: no direct I/O");
        };
        let (outcome, _) = file.write_at(filled(5 * PART, 1), 0).await;
        assert_eq!(outcome.unwrap_err().raw_os_error(), Some(libc::EIO));
        {
            let mut write = pin!(file.write_at(filled(5 * PART, 1), 0));
            begin(write.as_mut());
        }
        assert!(pushed(&main, "write") < 10);
        file.sync_data().await.unwrap_err();
        file.sync_data().await.unwrap();
    });
    runtime.shutdown().unwrap();
}

/// A runtime that ends while requests wait ends them, too.
#[test]
fn a_runtime_that_ends_waits_for_no_turn() {
    let ended = on_file((4, UNPOLLED), STUCK, |_, file, _| async move {
        file.write_all_at(filled(4096, 1), 0).await.0.unwrap();
    });
    let Some((runtime, file)) = ended else { return };
    let (bytes, buf) = shared(4 * PART);
    let mut write = Box::pin(file.write_at(buf, 0));
    runtime.block_on(async { begin(write.as_mut()) });
    assert_eq!(waiting(&runtime), 1);
    runtime.shutdown().unwrap();
    let std::task::Poll::Ready((outcome, buf)) = write.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("it waits for a turn that never comes")
    };
    assert_eq!(outcome.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
    drop(buf);
    assert_eq!(Arc::strong_count(&bytes), 1);
}

/// The class is the task's queue, or the one that the file names. What matters goes before what came earlier.
#[test]
fn a_class_that_matters_goes_first() {
    let ended = on_file((8, UNPOLLED), SHALLOW, |world, file, [main, _]| async move {
        let tasks = world.task().clone();
        let matters = Latency::Matters(Duration::from_millis(100));
        let urgent = tasks.create_queue("urgent", TaskGroup::ROOT, Shares::new(1000), matters);
        let group = tasks.create_group("group", TaskGroup::ROOT, Shares::new(100));
        let bulk = tasks.create_queue("bulk", group, Shares::new(100), Latency::NotImportant);
        let writer = file.clone();
        let write = tasks
            .spawn_into(bulk, "bulk", async move { writer.write_all_at(filled(50 * PART, 1), 0).await.0 });
        while pushed(&main, "write") < 2 {
            tasks.yield_now().await;
        }
        let before = pushed(&main, "write");
        // As a task of the queue, and as a file of it.
        let reader = file.clone();
        let read = tasks.spawn_into(urgent, "urgent", async move {
            reader.read_exact_at(AlignedBuf::zeroed(4096, 4096), 0).await.0
        });
        read.await.unwrap().unwrap();
        file.in_queue(urgent).read_exact_at(AlignedBuf::zeroed(4096, 4096), 0).await.0.unwrap();
        let between = pushed(&main, "write") - before;
        assert!(between < 40, "{between} parts went first");
        write.await.unwrap().unwrap();
    });
    let Some((runtime, file)) = ended else { return };
    let stats = runtime.stats();
    let classes: Vec<(&str, u64)> =
        stats.io_devices[0].classes.iter().map(|class| (class.queue.as_str(), class.parts)).collect();
    assert_eq!(classes, [("urgent", 2), ("bulk", 50)]);
    let text = stats.to_prometheus("3");
    let (major, minor) = stats.io_devices[0].number;
    let line = format!(
        "samestep_uring_io_parts_total{{shard=\"3\",device=\"{major}:{minor}\",queue=\"bulk\"}} 50\n"
    );
    assert!(text.contains(&line), "{text}");
    drop(file);
    runtime.shutdown().unwrap();
}

/// Write and sync stay one submission while nothing else waits; else the write waits for its turn, and then the sync
/// follows.
#[test]
fn a_write_with_a_sync_waits_for_its_turn() {
    let ended = on_file((9, UNPOLLED), SHALLOW, |world, file, [main, _]| async move {
        file.write_all_and_sync(filled(4096, 1), 0).await.0.unwrap();
        let at = |name| main.borrow().iter().rposition(|seen| *seen == Seen::Pushed(name)).unwrap();
        assert_eq!(at("write") + 1, at("fdatasync"), "linked");
        let busy = file.clone();
        let busy =
            world.task().spawn("busy", async move { busy.write_all_at(filled(30 * PART, 1), 0).await.0 });
        world.task().yield_now().await;
        let before = pushed(&main, "fdatasync");
        file.write_all_and_sync(filled(4096, 2), 4096).await.0.unwrap();
        assert!(pushed(&main, "fdatasync") > before);
        busy.await.unwrap().unwrap();
    });
    let Some((runtime, file)) = ended else { return };
    assert_eq!(runtime.stats().io_devices[0].classes[0].requests, 3);
    drop(file);
    runtime.shutdown().unwrap();
}

/// Who asks for more than may wait is told so, and gets the buffer back.
#[test]
fn as_many_wait_as_may() {
    let ended = on_file((10, UNPOLLED), STUCK, |_, file, _| async move {
        file.write_all_at(filled(4096, 1), 0).await.0.unwrap();
        let (bytes, _) = shared(4096);
        let skip = bytes.as_ptr().align_offset(4096);
        let mut writes: Vec<_> = (0..REQUESTS_MAX)
            .map(|_| Box::pin(file.write_at(Arc::clone(&bytes).slice(skip..skip + 4096), 0)))
            .collect();
        for write in &mut writes {
            begin(write.as_mut());
        }
        let (outcome, buf) = file.write_at(filled(4096, 1), 0).await;
        let error = outcome.unwrap_err();
        assert_eq!((error.kind(), buf.len()), (ErrorKind::ResourceBusy, 4096));
        assert!(error.to_string().contains("await some before more"), "{error}");
        // Any of them leaves room.
        drop(writes.swap_remove(77));
        let mut write = pin!(file.write_at(filled(4096, 1), 0));
        begin(write.as_mut());
    });
    let Some((runtime, file)) = ended else { return };
    assert_eq!(waiting(&runtime), 0);
    drop(file);
    runtime.shutdown().unwrap();
}
