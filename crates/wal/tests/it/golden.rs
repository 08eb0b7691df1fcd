//! The example of `docs/wal-format.md`, byte for byte. Its bytes were made from the description, by another
//! program in another language; this test never writes them.

use std::fmt::Write as _;

use samestep_wal::{Index, OpenOutcome, Options, Prepared, StateRecord, Wal};

use crate::disk::{Image, SimDisk};

/// Rows of 16 bytes that are not all zero.
fn dump(label: &str, bytes: &[u8]) -> String {
    let mut out = String::new();
    for (row, bytes) in bytes.chunks(16).enumerate().filter(|(_, bytes)| bytes.iter().any(|&byte| byte != 0))
    {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(out, "{label} {:04x}  {}", row * 16, hex.join(" ")).unwrap();
    }
    out
}

#[test]
fn the_example_of_the_format_page_is_what_is_written() {
    let disk = SimDisk::from_image(&Image::new());
    let (wal, _) = Wal::open_on(disk.clone(), crate::public::small()).unwrap();
    wal.append(Prepared::new(b"a").with_aux(3)).unwrap();
    wal.put_state(1, &StateRecord { index: Index::new(2), aux: 5, payload: b"vote".to_vec() }).unwrap();
    wal.append_batch(&["bc".into(), "d".into()]).unwrap();
    wal.close().unwrap();
    let image = disk.image();
    let names: Vec<&String> = image.keys().collect();
    assert_eq!(names, ["LOCK", "seg-00000000000000000001.wal", "wal.meta"]);
    assert_eq!([image[names[0]].len(), image[names[1]].len(), image[names[2]].len()], [0, 8192, 8192]);
    let written = dump("seg", &image[names[1]]) + &dump("meta", &image[names[2]]);
    let page = include_str!("../../../../docs/wal-format.md");
    let example = page.split("```hex\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(written, example);
}

/// A log of several segments, with a prune, truncations within and across segments, states and sidecars.
fn write_golden(disk: SimDisk) {
    let mut options = crate::public::small();
    options.force_rotate_every = Some(4);
    let (wal, _) = Wal::open_on(disk, options).unwrap();
    for number in 1..=9_u64 {
        let payload = vec![b'a' + number.to_le_bytes()[0]; usize::try_from(number * 5).unwrap()];
        wal.append(Prepared::new(&payload).with_aux(number / 3)).unwrap();
    }
    wal.put_state(1, &StateRecord { index: Index::new(9), aux: 3, payload: b"vote".to_vec() }).unwrap();
    wal.put_state(7, &StateRecord { index: Index::new(2), aux: 1, payload: Vec::new() }).unwrap();
    wal.truncate_suffix(Index::new(9)).unwrap();
    wal.append_batch(&["again".into(), "".into(), "batch".into()]).unwrap();
    wal.truncate_suffix(Index::new(7)).unwrap();
    wal.append(Prepared::new(b"seven").with_aux(4)).unwrap();
    wal.append(Prepared::new(b"eight").with_aux(4)).unwrap();
    wal.prune_through(Index::new(5)).unwrap();
    wal.close().unwrap();
}

fn golden_files() -> Image {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let logs = files.filter(|path| path.extension().is_none_or(|extension| extension != "txt"));
    logs.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect()
}

/// Files of version 1 are read for ever. What they hold was told by `golden/read.py`, which knows the format's page
/// and not this crate.
#[test]
fn files_of_version_1_are_read() {
    let image = golden_files();
    assert!(image.len() > 4, "the files are there");
    let (wal, report) = Wal::open_on(SimDisk::from_image(&image), Options::default()).unwrap();
    assert_eq!(report.outcome, OpenOutcome::Clean);
    let mut found = String::new();
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let mut reader = wal.reader(Index::new(0)).unwrap();
    while let Some(entry) = reader.next_entry().unwrap() {
        writeln!(found, "entry {} {} {}", entry.index, entry.aux, hex(entry.payload)).unwrap();
    }
    for (slot, state) in wal.states() {
        writeln!(found, "state {slot} {} {} {}", state.index, state.aux, hex(&state.payload)).unwrap();
    }
    assert_eq!(found, include_str!("../golden/v1/expected.txt"));
}

/// This version still writes the same bytes. `SAMESTEP_WAL_GOLDEN=write` wrote them, once.
#[test]
fn files_of_version_1_are_written() {
    let disk = SimDisk::from_image(&Image::new());
    write_golden(disk.clone());
    #[expect(clippy::disallowed_methods, reason = "the generator of the files is asked for by name")]
    let is_generator = std::env::var("SAMESTEP_WAL_GOLDEN").is_ok_and(|what| what == "write");
    if is_generator {
        for (name, bytes) in disk.image() {
            std::fs::write(format!("{}/tests/golden/v1/{name}", env!("CARGO_MANIFEST_DIR")), bytes).unwrap();
        }
    }
    assert!(disk.image() == golden_files(), "the bytes of version 1 are frozen");
}
