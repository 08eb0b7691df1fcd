//! Nothing is freed that the kernel may still write to, in whatever way a runtime or a part of it ends.
//!
//! One test, as the allocator is one for the whole process.
#![cfg(target_os = "linux")]

#[expect(unsafe_code, reason = "a global allocator is an unsafe trait")]
mod alloc;
#[expect(unsafe_code, reason = "shows what the tested crate must not do")]
mod raw;

use std::future::Future;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use samestep_provider_traits::{
    AlignedBuf, BufResult, File, JoinHandle, OpenOptions, Providers, StorageProvider, TaskProvider,
};
use samestep_uring_rt::{DmaBuffer, DriverChoice, HugePages, Runtime, UringFile, UringProviders};

use alloc::BLOCK_BYTES;

type Read = Pin<Box<dyn Future<Output = BufResult<usize, AlignedBuf>>>>;

type ReadArena = Pin<Box<dyn Future<Output = BufResult<usize, DmaBuffer>>>>;

type Way = fn(DriverChoice, &Path);

/// Ways in which reads under way lose whoever waits for them.
const WAYS: [(&str, Way); 7] = [
    ("futures dropped, then the runtime", futures_dropped),
    ("futures dropped, and the runtime goes on", futures_dropped_and_on),
    ("tasks dropped with the runtime", tasks_dropped),
    ("tasks aborted", tasks_aborted),
    ("a panic out of the program", panic_in_program),
    ("a panic in a task", panic_in_task),
    ("the end of a thread", thread_ends),
];

#[test]
fn the_kernel_writes_to_nothing_that_was_freed() {
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = root.path().join("f");
    std::fs::write(&path, vec![0x55; READS * BLOCK_BYTES]).unwrap();
    std::fs::File::open(&path).unwrap().sync_all().unwrap();
    if let Err(error) = Runtime::new() {
        return println!("skipped: {error}");
    }
    let direct = std::fs::OpenOptions::new().read(true).custom_flags(O_DIRECT).open(&path);
    let Ok(direct) = direct else { return println!("skipped: no direct I/O here") };

    // The instrument: without a drain it must see writes. The kernel may be done in time now and then.
    let is_seen = (0..20).any(|_| {
        alloc::start();
        raw::close_without_drain(&direct).unwrap();
        settle();
        let (freed, written) = alloc::stop();
        println!("control, no drain: {written} of {freed} blocks were written to after they were freed");
        written > 0
    });
    assert!(is_seen, "reads whose ring was closed never wrote to freed memory, so the test shows nothing");

    for driver in [DriverChoice::Ring, DriverChoice::Threads] {
        for (name, way) in WAYS {
            alloc::start();
            way(driver, root.path());
            settle();
            let (freed, written) = alloc::stop();
            println!("{driver:?}, {name}: {written} of {freed} blocks");
            assert_eq!(
                written, 0,
                "{name}: {written} of {freed} blocks were written to after they were freed"
            );
            assert_eq!(freed, READS, "{name}: buffers were not freed");
        }
        let (taken, written) = arena_is_taken_again(driver, root.path());
        println!("{driver:?}, the arena: {written} of {taken} buffers");
        assert_eq!(written, 0, "{written} of {taken} buffers were written to that had another owner");
        assert_eq!(taken, READS, "all of the arena can be had again");
        alloc::start();
        forgotten(driver, root.path());
        settle();
        // Those that were over in time were freed.
        let (_, written) = alloc::stop();
        assert_eq!(written, 0, "a runtime that was forgotten freed what the kernel writes to");
    }
}

fn runtime(driver: DriverChoice, root: &Path) -> (Runtime, UringProviders) {
    let runtime = Runtime::builder().driver(driver).build().unwrap();
    let world = runtime.providers(root, 1).unwrap();
    (runtime, world)
}

async fn open(world: &UringProviders) -> UringFile {
    world.storage().open(Path::new("f"), OpenOptions::read_only().direct()).await.unwrap()
}

/// Reads that were begun.
fn begin(file: &UringFile) -> Vec<Read> {
    let begin = |number: usize| {
        let buf = AlignedBuf::zeroed(BLOCK_BYTES, 4096);
        let mut read: Read = Box::pin(file.read_at(buf, (number * BLOCK_BYTES) as u64));
        assert!(read.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        read
    };
    (0..READS).map(begin).collect()
}

fn futures_dropped(driver: DriverChoice, root: &Path) {
    let (runtime, world) = runtime(driver, root);
    runtime.block_on(async {
        let reads = begin(&open(&world).await);
        // Given to the kernel, and dropped while it works.
        world.task().yield_now().await;
        drop(reads);
    });
    drop(world);
    runtime.shutdown().unwrap();
}

fn futures_dropped_and_on(driver: DriverChoice, root: &Path) {
    let (runtime, world) = runtime(driver, root);
    runtime.block_on(async {
        let file = open(&world).await;
        let reads = begin(&file);
        world.task().yield_now().await;
        drop(reads);
        // Waits for all that is under way on the file.
        file.close().await.unwrap();
    });
}

fn tasks(world: &UringProviders, file: &UringFile) -> Vec<impl JoinHandle<()> + use<>> {
    let reads = begin(file).into_iter();
    reads
        .map(|read| {
            world.task().spawn("reader", async move {
                let _ = read.await;
            })
        })
        .collect()
}

fn tasks_dropped(driver: DriverChoice, root: &Path) {
    let (runtime, world) = runtime(driver, root);
    let handles = runtime.block_on(async {
        let handles = tasks(&world, &open(&world).await);
        world.task().yield_now().await;
        handles
    });
    drop(runtime);
    drop(handles);
}

fn tasks_aborted(driver: DriverChoice, root: &Path) {
    let (runtime, world) = runtime(driver, root);
    runtime.block_on(async {
        let handles = tasks(&world, &open(&world).await);
        world.task().yield_now().await;
        for handle in handles {
            handle.abort();
            // It may have ended before.
            let _ = handle.await;
        }
    });
}

fn panic_in_program(driver: DriverChoice, root: &Path) {
    let (runtime, world) = runtime(driver, root);
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        runtime.block_on(async {
            let _reads = begin(&open(&world).await);
            world.task().yield_now().await;
            panic!("on purpose");
        });
    }));
    unwound.unwrap_err();
}

fn panic_in_task(driver: DriverChoice, root: &Path) {
    let (runtime, world) = runtime(driver, root);
    runtime.block_on(async {
        let task = {
            let world = world.clone();
            world.clone().task().spawn("panics", async move {
                let _reads = begin(&open(&world).await);
                world.task().yield_now().await;
                panic!("on purpose");
            })
        };
        task.await.unwrap_err();
    });
}

fn thread_ends(driver: DriverChoice, root: &Path) {
    thread_local! {
        static HELD: std::cell::RefCell<Option<(Vec<Read>, Runtime)>> = const { std::cell::RefCell::new(None) };
    }
    let root = root.to_owned();
    #[expect(clippy::disallowed_methods, reason = "what is tested is the end of a thread")]
    let thread = std::thread::spawn(move || {
        let (runtime, world) = runtime(driver, &root);
        let reads = runtime.block_on(async {
            let reads = begin(&open(&world).await);
            world.task().yield_now().await;
            reads
        });
        // Dropped by the thread's end, the futures before the runtime.
        HELD.set(Some((reads, runtime)));
    });
    thread.join().unwrap();
}

fn forgotten(driver: DriverChoice, root: &Path) {
    let (runtime, world) = runtime(driver, root);
    runtime.block_on(async {
        let reads = begin(&open(&world).await);
        world.task().yield_now().await;
        drop(reads);
    });
    std::mem::forget((runtime, world));
}

/// Reads into the arena whose futures are dropped while the kernel works: their memory is the next one's only when the
/// kernel is done with it. All that can be had of it is had at once, and looked at afterwards.
fn arena_is_taken_again(driver: DriverChoice, root: &Path) -> (usize, usize) {
    let builder = Runtime::builder().driver(driver).dma_arena(READS * BLOCK_BYTES, HugePages::None);
    let runtime = builder.build().unwrap();
    let world = runtime.providers(root, 1).unwrap();
    let file = runtime.block_on(async {
        let file = open(&world).await;
        let reads: Vec<ReadArena> = (0..READS)
            .map(|number| {
                let buf = world.storage().alloc_dma(BLOCK_BYTES);
                assert!(buf.is_in_arena());
                let mut read: ReadArena = Box::pin(file.read_at(buf, (number * BLOCK_BYTES) as u64));
                assert!(read.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                read
            })
            .collect();
        world.task().yield_now().await;
        drop(reads);
        file
    });
    let mut taken = Vec::new();
    let mut take = |runtime: &Runtime| {
        loop {
            let mut buffer = runtime.alloc_dma(BLOCK_BYTES);
            if !buffer.is_in_arena() {
                return;
            }
            buffer.fill(0xAA);
            taken.push(buffer);
        }
    };
    take(&runtime);
    // Some reads end, and their memory is had, too.
    runtime.block_on(world.task().yield_now());
    take(&runtime);
    runtime.block_on(file.close()).unwrap();
    take(&runtime);
    drop(world);
    // Buffers outlive the runtime, and are good until they are dropped.
    runtime.shutdown().unwrap();
    settle();
    let written = taken.iter().filter(|buffer| buffer.iter().step_by(512).any(|byte| *byte != 0xAA)).count();
    (taken.len(), written)
}

/// Long enough for any read that is still under way.
fn settle() {
    #[expect(clippy::disallowed_methods, reason = "what is waited for is nobody's to tell")]
    std::thread::sleep(Duration::from_millis(400));
}

const READS: usize = 32;
const O_DIRECT: i32 = 0o40_000;
