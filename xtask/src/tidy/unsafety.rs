//! `unsafe` stands in a few named modules, and is forbidden everywhere else.

use std::path::Path;

use crate::tidy::Violation;
use crate::tidy::source::Source;
use crate::tidy::tree::{CrateKind, Package, Tree};

/// `unsafe` stands in the modules of [`MODULES`] only, and a crate without such a module forbids it.
pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in tree.sources().iter().filter(|source| !is_admitted(source.path())) {
        for token in source.tokens().iter().filter(|token| token.is_word("unsafe")) {
            let what =
                "`unsafe` outside the modules that are named for it: write it safely, or move it there";
            violations.push(Violation::new(source.path(), token.line_number, what));
        }
    }
    violations.extend(tree.packages().iter().flat_map(|package| check_package(tree, package)));
    violations
}

fn check_package(tree: &Tree, package: &Package) -> Vec<Violation> {
    let src = package.folder.join("src");
    let has_module =
        tree.sources().iter().any(|source| source.path().starts_with(&src) && is_admitted(source.path()));
    let must_forbid = |kind| match kind {
        CrateKind::Library => !has_module,
        CrateKind::Binary => true,
        CrateKind::Other => false,
    };
    let roots = package.crates.iter().filter(|krate| must_forbid(krate.kind));
    roots
        .filter_map(|krate| tree.source(&krate.root))
        .filter(|source| !forbids(source))
        .map(|source| {
            let what = "`unsafe` is not forbidden: put `#![forbid(unsafe_code)]` under the crate's docs";
            Violation::new(source.path(), 1, what)
        })
        .collect()
}

fn forbids(source: &Source) -> bool {
    let mut attributes = source.inner_attributes();
    attributes.any(|tokens| {
        tokens.first().is_some_and(|first| first.is_word("forbid"))
            && tokens.iter().any(|token| token.is_word("unsafe_code"))
    })
}

/// Whether the file at `path` is one of the named modules, or a part of one.
fn is_admitted(path: &Path) -> bool {
    MODULES.iter().any(|(folder, modules)| {
        let Ok(below) = path.strip_prefix(folder) else { return false };
        below.with_extension("").iter().any(|part| modules.iter().any(|module| part == *module))
    })
}

/// The folders, and the modules in them, at any depth, that may be unsafe: one row per fact that only a person
/// can check.
const MODULES: &[(&str, &[&str])] = &[
    // Calls the kernel, and shares memory with it.
    ("crates/uring-rt/src", &["sys"]),
    // Wakers from integers; calls of the C library that are intercepted; the list that the linker makes.
    ("crates/sim/src", &["waker", "intercept", "site"]),
    // Maps sealed segments.
    ("crates/wal/src", &["map"]),
    // Opens an environment that another program may have open.
    ("crates/lmdb-replay/src", &["ffi", "env"]),
    // The contract of owned buffers, and the buffer that is aligned for direct I/O.
    ("crates/provider-traits/src", &["io_buf", "aligned"]),
    // Planted bugs that must be caught: padding that is read, a race, and memory that is used after it was freed.
    ("crates/lane-runner/tests/fixture", &["uninit", "memory"]),
    // Counts allocations: a global allocator is an unsafe trait. Runs LMDB itself, for comparison.
    ("benches/src", &["alloc", "mapped"]),
    // Buffers for other runtimes' contracts; a ring with nothing around it, which is the limit.
    ("benches/uring/src", &["pages", "raw"]),
    ("crates/wal/tests/flips", &["alloc"]),
    ("crates/noun/tests/it", &["alloc"]),
    ("crates/sim/tests/allocations", &["alloc"]),
    // Keeps what was freed, to see who writes there; closes a ring that is not drained.
    ("crates/uring-rt/tests/quarantine", &["alloc", "raw"]),
    // Denies system calls to itself.
    ("crates/uring-rt/tests/denied", &["filter"]),
    // Puts nodes on a stack, as tasks are; counts references to what is freed with the last.
    ("crates/uring-rt/tests/models", &["woken", "references"]),
];
