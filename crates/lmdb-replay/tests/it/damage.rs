//! Damaged files: each gives a typed result, in time and memory that the file's length bounds.

use std::fs::{self, OpenOptions};
use std::sync::Arc;

use samestep_lmdb_replay::{
    DataFile, EpochLog, Index, Layout, LogError, MetaChoice, MetaProblem, OpenError, PageProblem, ReadError,
    structure,
};

use crate::common::{Lcg, value, write_epoch};

const EVENTS: u64 = 400;

fn small_log() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    write_epoch(folder.path(), 0, EVENTS, 7);
    fs::read(folder.path().join("0i0/data.mdb")).unwrap()
}

/// What came of reading all that a file has.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Refused(String),
    /// Opened: events up to here were lent, then there was this error, and so many pages are damaged.
    Read {
        events: u64,
        error: Option<String>,
        damages: u64,
    },
}

/// Reads everything, and fails if that takes more steps than a file of this length can need.
fn read_all(bytes: &[u8]) -> Outcome {
    let pages = bytes.len() as u64 / 256 + 1;
    let file = match DataFile::with_reader(Arc::new(bytes.to_vec()), MetaChoice::Newest) {
        Ok(file) => file,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let (mut events, mut error) = (0, None);
    match file.tables() {
        Ok(tables) => {
            for (_, table) in tables {
                if !table.record.has_integer_keys() {
                    error = file.pairs(table).err().or(error);
                    continue;
                }
                let mut reader = file.events(table).unwrap();
                loop {
                    match reader.next_event() {
                        Ok(Some(event)) => assert!(event.value.len() <= bytes.len()),
                        Ok(None) => break,
                        Err(found) => {
                            // The same error comes again.
                            assert_eq!(reader.next_event().unwrap_err().to_string(), found.to_string());
                            error = Some(found);
                            break;
                        }
                    }
                    events += 1;
                    assert!(events <= 16 * pages, "more events than the pages can hold");
                }
            }
        }
        Err(found) => error = Some(found),
    }
    let structure = structure::check(&file).unwrap();
    let damages = structure.damages.len() as u64 + structure.more_damages;
    Outcome::Read { events, error: error.map(|error| error.to_string()), damages }
}

#[test]
fn the_log_is_read_while_it_is_whole() {
    assert_eq!(read_all(&small_log()), Outcome::Read { events: EVENTS, error: None, damages: 0 });
}

/// A file that ends early is refused before any page is looked at: LMDB would map it and die of SIGBUS.
#[test]
fn truncation_at_every_page_and_at_random_bytes() {
    let whole = small_log();
    let mut random = Lcg(1);
    let pages = (0..whole.len()).step_by(4096);
    let bytes = (0..100).map(|_| random.below(whole.len()));
    for len in pages.chain(bytes) {
        let cut = &whole[..len];
        let Err(error) = DataFile::with_reader(Arc::new(cut.to_vec()), MetaChoice::Newest) else {
            // Only free pages are missing, as a writer may leave a file.
            assert_eq!(read_all(cut), Outcome::Read { events: EVENTS, error: None, damages: 0 });
            assert!(len + 4 * 4096 > whole.len(), "{len}");
            continue;
        };
        let is_right = match error {
            OpenError::Empty => len == 0,
            OpenError::Meta { problem: MetaProblem::Missing, page } => len < 152 + 4096 * usize::from(page),
            OpenError::Truncated { found_bytes, needed_bytes } => {
                (found_bytes, needed_bytes) == (len as u64, whole.len() as u64)
            }
            _ => false,
        };
        assert!(is_right, "{len} bytes: {error}");
    }
}

/// Each byte of both meta pages, overwritten by every other value: a refusal, a finding, or the log.
#[test]
fn every_byte_of_both_meta_pages() {
    let whole = small_log();
    let mut bytes = Arc::new(whole.clone());
    let mut refused = 0;
    for (at, &right) in whole.iter().enumerate().take(2 * 4096) {
        for byte in (0..=255).filter(|byte| *byte != right) {
            Arc::get_mut(&mut bytes).unwrap()[at] = byte;
            // Behind what a meta page says nothing is read.
            if at % 4096 >= 152 {
                let opened = DataFile::with_reader(Arc::clone(&bytes), MetaChoice::Newest);
                assert!(opened.is_ok_and(|file| file.metas().iter().all(Option::is_some)));
                continue;
            }
            match read_all(&bytes) {
                Outcome::Refused(_) => refused += 1,
                // Another state than the newest has fewer events, and none are invented.
                Outcome::Read { events, .. } => assert!(events <= EVENTS),
            }
        }
        Arc::get_mut(&mut bytes).unwrap()[at] = right;
    }
    // Magic, version, page size, last page, roots: at least these are noticed in either page.
    assert!(refused > 300 * 64, "{refused}");
}

/// Ten thousand bytes elsewhere, one at a time. The numbers of events that are lent are never wrong.
#[test]
fn ten_thousand_random_bytes_elsewhere() {
    let whole = small_log();
    let mut random = Lcg(7);
    let (mut noticed, mut unnoticed) = (0, 0);
    for _ in 0..10_000 {
        let at = 8192 + random.below(whole.len() - 8192);
        let mut bytes = whole.clone();
        bytes[at] = bytes[at].wrapping_add(1 + random.byte() % 255);
        match read_all(&bytes) {
            Outcome::Refused(error) => panic!("byte {at}: {error}, though meta pages are whole"),
            Outcome::Read { events, error: None, .. } => {
                assert_eq!(events, EVENTS, "byte {at}");
                unnoticed += 1;
            }
            Outcome::Read { error: Some(_), damages, .. } => {
                assert!(damages > 0, "byte {at}: what the reader finds, the check of all pages finds too");
                noticed += 1;
            }
        }
    }
    // Most bytes are values and free space, which have no checksum in this format.
    assert!(noticed > 200 && unnoticed > 5000, "{noticed} {unnoticed}");
}

/// Many damaged bytes at once, whole pages of noise and of zeros.
#[test]
fn noise() {
    let whole = small_log();
    let mut random = Lcg(3);
    for round in 0..500 {
        let mut bytes = whole.clone();
        for _ in 0..=round % 40 {
            let at = random.below(bytes.len());
            bytes[at] = random.byte();
        }
        let page = 2 + random.below(bytes.len() / 4096 - 2);
        for byte in &mut bytes[page * 4096..][..4096] {
            *byte = if round % 2 == 0 { 0 } else { random.byte() };
        }
        read_all(&bytes);
    }
    for round in 0..200 {
        let noise: Vec<u8> = (0..random.below(40_000)).map(|_| random.byte()).collect();
        assert!(matches!(read_all(&noise), Outcome::Refused(_)), "round {round}");
    }
}

/// A zeroed leaf: the error says which events lie in it, and all before it are lent.
#[test]
fn a_damaged_leaf_says_what_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    write_epoch(folder.path(), 0, EVENTS, 7);
    let path = folder.path().join("0i0/data.mdb");
    let mut bytes = fs::read(&path).unwrap();
    // The leaf of event 200, with the older copies of it which are free now.
    let mut pages = Vec::new();
    for page in 2..bytes.len() / 4096 {
        let page_bytes = &mut bytes[page * 4096..][..4096];
        if leaf_has(page_bytes, 200) {
            page_bytes.fill(0);
            pages.push(page as u64);
        }
    }
    fs::write(&path, &bytes).unwrap();

    let log = EpochLog::open(folder.path(), Layout::VERE).unwrap();
    let mut reader = log.reader(Index::new(1)).unwrap();
    let mut last = 0;
    let error = loop {
        match reader.next_event() {
            Ok(event) => {
                let event = event.unwrap();
                assert_eq!(event.value, value(event.number));
                last = event.number;
            }
            Err(error) => break error,
        }
    };
    let LogError::Read { source: ReadError::Damaged { page: found, problem, lost }, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(problem, PageProblem::Kind { flags: 0 });
    assert!(pages.contains(&found));
    assert_eq!(lost.first, Some(last + 1), "{lost}");
    assert!(lost.last.is_some_and(|last| (200..EVENTS).contains(&last)), "{lost} after {last}");
    // Behind the lost ones all are there.
    let mut reader = log.reader(Index::new(lost.last.unwrap() + 1)).unwrap();
    let mut count = 0;
    while let Some(event) = reader.next_event().unwrap() {
        assert_eq!(event.value, value(event.number));
        count += 1;
    }
    assert_eq!(count, EVENTS - lost.last.unwrap());
}

/// Whether a page is a leaf with that key: flags 2 at byte 10, offsets of entries from byte 16 to the one at byte 12,
/// and in an entry the key behind 8 bytes.
fn leaf_has(page: &[u8], key: u64) -> bool {
    let word = |at: usize| usize::from(u16::from_le_bytes([page[at], page[at + 1]]));
    let mut slots = (16..word(12)).step_by(2);
    word(10) == 2 && slots.any(|slot| page[word(slot) + 8..].starts_with(&key.to_le_bytes()))
}

/// A file that is cut while it is read: an error of the device, and no signal.
#[test]
fn truncation_under_the_reader() {
    let folder = tempfile::tempdir().unwrap();
    write_epoch(folder.path(), 0, 5000, 500);
    let log = EpochLog::open(folder.path(), Layout::VERE).unwrap();
    let mut reader = log.reader(Index::new(1)).unwrap();
    assert_eq!(reader.next_event().unwrap().unwrap().number, 1);
    let file = OpenOptions::new().write(true).open(folder.path().join("0i0/data.mdb")).unwrap();
    file.set_len(8192).unwrap();
    let error = loop {
        match reader.next_event() {
            Ok(event) => assert!(event.is_some(), "the end is not where the file was cut"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, LogError::Read { source: ReadError::Io { .. }, .. }), "{error}");
}

/// With one meta page damaged the other still leads to a whole state, one transaction older at most.
#[test]
fn the_other_meta_page_leads_to_a_whole_state() {
    let whole = small_log();
    for page in 0..2 {
        let mut bytes = whole.clone();
        bytes[page * 4096..][..4096].fill(0);
        let file = DataFile::with_reader(Arc::new(bytes), MetaChoice::Surviving).unwrap();
        assert_eq!(structure::check(&file).unwrap().damages, []);
        let mut events = file.events(file.table(b"EVENTS").unwrap().unwrap()).unwrap();
        let (first, last) = events.bounds().unwrap().unwrap();
        assert_eq!(first, 1);
        assert!(last == EVENTS || last == EVENTS - EVENTS % 7, "{last}");
    }
}
