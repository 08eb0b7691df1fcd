//! Ranges, owned entries, and how little a seek reads.

use bytes::Bytes;
use samestep_wal::{CommitPolicy, FileName, Index, Op, ReadError, SegmentId, Wal};

use crate::disk::{Image, SimDisk};
use crate::model::{options, payload};

fn index(number: u64) -> Index {
    Index::new(number)
}

/// Thirty entries of 500 bytes in six closed segments of which none is truncated, or all are.
fn log(truncates: bool) -> SimDisk {
    let disk = SimDisk::from_image(&Image::new());
    let mut options = options(CommitPolicy::StrictSync, None);
    options.segment_bytes = 32 << 10;
    let (wal, _) = Wal::open_on(disk.clone(), options).unwrap();
    for number in 1..=30_u8 {
        if truncates && number % 5 == 4 {
            wal.append(&payload(200, 500)).unwrap();
            wal.truncate_suffix(index(number.into())).unwrap();
        }
        wal.append(&payload(number, 500)).unwrap();
        if number % 5 == 0 {
            wal.rotate().unwrap();
        }
    }
    wal.close().unwrap();
    disk
}

fn open(disk: &SimDisk) -> Wal<SimDisk> {
    let (wal, _) = Wal::open_on(disk.clone(), options(CommitPolicy::StrictSync, None)).unwrap();
    disk.take_trace();
    wal
}

fn sidecar(segment: u64) -> String {
    FileName::Sidecar(SegmentId::new(segment)).to_string()
}

/// The reads among the operations since the last look, as file and offset.
fn reads(disk: &SimDisk) -> Vec<(FileName, u64, usize)> {
    let read = |op: &Op| match op {
        Op::ReadAt { file, offset, buf } => Some((*file, *offset, buf.len())),
        _ => None,
    };
    disk.take_trace().iter().filter_map(read).collect()
}

/// With a good sidecar, entry 14 (the fourth of segment 3) costs one look in the sidecar and one read where it stands.
#[test]
fn a_seek_reads_the_sidecar_and_not_the_segment_before_it() {
    let (idx, seg) = (FileName::Sidecar(SegmentId::new(3)), FileName::Segment(SegmentId::new(3)));
    let disk = log(false);
    let wal = open(&disk);
    let frame = 4096 + 3 * 544;
    let entry = wal.read(index(14)).unwrap();
    assert_eq!(entry.payload, payload(14, 500));
    assert_eq!(reads(&disk), [(idx, 64 + 3 * 4, 4), (seg, frame, 2 * 544)], "by index");
    let mut reader = wal.reader(index(14)).unwrap();
    assert_eq!(reader.next_entry().unwrap().unwrap().index, index(14));
    assert_eq!(reads(&disk), [(idx, 64 + 3 * 4, 4), (seg, frame, 2 * 544)], "a reader");
    // With truncations the sidecar is read and checked whole, for it alone says which entries are dead.
    let disk = log(true);
    let wal = open(&disk);
    let mut reader = wal.reader(index(14)).unwrap();
    assert_eq!(reader.next_entry().unwrap().unwrap().payload, payload(14, 500));
    let seen = reads(&disk);
    assert_eq!(seen.len(), 2);
    assert_eq!((seen[0].0, seen[0].2), (idx, 64 + 5 * 4 + 4));
    assert!(seen[1].0 == seg && seen[1].1 > frame, "past the dead entry: {seen:?}");
}

/// The newest segment's entries are known in memory.
#[test]
fn a_seek_in_the_newest_segment_reads_where_the_entry_stands() {
    let disk = SimDisk::from_image(&Image::new());
    let (wal, _) = Wal::open_on(disk.clone(), options(CommitPolicy::StrictSync, None)).unwrap();
    for number in 1..=5 {
        wal.append(&payload(number, 100)).unwrap();
    }
    disk.take_trace();
    let mut reader = wal.reader(index(4)).unwrap();
    assert_eq!(reader.next_entry().unwrap().unwrap().payload, payload(4, 100));
    assert_eq!(reads(&disk), [(FileName::Segment(SegmentId::FIRST), 4096 + 3 * 144, 2 * 144)]);
}

/// Whatever is done to a sidecar, readers from every index and look-ups of every index see the same.
#[test]
fn a_broken_sidecar_changes_nothing_that_is_read() {
    for truncates in [false, true] {
        let disk = log(truncates);
        let image = disk.image();
        let good = image[&sidecar(3)].clone();
        let mut bad: Vec<(String, Option<Vec<u8>>)> = vec![("deleted".into(), None)];
        bad.extend((0..good.len()).map(|len| (format!("cut at {len}"), Some(good[..len].to_vec()))));
        bad.extend((0..good.len() * 8).map(|bit| {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            (format!("bit {bit}"), Some(bytes))
        }));
        bad.push(("of segment 2".into(), Some(image[&sidecar(2)].clone())));
        // Every offset the next entry's: valid frames, of the wrong entries.
        let mut shifted = good.clone();
        let end = shifted.len() - 4;
        shifted.copy_within(68..end, 64);
        let checksum = crc32fast::hash(&shifted[..end]);
        shifted[end..].copy_from_slice(&checksum.to_le_bytes());
        bad.push(("stale".into(), Some(shifted)));
        for (what, bytes) in bad {
            let mut image = image.clone();
            match bytes {
                Some(bytes) => drop(image.insert(sidecar(3), bytes)),
                None => drop(image.remove(&sidecar(3))),
            }
            let wal = open(&SimDisk::from_image(&image));
            for number in 11..=15 {
                let expected = payload(u8::try_from(number).unwrap(), 500);
                assert_eq!(wal.read(index(number)).unwrap().payload, expected, "{what}: {number}");
                let mut reader = wal.reader(index(number)).unwrap();
                for next in number..=30 {
                    let entry = reader.next_entry().unwrap().unwrap();
                    assert_eq!(entry.index, index(next), "{what}: from {number}");
                    assert_eq!(entry.payload, payload(u8::try_from(next).unwrap(), 500), "{what}");
                }
                assert!(reader.next_entry().unwrap().is_none());
            }
        }
    }
}

#[test]
fn ranges_end_where_asked_or_at_the_limit() {
    let wal = open(&log(true));
    let check = |lo: u64, hi: u64, bytes_max: u64, expected: std::ops::Range<u64>| {
        let found = wal.entries(index(lo)..index(hi), bytes_max).unwrap();
        let indices: Vec<u64> = found.iter().map(|entry| entry.index.get()).collect();
        assert_eq!(indices, expected.collect::<Vec<u64>>(), "{lo}..{hi} up to {bytes_max}");
        for entry in found {
            assert_eq!(entry.payload, payload(u8::try_from(entry.index.get()).unwrap(), 500));
        }
    };
    check(1, 31, u64::MAX, 1..31);
    check(4, 13, u64::MAX, 4..13);
    check(4, 5, 0, 4..5);
    check(4, 9, 499, 4..5);
    check(4, 9, 1000, 4..6);
    check(4, 9, 1499, 4..6);
    check(9, 30, 1500, 9..12);
    check(4, 4, 1000, 4..4);
    check(31, 31, 1000, 31..31);
    wal.prune_through(index(7)).unwrap();
    let pruned = wal.entries(index(7)..index(9), 1).unwrap_err();
    assert!(matches!(pruned, ReadError::Pruned { first } if first == index(8)), "{pruned}");
    let missing = wal.entries(index(9)..index(32), 1).unwrap_err();
    assert!(matches!(missing, ReadError::NotWritten { next } if next == index(31)), "{missing}");
}

/// Payloads out of one chunk share it, and live longer than the reader and the log.
#[test]
fn owned_payloads_are_slices_of_one_chunk() {
    let wal = open(&log(false));
    let mut reader = wal.reader(index(1)).unwrap();
    let mut kept: Vec<Bytes> = Vec::new();
    while let Some(entry) = reader.next_bytes().unwrap() {
        kept.push(entry.payload);
    }
    drop(reader);
    drop(wal);
    for (number, bytes) in (1_u8..).zip(&kept) {
        assert_eq!(bytes, &payload(number, 500));
    }
    assert_eq!(kept.len(), 30);
    // Five entries to a segment, and a chunk per segment: neighbours are 40 bytes of header and 4 of padding apart.
    for pair in kept.chunks(5).flat_map(|chunk| chunk.windows(2)) {
        assert_eq!(pair[1].as_ptr().addr() - pair[0].as_ptr().addr(), 544);
    }
}
