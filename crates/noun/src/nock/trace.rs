//! The hints that enclose what is being evaluated, so that a failure can say where it happened.

use std::fmt;

use crate::noun::Noun;

/// Clues of hints under way, outermost first.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Frames that were on the stack: when there are fewer, the hint is over.
    depth: usize,
    tag: Noun,
    clue: Noun,
}

impl Trace {
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// A hint begins. Those that say nothing about places are not kept.
    ///
    /// In a loop of tail calls hints begin and never end; of those at one depth the last [`PER_DEPTH_MAX`] stay.
    pub(crate) fn enter(&mut self, depth: usize, tag: Noun, clue: Noun) {
        if !TAGS.iter().any(|known| tag.is_cord(known)) {
            return;
        }
        if let Some(first) = self.entries.len().checked_sub(PER_DEPTH_MAX)
            && self.entries[first].depth == depth
        {
            self.entries.remove(first);
        }
        self.entries.push(Entry { depth, tag, clue });
    }

    /// A value was handed to a frame, and only `depth` frames are left.
    #[inline]
    pub(crate) fn unwind(&mut self, depth: usize) {
        while self.entries.last().is_some_and(|entry| entry.depth > depth) {
            self.entries.pop();
        }
    }

    /// Tag and clue, innermost first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Noun, &Noun)> {
        self.entries.iter().rev().map(|entry| (&entry.tag, &entry.clue))
    }

    pub(crate) fn report(&self) -> TraceReport {
        let shown = self.iter().take(REPORT_MAX);
        TraceReport {
            entries: shown.map(|(tag, clue)| TraceEntry::new(tag, clue)).collect(),
            omitted_count: self.entries.len().saturating_sub(REPORT_MAX),
        }
    }
}

/// Where a failure happened, as text: the innermost hints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceReport {
    /// Innermost first, at most 64.
    pub entries: Vec<TraceEntry>,
    /// How many further out are not in `entries`.
    pub omitted_count: usize,
}

/// One enclosing hint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceEntry {
    /// `mean`, `spot`, `hunk` or `lose`.
    pub tag: String,
    /// The clue: a place in a source as `/sys/arvo/hoon:<[12 3].[12 40]>`, a text, or a noun.
    pub text: String,
}

impl TraceEntry {
    fn new(tag: &Noun, clue: &Noun) -> Self {
        let text = spot(clue).or_else(|| leaf(clue)).unwrap_or_else(|| clue.to_string());
        Self { tag: tag.to_cord().unwrap_or_default(), text }
    }
}

/// A line per hint, each with a line break before it.
impl fmt::Display for TraceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.entries {
            write!(f, "\n  at {entry}")?;
        }
        if self.omitted_count > 0 {
            write!(f, "\n  and {} further out", self.omitted_count)?;
        }
        Ok(())
    }
}

impl fmt::Display for TraceEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{} {}", self.tag, self.text)
    }
}

/// `[path [line column] line column]`, a place in a source.
fn spot(clue: &Noun) -> Option<String> {
    let [path, start, end_line, end_column] = clue.as_tuple()?;
    let (line, column) = start.as_pair()?;
    let mut text = String::new();
    let mut items = path.items();
    for knot in items.by_ref().take(PATH_MAX) {
        text.push('/');
        text.push_str(&printable(knot)?);
    }
    let numbers = [line, column, end_line, end_column].map(Noun::as_u64);
    let [Some(line), Some(column), Some(end_line), Some(end_column)] = numbers else { return None };
    items.is_proper().then(|| format!("{text}:<[{line} {column}].[{end_line} {end_column}]>"))
}

/// A cord, or `[%leaf tape]`.
fn leaf(clue: &Noun) -> Option<String> {
    match clue.as_pair() {
        None => printable(clue),
        Some((tag, tape)) if tag.is_cord("leaf") => tape
            .items()
            .take(TEXT_MAX)
            .map(|item| item.as_u64().and_then(|byte| u8::try_from(byte).ok()))
            .map(|byte| byte.map(char::from).filter(|char| char.is_ascii_graphic() || *char == ' '))
            .collect(),
        Some(_) => None,
    }
}

fn printable(noun: &Noun) -> Option<String> {
    let bytes = noun.as_atom()?.as_le_bytes();
    let is_text = bytes.len() > 1
        && bytes.len() <= TEXT_MAX
        && bytes.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    is_text.then(|| bytes.iter().copied().map(char::from).collect())
}

const TAGS: [&str; 4] = ["mean", "spot", "hunk", "lose"];
const PER_DEPTH_MAX: usize = 16;
const REPORT_MAX: usize = 64;
const TEXT_MAX: usize = 200;
const PATH_MAX: usize = 16;
