//! Logs of epochs, without any meaning of their events.

use samestep_lmdb_replay::{DataFile, EpochLog, Index, Layout, LogError, MetaChoice, structure};
use samestep_replay_traits::contract;

use crate::common::{value, write_epoch};

/// What was appended to three epochs, the last of them empty, is read as one log, from the start and from any event.
#[test]
fn epochs_are_one_log() {
    let folder = tempfile::tempdir().unwrap();
    write_epoch(folder.path(), 0, 700, 50);
    write_epoch(folder.path(), 700, 705, 1);
    write_epoch(folder.path(), 705, 705, 1);
    let log = EpochLog::open(folder.path(), Layout::VERE).unwrap();
    assert_eq!(log.first(), Some(Index::new(1)));
    let values: Vec<Vec<u8>> = (1..=705).map(value).collect();
    for from in [1, 2, 17, 350, 699, 700, 701, 705, 706] {
        let expected: Vec<(Index, &[u8])> =
            (from..=705).map(|at| (Index::new(at as u64), values[at - 1].as_slice())).collect();
        contract::replay_source(log.reader(Index::new(from as u64)).unwrap(), &expected);
    }
    assert!(matches!(log.reader(Index::new(0)), Err(LogError::BeforeFirst { asked: 0, first: 1 })));
}

/// The pages of a written file are whole, each in use or free, and the counts are those of the records.
#[test]
fn a_written_file_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    write_epoch(folder.path(), 0, 900, 7);
    let file = DataFile::open(folder.path().join("0i0/data.mdb")).unwrap();
    let structure = structure::check(&file).unwrap();
    assert_eq!(structure.damages, []);
    assert_eq!(structure.leaked_pages, 0);
    let names: Vec<&[u8]> = structure.tables.iter().map(|(name, _)| name.as_slice()).collect();
    assert_eq!(names, [b"EVENTS".as_slice(), b"META"]);
    assert_eq!(structure.tables[0].1.record.entries, 900);
    assert!(structure.tables[0].1.record.depth >= 2);
    let meta = file.table(b"META").unwrap().unwrap();
    assert_eq!(file.pairs(meta).unwrap(), [(b"life".to_vec(), vec![2]), (b"who".to_vec(), vec![])]);
}

/// An epoch that starts behind the end of the one before it is found when the reader comes there.
#[test]
fn a_hole_between_epochs_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    write_epoch(folder.path(), 0, 3, 3);
    write_epoch(folder.path(), 5, 6, 3);
    let log = EpochLog::open(folder.path(), Layout::VERE).unwrap();
    let mut reader = log.reader(Index::new(1)).unwrap();
    for number in 1..=3 {
        assert_eq!(reader.next_event().unwrap().unwrap().number, number);
    }
    for _ in 0..2 {
        assert!(matches!(reader.next_event(), Err(LogError::EpochStart { number: 5, expected: 3, .. })));
    }
}

/// Names are read as Vere reads them, and two for one epoch are refused.
#[test]
fn epoch_names() {
    for (name, number) in [
        ("0i0", Some(0)),
        ("0i007", Some(7)),
        ("0i18446744073709551615", Some(u64::MAX)),
        ("0i18446744073709551616", None),
        ("0i", None),
        ("0i-1", None),
        ("0i+1", None),
        ("0i1x", None),
        ("1", None),
    ] {
        assert_eq!(Layout::VERE.parse_epoch_name(name), number, "{name}");
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["0i7", "0i007"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("0i9"), "").unwrap();
    assert!(matches!(
        EpochLog::open(folder.path(), Layout::VERE),
        Err(LogError::SameEpoch { number: 7, .. })
    ));
}

/// A file that LMDB 0.9.24 wrote, 60 events with a transaction each, by `tests/c/lmdb_peer.c`; read for ever.
#[test]
fn a_file_of_lmdb_0_9_is_read() {
    let bytes = include_bytes!("../golden/lmdb-0.9.24.mdb").to_vec();
    let file = DataFile::with_reader(std::sync::Arc::new(bytes), MetaChoice::Newest).unwrap();
    // One transaction for META, then one an event.
    assert_eq!(file.meta().transaction, 61);
    let structure = structure::check(&file).unwrap();
    assert_eq!((structure.damages, structure.leaked_pages), (vec![], 0));
    let mut events = file.events(file.table(b"EVENTS").unwrap().unwrap()).unwrap();
    for number in 1..=60 {
        let event = events.next_event().unwrap().unwrap();
        assert_eq!((event.number, event.value), (number, value(number).as_slice()));
    }
    assert!(events.next_event().unwrap().is_none());
}
