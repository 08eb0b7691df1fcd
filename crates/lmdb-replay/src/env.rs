//! Opening an LMDB environment for writing: the one place where a file is mapped.
#![expect(
    unsafe_code,
    reason = "LMDB maps the file: that nobody else changes it is kept by locks, not by types"
)]

use std::path::Path;

use heed::{Env, EnvOpenOptions};

/// Opens the environment in the folder `dir` read-write, with LMDB's locks on, as Vere does.
///
/// The caller holds the log's lock file for writing, and has checked the file, so that no page that LMDB will touch
/// is missing.
pub(crate) fn open(dir: &Path, map_bytes: usize) -> Result<Env, heed::Error> {
    let mut options = EnvOpenOptions::new();
    // A map is made of whole pages, of whatever size.
    let map_bytes = map_bytes.checked_next_multiple_of(PAGE_BYTES_MAX).unwrap_or(map_bytes);
    options.map_size(map_bytes).max_dbs(TABLES_MAX);
    // SAFETY: the mapping is of a file that no other program changes while it lives: `EpochWriter`, the only caller,
    // holds the log's lock file exclusively, LMDB's own locks are on and exclude other programs that use LMDB, and
    // the file has every page its meta pages speak of, as `DataFile::open` has checked under that lock.
    unsafe { options.open(dir) }
}

/// META and EVENTS, as in Vere.
const TABLES_MAX: u32 = 2;
/// The largest page of any host.
const PAGE_BYTES_MAX: usize = 0x1_0000;
