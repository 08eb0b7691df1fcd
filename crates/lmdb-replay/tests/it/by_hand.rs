//! Data files put together by hand, byte by byte as the format says, with pages of every size that hosts have.

use std::sync::Arc;

use samestep_lmdb_replay::{DataFile, Limits, Lost, MetaChoice, PageProblem, ReadError, structure};

const LEAF: u16 = 2;
const LONG: u16 = 4;
const META: u16 = 8;

fn header(number: u64, flags: u16, lower: u16, upper: u16) -> Vec<u8> {
    [&number.to_le_bytes()[..], &[0; 2], &flags.to_le_bytes(), &lower.to_le_bytes(), &upper.to_le_bytes()]
        .concat()
}

/// A record: flags, depth, leaves, long pages, entries, root.
fn record(pad: u32, flags: u16, shape: [u64; 4], root: Option<u64>) -> Vec<u8> {
    let [depth, leaves, long, entries] = shape;
    let mut bytes = pad.to_le_bytes().to_vec();
    bytes.extend(flags.to_le_bytes());
    bytes.extend(u16::try_from(depth).unwrap().to_le_bytes());
    for number in [0, leaves, long, entries, root.unwrap_or(u64::MAX)] {
        bytes.extend(number.to_le_bytes());
    }
    bytes
}

/// A leaf with entries of flags, key, length of the value, and what stands in its place.
fn leaf(page_bytes: usize, number: u64, entries: &[(u16, Vec<u8>, usize, Vec<u8>)]) -> Vec<u8> {
    let mut page = vec![0; page_bytes];
    let mut upper = page_bytes;
    let mut slots = Vec::new();
    for (flags, key, len, inline) in entries {
        let mut node = u32::try_from(*len).unwrap().to_le_bytes().to_vec();
        node.extend(flags.to_le_bytes());
        node.extend(u16::try_from(key.len()).unwrap().to_le_bytes());
        node.extend(key);
        node.extend(inline);
        upper -= node.len().next_multiple_of(2);
        page[upper..upper + node.len()].copy_from_slice(&node);
        slots.extend(u16::try_from(upper).unwrap().to_le_bytes());
    }
    let lower = u16::try_from(16 + slots.len()).unwrap();
    page[..16].copy_from_slice(&header(number, LEAF, lower, u16::try_from(upper).unwrap()));
    page[16..16 + slots.len()].copy_from_slice(&slots);
    page
}

fn meta(page_bytes: usize, number: u64, transaction: u64) -> Vec<u8> {
    let mut page = header(number, META, 0, 0);
    page.extend(0xBEEF_C0DE_u32.to_le_bytes());
    page.extend(1_u32.to_le_bytes());
    page.extend(0_u64.to_le_bytes());
    page.extend((1_u64 << 40).to_le_bytes());
    let is_new = transaction > 0;
    page.extend(record(u32::try_from(page_bytes).unwrap(), 0, [0; 4], None));
    let names = if is_new { record(0, 0, [1, 1, 0, 1], Some(2)) } else { record(0, 0, [0; 4], None) };
    page.extend(names);
    page.extend(if is_new { 5_u64 } else { 1 }.to_le_bytes());
    page.extend(transaction.to_le_bytes());
    assert_eq!(page.len(), 152);
    page.resize(page_bytes, 0);
    page
}

/// Events 7, 8 and 9 on page 3; the value of event 8 on pages 4 and 5.
fn file(page_bytes: usize) -> Vec<u8> {
    let events = record(0, 8, [1, 1, 2, 3], Some(3));
    let long = vec![0xAB; page_bytes + 1];
    let key = |number: u64| number.to_le_bytes().to_vec();
    let mut bytes = [meta(page_bytes, 0, 0), meta(page_bytes, 1, 1)].concat();
    bytes.extend(leaf(page_bytes, 2, &[(2, b"EVENTS".to_vec(), 48, events)]));
    bytes.extend(leaf(
        page_bytes,
        3,
        &[
            (0, key(7), 5, b"seven".to_vec()),
            (1, key(8), long.len(), 4_u64.to_le_bytes().to_vec()),
            (0, key(9), 0, vec![]),
        ],
    ));
    bytes.extend(header(4, LONG, 2, 0));
    bytes.extend(long);
    bytes.resize(6 * page_bytes, 0);
    bytes
}

#[test]
fn pages_of_every_size() {
    for page_bytes in [256, 512, 4096, 8192, 16384, 32768] {
        let file = DataFile::with_reader(Arc::new(file(page_bytes)), MetaChoice::Newest).unwrap();
        assert_eq!(file.meta().page_bytes as usize, page_bytes);
        assert_eq!((file.meta().transaction, file.meta().last_page, file.meta().map_bytes), (1, 5, 1 << 40));
        let mut events = file.events(file.table(b"EVENTS").unwrap().unwrap()).unwrap();
        assert_eq!(events.bounds().unwrap(), Some((7, 9)));
        let mut found = Vec::new();
        while let Some(event) = events.next_event().unwrap() {
            found.push((event.number, event.value.to_vec()));
        }
        assert_eq!(found, [(7, b"seven".to_vec()), (8, vec![0xAB; page_bytes + 1]), (9, vec![])]);
        events.seek(8);
        assert_eq!(events.next_event().unwrap().unwrap().number, 8);
        events.seek(10);
        assert!(events.next_event().unwrap().is_none());
        let structure = structure::check(&file).unwrap();
        assert_eq!((structure.damages, structure.leaked_pages, structure.free_pages), (vec![], 0, 0));
    }
}

/// The second meta page lies one page behind the first, wherever that is; if the first is damaged, the second tells.
#[test]
fn the_second_meta_page_is_found_alone() {
    for page_bytes in [256, 4096, 16384] {
        let mut bytes = file(page_bytes);
        bytes[16] = 0;
        assert!(DataFile::with_reader(Arc::new(bytes.clone()), MetaChoice::Newest).is_err());
        let file = DataFile::with_reader(Arc::new(bytes), MetaChoice::Surviving).unwrap();
        assert_eq!(file.meta().page_bytes as usize, page_bytes);
    }
}

/// A length that the file cannot have is damage; one that is only longer than was allowed is said so.
#[test]
fn long_values_are_bounded_by_the_file_and_by_the_limit() {
    let whole = file(4096);
    let error = |bytes: Vec<u8>, limit: u64| {
        let file = DataFile::with_reader(Arc::new(bytes), MetaChoice::Newest).unwrap();
        let file = file.with_limits(Limits { value_bytes_max: limit });
        let mut events = file.events(file.table(b"EVENTS").unwrap().unwrap()).unwrap();
        events.seek(8);
        events.next_event().unwrap_err()
    };
    assert!(matches!(
        error(whole.clone(), 4096),
        ReadError::TooLong { value_bytes: 4097, limit_bytes: 4096 }
    ));
    // The entry of event 8 is the second one of page 3, and its length leads.
    let mut bytes = whole;
    let slot = 3 * 4096 + 18;
    let at = 3 * 4096 + usize::from(u16::from_le_bytes([bytes[slot], bytes[slot + 1]]));
    bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let lost = Lost { first: Some(8), last: Some(8), is_events: true };
    match error(bytes, 4096) {
        ReadError::Damaged { page: 3, problem: PageProblem::Outside, lost: found } => assert_eq!(found, lost),
        other => panic!("{other}"),
    }
}
