//! Which event a snapshot of the runtime's memory is of, where that can be told.
//!
//! The files are images of memory and else opaque. But the record that holds the event has a fixed place in all
//! layouts of the supported runtimes, beside the version of the layout, so that others are recognised as unknown:
//!
//! - memory versions 3 and 4 (runtimes 3.x): the last 24 bytes of the highest page, which is the first 16 KiB of
//!   `south.bin`: `event u64 | two words | kernel u32 | version u32`;
//! - memory version 5 (runtimes 4.x): the first 24 bytes of `image.bin`: `version u64 | two words | event u64`.
//!
//! Found by looking at snapshots of known events that runtimes 3.0 and 4.5 wrote.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The event of the snapshot in `dir`, or `None` without one, or with one of an unknown layout.
pub(super) fn of(dir: &Path) -> io::Result<Option<u64>> {
    if let Some(bytes) = read(&dir.join("image.bin"), 0)? {
        return Ok((word(&bytes, 0) == IMAGE_VERSION).then(|| word(&bytes, 16)));
    }
    let Some(bytes) = read(&dir.join("south.bin"), PAGE_BYTES - RECORD_BYTES as u64)? else {
        return Ok(None);
    };
    let (kernel, version) = (word(&bytes, 16) & 0xFFFF_FFFF, word(&bytes, 16) >> 32);
    // A kernel is a cell, and those have the two highest bits set.
    let is_known = SOUTH_VERSIONS.contains(&version) && kernel >> 30 == 3;
    Ok(is_known.then(|| word(&bytes, 0)))
}

/// The record at `offset` of the file at `path`, if it is there.
fn read(path: &Path, offset: u64) -> io::Result<Option<[u8; RECORD_BYTES]>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = [0; RECORD_BYTES];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn word(bytes: &[u8; RECORD_BYTES], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

const RECORD_BYTES: usize = 24;
/// Pages of a snapshot, whatever those of the machine.
const PAGE_BYTES: u64 = 16 * 1024;
const IMAGE_VERSION: u64 = 5;
const SOUTH_VERSIONS: [u64; 2] = [3, 4];
