//! What is tried in the machine.

use std::fs;
use std::path::Path;

use samestep_provider_traits::{AlignedBuf, File, OpenOptions, Providers, StorageProvider};
use samestep_uring_rt::{
    Driver, DriverChoice, PollChoice, Polling, Registration, Runtime, StartError, UringFile, UringProviders,
};

use crate::start_as_nobody;

/// The device has a queue for it.
pub(crate) fn with_poll_queue() {
    on_disk(PollChoice::WherePossible, async |world, runtime| {
        let file = open(&world, "data").await;
        assert_eq!(file.polling(), Polling::Polled);
        let part = runtime.info().devices()[0].part_bytes_max as usize;
        println!("pollable | in parts of at most {} KiB", part / 1024);
        // What makes the file longer is not polled; and what follows changes nothing that the kernel would write back.
        fill(&file, LARGEST, 1).await;
        file.sync_all().await.unwrap();
        for bytes in [4096, 65_536, 262_144, 524_288, 1 << 20, 4 << 20, LARGEST] {
            sizes(&file, runtime, bytes, part).await;
        }
        arena(&world, runtime).await;
    });
    on_disk(PollChoice::WherePossible, async |world, runtime| {
        drop(runtime.alloc_dma(1));
        arena(&world, runtime).await;
    });
    on_disk(PollChoice::WherePossible, async |world, _| {
        let file = open(&world, "empty").await;
        assert_eq!(file.read_at(AlignedBuf::zeroed(4096, 4096), 0).await.0.unwrap(), 0);
        assert_eq!(file.polling(), Polling::Polled, "an empty file is no verdict");
        fill(&file, 4096, 3).await;
        assert!(is_filled(&file, 4096, 3).await);
        println!("empty file | reads nothing, and is polled once it has something");
    });
    on_disk(PollChoice::Never, async |world, runtime| {
        let file = open(&world, "data").await;
        assert!(file.polling() == Polling::SwitchedOff && is_filled(&file, LARGEST, 2).await);
        assert_eq!(runtime.stats().poll_enters, 0);
        println!("switched off | what was written by polling is read by interrupts");
    });
    let sixty_four = Runtime::builder().ring_entries(4);
    on_disk_with(sixty_four, async |world, _| {
        let file = open(&world, "data").await;
        fill(&file, LARGEST, 7).await;
        assert!(is_filled(&file, LARGEST, 7).await);
        println!("a ring of 4 | 32 MiB wait for their turn");
    });
}

/// Buffers of the arena go to the poll ring as registered memory, whichever of the two was made first.
async fn arena(world: &UringProviders, runtime: &Runtime) {
    let file = open(world, "arena").await;
    fill(&file, 1 << 20, 1).await;
    file.sync_all().await.unwrap();
    let before = runtime.stats();
    for bytes in [4096, 262_144, 1 << 20] {
        let mut buf = world.storage().alloc_dma(bytes);
        assert!(buf.is_in_arena());
        for (number, bytes) in (0_usize..).zip(buf.chunks_mut(512)) {
            bytes.fill(u8::try_from(number % 251).unwrap());
        }
        let (outcome, buf) = file.write_all_at(buf, 0).await;
        outcome.unwrap();
        let (outcome, read) = file.read_exact_at(world.storage().alloc_dma(bytes), 0).await;
        outcome.unwrap();
        assert!(read[..] == buf[..], "{bytes} bytes");
    }
    let now = runtime.stats();
    let registered = now.registered_operations - before.registered_operations;
    let arena = runtime.info().arena();
    let is_registered = matches!(arena.registration, Registration::Shared | Registration::Each);
    assert!(is_registered && registered > 0, "{arena}");
    assert_eq!(
        registered,
        now.poll_completions - before.poll_completions,
        "all were polled, and all registered"
    );
    println!("arena | {registered} polled operations on registered memory, {}", arena.registration);
}

/// Writes and reads of one size: each ends by polling, and for reads the device interrupts nobody. Writes of ext4 do
/// not ask for that since some kernel between 6.1 and 6.12, which completes them on the poll ring all the same.
async fn sizes(file: &UringFile, runtime: &Runtime, bytes: usize, part: usize) {
    let times = if bytes == 4096 { 500 } else { 4 };
    let now = || (runtime.stats().poll_completions, interrupts());
    let since = |before: (u64, u64)| (now().0 - before.0, now().1 - before.1);
    let before = now();
    for _ in 0..times {
        fill(file, bytes, 2).await;
    }
    let (written, interrupts_of_writes) = since(before);
    let before = now();
    for _ in 0..times {
        assert!(is_filled(file, bytes, 2).await, "{bytes} bytes are not what was written");
    }
    let (read, interrupts_of_reads) = since(before);
    let parts = (times * bytes.div_ceil(part)) as u64;
    assert_eq!((written, read), (parts, parts), "not every part was polled");
    // A few are the file system's own, or of reads over a border of extents, which newer kernels do not poll.
    assert!(interrupts_of_reads <= (read / 10).max(2), "{interrupts_of_reads} interrupts");
    println!(
        "{:>5} KiB | {read} polled reads with {interrupts_of_reads} interrupts, {written} polled writes with \
         {interrupts_of_writes}",
        bytes / 1024
    );
}

/// The device has none.
pub(crate) fn without_poll_queue() {
    on_disk(PollChoice::WherePossible, async |world, runtime| {
        let file = open(&world, "data").await;
        fill(&file, LARGEST, 1).await;
        assert!(is_filled(&file, LARGEST, 1).await);
        assert_eq!((file.polling(), runtime.stats().poll_enters), (Polling::NoPollQueue, 0));
        println!("no poll queue | {}", file.polling());
    });
    on_disk(PollChoice::Always, async |world, runtime| {
        let file = open(&world, "forced").await;
        assert_eq!(file.read_at(AlignedBuf::zeroed(4096, 4096), 0).await.0.unwrap(), 0);
        for (number, bytes) in [4096, 262_144, LARGEST].into_iter().enumerate() {
            fill(&file, bytes, number).await;
            assert!(is_filled(&file, bytes, number).await);
        }
        let refusals = runtime.stats().poll_refusals;
        match file.polling() {
            // What the kernel does in place of it by itself.
            Polling::Polled => assert_eq!(refusals, 0),
            Polling::Refused => assert!(refusals > 0),
            other => panic!("{other}"),
        }
        println!("polled all the same | {}; {refusals} refusals", file.polling());
    });
}

/// The administrator says that there is no io_uring, for most or for all.
pub(crate) fn switched_off() {
    if !Path::new(SWITCH).exists() {
        return println!("io_uring_disabled | this kernel has no such switch");
    }
    assert_eq!(start_as_nobody(), "started");
    fs::write(SWITCH, "1").unwrap();
    let said = start_as_nobody();
    assert!(said.contains("switched off by the administrator") && said.contains("is 1"), "{said}");
    Runtime::new().unwrap();
    println!("io_uring_disabled 1 | nobody is told: {}", &said[..said.find('(').unwrap_or(said.len())]);
    fs::write(SWITCH, "2").unwrap();
    let error = Runtime::new().unwrap_err();
    assert!(matches!(error, StartError::DisabledBySysctl { value: 2, .. }), "{error}");
    let threads = Runtime::builder().driver(DriverChoice::RingOrThreads).build().unwrap();
    assert_eq!(threads.info().driver(), Driver::Threads);
    println!("io_uring_disabled 2 | root is told so, too; the threads driver works where asked for");
}

fn on_disk(polling: PollChoice, test: impl AsyncFnOnce(UringProviders, &Runtime)) {
    on_disk_with(Runtime::builder().polling(polling), test);
}

fn on_disk_with(
    builder: samestep_uring_rt::RuntimeBuilder,
    test: impl AsyncFnOnce(UringProviders, &Runtime),
) {
    let runtime = builder.build().unwrap();
    let world = runtime.providers("/mnt", 1).unwrap();
    runtime.block_on(test(world, &runtime));
    runtime.shutdown().unwrap();
}

async fn open(world: &UringProviders, name: &str) -> UringFile {
    let options = OpenOptions::read_write().create().direct();
    world.storage().open(Path::new(name), options).await.unwrap()
}

/// Bytes that tell where they are.
fn pattern(bytes: usize, salt: usize) -> AlignedBuf {
    let mut buf = AlignedBuf::zeroed(bytes, 4096);
    for (number, sector) in buf.chunks_mut(512).enumerate() {
        sector.fill(u8::try_from((number * 31 + salt) % 251).unwrap());
    }
    buf
}

async fn fill(file: &UringFile, bytes: usize, salt: usize) {
    file.write_all_at(pattern(bytes, salt), 0).await.0.unwrap();
}

async fn is_filled(file: &UringFile, bytes: usize, salt: usize) -> bool {
    let (outcome, read) = file.read_exact_at(AlignedBuf::zeroed(bytes, 4096), 0).await;
    outcome.unwrap();
    read[..] == pattern(bytes, salt)[..]
}

/// Interrupts of the disk so far, on all processors.
fn interrupts() -> u64 {
    let table = fs::read_to_string("/proc/interrupts").unwrap();
    let of_disk = table.lines().filter(|line| line.contains("nvme0q"));
    of_disk
        .flat_map(|line| line.split_whitespace().skip(1).map_while(|count| count.parse::<u64>().ok()))
        .sum()
}

const LARGEST: usize = 32 << 20;
const SWITCH: &str = "/proc/sys/kernel/io_uring_disabled";
