//! A data file that is written while it is copied.

use std::fs;

use super::{ATTEMPTS, copy_data};
use crate::data_file::DataFile;
use crate::epochs::Layout;
use crate::lock::{self, ProcessIds};
use crate::vere::maintain::MaintainError;
use crate::writer::{EpochWriter, WriteOptions};

/// Copies a file of 5 events with a transaction of one event behind the copying, `commits` times. Returns how often
/// it was copied again, and the last event of the copy.
fn check(commits: u64) -> Result<(u64, u64), MaintainError> {
    let folder = tempfile::tempdir().unwrap();
    let guard = lock::write(&folder.path().join("lock"), ProcessIds::Honour).unwrap();
    let options = WriteOptions { map_bytes: 1 << 24 };
    let mut writer = EpochWriter::create(folder.path(), 0, Layout::VERE, options, &guard).unwrap();
    writer.append(["a", "b", "c", "d", "e"]).unwrap();
    let (from, to) = (folder.path().join("data.mdb"), folder.path().join("copy"));
    let mut commits_left = commits;
    let retries = copy_data(&from, &to, |from, to| {
        let copied = fs::copy(from, to)?;
        if commits_left > 0 {
            commits_left -= 1;
            writer.append(["late"]).unwrap();
        }
        Ok(copied)
    })?;
    let file = DataFile::open(&to).unwrap();
    let mut events = file.events(file.table(b"EVENTS").unwrap().unwrap()).unwrap();
    Ok((retries, events.bounds().unwrap().unwrap().1))
}

#[test]
fn a_transaction_in_between_is_a_reason_to_copy_again() {
    assert_eq!(check(0).unwrap(), (0, 5));
    assert_eq!(check(3).unwrap(), (3, 8));
}

#[test]
fn a_log_that_never_stands_still_is_refused() {
    assert!(matches!(check(ATTEMPTS), Err(MaintainError::BadCopy { .. })));
}
