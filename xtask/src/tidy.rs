//! The rules of the house that no compiler knows, one per module.

mod edges;
mod length;
mod manifest;
mod reasons;
mod root_docs;
mod source;
mod stubs;
mod tree;
mod unsafety;

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::tidy::tree::Tree;
use crate::workspace::root;

/// Checks this workspace and prints what is wrong with it.
pub(crate) fn run() -> Result<ExitCode, Box<dyn Error>> {
    let violations = check(&root())?;
    for violation in &violations {
        println!("{violation}");
    }
    if violations.is_empty() {
        println!("tidy: {} rules hold", RULES.len());
        Ok(ExitCode::SUCCESS)
    } else {
        println!("tidy: {} violations", violations.len());
        Ok(ExitCode::FAILURE)
    }
}

/// All violations in the workspace at `root`, by file and line.
fn check(root: &Path) -> Result<Vec<Violation>, Box<dyn Error>> {
    let tree = Tree::read(root)?;
    let mut violations: Vec<Violation> = tree.unreadable().to_vec();
    for rule in RULES {
        violations.extend(rule(&tree));
    }
    violations.sort();
    Ok(violations)
}

/// A rule looks at the whole tree and says what breaks it.
type Rule = fn(&Tree) -> Vec<Violation>;

const RULES: &[Rule] =
    &[edges::check, length::check, root_docs::check, unsafety::check, reasons::check, stubs::check];

/// A rule is broken here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    /// The file, below the root of the workspace.
    path: PathBuf,
    /// The line, counted from 1.
    line_number: usize,
    /// What is wrong, and what to do.
    what: String,
}

impl Violation {
    fn new(path: &Path, line_number: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line_number, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line_number, self.what)
    }
}

#[cfg(test)]
mod tests;
