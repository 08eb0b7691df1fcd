//! The table META: whose log it is, and in which format.
//!
//! Keys are bare strings, values little-endian numbers without zero bytes at the end, so that zero has no bytes.

use crate::data_file::{DataFile, Pair};
use crate::error::ReadError;
use crate::read_at::ReadAt;

/// Whose log it is: what every epoch repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The ship's number. 0 is ~zod.
    pub who: u128,
    /// Whether it is a ship for development, which never meets the network.
    pub is_fake: bool,
    /// How many events boot it: at least 1, less than 2^31.
    pub life: u32,
}

/// What META holds, as far as it could be understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetaRecord {
    /// Disk version: 1, 2 or 3.
    pub version: Option<u8>,
    /// The ship's number.
    pub who: Option<u128>,
    /// Whether it is a fake ship.
    pub is_fake: Option<bool>,
    /// How many events boot it.
    pub life: Option<u32>,
    /// What could not be understood.
    pub issues: Vec<MetaIssue>,
}

impl MetaRecord {
    /// Reads META. Without that table nothing is there, and each key is an issue.
    pub(crate) fn read<R: ReadAt + ?Sized>(file: &DataFile<R>) -> Result<Self, ReadError> {
        let pairs = match file.table(TABLE.as_bytes())? {
            Some(table) => file.pairs(table)?,
            None => Vec::new(),
        };
        Ok(Self::decode(&pairs))
    }

    /// Decodes the pairs of META. Keys that nobody knows are left alone.
    pub(crate) fn decode(pairs: &[Pair]) -> Self {
        let mut record = Self::default();
        let mut number = |key: &'static str, bytes_max: usize| {
            let value = pairs.iter().find(|(found, _)| found == key.as_bytes()).map(|(_, value)| value);
            let kind = match value {
                None => MetaIssueKind::Missing,
                Some(value) if value.len() > bytes_max => {
                    MetaIssueKind::TooLong { bytes: value.len(), bytes_max }
                }
                Some(value) => {
                    let mut bytes = [0; 16];
                    bytes[..value.len()].copy_from_slice(value);
                    return Some(u128::from_le_bytes(bytes));
                }
            };
            record.issues.push(MetaIssue { key, kind });
            None
        };
        let (version, who) = (number("version", 1), number("who", 16));
        let (fake, life) = (number("fake", 1), number("life", 4));
        let wrong = |key, found| MetaIssue { key, kind: MetaIssueKind::Value { found } };
        match version {
            Some(version @ 1..=3) => record.version = u8::try_from(version).ok(),
            Some(found) => record.issues.push(wrong("version", found)),
            None => {}
        }
        record.who = who;
        match fake {
            // A loobean: 0 is yes.
            Some(fake @ 0..=1) => record.is_fake = Some(fake == 0),
            Some(found) => record.issues.push(wrong("fake", found)),
            None => {}
        }
        match life {
            Some(life) if (1..1 << 31).contains(&life) => record.life = u32::try_from(life).ok(),
            Some(found) => record.issues.push(wrong("life", found)),
            None => {}
        }
        record
    }

    /// Whose log it is, if all of that could be understood.
    pub fn identity(&self) -> Option<Identity> {
        Some(Identity { who: self.who?, is_fake: self.is_fake?, life: self.life? })
    }
}

impl Identity {
    /// The pairs of META, in the encoding that Vere reads.
    pub(crate) fn pairs(&self, version: u8) -> [(&'static str, Vec<u8>); 4] {
        let stripped = |number: u128| {
            let bytes = number.to_le_bytes();
            let len = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            bytes[..len].to_vec()
        };
        [
            ("version", stripped(version.into())),
            ("who", stripped(self.who)),
            ("fake", stripped(u128::from(!self.is_fake))),
            ("life", stripped(self.life.into())),
        ]
    }
}

/// A key of META that could not be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("META {key}: {kind}")]
pub struct MetaIssue {
    /// The key.
    pub key: &'static str,
    /// What is wrong with it.
    pub kind: MetaIssueKind,
}

/// What is wrong with a key of META.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetaIssueKind {
    /// It is not there.
    #[error("missing")]
    Missing,
    /// Its value has more bytes than Vere ever writes.
    #[error("{bytes} bytes, at most {bytes_max} are known")]
    TooLong {
        /// What it has.
        bytes: usize,
        /// What it can have.
        bytes_max: usize,
    },
    /// Its value means nothing.
    #[error("{found} means nothing")]
    Value {
        /// The value.
        found: u128,
    },
}

/// The table's name.
pub(crate) const TABLE: &str = "META";

#[cfg(test)]
mod tests;
