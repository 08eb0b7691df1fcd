//! A file of runs that failed once, which are run again before all others.
//!
//! One line a run, as [`Replay`] writes it, with what failed behind a `#`. It is meant to be committed.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::runner::replay::{Replay, ReplayParseError};

/// Why a regression file could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RegressionsError {
    /// It could not be read or written.
    #[error("the regression file could not be read or written: see that it is a file of yours")]
    Io(#[from] io::Error),
    /// A line names no run.
    #[error("line {line} of the regression file names no run: mend or remove it")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        source: ReplayParseError,
    },
}

/// The runs that the file names; none if there is no file.
pub(crate) fn read(path: &Path) -> Result<Vec<Replay>, RegressionsError> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    let runs = (1..).zip(text.lines()).filter_map(|(line, text)| {
        let replay = text.split('#').next().unwrap_or_default().trim();
        let parsed = || replay.parse().map_err(|source| RegressionsError::Line { line, source });
        (!replay.is_empty()).then(parsed)
    });
    runs.collect()
}

/// Adds a run, unless the file has it.
pub(crate) fn add(path: &Path, replay: &Replay, what_failed: &str) -> Result<(), RegressionsError> {
    if read(path)?.contains(replay) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut text = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => HEAD.to_owned(),
        text => text?,
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let what_failed = what_failed.lines().next().unwrap_or_default();
    let _ = writeln!(text, "{replay} # {what_failed}");
    Ok(fs::write(path, text)?)
}

const HEAD: &str = "# Runs that failed once, and are run before all others. Commit this file.\n";

#[cfg(test)]
mod tests {
    use super::{RegressionsError, add, read};
    use crate::runner::replay::Replay;

    #[test]
    fn runs_are_added_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("echo.txt");
        assert_eq!(read(&path).unwrap(), []);
        let runs: [Replay; 2] = ["7@00000000000000ab:node.1.0=2".parse().unwrap(), Replay::of_seed(8)];
        for run in runs.iter().chain(&runs) {
            add(&path, run, "acked stays: key 7 # is gone\nand more").unwrap();
        }
        assert_eq!(read(&path).unwrap(), runs);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# Runs"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
        std::fs::write(&path, text + "seven\n").unwrap();
        assert!(matches!(read(&path), Err(RegressionsError::Line { line: 4, .. })));
        assert!(matches!(read(folder.path()), Err(RegressionsError::Io(_))));
    }
}
