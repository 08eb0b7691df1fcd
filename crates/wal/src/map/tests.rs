#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::{CommitPolicy, FileName, Index, LogId, Options, ReadError, SegmentId, Wal};

/// Index and payload of an entry.
type Seen = (u64, Vec<u8>);

fn index(number: u64) -> Index {
    Index::new(number)
}

fn options() -> Options {
    let mut options = Options::create(LogId::new([5; 16]));
    options.segment_bytes = 8192;
    options.commit = CommitPolicy::NoSync;
    options.force_rotate_every = Some(7);
    options
}

fn payload(seed: u8, len: usize) -> Vec<u8> {
    (0..=255_u8).cycle().skip(seed.into()).take(len).collect()
}

/// A hundred entries in segments of seven, some with truncations.
fn log(dir: &Path) -> Wal {
    let (wal, _) = Wal::open(dir, options()).unwrap();
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

fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(FileName::Segment(SegmentId::new(number)).to_string())
}

/// The same entries by every way of reading; only sealed segments are mapped, and their files are read-only.
#[test]
fn mapped_segments_are_read_alike() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    let mut wal = log(&dir);
    let before = sequential(&mut wal, 1).0;
    // SAFETY: nobody else knows the directory.
    let count = unsafe { wal.map_sealed() }.unwrap();
    assert!(count > 10);
    // SAFETY: as above.
    assert_eq!(unsafe { wal.map_sealed() }.unwrap(), 0, "each is mapped once");
    let mode = |number| fs::metadata(segment(&dir, number)).unwrap().permissions().mode() & 0o777;
    let newest = wal.segment_count() as u64;
    let read_only = (1..=newest).filter(|&number| mode(number) == 0o444).count();
    assert_eq!(read_only, count, "segments of dead entries only are of no use");
    assert_ne!(mode(newest), 0o444, "the newest is written to");
    assert_eq!(sequential(&mut wal, 1).0, before);
    let mut kept: Vec<Bytes> = Vec::new();
    let mut reader = wal.reader(index(1)).unwrap();
    while let Some(entry) = reader.next_bytes().unwrap() {
        assert_eq!(wal.read(entry.index).unwrap().payload, entry.payload);
        kept.push(entry.payload);
    }
    wal.append(&payload(101, 9)).unwrap();
    wal.prune_through(index(95)).unwrap();
    assert!(!segment(&dir, 1).exists());
    wal.close().unwrap();
    for ((_, expected), bytes) in before.iter().zip(&kept) {
        assert_eq!(bytes, expected, "slices of a map outlive the file's name and the log");
    }
    let (mut wal, _) = Wal::open(&dir, options()).unwrap();
    assert_eq!(sequential(&mut wal, 1).0.len(), 6);
}

/// Damage is found before a segment is mapped, in dead entries too, and the file's mode is left alone.
#[test]
fn a_damaged_segment_is_not_mapped() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    let mut wal = log(&dir);
    let mut bytes = fs::read(segment(&dir, 2)).unwrap();
    let at = bytes.windows(50).position(|window| *window == payload(200, 50)[..]).unwrap();
    bytes[at] ^= 1;
    fs::write(segment(&dir, 2), bytes).unwrap();
    // SAFETY: nobody else knows the directory.
    let error = unsafe { wal.map_sealed() }.unwrap_err();
    assert!(matches!(error, ReadError::Corrupt(damage) if damage.segment == SegmentId::new(2)));
    assert_ne!(fs::metadata(segment(&dir, 2)).unwrap().permissions().mode() & 0o777, 0o444);
    assert_eq!(sequential(&mut wal, 1).0.len(), 100, "the dead entry is not read");
}
