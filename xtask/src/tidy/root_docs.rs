//! Crates that say what they are.

use std::collections::BTreeSet;

use crate::tidy::Violation;
use crate::tidy::tree::Tree;

/// The root of every crate, tests and examples included, has `//!` docs.
pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    // Two targets may share a root.
    let roots: BTreeSet<_> =
        tree.packages().iter().flat_map(|package| &package.crates).map(|krate| &krate.root).collect();
    let sources = roots.into_iter().filter_map(|root| tree.source(root));
    sources
        .filter(|source| !source.inner_attributes().any(|tokens| tokens[0].is_word("doc")))
        .map(|source| {
            Violation::new(source.path(), 1, "a crate without `//!` docs: say what it does, and does not")
        })
        .collect()
}
