//! Buffers of the arena, in reads and writes of files.

use std::path::Path;

use samestep_provider_traits::{AlignedBuf, File, IoBuf, IoBufMut, OpenOptions, Providers, StorageProvider};
use samestep_uring_rt::{
    DmaBuffer, DriverChoice, HugePages, Registration, Runtime, RuntimeBuilder, Streaming, UringFile,
    UringProviders,
};

use crate::machine::ALL;

/// Where files on a disk go: those in memory have no direct I/O.
fn root() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

async fn open(world: &UringProviders) -> Option<UringFile> {
    let options = OpenOptions::read_write().create().direct();
    match world.storage().open(Path::new("f"), options).await {
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
            println!("skipped: {error}");
            None
        }
        file => Some(file.unwrap()),
    }
}

fn ring(builder: RuntimeBuilder) -> Option<Runtime> {
    match builder.driver(DriverChoice::Ring).build() {
        Ok(runtime) => Some(runtime),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

#[test]
fn what_is_written_from_the_arena_is_read_into_it() {
    for machine in ALL {
        let Some(runtime) = machine.runtime() else { return };
        let root = root();
        let world = runtime.providers(root.path(), 1).unwrap();
        runtime.block_on(async {
            let Some(file) = open(&world).await else { return };
            let mut buf = world.storage().alloc_dma(3 * 4096);
            assert!(buf.is_in_arena(), "{machine:?}");
            for (number, bytes) in (1..).zip(buf.chunks_mut(4096)) {
                bytes.fill(number);
            }
            file.write_all_at(buf, 4096).await.0.unwrap();
            let (outcome, buf) = file.read_exact_at(world.storage().alloc_dma(4 * 4096), 0).await;
            outcome.unwrap();
            assert!([0, 1, 2, 3].iter().zip(buf.chunks(4096)).all(|(byte, bytes)| bytes == [*byte; 4096]));
            // A part of a buffer is as good as all of it.
            let (outcome, part) = file.read_at(buf.slice_mut(4096..8192), 8192).await;
            assert_eq!(outcome.unwrap(), 4096);
            assert!(part.into_inner()[4096..8192] == [2; 4096]);
        });
        let (stats, arena) = (runtime.stats(), runtime.info().arena());
        assert_eq!((stats.arena_bytes_taken, stats.arena_misses), (0, 0));
        if arena.registration == Registration::Shared {
            assert!(stats.registered_operations == 3 || stats.completions < 4, "{stats:?}");
            let choices = runtime.info().choices().to_vec();
            let is_used =
                |name| choices.iter().any(|choice| choice.feature().name() == name && choice.is_used());
            assert!(is_used("registered buffers") && is_used("cloned buffers"));
        } else {
            assert_eq!(stats.registered_operations, 0, "{arena:?}");
        }
        runtime.shutdown().unwrap();
    }
}

/// Other buffers, and those of another shard, are not taken for the arena's.
#[test]
fn other_memory_goes_the_usual_way() {
    let (Some(one), Some(other)) = (ring(Runtime::builder()), ring(Runtime::builder())) else { return };
    let root = root();
    drop(one.alloc_dma(1));
    let world = one.providers(root.path(), 1).unwrap();
    let foreign = other.alloc_dma(4096);
    one.block_on(async {
        let Some(file) = open(&world).await else { return };
        file.write_all_at(AlignedBuf::zeroed(4096, 4096), 0).await.0.unwrap();
        file.read_exact_at(foreign, 0).await.0.unwrap();
    });
    assert_eq!(one.stats().registered_operations, 0);
}

#[test]
fn a_full_arena_gives_buffers_of_the_heap() {
    let Some(runtime) = ring(Runtime::builder().dma_arena(16 * 1024, HugePages::None)) else { return };
    let buffers: Vec<_> = (0..3).map(|_| runtime.alloc_dma(8192)).collect();
    assert_eq!(buffers.iter().map(DmaBuffer::is_in_arena).collect::<Vec<_>>(), [true, true, false]);
    assert!(buffers.iter().all(|buffer| buffer.stable_ptr().addr().is_multiple_of(4096)));
    let stats = runtime.stats();
    assert_eq!((stats.arena_misses, stats.arena_bytes_taken), (1, 16 * 1024));
    assert!(stats.to_prometheus("0").contains("samestep_uring_arena_misses_total{shard=\"0\"} 1\n"));
    drop(buffers);
    assert!(runtime.alloc_dma(16 * 1024).is_in_arena(), "what was given back is one piece again");
    assert!(!runtime.alloc_dma(0).is_in_arena() && !runtime.alloc_dma(20 * 1024).is_in_arena());
}

#[test]
fn an_arena_is_made_when_it_is_needed_and_not_if_unwanted() {
    let Some(runtime) = ring(Runtime::builder()) else { return };
    assert_eq!(
        (runtime.info().arena().registration, runtime.info().arena().bytes),
        (Registration::NotAsked, 0)
    );
    let Some(runtime) = ring(Runtime::builder().dma_arena(0, HugePages::None)) else { return };
    assert!(!runtime.alloc_dma(4096).is_in_arena());
    assert_eq!(runtime.info().arena().registration, Registration::SwitchedOff);
    let Some(runtime) = ring(Runtime::builder().dma_arena(1, HugePages::Reserved)) else { return };
    assert!(runtime.alloc_dma(2 << 20).is_in_arena());
    let arena = runtime.info().arena();
    assert!(arena.bytes >= 2 << 20 && arena.huge_pages != HugePages::None, "{arena:?}");
}

/// Streams and many reads of direct files take their buffers from the arena by themselves.
#[test]
fn streams_of_direct_files_go_by_way_of_the_arena() {
    let Some(runtime) = ring(Runtime::builder()) else { return };
    let root = root();
    let world = runtime.providers(root.path(), 1).unwrap();
    runtime.block_on(async {
        let Some(file) = open(&world).await else { return };
        let streaming = Streaming { chunk_bytes: 8192, chunks_max: 3 };
        let mut writer = file.stream_writer(streaming);
        let bytes: Vec<u8> = (0..=250).cycle().take(100_000).collect();
        writer.write(&bytes).await.unwrap();
        writer.finish().await.unwrap();
        let written = runtime.stats().registered_operations;
        let mut reader = file.stream_reader(0..u64::MAX, streaming);
        let mut read = Vec::new();
        while let Some(chunk) = reader.next_chunk().await {
            read.extend_from_slice(&chunk.unwrap());
        }
        assert!(read == bytes);
        if runtime.info().arena().registration == Registration::Shared {
            // 13 chunks of 8192 bytes each way, and what was read ahead behind the end.
            assert_eq!(written, 13);
            assert!(runtime.stats().registered_operations >= 26);
        }
        // Waits for what was read ahead.
        drop(reader);
        file.close().await.unwrap();
    });
    assert_eq!(runtime.stats().arena_bytes_taken, 0);
}
