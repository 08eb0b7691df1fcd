//! Small piers, written here, of events that Vere wrote.

use std::fs;
use std::path::Path;

use samestep_lmdb_replay::lock::ProcessIds;
use samestep_lmdb_replay::vere::maintain::{Appender, EpochFormat, PierSpec, create_pier};
use samestep_lmdb_replay::vere::{Access, DiskVersion, Identity, Pier, StoredEvent};
use samestep_lmdb_replay::{EpochWriter, Layout, WriteOptions, lock};
use samestep_noun::Noun;

/// How many events boot the kernel.
pub(crate) const LIFE: u64 = 2;

/// An event as it is logged.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) number: u64,
    pub(crate) mug: u32,
    pub(crate) jam: Vec<u8>,
}

/// Events 1 to 45 of a genuine pier.
pub(crate) fn events() -> Vec<Logged> {
    let text = include_str!("../data/count-kernel.txt");
    let line = |line: &str| {
        let [number, mug, jam] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let jam = (0..jam.len()).step_by(2).map(|at| u8::from_str_radix(&jam[at..at + 2], 16).unwrap());
        Logged {
            number: number.parse().unwrap(),
            mug: u32::from_str_radix(mug, 16).unwrap(),
            jam: jam.collect(),
        }
    };
    text.lines().filter(|line| !line.starts_with('#')).map(line).collect()
}

/// An event with this card, behind the last of `events`, without a mug.
pub(crate) fn append(events: &mut Vec<Logged>, card: impl Into<Noun>) {
    let number = events.last().unwrap().number + 1;
    let job = Noun::from((number, Noun::list(["d", "test"]), card));
    events.push(Logged { number, mug: 0, jam: job.jam() });
}

/// Writes a pier with `events`, and a new epoch behind each event of `rolls`.
pub(crate) fn write(root: &Path, events: &[Logged], rolls: &[u64]) -> Pier {
    write_disk(root, DiskVersion::Epochs, events, rolls)
}

/// As [`write`], with another way to keep events; a flat log has no rolls.
pub(crate) fn write_disk(root: &Path, disk: DiskVersion, events: &[Logged], rolls: &[u64]) -> Pier {
    let write = WriteOptions { map_bytes: 1 << 26 };
    let identity = Identity { who: 0x100, is_fake: true, life: u32::try_from(LIFE).unwrap() };
    let spec = PierSpec { identity, disk, format: EpochFormat::NorthSouth, runtime: "3.0".to_owned(), write };
    let pier = create_pier(root, &spec).unwrap();
    let in_epoch = |from: u64, to: u64| {
        let events = events.iter().filter(move |event| event.number > from && event.number <= to);
        events.map(|event| StoredEvent { mug: event.mug, jam: &event.jam }).collect::<Vec<_>>()
    };
    let ends = |at: usize| rolls.get(at).copied().unwrap_or(u64::MAX);
    let mut appender = Appender::open(&pier, write).unwrap();
    appender.append(&in_epoch(0, ends(0))).unwrap();
    drop(appender);
    drop(pier);
    for (at, number) in rolls.iter().enumerate() {
        let dir = root.join(".urb/log").join(Layout::VERE.epoch_name(*number));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("epoc.txt"), "1").unwrap();
        fs::write(dir.join("vere.txt"), "3.0").unwrap();
        let guard = lock::write(&root.join(".vere.lock"), ProcessIds::Honour).unwrap();
        let mut writer = EpochWriter::create(&dir, *number, Layout::VERE, write, &guard).unwrap();
        let who = 0x100_u16.to_le_bytes();
        writer.put_pairs("META", &[("version", &[3]), ("who", &who), ("fake", b""), ("life", &[2])]).unwrap();
        let events = in_epoch(*number, ends(at + 1));
        if !events.is_empty() {
            writer.append(events.iter().map(StoredEvent::encode)).unwrap();
        }
    }
    Pier::open(root, Access::Read, ProcessIds::Honour).unwrap()
}
