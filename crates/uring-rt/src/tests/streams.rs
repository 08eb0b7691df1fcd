//! Many reads and whole files, on a ring that is late, short and failing.

use std::future::Future;
use std::ops::Range;
use std::path::Path;

use proptest::prelude::*;
use samestep_provider_traits::{File, OpenOptions, Providers, StorageProvider};

use super::{Log, PATIENCE, runtime};
use crate::sys::{Adversary, Seen};
use crate::{Merging, Streaming, UringFile};

/// A byte for each place, which repeats only after 251.
fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// Runs `test` with a file of `len` bytes; nothing at all where direct I/O is asked for and not to be had.
fn on_file<Fut: Future<Output = ()>>(
    adversary: Adversary,
    options: OpenOptions,
    len: usize,
    test: impl FnOnce(UringFile, Log) -> Fut,
) {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("f"), content(len)).unwrap();
    let (runtime, [main, _]) = runtime(adversary, PATIENCE);
    let world = runtime.providers(root.path(), 1).unwrap();
    runtime.block_on(async {
        match world.storage().open(Path::new("f"), options).await {
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => println!("skipped: {error}"),
            file => test(file.unwrap(), main).await,
        }
    });
    runtime.shutdown().unwrap();
}

/// Both ways through the page cache and past it; a direct read is never cut at an odd byte.
fn ways(seed: u64) -> [(Adversary, OpenOptions); 2] {
    let whole = Adversary { file_shortness: 0, ..Adversary::new(seed) };
    [(Adversary::new(seed), OpenOptions::read_write()), (whole, OpenOptions::read_write().direct())]
}

fn reads(log: &Log) -> usize {
    log.borrow().iter().filter(|seen| **seen == Seen::Pushed("read")).count()
}

async fn check(file: &UringFile, len: usize, ranges: Vec<Range<u64>>, merging: Merging) {
    let mut many = file.read_many(ranges.clone(), merging);
    let all = content(len);
    for range in ranges {
        let (found, bytes) = many.next().await.unwrap();
        assert_eq!(found, range, "results come in the order of the ranges");
        let within = |at: u64| usize::try_from(at).unwrap().min(len);
        assert!(bytes.unwrap()[..] == all[within(range.start)..within(range.end)], "{range:?}");
    }
    assert!(many.next().await.is_none());
}

/// Each case: ranges, the longest joined read, the widest gap, and how many reads come of it.
#[test]
fn neighbours_are_read_at_once() {
    type Case = (&'static [Range<u64>], usize, usize, usize);
    let cases: [Case; 8] = [
        (&[0..100, 100..200, 200..300], 4096, 0, 1),
        (&[0..100, 101..200], 4096, 0, 2),
        (&[0..100, 101..200], 4096, 1, 1),
        (&[200..300, 100..200, 0..100], 4096, 0, 1),
        (&[0..100, 50..70, 20..120], 4096, 0, 1),
        (&[0..100, 100..200, 200..300], 200, 0, 2),
        (&[0..5000, 5000..5001], 4096, 0, 2),
        (&[10..10, 10..20], 4096, 0, 1),
    ];
    for (ranges, joined_bytes_max, gap_bytes_max, expected) in cases {
        let whole = Adversary { file_shortness: 0, ..Adversary::new(1) };
        on_file(whole, OpenOptions::read_only(), 8192, |file, log| async move {
            let merging = Merging { joined_bytes_max, gap_bytes_max, reads_max: 4 };
            check(&file, 8192, ranges.to_vec(), merging).await;
            assert_eq!(reads(&log), expected, "{ranges:?}");
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any ranges, in any order, past the end and empty, give the bytes of the file.
    #[test]
    fn many_reads_give_the_bytes_of_the_file(
        seed in any::<u64>(),
        len in 0_usize..40_000,
        ranges in prop::collection::vec((0_u64..45_000, 0_u64..9000), 0..20),
        joined_bytes_max in 0_usize..20_000,
        gap_bytes_max in 0_usize..5000,
        reads_max in 0_usize..5,
    ) {
        let ranges: Vec<_> = ranges.into_iter().map(|(start, len)| start..start + len).collect();
        for (adversary, options) in ways(seed) {
            let ranges = ranges.clone();
            on_file(adversary, options, len, |file, _| async move {
                check(&file, len, ranges, Merging { joined_bytes_max, gap_bytes_max, reads_max }).await;
            });
        }
    }

    /// What is streamed into a file is what streams out of it, and nothing is left of what was there.
    #[test]
    fn a_stream_comes_out_as_it_went_in(
        seed in any::<u64>(),
        len in 0_usize..60_000,
        piece in 1_usize..9000,
        chunk_bytes in 0_usize..12_000,
        chunks_max in 0_usize..5,
        start in 0_u64..70_000,
    ) {
        for (adversary, options) in ways(seed) {
            on_file(adversary, options, 30_000, |file, _| async move {
                let streaming = Streaming { chunk_bytes, chunks_max };
                let mut writer = file.stream_writer(streaming);
                let bytes: Vec<u8> = content(len + 7)[7..].to_vec();
                for piece in bytes.chunks(piece) {
                    writer.write(piece).await.unwrap();
                }
                assert_eq!(writer.position(), len as u64);
                writer.finish().await.unwrap();
                assert_eq!(file.metadata().await.unwrap().len, len as u64);
                let mut reader = file.stream_reader(start..u64::MAX, streaming);
                let (mut read, mut buf) = (Vec::new(), vec![0; piece]);
                loop {
                    let count = reader.read(&mut buf).await.unwrap();
                    if count == 0 {
                        break;
                    }
                    read.extend_from_slice(&buf[..count]);
                }
                assert!(read[..] == bytes[usize::try_from(start).unwrap().min(len)..]);
                assert!(reader.next_chunk().await.is_none());
            });
        }
    }
}

/// A reader that nobody drives has as many reads under way as it may, and no more.
#[test]
fn a_reader_reads_ahead() {
    let stuck = Adversary { promptness: 20, file_shortness: 0, entries: 64, ..Adversary::new(2) };
    on_file(stuck, OpenOptions::read_only(), 100_000, |file, log| async move {
        let mut reader = file.stream_reader(0..100_000, Streaming { chunk_bytes: 1000, chunks_max: 7 });
        assert_eq!(reader.next_chunk().await.unwrap().unwrap().len(), 1000);
        assert_eq!(reads(&log), 8, "one is over, and seven are under way");
    });
}

/// The error of any read is told for each range that it was for, and the others go on.
#[test]
fn a_failed_read_is_told_in_its_place() {
    let failing = Adversary { failing: Some(("read", libc::EIO)), ..Adversary::new(3) };
    on_file(failing, OpenOptions::read_only(), 9000, |file, _| async move {
        let merging = Merging { joined_bytes_max: 4096, gap_bytes_max: 0, reads_max: 2 };
        let mut many = file.read_many([0..10, 10..20, 8000..8010], merging);
        for expected in [0..10, 10..20, 8000..8010] {
            let (range, bytes) = many.next().await.unwrap();
            assert_eq!((range, bytes.unwrap_err().raw_os_error()), (expected, Some(libc::EIO)));
        }
        assert!(many.next().await.is_none());
        let mut reader = file.stream_reader(0..9000, Streaming { chunk_bytes: 10, chunks_max: 3 });
        assert!(reader.next_chunk().await.unwrap().is_err());
        assert!(reader.next_chunk().await.is_none(), "a stream ends with its error");
    });
}

/// A write behind the caller's back that fails is told by the next call, and no end is said to be good.
#[test]
fn a_failed_write_behind_is_told() {
    let failing = Adversary { failing: Some(("write", libc::EIO)), ..Adversary::new(4) };
    on_file(failing, OpenOptions::read_write(), 0, |file, _| async move {
        let streaming = Streaming { chunk_bytes: 100, chunks_max: 4 };
        let mut writer = file.stream_writer(streaming);
        writer.write(&[1; 250]).await.unwrap();
        writer.finish().await.unwrap_err();
        let mut writer = file.stream_writer(streaming);
        assert!(writer.write(&[1; 2000]).await.is_err());
        assert!(writer.write(&[]).await.is_err());
        writer.finish().await.unwrap_err();
    });
}
