//! The lock file: for each lane the digest that its transcript must have, signed off in review.
//!
//! Text, a lane a line, sorted by name: `name seed lines digest`. Lines that start with `#` are comments.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use samestep_replay_traits::{Digest, Seed, Transcript};
use serde::{Deserialize, Serialize};

/// What a lock file is called if nothing else is said.
pub(crate) const LOCK_FILE_NAME: &str = "determinism.lock";

/// The entries of a lock file, by the names of their lanes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lock {
    entries: BTreeMap<String, Entry>,
}

/// What the transcript of one lane must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The seed that gives it.
    #[serde(with = "crate::as_text")]
    pub(crate) seed: Seed,
    /// Its number of lines.
    #[serde(rename = "lines")]
    pub(crate) line_count: usize,
    /// Its digest.
    #[serde(with = "crate::as_text")]
    pub(crate) digest: Digest,
}

impl Entry {
    /// The entry for a lane whose transcript under `seed` is `text`.
    pub(crate) fn of(seed: Seed, text: &str) -> Self {
        let mut transcript = Transcript::new();
        text.split_terminator('\n').for_each(|line| transcript.line(line));
        Self { seed, line_count: transcript.line_count(), digest: transcript.digest() }
    }
}

impl Lock {
    /// Reads the text of a lock file.
    pub(crate) fn parse(text: &str) -> Result<Self, ParseLockError> {
        let mut lock = Self::default();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let line_number = at + 1;
            let (name, entry) = parse_entry(line).ok_or(ParseLockError::Malformed { line_number })?;
            if lock.entries.insert(name.to_owned(), entry).is_some() {
                return Err(ParseLockError::Duplicate { line_number, name: name.to_owned() });
            }
        }
        Ok(lock)
    }

    /// Puts an entry in, in the place of an older one.
    pub(crate) fn insert(&mut self, name: &str, entry: Entry) {
        self.entries.insert(name.to_owned(), entry);
    }

    /// The entry for the lane called `name`.
    pub(crate) fn entry(&self, name: &str) -> Option<Entry> {
        self.entries.get(name).copied()
    }

    /// The names of all entries, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The text of a lock file with these entries.
    pub(crate) fn render(&self) -> String {
        let mut text = HEADER.to_owned();
        for (name, Entry { seed, line_count, digest }) in &self.entries {
            writeln!(text, "{name} {seed} {line_count} {digest}").expect("a String takes every write");
        }
        text
    }
}

/// Why a text is not a lock file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParseLockError {
    /// Damaged, or merged badly: mend the line, or remove it and bless the lane anew.
    #[error("line {line_number}: expected `name seed lines digest`")]
    Malformed { line_number: usize },
    /// A bad merge: keep the line that is right, or bless the lane anew.
    #[error("line {line_number}: a second entry for {name}")]
    Duplicate { line_number: usize, name: String },
}

fn parse_entry(line: &str) -> Option<(&str, Entry)> {
    let mut words = line.split_ascii_whitespace();
    let name = words.next()?;
    let seed = words.next()?.parse().ok()?;
    let line_count = words.next()?.parse().ok()?;
    let digest = words.next()?.parse().ok()?;
    words.next().is_none().then_some((name, Entry { seed, line_count, digest }))
}

const HEADER: &str = "\
# What each determinism lane must write: the digest of its transcript (XXH3-128), signed off in review.
# A line that changes says that a lane now does something else. If that is meant, run the lanes with `--bless`,
# which rewrites this file, and commit it with the change that caused it, and with the reason.
#
# lane seed lines digest
";

#[cfg(test)]
mod tests {
    use samestep_replay_traits::Seed;

    use super::{Entry, Lock, ParseLockError};

    const DIGEST: &str = "99aa06d3014798d86001c324468d497f";

    #[test]
    fn what_is_rendered_parses_back_sorted() {
        let mut lock = Lock::default();
        lock.insert("wal/recover", Entry::of(Seed::new(1), "a\nb\n"));
        lock.insert("sim/disk", Entry::of(Seed::new(7), ""));
        let text = lock.render();
        assert_eq!(Lock::parse(&text), Ok(lock));
        let entries: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(entries[0], format!("sim/disk 7 0 {DIGEST}"));
        assert!(entries[1].starts_with("wal/recover 1 2 "), "{text}");
    }

    #[test]
    fn line_breaks_of_another_system_are_read() {
        let lock = Lock::parse(&format!("# x\r\n\r\na/b 1 0 {DIGEST}\r\n")).expect("it is well-formed");
        assert_eq!(lock.names().collect::<Vec<_>>(), ["a/b"]);
    }

    #[track_caller]
    fn check_error(text: &str, expected: &ParseLockError) {
        assert_eq!(Lock::parse(text).as_ref(), Err(expected), "{text:?}");
    }

    #[test]
    fn damage_is_named_by_its_line() {
        let malformed = ParseLockError::Malformed { line_number: 2 };
        for line in ["a/b", "a/b 1 0", "a/b x 0 99", &format!("a/b 1 0 {DIGEST} more"), "<<<<<<< HEAD"] {
            check_error(&format!("# x\n{line}\n"), &malformed);
        }
    }

    #[test]
    fn a_lane_stands_once() {
        let duplicate = ParseLockError::Duplicate { line_number: 2, name: "a/b".into() };
        check_error(&format!("a/b 1 0 {DIGEST}\na/b 2 0 {DIGEST}\n"), &duplicate);
    }
}
