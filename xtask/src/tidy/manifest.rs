//! A manifest with the lines on which its dependencies stand.

use std::path::{Path, PathBuf};

use toml_edit::{Document, Item, TableLike, TomlError};

/// A `Cargo.toml`.
#[derive(Debug)]
pub(crate) struct Manifest {
    path: PathBuf,
    dependencies: Vec<Dependency>,
}

/// A line of a table of dependencies.
#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) key: String,
    pub(crate) table: Table,
    pub(crate) line_number: usize,
    /// Whether the line above is a comment.
    pub(crate) has_comment: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Dependencies,
    DevDependencies,
    BuildDependencies,
}

impl Manifest {
    /// Reads the text of the manifest at `path`.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, TomlError> {
        let document = Document::parse(text)?;
        let mut manifest = Self { path: path.to_owned(), dependencies: Vec::new() };
        manifest.read_tables(text, document.as_table());
        let targets = document.get("target").and_then(Item::as_table_like);
        for (_, target) in targets.into_iter().flat_map(TableLike::iter) {
            if let Some(target) = target.as_table_like() {
                manifest.read_tables(text, target);
            }
        }
        Ok(manifest)
    }

    fn read_tables(&mut self, text: &str, parent: &dyn TableLike) {
        for (name, kind) in TABLES {
            let Some(table) = parent.get(name).and_then(Item::as_table_like) else { continue };
            for (key, item) in table.iter() {
                let span = table.key(key).and_then(toml_edit::Key::span).or_else(|| item.span());
                let start = span.map_or(0, |span| span.start);
                let before: Vec<&str> = text[..start].split('\n').collect();
                let above = before.len().checked_sub(2).map(|at| before[at].trim_start());
                self.dependencies.push(Dependency {
                    key: key.to_owned(),
                    table: kind,
                    line_number: before.len(),
                    has_comment: above.is_some_and(|line| line.starts_with('#')),
                });
            }
        }
    }

    /// Where it stands, below the root of the workspace.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its dependencies, those for some targets only included.
    pub(crate) fn dependencies(&self) -> &[Dependency] {
        &self.dependencies
    }

    /// The line of the dependency called `key`, or 1 if it is not found.
    pub(crate) fn line_number(&self, key: &str, is_dev: bool) -> usize {
        let is_it =
            |found: &&Dependency| found.key == key && (found.table == Table::DevDependencies) == is_dev;
        self.dependencies.iter().find(is_it).map_or(1, |dependency| dependency.line_number)
    }
}

const TABLES: [(&str, Table); 3] = [
    ("dependencies", Table::Dependencies),
    ("dev-dependencies", Table::DevDependencies),
    ("build-dependencies", Table::BuildDependencies),
];
