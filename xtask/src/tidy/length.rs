//! Files that nobody reads to the end.

use crate::tidy::Violation;
use crate::tidy::tree::Tree;

/// No Rust file is longer than [`LINES_MAX`].
pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let too_long = tree.sources().iter().filter(|source| source.line_count() > LINES_MAX);
    too_long
        .map(|source| {
            let what = format!(
                "{} lines, {LINES_MAX} are the limit: cut it where an idea ends",
                source.line_count()
            );
            Violation::new(source.path(), LINES_MAX + 1, what)
        })
        .collect()
}

const LINES_MAX: usize = 800;
