//! Dependencies that say why they are there.

use crate::tidy::Violation;
use crate::tidy::manifest::Table;
use crate::tidy::tree::Tree;

/// Each dependency that users of a published crate will build has a comment directly above it.
pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let published = tree.packages().iter().filter(|package| package.is_published);
    published
        .flat_map(|package| {
            let dependencies = package.manifest.dependencies().iter();
            dependencies
                .filter(|dependency| dependency.table != Table::DevDependencies && !dependency.has_comment)
                .map(|dependency| {
                    let what =
                        format!("{} is there for no reason: give it in a comment above", dependency.key);
                    Violation::new(package.manifest.path(), dependency.line_number, what)
                })
        })
        .collect()
}
