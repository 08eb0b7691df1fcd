//! Bytes that are not as they were written: single bits, torn tails, moved, swapped and missing files.

use std::fmt::Write as _;

use samestep_wal::{
    CommitPolicy, DamageKind, FileName, Index, LogId, OpenError, Options, ReadError, SegmentId, TailModel,
    Wal,
};

use crate::disk::{Image, SimDisk};
use crate::model::{ByIndex, Call, Model, contents, options, run};
use crate::sample::{defaults, log, read_all};

fn name(segment: u64) -> String {
    FileName::Segment(SegmentId::new(segment)).to_string()
}

/// A closed log whose `wal.meta` is gone still proves its last record, by the closing mark.
#[test]
fn a_closed_log_without_meta_notices_every_flipped_bit_of_its_tail() {
    let (mut image, model) = log(true);
    image.remove("wal.meta");
    let newest = name(5);
    assert_eq!(read_all(&image, &defaults()).unwrap(), model);
    let mut evidence = defaults();
    evidence.tail = TailModel::Evidence;
    let end = image[&newest].iter().rposition(|&byte| byte != 0).unwrap() - 40;
    for bit in 4096 * 8..end * 8 {
        let mut flipped = image.clone();
        flipped.get_mut(&newest).unwrap()[bit / 8] ^= 1 << (bit % 8);
        if let Ok(found) = read_all(&flipped, &evidence) {
            assert_eq!(found, model, "bit {bit}");
        }
    }
}

/// The last segment cut at every byte, with zeros behind as in a zero-filled file: all records below the cut, and
/// under the sector model a refusal at worst.
#[test]
fn a_tail_torn_at_any_byte_keeps_all_before_it() {
    let disk = SimDisk::from_image(&Image::new());
    let mut lenient = options(CommitPolicy::NoSync, None);
    lenient.tail = TailModel::Evidence;
    let (mut wal, _) = Wal::open_on(disk.clone(), lenient.clone()).unwrap();
    for seed in 1..=6 {
        run(&mut wal, Call::Append { seed, len: 10 + usize::from(seed) * 30 }).unwrap();
    }
    wal.flush().unwrap();
    let image = disk.image();
    let end = image[&name(1)].iter().rposition(|&byte| byte != 0).unwrap() + 1;
    let mut outcomes = String::new();
    let mut kept_before = 0;
    for cut in 4096..=end {
        let mut torn = image.clone();
        torn.get_mut(&name(1)).unwrap()[cut..].fill(0);
        let kept = read_all(&torn, &lenient).unwrap().entries.len();
        assert!(kept >= kept_before, "a longer tail keeps no less");
        if kept > kept_before {
            write!(outcomes, "{kept}@{cut} ").unwrap();
            kept_before = kept;
        }
        let mut strict = lenient.clone();
        strict.tail = TailModel::Sector;
        if let Ok(found) = read_all(&torn, &strict) {
            assert_eq!(found.entries.len(), kept, "cut {cut}");
        }
    }
    // Frame n ends at 4096 plus the sum of 40 and 10 + 30 i, each rounded up to 8.
    assert_eq!(outcomes, "1@4176 2@4286 3@4428 4@4602 5@4808 6@5038 ");
}

/// Damage in the middle of acknowledged data names the segment, the place and the record, each time the same.
#[test]
fn damage_names_the_record() {
    let (mut image, _) = log(true);
    let newest = name(5);
    let end = image[&newest].iter().rposition(|&byte| byte != 0).unwrap();
    // The closing mark is 40 bytes, the last payload 11 in 16.
    image.get_mut(&newest).unwrap()[end - 40 - 10] ^= 0xff;
    for _ in 0..2 {
        let opened = Wal::open_on(SimDisk::from_image(&image), defaults());
        let Err(OpenError::Corrupt(damage)) = opened else { panic!("damage must be refused") };
        assert_eq!((damage.kind, damage.identity), (DamageKind::Payload, Some((Index::new(8), 12))));
        assert!(damage.proven_end.is_some());
    }
}

/// Rot of a payload in an older segment: opening does not read it, reading it says which record it was, and others
/// are still read.
#[test]
fn rot_in_an_older_segment_is_found_when_it_is_read() {
    let (mut image, _) = log(true);
    image.get_mut(&name(1)).unwrap()[4096 + 41] ^= 1;
    let (wal, _) = Wal::open_on(SimDisk::from_image(&image), defaults()).unwrap();
    let Err(ReadError::Corrupt(damage)) = wal.read(Index::new(1)) else { panic!("rot must be noticed") };
    assert_eq!(damage.identity, Some((Index::new(1), 1)));
    wal.read(Index::new(2)).unwrap();
    let mut reader = wal.reader(Index::new(1)).unwrap();
    for _ in 0..2 {
        assert!(matches!(reader.next_entry(), Err(ReadError::Corrupt(_))), "the same error comes again");
    }
}

/// Files that are swapped, moved, missing or of another log.
#[test]
fn files_in_the_wrong_place_are_refused() {
    let (image, _) = log(true);
    let refuse = |what: &str, change: &dyn Fn(&mut Image)| {
        let mut changed = image.clone();
        change(&mut changed);
        read_all(&changed, &defaults()).expect_err(what)
    };
    let swapped = refuse("swapped", &|image| {
        let (one, two) = (image[&name(1)].clone(), image[&name(2)].clone());
        image.insert(name(1), two);
        image.insert(name(2), one);
    });
    assert_eq!(swapped, "segment 1: header belongs elsewhere at byte 0");
    for missing in 1..=5 {
        let error = refuse("missing", &|image| drop(image.remove(&name(missing))));
        assert_eq!(error, format!("segment {missing}: file is missing at byte 0"));
    }
    let newest = refuse("cut", &|image| image.get_mut(&name(5)).unwrap().truncate(5000));
    assert_eq!(newest, "segment 5: wrong file length at byte 5000");
    refuse("cut", &|image| image.get_mut(&name(2)).unwrap().truncate(4100));
    refuse("no header", &|image| image.get_mut(&name(5)).unwrap()[..4096].fill(0));
    refuse("no header and no meta", &|image| {
        image.remove("wal.meta");
        image.get_mut(&name(5)).unwrap()[..4096].fill(0);
    });
}

#[test]
fn a_segment_of_a_foreign_log_is_refused() {
    let (image, _) = log(true);
    let disk = SimDisk::from_image(&Image::new());
    let (wal, _) = Wal::open_on(disk.clone(), Options::create(LogId::new([9; 16]))).unwrap();
    wal.close().unwrap();
    for file in [name(1), "wal.meta".to_owned()] {
        let mut mixed = image.clone();
        mixed.insert(file.clone(), disk.image()[&file].clone());
        let opened = Wal::open_on(SimDisk::from_image(&mixed), Options::create(crate::public::LOG));
        assert!(matches!(opened, Err(OpenError::WrongLog { .. })), "{file}");
    }
}

/// Sidecars are caches: without them, with broken ones, and with those of other segments all reads are the same.
#[test]
fn sidecars_are_never_trusted() {
    let (image, model) = log(true);
    let sidecars: Vec<String> = image.keys().filter(|name| name.contains(".idx")).cloned().collect();
    assert_eq!(sidecars.len(), 4);
    let check = |what: &str, change: &dyn Fn(&mut Image, &String)| {
        let mut changed = image.clone();
        for sidecar in &sidecars {
            change(&mut changed, sidecar);
        }
        assert_eq!(read_all(&changed, &defaults()).unwrap(), model, "{what}");
    };
    check("deleted", &|image, name| drop(image.remove(name)));
    check("empty", &|image, name| image.get_mut(name).unwrap().clear());
    for len in 0..image[&sidecars[0]].len() {
        check("truncated", &|image, name| image.get_mut(name).unwrap().truncate(len));
    }
    check("of another segment", &|changed, name| {
        let other = sidecars.iter().find(|other| *other != name).unwrap();
        let bytes = image[other].clone();
        changed.insert(name.clone(), bytes);
    });
    // Lies with a good checksum: the offsets point at other frames, or at none.
    for lie in [512_u32, 513, 530, u32::MAX] {
        check("lying", &|image, name| {
            let bytes = image.get_mut(name).unwrap();
            let end = bytes.len() - 4;
            for at in (64..end).step_by(4) {
                bytes[at..at + 4].copy_from_slice(&lie.to_le_bytes());
            }
            let checksum = crc32fast::hash(&bytes[..end]);
            bytes[end..].copy_from_slice(&checksum.to_le_bytes());
        });
    }
}

/// `wal.meta` is a lower bound: without it, or without one of its slots, the log is the same.
#[test]
fn meta_is_rebuilt() {
    let (image, model) = log(true);
    let mut without = image.clone();
    without.remove("wal.meta");
    assert_eq!(read_all(&without, &defaults()).unwrap(), model);
    for slot in 0..2 {
        let mut damaged = image.clone();
        damaged.get_mut("wal.meta").unwrap()[slot * 4096..][..4096].fill(0x55);
        assert_eq!(read_all(&damaged, &defaults()).unwrap(), model);
        let disk = SimDisk::from_image(&damaged);
        let (wal, report) = Wal::open_on(disk.clone(), defaults()).unwrap();
        assert!(report.is_meta_rebuilt);
        wal.close().unwrap();
        let (_, report) = Wal::open_on(disk, defaults()).unwrap();
        assert!(!report.is_meta_rebuilt);
    }
}

/// Directories list in any order: segments are put in order by number.
#[test]
fn segments_are_ordered_by_number() {
    let disk = SimDisk::from_image(&Image::new());
    let (mut wal, _) = Wal::open_on(disk.clone(), options(CommitPolicy::StrictSync, Some(1))).unwrap();
    let mut model = Model::new();
    for seed in 1..=105 {
        run(&mut wal, Call::Append { seed, len: 3 }).unwrap();
        model.apply(Call::Append { seed, len: 3 });
    }
    assert_eq!(wal.segment_count(), 105);
    wal.close().unwrap();
    disk.0.borrow_mut().lists_in_reverse = true;
    let (mut wal, _) = Wal::open_on(disk, defaults()).unwrap();
    assert_eq!(contents(&mut wal, ByIndex::Too).unwrap(), model);
}

/// Gives the frame at `offset` of segment `id` another predecessor, and a header checksum that fits.
fn forge_predecessor(image: &mut Image, id: u64, offset: usize) {
    let bytes = image.get_mut(&name(id)).unwrap();
    bytes[offset + 28] ^= 0x40;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(crate::public::LOG.as_bytes());
    hasher.update(&id.to_le_bytes());
    hasher.update(&(offset as u64).to_le_bytes());
    hasher.update(&bytes[offset + 4..offset + 40]);
    bytes[offset..offset + 4].copy_from_slice(&hasher.finalize().to_le_bytes());
}

/// A stale frame in the right place, whole and of this very log, but not behind this predecessor.
#[test]
fn a_frame_out_of_its_chain_is_refused() {
    let (image, _) = log(true);
    // The newest segment: a state of 9 bytes, then the last entry.
    let mut newest = image.clone();
    forge_predecessor(&mut newest, 5, 4096 + 56);
    let opened = Wal::open_on(SimDisk::from_image(&newest), defaults());
    let Err(OpenError::Corrupt(damage)) = opened else { panic!("a broken chain must be refused") };
    assert_eq!((damage.kind, damage.offset), (DamageKind::Chain, 4096 + 56));
    // An older one: the chain is checked when it is read.
    let mut older = image;
    forge_predecessor(&mut older, 1, 4096);
    let (wal, _) = Wal::open_on(SimDisk::from_image(&older), defaults()).unwrap();
    let error = wal.reader(Index::new(1)).unwrap().next_entry().unwrap_err();
    let ReadError::Corrupt(damage) = error else { panic!("a broken chain must be refused") };
    assert_eq!((damage.kind, damage.offset), (DamageKind::Chain, 4096));
}

#[test]
fn a_renamed_segment_is_refused() {
    let disk = SimDisk::from_image(&Image::new());
    Wal::open_on(disk.clone(), crate::public::small()).unwrap().0.close().unwrap();
    let mut image = disk.image();
    image.remove("wal.meta");
    let bytes = image.remove(&name(1)).unwrap();
    image.insert(name(2), bytes);
    let opened = Wal::open_on(SimDisk::from_image(&image), defaults());
    let Err(OpenError::Corrupt(damage)) = opened else { panic!("a renamed segment must be refused") };
    assert_eq!((damage.kind, damage.segment), (DamageKind::Order, SegmentId::new(2)));
}

/// A segment of the same log and number, from another past, as a restored backup may bring it. Opening notices,
/// without reading what the segment holds.
#[test]
fn a_segment_of_another_past_is_refused() {
    let (image, _) = log(true);
    let disk = SimDisk::from_image(&Image::new());
    let (mut wal, _) = Wal::open_on(disk.clone(), options(CommitPolicy::StrictSync, Some(1))).unwrap();
    for seed in 0..4 {
        run(&mut wal, Call::Append { seed, len: 500 }).unwrap();
    }
    wal.close().unwrap();
    let mut mixed = image.clone();
    mixed.insert(name(3), disk.image()[&name(3)].clone());
    let mut cut = image;
    cut.get_mut(&name(3)).unwrap().truncate(4100);
    for (image, kind) in [(mixed, DamageKind::Order), (cut, DamageKind::Length)] {
        let opened = Wal::open_on(SimDisk::from_image(&image), defaults());
        let Err(OpenError::Corrupt(damage)) = opened else { panic!("it must be refused: {kind}") };
        assert_eq!(damage.kind, kind);
    }
}

/// The same, and only the last record of the segment is another one: every frame in it follows the one before, and the
/// next segment's header alone knows how it ended.
#[test]
fn a_segment_whose_last_record_is_of_another_past_is_refused() {
    let pasts = [9, 10].map(|last| {
        let disk = SimDisk::from_image(&Image::new());
        let (mut wal, _) = Wal::open_on(disk.clone(), options(CommitPolicy::StrictSync, Some(2))).unwrap();
        for seed in [1, last, 3, 4] {
            run(&mut wal, Call::Append { seed, len: 30 }).unwrap();
        }
        wal.close().unwrap();
        disk.image()
    });
    let [mut image, other] = pasts;
    image.insert(name(1), other[&name(1)].clone());
    image.retain(|name, _| !name.contains(".idx"));
    let (wal, _) = Wal::open_on(SimDisk::from_image(&image), defaults()).unwrap();
    let mut reader = wal.reader(Index::new(1)).unwrap();
    let mut lent = 0;
    let error = loop {
        match reader.next_entry() {
            Ok(entry) => lent += u64::from(entry.expect("the reader ends with an error").index.get() == 1),
            Err(error) => break error,
        }
    };
    let ReadError::Corrupt(damage) = error else { panic!("it must be refused: {error}") };
    assert_eq!((damage.kind, damage.segment, lent), (DamageKind::Chain, SegmentId::new(1), 1));
}

/// A tear inside a sector is nothing that the sector model explains: it refuses, and writes nothing. The evidence
/// model drops it.
#[test]
fn an_unexplained_tail_is_refused_unless_evidence_decides() {
    let (mut image, model) = log(false);
    let end = image[&name(5)].iter().rposition(|&byte| byte != 0).unwrap();
    image.get_mut(&name(5)).unwrap()[end - 5..].fill(0);
    let disk = SimDisk::from_image(&image);
    let opened = Wal::open_on(disk.clone(), defaults());
    assert!(matches!(opened, Err(OpenError::AmbiguousTail { .. })), "{opened:?}");
    assert_eq!(disk.image().get(&name(5)), image.get(&name(5)));
    let mut evidence = defaults();
    evidence.tail = TailModel::Evidence;
    assert_eq!(read_all(&image, &evidence).unwrap().next, model.next - 1);
}

/// The last record of a log that was not closed has a sector of zeros by nature, and one bit of it rots. It looks
/// torn, and one flipped bit explains it too: refused, not dropped.
#[test]
fn a_flipped_bit_beside_a_zero_sector_is_refused() {
    let disk = SimDisk::from_image(&Image::new());
    let (wal, _) = Wal::open_on(disk.clone(), options(CommitPolicy::StrictSync, None)).unwrap();
    let mut payload = vec![0; 1500];
    payload[..40].fill(0xa7);
    wal.append(&payload).unwrap();
    let mut image = disk.image();
    image.get_mut(&name(1)).unwrap()[4096 + 40 + 7] ^= 0x10;
    let opened = Wal::open_on(SimDisk::from_image(&image), defaults());
    assert!(matches!(opened, Err(OpenError::AmbiguousTail { .. })), "{opened:?}");
}
