//! The example of `docs/wal-format.md`, byte for byte. Its bytes were made from the description, by another
//! program in another language; this test never writes them.

use std::fmt::Write as _;

use samestep_wal::{Index, Prepared, StateRecord, Wal};

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
