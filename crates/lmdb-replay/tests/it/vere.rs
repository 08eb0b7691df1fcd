//! Piers: written, read, verified and salvaged, sound and damaged.

use std::fs;
use std::path::Path;

use samestep_lmdb_replay::lock::ProcessIds;
use samestep_lmdb_replay::vere::maintain::{
    Appender, EpochFormat, MaintainError, PierSpec, Refusal, SalvageOptions, create_pier, salvage,
};
use samestep_lmdb_replay::vere::{
    Access, Depth, DiskVersion, EventError, Identity, Pier, Problem, StoredEvent, verify,
};
use samestep_lmdb_replay::{
    DataFile, EpochWriter, Layout, MetaChoice, OpenError, PageProblem, WriteOptions, structure,
};
use samestep_noun::{Atom, Noun};

use crate::common::Lcg;

const WRITE: WriteOptions = WriteOptions { map_bytes: 1 << 30 };

fn make_pier(root: &Path, identity: Identity, last: u64) {
    let spec = PierSpec {
        identity,
        disk: DiskVersion::Epochs,
        format: EpochFormat::Image,
        runtime: "4.5".to_owned(),
        write: WRITE,
    };
    let pier = create_pier(root, &spec).unwrap();
    let mut appender = Appender::open(&pier, WRITE).unwrap();
    let jams: Vec<Vec<u8>> = (1..=last).map(job).collect();
    for (at, batch) in jams.chunks(8).enumerate() {
        let mug = if at == 0 { 0 } else { 77 };
        let events: Vec<StoredEvent<'_>> = batch.iter().map(|jam| StoredEvent { mug, jam }).collect();
        appender.append(&events).unwrap();
    }
}

/// A job a second: `[now [%d %term ~] %belt number]`.
fn job(number: u64) -> Vec<u8> {
    let now = Atom::from_u128((0x8000_000c_ce9e_0d80_u128 + 1_600_000_000 + u128::from(number)) << 64);
    let long = Atom::from_le_bytes(&vec![7; if number.is_multiple_of(9) { 5000 } else { 9 }]);
    Noun::from((Noun::from(now), Noun::list(["d", "term"]), Noun::from(("belt", Noun::from(long))))).jam()
}

const ZOD: Identity = Identity { who: 0, is_fake: true, life: 3 };

fn problems(root: &Path) -> Vec<Problem> {
    let pier = Pier::open(root, Access::Read, ProcessIds::Honour).unwrap();
    let verified = verify(&pier, Depth::Events, |_, _| {}).unwrap();
    verified.findings.into_iter().map(|finding| finding.problem).collect()
}

/// Adds events to epoch 0 as no runtime would: with any number and any value.
fn put(root: &Path, events: &[(u64, Vec<u8>)]) {
    let pier = Pier::open(root, Access::Write, ProcessIds::Honour).unwrap();
    drop(pier);
    let guard = samestep_lmdb_replay::lock::write(&root.join(".vere.lock"), ProcessIds::Honour).unwrap();
    let mut writer = EpochWriter::open(&root.join(".urb/log/0i0"), 0, Layout::VERE, WRITE, &guard).unwrap();
    writer.append_numbered(events.iter().map(|(number, value)| (*number, value))).unwrap();
}

fn value(mug: u32, jam: &[u8]) -> Vec<u8> {
    [&mug.to_le_bytes(), jam].concat()
}

#[test]
fn a_new_pier_is_sound() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("pier");
    make_pier(&root, Identity { who: u128::MAX, is_fake: false, life: 3 }, 50);
    assert_eq!(problems(&root), []);
    let again = create_pier(
        &root,
        &PierSpec {
            identity: ZOD,
            disk: DiskVersion::Epochs,
            format: EpochFormat::Image,
            runtime: String::new(),
            write: WRITE,
        },
    );
    assert!(matches!(again, Err(MaintainError::Refused(Refusal::Exists { .. }))));
}

/// A pier with no event in it: the table of events is not there yet, and that is no damage. PR #241 died of it.
#[test]
fn pr_241_defect_8_an_epoch_without_events_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("pier");
    make_pier(&root, ZOD, 0);
    let pier = Pier::open(&root, Access::Read, ProcessIds::Honour).unwrap();
    let log = pier.log().unwrap();
    assert!(log.reader(log.first().unwrap()).unwrap().next_event().unwrap().is_none());
    drop(pier);
    // Life is more than there is, and that is all.
    assert_eq!(problems(&root), [Problem::Life { life: 3, last: 0 }]);
}

/// A missing event is a finding with its number, wherever it is. PR #241 died of it in the boot sequence.
#[test]
fn pr_241_defect_4_gaps_are_findings() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("pier");
    make_pier(&root, ZOD, 0);
    let event = |number| (number, value(0, &job(number)));
    put(&root, &[event(1), event(3), event(4), event(9)]);
    assert_eq!(problems(&root), [Problem::Gap { first: 2, last: 2 }, Problem::Gap { first: 5, last: 8 }]);
    let pier = Pier::open(&root, Access::Read, ProcessIds::Honour).unwrap();
    let quick = verify(&pier, Depth::Pages, |_, _| {}).unwrap();
    let quick: Vec<Problem> = quick.findings.into_iter().map(|finding| finding.problem).collect();
    assert_eq!(quick, [Problem::Count { entries: 4, first: 1, last: 9 }]);
}

/// An epoch number, versions and first events are looked at. PR #241 read none of them.
#[test]
fn pr_241_defect_7_versions_and_first_events_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("pier");
    make_pier(&root, ZOD, 0);
    put(&root, &[(5, value(0, &job(5)))]);
    fs::write(root.join(".urb/log/0i0/epoc.txt"), "3").unwrap();
    fs::remove_file(root.join(".urb/log/0i0/vere.txt")).unwrap();
    assert_eq!(
        problems(&root),
        [
            Problem::EpocUnknown { text: "3".to_owned() },
            Problem::VereMissing,
            Problem::FirstEvent { expected: 1, found: 5 },
        ]
    );
}

/// Values that are no events, one by one.
#[test]
fn values_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("pier");
    make_pier(&root, ZOD, 3);
    let atom = Noun::from(9).jam();
    put(
        &root,
        &[
            (4, value(5, &job(4))),
            (5, value(0, &job(5))),
            (6, value(1 << 31, &job(6))),
            (7, vec![1, 2, 3, 4]),
            (8, vec![]),
            (9, value(5, &atom)),
            (10, value(5, &[0xFF; 9])),
            (11, value(5, &job(3))),
        ],
    );
    let found = problems(&root);
    assert_eq!(
        found[..4],
        [
            Problem::MugZero { number: 5, before: 4 },
            Problem::Event { number: 6, problem: EventError::Mug { found: 1 << 31 } },
            Problem::Event { number: 7, problem: EventError::Short { bytes: 4 } },
            Problem::Event { number: 8, problem: EventError::Short { bytes: 0 } },
        ]
    );
    let said: Vec<String> = found[4..].iter().map(ToString::to_string).collect();
    assert_eq!(said[0], "event 9: it is no job: an atom, not [now wire card]");
    assert!(said[1].starts_with("event 10: its jam is damaged: "), "{}", said[1]);
    assert_eq!(said[2], "event 11 is dated before event 5");
    assert_eq!(said.len(), 3);
}

/// What Vere would not have written is not appended.
#[test]
fn bad_events_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("pier");
    make_pier(&root, ZOD, 3);
    let pier = Pier::open(&root, Access::Write, ProcessIds::Honour).unwrap();
    let mut appender = Appender::open(&pier, WRITE).unwrap();
    for (mug, jam) in [(0, &b""[..]), (0, b"\x01\0"), (1 << 31, b"\x02")] {
        let refused = appender.append(&[StoredEvent { mug: 1, jam: b"\x02" }, StoredEvent { mug, jam }]);
        assert!(matches!(refused, Err(MaintainError::Refused(Refusal::BadEvent { number: 5, .. }))));
    }
    assert_eq!(appender.last(), 3);
}

/// Epochs that contradict each other.
#[test]
fn epochs_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let [root, other] = ["pier", "other"].map(|name| folder.path().join(name));
    make_pier(&root, ZOD, 10);
    make_pier(&other, Identity { who: 5, is_fake: true, life: 3 }, 4);
    let log = root.join(".urb/log");
    fs::rename(other.join(".urb/log/0i0"), log.join("0i12")).unwrap();
    let found = problems(&root);
    let has =
        |expected: &str| assert!(found.iter().any(|problem| problem.to_string() == expected), "{found:?}");
    has("the epoch before this one ends with event 10, but it starts behind 12");
    has("the first event is 1, where 13 should be");
    has("there is no whole snapshot to start this epoch from");
    assert!(
        found.iter().any(|problem| matches!(problem, Problem::MetaDiffers { key: "who", .. })),
        "{found:?}"
    );
}

/// Random damage in any file of a log: verify and salvage come to an end with a result.
#[test]
fn any_damage_has_a_result() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("pier");
    make_pier(&root, ZOD, 120);
    let files = [root.join(".urb/log/0i0/data.mdb"), root.join(".urb/log/data.mdb")];
    let whole: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let mut random = Lcg(11);
    let mut refused = 0;
    for round in 0..600 {
        let which = usize::from(round % 5 == 0);
        let mut bytes = whole[which].clone();
        match round % 7 {
            0 => bytes.truncate(random.below(bytes.len())),
            1 => {
                let page = random.below(bytes.len() / 4096) * 4096;
                bytes[page..page + 4096].fill(random.byte());
            }
            _ => {
                for _ in 0..=round % 11 {
                    let at = random.below(if round % 2 == 0 { 300 } else { bytes.len() });
                    bytes[at] = random.byte();
                }
            }
        }
        fs::write(&files[which], &bytes).unwrap();
        match Pier::open(&root, Access::Read, ProcessIds::Honour) {
            Ok(pier) => {
                verify(&pier, Depth::Events, |_, _| {}).unwrap();
            }
            Err(_) => refused += 1,
        }
        if round % 10 == 0 {
            let saved = folder.path().join("saved");
            let options = SalvageOptions { identity: Some(ZOD), write: WRITE };
            salvage(&root, &saved, options).unwrap();
            fs::remove_dir_all(&saved).unwrap();
        }
        fs::write(&files[which], &whole[which]).unwrap();
    }
    assert!(refused < 300, "epochs tell the version where the file beside them does not: {refused}");
}

/// Meta pages of a state that no writer leaves are a finding, though the file can be read.
#[test]
fn transactions_that_do_not_follow_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("pier");
    make_pier(&root, ZOD, 10);
    let path = root.join(".urb/log/0i0/data.mdb");
    let mut bytes = fs::read(&path).unwrap();
    bytes[144 + 2] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(problems(&root).iter().any(|problem| matches!(problem, Problem::MetaTransactions { .. })));
}

/// An empty data file is refused, and stays empty: a writer of LMDB would make a database of it.
#[test]
fn an_empty_data_file_stays_empty() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("pier");
    make_pier(&root, ZOD, 10);
    let path = root.join(".urb/log/0i0/data.mdb");
    fs::write(&path, "").unwrap();
    assert!(matches!(DataFile::open(&path), Err(OpenError::Empty)));
    let pier = Pier::open(&root, Access::Write, ProcessIds::Honour).unwrap();
    assert!(Appender::open(&pier, WRITE).is_err());
    drop(pier);
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
}

/// A page that is free and in use would be overwritten by the next writer: writing is refused.
#[test]
fn writing_is_refused_where_a_page_is_used_twice() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("pier");
    make_pier(&root, ZOD, 100);
    let path = root.join(".urb/log/0i0/data.mdb");
    let mut bytes = fs::read(&path).unwrap();
    let file = DataFile::open(&path).unwrap();
    let root_page = file.table(b"EVENTS").unwrap().unwrap().record.root.unwrap();
    let free_root = usize::try_from(file.meta().free.root.unwrap()).unwrap();
    drop(file);
    // The first entry of the list of free pages: its value begins 16 bytes behind the entry, with a count.
    let page = &mut bytes[free_root * 4096..][..4096];
    let entry = usize::from(u16::from_le_bytes([page[16], page[17]]));
    page[entry + 24..entry + 32].copy_from_slice(&root_page.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let file = DataFile::with_reader(std::sync::Arc::new(bytes), MetaChoice::Newest).unwrap();
    let damages = structure::check(&file).unwrap().damages;
    assert!(damages.iter().any(|damage| damage.problem == PageProblem::Free && damage.page == root_page));
    let pier = Pier::open(&root, Access::Write, ProcessIds::Honour).unwrap();
    assert!(matches!(Appender::open(&pier, WRITE), Err(MaintainError::Write(_))));
}

/// A flat log that runtime 2.12 chopped holds its last event, with what was before it beside; nothing is wrong.
#[test]
fn a_flat_log_that_was_chopped_is_sound() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("pier");
    let spec = PierSpec {
        identity: ZOD,
        disk: DiskVersion::Flat,
        format: EpochFormat::NorthSouth,
        runtime: String::new(),
        write: WRITE,
    };
    drop(create_pier(&root, &spec).unwrap());
    let log = root.join(".urb/log");
    let guard = samestep_lmdb_replay::lock::write(&root.join(".vere.lock"), ProcessIds::Honour).unwrap();
    let mut writer = EpochWriter::open(&log, 0, Layout::VERE, WRITE, &guard).unwrap();
    writer.append_numbered([(67, value(5, &job(67)))]).unwrap();
    writer.close();
    drop(guard);
    assert_eq!(problems(&root), [Problem::FirstEvent { expected: 1, found: 67 }]);
    fs::create_dir(log.join("chop")).unwrap();
    assert!(matches!(problems(&root)[..], [Problem::Leftover { .. }]));
    let pier = Pier::open(&root, Access::Read, ProcessIds::Honour).unwrap();
    assert_eq!(pier.disk_version(), DiskVersion::Flat);
    let log = pier.log().unwrap();
    let mut reader = log.reader(log.first().unwrap()).unwrap();
    assert_eq!(reader.next_event().unwrap().unwrap().number, 67);
}

/// What lies around a damaged page is read, also if that page has the first event: the other findings are not hidden.
#[test]
fn events_around_damage_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("pier");
    make_pier(&root, ZOD, 300);
    put(&root, &[(301, vec![0; 3])]);
    let path = root.join(".urb/log/0i0/data.mdb");
    let mut bytes = fs::read(&path).unwrap();
    for page in bytes.chunks_mut(4096).skip(2) {
        // A leaf whose first entry has key 1: flags at 10, the first offset at 16, a key behind 8 bytes.
        let entry = usize::from(u16::from_le_bytes([page[16], page[17]]));
        if page[10] == 2 && page.get(entry + 8..).is_some_and(|key| key.starts_with(&1_u64.to_le_bytes())) {
            page[10] = 0;
        }
    }
    fs::write(&path, &bytes).unwrap();
    let pier = Pier::open(&root, Access::Read, ProcessIds::Honour).unwrap();
    let verified = verify(&pier, Depth::Events, |_, _| {}).unwrap();
    let found: Vec<&Problem> = verified.findings.iter().map(|finding| &finding.problem).collect();
    let [Problem::Page(damage), Problem::Event { number: 301, .. }] = found[..] else { panic!("{found:?}") };
    assert_eq!(damage.lost.first, None);
    assert_eq!(verified.events, 301 - damage.lost.last.unwrap());
}
