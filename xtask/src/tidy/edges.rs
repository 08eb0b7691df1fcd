//! Edges between crates point down, and focused crates know nothing of each other.

use std::path::Path;

use crate::tidy::Violation;
use crate::tidy::tree::{Edge, Package, Tree};

/// Every edge is one of those that the map in ARCHITECTURE.md has.
pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    tree.packages().iter().flat_map(check_package).collect()
}

fn check_package(package: &Package) -> Vec<Violation> {
    let path = package.manifest.path();
    let Some(from) = Place::of(&package.folder) else {
        let what = "stands outside the map: members are crates/*, lanes, examples/* and xtask";
        return vec![Violation::new(path, 1, what)];
    };
    let judge = |edge: &Edge| {
        let reason = forbids(from, edge)?;
        let (key, to) = (&edge.key, edge.to.display());
        let what = format!("forbidden edge to {key} ({to}): {reason}");
        Some(Violation::new(path, package.manifest.line_number(key, edge.is_dev), what))
    };
    package.edges.iter().filter(|edge| edge.to != package.folder).filter_map(judge).collect()
}

/// Why the edge must not be, with what to do instead; `None` if it may.
fn forbids(from: Place<'_>, edge: &Edge) -> Option<&'static str> {
    let Some(to) = Place::of(&edge.to) else {
        return Some("it stands outside the map, move it to crates/");
    };
    match (from, to) {
        (Place::Xtask, _) => Some("xtask links none of the crates, run them as programs"),
        (_, Place::Xtask | Place::Composition) => {
            Some("nothing depends on what composes, move the code down")
        }
        (Place::Composition, Place::Crate(_)) => None,
        (Place::Crate(from), Place::Crate(to)) => forbids_crate(from, to, edge.is_dev),
    }
}

fn forbids_crate(from: &str, to: &str, is_dev: bool) -> Option<&'static str> {
    let is_trait = |name: &str| name.ends_with("-traits");
    let is_provider = |name: &str| name == "provider-adapters" || name.ends_with("-providers");
    match (from, to) {
        (_, "memory-providers") if is_dev => None,
        (_, "memory-providers") => Some("it is for tests, make it a dev-dependency"),
        (from, to) if is_trait(from) && is_trait(to) => Some("trait crates stand alone"),
        // The foreign faces are tried on real sockets, where their foreign users are.
        ("provider-adapters", "tokio-providers") if is_dev => None,
        ("lane-runner", "replay-traits") => None,
        ("lane-runner", _) => Some("lane-runner knows replay-traits and nothing else"),
        (from, "provider-traits") if is_provider(from) => None,
        (from, _) if is_provider(from) => Some("providers know provider-traits and nothing else"),
        ("lmdb-replay", "noun") => None,
        (_, "noun") => Some("only lmdb-replay may use noun"),
        (_, to) if is_trait(to) => None,
        _ => Some("crates of one idea each meet in lanes or examples, cut a trait or move the test there"),
    }
}

/// Where a package stands on the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place<'a> {
    /// `crates/<name>`.
    Crate(&'a str),
    /// `lanes`, `examples/*`: they may use every crate.
    Composition,
    Xtask,
}

impl<'a> Place<'a> {
    fn of(folder: &'a Path) -> Option<Self> {
        let parts: Vec<&str> = folder.iter().filter_map(|part| part.to_str()).collect();
        match parts[..] {
            ["crates", name] => Some(Self::Crate(name)),
            ["lanes"] | ["examples", _] => Some(Self::Composition),
            ["xtask"] => Some(Self::Xtask),
            _ => None,
        }
    }
}
