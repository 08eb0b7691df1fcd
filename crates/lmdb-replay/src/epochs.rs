//! Folders of epochs: one data file each, named by the last event before it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How epochs lie in the folder of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layout {
    /// What the name of an epoch's folder begins with; a decimal number follows.
    pub epoch_prefix: &'static str,
    /// The data file in it.
    pub data_file: &'static str,
    /// The table of events in that file: integer keys, ascending by one.
    pub events_table: &'static str,
}

impl Layout {
    /// The layout that Urbit's runtime writes: `0i<number>/data.mdb`, table `EVENTS`.
    pub const VERE: Self = Self { epoch_prefix: "0i", data_file: "data.mdb", events_table: "EVENTS" };

    /// Another layout.
    pub const fn new(
        epoch_prefix: &'static str,
        data_file: &'static str,
        events_table: &'static str,
    ) -> Self {
        Self { epoch_prefix, data_file, events_table }
    }

    /// The name of the folder of epoch `number`.
    pub fn epoch_name(&self, number: u64) -> String {
        format!("{}{number}", self.epoch_prefix)
    }

    /// The number in the name of an epoch's folder. Leading zeros are accepted, as Vere accepts them.
    pub fn parse_epoch_name(&self, name: &str) -> Option<u64> {
        let digits = name.strip_prefix(self.epoch_prefix)?;
        // `parse` takes a sign, which no epoch has.
        if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
    }

    /// The epochs in `folder`, by number, then name.
    ///
    /// What is not a folder is no epoch, whatever its name.
    pub fn epochs_in(&self, folder: &Path) -> io::Result<Vec<EpochDir>> {
        let mut epochs = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(number) = name.and_then(|name| self.parse_epoch_name(name))
                && path.is_dir()
            {
                epochs.push(EpochDir { number, path });
            }
        }
        epochs.sort();
        Ok(epochs)
    }
}

/// One epoch's folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EpochDir {
    /// The last event before it: its own events start at the next number.
    pub number: u64,
    /// Where it is.
    pub path: PathBuf,
}
