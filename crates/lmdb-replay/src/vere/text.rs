//! The two small text files of an epoch.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A small text file: `epoc.txt` or `vere.txt`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextFile {
    /// It is not there.
    Missing,
    /// Its text, without white space at the end.
    Text(String),
    /// It is longer than such a file can be, or not text.
    Garbage,
}

impl TextFile {
    /// Reads the file, which has at most `bytes_max` bytes.
    pub(crate) fn read(path: &Path, bytes_max: u64) -> io::Result<Self> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Missing),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(bytes_max + 1).read_to_end(&mut bytes)?;
        match String::from_utf8(bytes) {
            Ok(text) if text.len() as u64 <= bytes_max => Ok(Self::Text(text.trim_end().to_owned())),
            _ => Ok(Self::Garbage),
        }
    }

    /// The text, if there is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}
