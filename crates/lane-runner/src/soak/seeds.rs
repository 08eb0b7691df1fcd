//! The file of seeds that once failed: a lane and a seed a line, to be committed and run for ever.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use samestep_replay_traits::Seed;

/// What the file is called if nothing else is said.
pub(super) const SEEDS_FILE_NAME: &str = "determinism.seeds";

/// The file, which need not exist yet.
#[derive(Debug)]
pub(super) struct SeedsFile {
    path: PathBuf,
    text: String,
    seeds: Vec<(String, Seed)>,
}

impl SeedsFile {
    /// Reads the file at `path`.
    pub(super) fn open(path: PathBuf) -> Result<Self, SeedsFileError> {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => HEADER.to_owned(),
            Err(source) => return Err(SeedsFileError::Read { path, source }),
        };
        let mut seeds = Vec::new();
        for (at, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [lane, seed] if seed.parse::<Seed>().is_ok() => {
                    seeds.push((lane.to_owned(), seed.parse().expect("it was parsed before")));
                }
                _ => return Err(SeedsFileError::Malformed { path, line_number: at + 1 }),
            }
        }
        Ok(Self { path, text, seeds })
    }

    /// Adds a seed; `false` if it is there already.
    pub(super) fn save(&mut self, lane: &str, seed: Seed) -> Result<bool, SeedsFileError> {
        let entry = (lane.to_owned(), seed);
        if self.seeds.contains(&entry) {
            return Ok(false);
        }
        self.seeds.push(entry);
        writeln!(self.text, "{lane} {seed}").expect("a String takes every write");
        fs::write(&self.path, &self.text)
            .map_err(|source| SeedsFileError::Write { path: self.path.clone(), source })?;
        Ok(true)
    }

    /// Where it stands.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The lanes and their seeds, oldest first.
    pub(super) fn seeds(&self) -> &[(String, Seed)] {
        &self.seeds
    }
}

/// Why saved seeds could not be read, or a new one not be saved.
#[derive(Debug, thiserror::Error)]
pub(super) enum SeedsFileError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// Mend the line.
    #[error("{}, line {line_number}: expected `lane seed`", path.display())]
    Malformed { path: PathBuf, line_number: usize },
}

const HEADER: &str = "\
# Seeds with which a lane once failed. `soak` runs them before it draws new ones. Commit this file with the mended
# code; a line goes when its lane goes.
#
# lane seed
";
