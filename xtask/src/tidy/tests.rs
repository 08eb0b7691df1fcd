//! Each rule, on a small tree that keeps it and on one that breaks it; and all rules on this workspace.

use std::fs;
use std::path::Path;

use crate::workspace::root;

/// The rules hold here.
#[test]
fn this_workspace_is_tidy() {
    let violations: Vec<String> = super::check(&root()).unwrap().iter().map(ToString::to_string).collect();
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

/// Writes a workspace with these files, and demands these violations, as far as they are written out here.
#[track_caller]
fn check(files: &[(&str, &str)], expected: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("Cargo.toml", "[workspace]\nresolver = '3'\nmembers = ['crates/*', 'lanes', 'xtask']\n");
    // Every tree has these, so that an edge has something to point to.
    for member in
        ["crates/wal", "crates/sim", "crates/replay-traits", "crates/memory-providers", "lanes", "xtask"]
    {
        write(&format!("{member}/Cargo.toml"), &manifest(member, ""));
        write(&format!("{member}/src/lib.rs"), TIDY);
    }
    for (path, text) in files {
        write(path, text);
    }
    let found = super::check(folder.path()).unwrap();
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    let is_expected = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected));
    assert!(is_expected, "expected {expected:#?}, found {found:#?}");
}

fn manifest(folder: &str, rest: &str) -> String {
    let name = Path::new(folder).file_name().unwrap().to_str().unwrap();
    format!("[package]\nname = 'samestep-{name}'\nversion = '0.1.0'\nedition = '2024'\n{rest}")
}

/// A manifest of `folder` with one dependency, in line 7 of it, on the crate called `to`.
fn manifest_with_edge(folder: &str, table: &str, to: &str) -> String {
    let up = if folder.contains('/') { "../.." } else { ".." };
    manifest(folder, &format!("[{table}]\n# Reason.\nsamestep-{to} = {{ path = '{up}/crates/{to}' }}\n"))
}

#[test]
fn a_tidy_tree_is_tidy() {
    check(&[], &[]);
}

#[track_caller]
fn check_edge(folder: &str, table: &str, to: &str, expected: &[&str]) {
    check(&[(&format!("{folder}/Cargo.toml"), &manifest_with_edge(folder, table, to))], expected);
}

#[test]
fn edges_point_down() {
    check_edge("crates/wal", "dependencies", "replay-traits", &[]);
    check_edge("crates/wal", "dev-dependencies", "memory-providers", &[]);
    check_edge("lanes", "dependencies", "wal", &[]);
    let forbidden =
        |folder: &str, to: &str| format!("{folder}/Cargo.toml:7: forbidden edge to samestep-{to} (");
    for (folder, table, to) in [
        ("crates/wal", "dependencies", "sim"),
        ("crates/wal", "dev-dependencies", "sim"),
        ("crates/wal", "build-dependencies", "sim"),
        ("crates/wal", "target.'cfg(unix)'.dependencies", "sim"),
        ("crates/wal", "dependencies", "memory-providers"),
        ("crates/memory-providers", "dependencies", "replay-traits"),
        ("crates/replay-traits", "dependencies", "wal"),
        ("xtask", "dependencies", "replay-traits"),
        ("xtask", "dev-dependencies", "wal"),
    ] {
        check_edge(folder, table, to, &[&forbidden(folder, to)]);
    }
}

#[test]
fn only_the_named_crates_have_edges_of_their_own() {
    let noun = ("crates/noun/Cargo.toml", manifest("crates/noun", ""));
    let lib = ("crates/noun/src/lib.rs", TIDY);
    for (folder, expected) in
        [("crates/lmdb-replay", None), ("crates/wal", Some("crates/wal/Cargo.toml:7: "))]
    {
        let user = (format!("{folder}/Cargo.toml"), manifest_with_edge(folder, "dependencies", "noun"));
        let root = (format!("{folder}/src/lib.rs"), TIDY);
        let files = [(noun.0, noun.1.as_str()), lib, (&user.0, &user.1), (&root.0, root.1)];
        check(&files, expected.as_slice());
    }
}

#[test]
fn files_end() {
    let lines = |count: usize| format!("{TIDY}{}", "\n".repeat(count - TIDY.lines().count()));
    check(&[("crates/wal/src/lib.rs", &lines(800))], &[]);
    check(&[("crates/wal/src/lib.rs", &lines(801))], &["crates/wal/src/lib.rs:801: 801 lines"]);
    // Nobody reads what a build left behind.
    check(&[("target/debug/build/out.rs", &lines(801))], &[]);
}

#[test]
fn roots_have_docs() {
    let bare = "#![forbid(unsafe_code)]\n// No docs.\n/// Not of the crate.\npub struct Item;\n";
    check(&[("crates/wal/src/lib.rs", bare)], &["crates/wal/src/lib.rs:1: a crate without `//!` docs"]);
    check(&[("crates/wal/tests/it/main.rs", "#[test]\nfn a() {}\n")], &["crates/wal/tests/it/main.rs:1: "]);
    // A module is no root.
    check(&[("crates/wal/src/frame.rs", "fn a() {}\n")], &[]);
}

#[test]
fn unsafe_code_is_in_its_place() {
    let outside =
        "//! Docs.\n#![forbid(unsafe_code)]\n// unsafe\nconst A: &str = \"unsafe\";\nunsafe fn a() {}\n";
    check(&[("crates/wal/src/lib.rs", outside)], &["crates/wal/src/lib.rs:5: `unsafe` outside"]);
    check(&[("crates/sim/src/map.rs", "unsafe fn a() {}\n")], &["crates/sim/src/map.rs:1: "]);
    check(&[("crates/wal/tests/it.rs", "//! Docs.\nunsafe fn a() {}\n")], &["crates/wal/tests/it.rs:2: "]);
    check(&[("crates/wal/src/std_io/map.rs", "unsafe fn a() {}\n")], &[]);
    check(
        &[("crates/wal/src/map/unix.rs", "unsafe fn a() {}\n"), ("crates/wal/src/lib.rs", "//! Docs.\n")],
        &[],
    );
    check(
        &[("crates/wal/src/frame.rs", "macro_rules! a { () => { unsafe {} } }\n")],
        &["crates/wal/src/frame.rs:1"],
    );
}

#[test]
fn unsafe_code_is_forbidden_elsewhere() {
    let lax = "//! Docs.\n#![deny(unsafe_code)]\n";
    check(&[("crates/wal/src/lib.rs", lax)], &["crates/wal/src/lib.rs:1: `unsafe` is not forbidden"]);
    check(
        &[("crates/wal/src/main.rs", "//! Docs.\nfn main() {}\n")],
        &["crates/wal/src/main.rs:1: `unsafe` is"],
    );
    // In a comment it forbids nothing.
    let comment = "//! #![forbid(unsafe_code)]\n// #![forbid(unsafe_code)]\n";
    check(&[("crates/sim/src/lib.rs", comment)], &["crates/sim/src/lib.rs:1: `unsafe` is not forbidden"]);
}

#[test]
fn dependencies_have_reasons() {
    let unlisted = "[dependencies]\nserde = '1'\n";
    let check = |rest: &str, expected: &[&str]| {
        check(&[("crates/wal/Cargo.toml", &manifest("crates/wal", rest))], expected);
    };
    check(unlisted, &["crates/wal/Cargo.toml:6: serde is there for no reason"]);
    check("[dependencies]\n# Why.\nserde = '1'\nrand = '1'\n", &["crates/wal/Cargo.toml:8: rand"]);
    check("[dependencies]\n# Why.\n\nserde = '1'\n", &["crates/wal/Cargo.toml:8: serde"]);
    check("[dependencies.serde]\nversion = '1'\n", &["crates/wal/Cargo.toml:5: serde"]);
    check("[target.'cfg(unix)'.dependencies]\nserde = '1'\n", &["crates/wal/Cargo.toml:6: serde"]);
    check("[build-dependencies]\ncc = '1'\n", &["crates/wal/Cargo.toml:6: cc"]);
    check("[dependencies]\n# Why.\nserde.version = '1'\n", &[]);
    check("[dependencies]\n# Why.\nserde = { version = '1', features = [\n  'derive',\n] }\n", &[]);
    check("# Why.\n[dependencies.serde]\nversion = '1'\n", &[]);
    check("[dev-dependencies]\nserde = '1'\n", &[]);
    check(&format!("publish = false\n{unlisted}"), &[]);
}

#[test]
fn nothing_is_put_off() {
    // The words are cut, so that a plain search for them in the tree finds none.
    let whole = |text: &str| text.replace('~', "");
    let text = whole(
        "fn a() { to~do!() }\nfn b() { unimple~mented!(\"later\") }\nfn c() { d~bg!(1); }\n#[test]\n#[ig~nore]\n\
         fn d() {}\n#[cfg_attr(unix, ig~nore = \"slow\")]\nfn e() {}\n",
    );
    let path = "crates/wal/src/frame.rs";
    let expected = [1, 2, 3, 5, 7].map(|line_number| format!("{path}:{line_number}: `"));
    check(&[(path, &text)], &expected.each_ref().map(String::as_str));
    let innocent = whole(
        "// to~do!()\n/// ```ig~nore\n/// d~bg!(1)\n/// ```\nfn ig~nore(to~do: u8, d~bg: bool) -> bool {\n    \
         let _ = \"unimple~mented!()\";\n    to~do != 1 && !d~bg\n}\n",
    );
    check(&[(path, &innocent)], &[]);
}

#[test]
fn what_is_no_rust_is_named() {
    check(
        &[("crates/wal/src/frame.rs", "fn a() {}\nfn b( {\n")],
        &["crates/wal/src/frame.rs:2: is not Rust"],
    );
}

const TIDY: &str = "//! Docs.\n\n#![forbid(unsafe_code)]\n";
