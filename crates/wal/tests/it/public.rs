//! What a caller sees when nothing fails, on real directories.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use samestep_replay_traits::contract;
use samestep_wal::{
    AppendError, CommitPolicy, Index, LogId, OpenError, OpenOutcome, Options, Prepared, ReadError,
    StateRecord, TruncateError, Wal,
};
use sha2::{Digest, Sha256};

pub(crate) const LOG: LogId = LogId::new(*b"samestep-wal-tst");

pub(crate) fn small() -> Options {
    let mut options = Options::create(LOG);
    options.segment_bytes = 8192;
    options
}

fn rotating(every: u32) -> Options {
    let mut options = small();
    options.force_rotate_every = Some(every);
    options
}

fn index(number: u64) -> Index {
    Index::new(number)
}

fn state(number: u64, payload: &[u8]) -> StateRecord {
    StateRecord { index: index(number), aux: 1, payload: payload.to_vec() }
}

/// `index:crc8` per entry, SevenDB's short line.
fn short_lines<D: samestep_wal::Disk>(wal: &mut Wal<D>) -> String {
    let mut reader = wal.reader(index(0)).unwrap();
    let mut lines = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        lines.push(format!("{}:{:08x}", entry.index, entry.payload_crc));
    }
    lines.join(" ")
}

/// `index:term:kind:len:crc8` per entry, SevenDB's full line.
fn full_lines(wal: &mut Wal) -> Vec<String> {
    let mut reader = wal.reader(index(0)).unwrap();
    let mut lines = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let (len, crc) = (entry.payload.len(), entry.payload_crc);
        lines.push(format!("{}:{}:{}:{len}:{crc:08x}", entry.index, entry.aux, entry.slot));
    }
    lines
}

/// Names, lengths and contents of a folder, in order of names.
fn folder_digest(dir: &Path) -> String {
    let read = |entry: fs::DirEntry| (entry.file_name(), fs::read(entry.path()).unwrap());
    let files: BTreeMap<_, _> = fs::read_dir(dir).unwrap().map(|entry| read(entry.unwrap())).collect();
    let mut hasher = Sha256::new();
    for (name, bytes) in files {
        hasher.update(name.as_encoded_bytes());
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
    format!("{:?}", hasher.finalize())
}

#[test]
fn what_is_appended_is_read_again_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, report) = Wal::open(dir.path(), small()).unwrap();
    assert_eq!(report.outcome, OpenOutcome::Created);
    assert_eq!(wal.append(b"a").unwrap(), index(1));
    assert_eq!(wal.append_batch(&["b".into(), Prepared::new(b"c").with_aux(9)]).unwrap(), index(2));
    wal.put_state(1, &state(3, b"vote")).unwrap();
    assert_eq!(wal.durable_index(), Some(index(3)));
    wal.close().unwrap();
    let (wal, report) = Wal::open(dir.path(), Options::default()).unwrap();
    assert_eq!((report.outcome, report.next_index), (OpenOutcome::Clean, index(4)));
    contract::replay_source(
        wal.reader(index(1)).unwrap(),
        &[(index(1), b"a"), (index(2), b"b"), (index(3), b"c")],
    );
    assert_eq!(wal.read(index(3)).unwrap().aux, 9);
    assert_eq!(wal.state(1).unwrap().payload, b"vote");
    assert!(matches!(wal.read(index(4)), Err(ReadError::NotWritten { .. })));
}

#[test]
fn a_dropped_log_recovers_into_a_new_segment() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = Wal::open(dir.path(), small()).unwrap();
    wal.append(b"a").unwrap();
    wal.append(b"b").unwrap();
    drop(wal);
    let (wal, report) = Wal::open(dir.path(), small()).unwrap();
    assert_eq!((report.outcome, report.rehomed_entries), (OpenOutcome::Recovered, 1));
    assert_eq!(wal.append(b"c").unwrap(), index(3));
    contract::replay_source(wal.reader(index(2)).unwrap(), &[(index(2), b"b"), (index(3), b"c")]);
}

#[test]
fn rollover_gives_sevendb_lines() {
    let dir = tempfile::tempdir().unwrap();
    let (mut wal, _) = Wal::open(dir.path(), rotating(3)).unwrap();
    for i in 1..=12_u8 {
        wal.append(Prepared::new(&[i]).with_aux(1).with_index(index(i.into()))).unwrap();
        if i % 5 == 0 {
            wal.put_state(1, &state(i.into(), &[0xaa, i])).unwrap();
        }
    }
    assert_eq!(wal.segment_count(), 5);
    assert_eq!(
        short_lines(&mut wal),
        "1:a505df1b 2:3c0c8ea1 3:4b0bbe37 4:d56f2b94 5:a2681b02 6:3b614ab8 7:4c667a2e 8:dcd967bf 9:abde5729 \
         10:32d70693 11:45d03605 12:dbb4a3a6"
    );
    assert_eq!(full_lines(&mut wal)[0], "1:1:0:1:a505df1b");
    assert_eq!(wal.state(1).unwrap().payload, [0xaa, 10]);
    wal.close().unwrap();
}

#[test]
fn prune_gives_sevendb_lines() {
    let dir = tempfile::tempdir().unwrap();
    let (mut wal, _) = Wal::open(dir.path(), rotating(2)).unwrap();
    wal.put_state(1, &state(1, b"vote")).unwrap();
    for i in 1..=12_u8 {
        wal.append(Prepared::new(&[0x7f, i]).with_aux(1)).unwrap();
    }
    wal.prune_through(index(6)).unwrap();
    let expected = "7:771ae265 8:e7a5fff4 9:90a2cf62 10:09ab9ed8 11:7eacae4e 12:e0c83bed";
    assert_eq!(short_lines(&mut wal), expected);
    assert!(matches!(wal.read(index(6)), Err(ReadError::Pruned { .. })));
    wal.close().unwrap();
    let (mut wal, report) = Wal::open(dir.path(), rotating(2)).unwrap();
    assert_eq!(report.first_index, index(7));
    assert_eq!(short_lines(&mut wal), expected);
    assert_eq!(wal.state(1).unwrap().payload, b"vote", "a prune never loses a state");
}

#[test]
fn reopen_and_continue_gives_sevendb_lines() {
    let dir = tempfile::tempdir().unwrap();
    for session in 0..2_u8 {
        let (wal, _) = Wal::open(dir.path(), rotating(3)).unwrap();
        for i in 1..=6_u8 {
            let i = 6 * session + i;
            wal.append(Prepared::new(&[0x11, i]).with_aux(2).with_index(index(i.into()))).unwrap();
        }
        wal.close().unwrap();
    }
    let (mut wal, _) = Wal::open(dir.path(), rotating(3)).unwrap();
    let lines = full_lines(&mut wal);
    assert_eq!(lines[..3], ["1:2:0:2:65070179", "2:2:0:2:fc0e50c3", "3:2:0:2:8b096055"]);
    assert_eq!(lines.len(), 12);
}

#[test]
fn equal_scripts_leave_byte_identical_folders() {
    let digests: Vec<String> = (0..3)
        .map(|_| {
            let dir = tempfile::tempdir().unwrap();
            for _ in 0..2 {
                let (wal, _) = Wal::open(dir.path(), rotating(4)).unwrap();
                for i in 0..9_u8 {
                    wal.append(&[i; 3]).unwrap();
                    wal.put_state(u16::from(i) % 3, &state(1, &[i])).unwrap();
                }
                wal.truncate_suffix(index(5)).unwrap();
                wal.prune_through(index(2)).unwrap();
                wal.close().unwrap();
            }
            assert_eq!(fs::read(dir.path().join("LOCK")).unwrap(), b"");
            folder_digest(dir.path())
        })
        .collect();
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
}

#[test]
fn opening_and_closing_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = Wal::open(dir.path(), small()).unwrap();
    wal.append(b"a").unwrap();
    wal.close().unwrap();
    let before = folder_digest(dir.path());
    for _ in 0..3 {
        Wal::open(dir.path(), small()).unwrap().0.close().unwrap();
    }
    assert_eq!(folder_digest(dir.path()), before);
}

#[test]
fn a_second_handle_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = Wal::open(dir.path(), small()).unwrap();
    assert!(matches!(Wal::open(dir.path(), small()), Err(OpenError::Locked)));
    wal.close().unwrap();
    Wal::open(dir.path(), small()).unwrap();
}

#[test]
fn a_log_of_another_identity_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    Wal::open(dir.path(), small()).unwrap().0.close().unwrap();
    let other = Options::create(LogId::new([7; 16]));
    assert!(matches!(Wal::open(dir.path(), other), Err(OpenError::WrongLog { .. })));
    let missing = dir.path().join("none");
    assert!(matches!(Wal::open(&missing, Options::default()), Err(OpenError::NotFound)));
    assert!(!missing.exists());
}

#[test]
fn bad_calls_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = small();
    options.record_bytes_max = 10;
    let (wal, _) = Wal::open(dir.path(), options).unwrap();
    wal.append(b"a").unwrap();
    assert!(matches!(wal.append(&[0; 11]), Err(AppendError::TooLarge { bytes: 11, bytes_max: 10 })));
    assert!(matches!(wal.append_batch(&[]), Err(AppendError::EmptyBatch)));
    let wrong = Prepared::new(b"x").with_index(index(7));
    assert!(matches!(wal.append(wrong), Err(AppendError::Index { .. })));
    wal.prune_through(index(1)).unwrap();
    assert!(matches!(wal.truncate_suffix(index(1)), Ok(()) | Err(TruncateError::Pruned { .. })));
    assert_eq!(wal.append(b"b").unwrap(), index(2));
}

#[test]
fn a_record_larger_than_a_segment_gets_one_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = Wal::open(dir.path(), small()).unwrap();
    let large = vec![0xa5; 3 << 20];
    wal.append(b"a").unwrap();
    wal.append(&large).unwrap();
    wal.append(b"c").unwrap();
    assert_eq!(wal.segment_count(), 3);
    drop(wal);
    let (wal, _) = Wal::open(dir.path(), small()).unwrap();
    assert_eq!(wal.read(index(2)).unwrap().payload, large);
    let mut reader = wal.reader(index(2)).unwrap();
    assert_eq!(reader.next_entry().unwrap().unwrap().payload, large);
}

#[test]
fn unsynced_records_are_read_and_become_durable_with_sync() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = small();
    options.commit = CommitPolicy::NoSync;
    let (wal, _) = Wal::open(dir.path(), options).unwrap();
    wal.append(b"a").unwrap();
    assert_eq!((wal.durable_index(), wal.last_index()), (None, Some(index(1))));
    assert_eq!(wal.read(index(1)).unwrap().payload[..], *b"a");
    wal.sync().unwrap();
    assert_eq!(wal.durable_index(), Some(index(1)));
}

#[test]
fn handles_may_move_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Wal>();
    check::<samestep_wal::Reader>();
    check::<OpenError>();
    check::<samestep_wal::sans_io::Log>();
}
