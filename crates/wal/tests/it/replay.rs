//! Replay by several threads, on real directories.

use std::fs;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;

use samestep_wal::{CommitPolicy, FileName, Index, Options, ReadError, SegmentId, Wal};

use crate::model::payload;
use crate::public::small;

/// Index and payload of an entry.
type Seen = (u64, Vec<u8>);

fn index(number: u64) -> Index {
    Index::new(number)
}

fn opened() -> Options {
    let mut options = small();
    options.commit = CommitPolicy::NoSync;
    options.force_rotate_every = Some(7);
    options
}

/// A hundred entries in segments of seven, some with truncations.
fn log(dir: &Path) -> Wal {
    let (wal, _) = Wal::open(dir, opened()).unwrap();
    for number in 1..=100_u8 {
        if number % 9 == 0 {
            wal.append(&payload(200, 50)).unwrap();
            wal.truncate_suffix(index(number.into())).unwrap();
        }
        wal.append(&payload(number, usize::from(number) * 3)).unwrap();
    }
    wal.flush().unwrap();
    wal
}

/// Index and payload of all that is visited, and how it ended.
fn parallel(wal: &mut Wal, from: u64, threads: usize) -> (Vec<Seen>, Result<(), ReadError>) {
    let mut seen = Vec::new();
    let ended = wal.replay_parallel(index(from), NonZeroUsize::new(threads).unwrap(), |entry| {
        seen.push((entry.index.get(), entry.payload.to_vec()));
        ControlFlow::<()>::Continue(())
    });
    (seen, ended.map(drop))
}

fn sequential(wal: &mut Wal, from: u64) -> (Vec<Seen>, Result<(), ReadError>) {
    let mut seen = Vec::new();
    let mut reader = wal.reader(index(from)).unwrap();
    loop {
        match reader.next_entry() {
            Ok(Some(entry)) => seen.push((entry.index.get(), entry.payload.to_vec())),
            Ok(None) => return (seen, Ok(())),
            Err(error) => return (seen, Err(error)),
        }
    }
}

fn segment(dir: &Path, number: u64) -> std::path::PathBuf {
    dir.join(FileName::Segment(SegmentId::new(number)).to_string())
}

#[test]
fn threads_deliver_what_a_reader_lends() {
    let folder = tempfile::tempdir().unwrap();
    let mut wal = log(&folder.path().join("log"));
    for threads in [1, 2, 3, 8, 64] {
        for from in [0, 1, 30, 63, 64, 99, 100, 101] {
            let (seen, ended) = parallel(&mut wal, from, threads);
            ended.unwrap();
            assert_eq!(seen, sequential(&mut wal, from).0, "{threads} threads from {from}");
        }
    }
    assert_eq!(parallel(&mut wal, 1, 4).0.len(), 100);
}

#[test]
fn a_visitor_that_breaks_ends_the_replay() {
    let folder = tempfile::tempdir().unwrap();
    let wal = log(&folder.path().join("log"));
    let mut count = 0;
    let ended = wal.replay_parallel(index(1), NonZeroUsize::new(3).unwrap(), |entry| {
        count += 1;
        if entry.index == index(33) { ControlFlow::Break("enough") } else { ControlFlow::Continue(()) }
    });
    assert_eq!((ended.unwrap(), count), (ControlFlow::Break("enough"), 33));
}

/// A visitor's panic reaches the caller, and no thread waits for ever.
#[test]
fn a_visitor_that_panics_ends_the_replay() {
    let folder = tempfile::tempdir().unwrap();
    let wal = log(&folder.path().join("log"));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wal.replay_parallel(index(1), NonZeroUsize::new(3).unwrap(), |_| -> ControlFlow<()> {
            panic!("by the visitor")
        })
    }));
    assert_eq!(*caught.unwrap_err().downcast_ref::<&str>().unwrap(), "by the visitor");
}

/// Rot in two segments: the first in the order of the log is reported, after all before it, however many threads.
#[test]
fn the_first_damage_in_the_log_is_the_one_reported() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    let mut wal = log(&dir);
    for (number, at) in [(9, 4096 + 40), (3, 4096 + 40 + 6)] {
        let mut bytes = fs::read(segment(&dir, number)).unwrap();
        bytes[at] ^= 0x10;
        fs::write(segment(&dir, number), bytes).unwrap();
    }
    let (expected, ended) = sequential(&mut wal, 1);
    let ended = ended.unwrap_err().to_string();
    assert!(ended.contains("segment 3: damaged payload"), "{ended}");
    for threads in [1, 2, 5] {
        for _ in 0..20 {
            let (seen, error) = parallel(&mut wal, 1, threads);
            assert_eq!((&seen, error.unwrap_err().to_string()), (&expected, ended.clone()));
        }
    }
}
