//! The sets of features that must build: none, each alone, and all (which CI builds for all crates at once).

use std::error::Error;
use std::process::ExitCode;

use cargo_metadata::{MetadataCommand, Package};

use crate::workspace::root;

/// Prints them.
pub(crate) fn run() -> Result<ExitCode, Box<dyn Error>> {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec()?;
    for package in metadata.workspace_packages() {
        for set in sets(package) {
            println!("{set}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn sets(package: &Package) -> Vec<String> {
    let none = format!("--package {} --no-default-features", package.name);
    let names = package.features.keys().filter(|name| *name != "default");
    let each = names.map(|name| format!("{none} --features {name}"));
    std::iter::once(none.clone()).chain(each).collect()
}
