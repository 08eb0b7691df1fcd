//! The chores of this workspace, as `cargo xtask`.
//!
//! Links none of the crates that it looks after, so that it builds in seconds and works while they do not.

#![forbid(unsafe_code)]

mod bisect;
mod ci;
mod determinism;
mod feature_sets;
mod tidy;
mod vm_test;
mod workspace;

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of this workspace.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Build the determinism lanes in release mode and run them; all arguments are theirs, `--help` too, but for
    /// `--race` and `--asan` (under a sanitizer, on nightly; `--race=short` for the lanes with threads only) and
    /// `--builds` (debug, release and others, against one lock file), and `bisect --good REV --lane NAME`
    #[command(disable_help_flag = true)]
    Determinism {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Draw new seeds for the lanes that do something else with each; all arguments are theirs, like `--for 2h`
    #[command(disable_help_flag = true)]
    Soak {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Boot Linux 6.1 and newer, from Debian's packages, in qemu with an NVMe disk, and try polled files there
    VmTest(vm_test::VmTestArgs),
    /// Check the rules of the house that no compiler knows
    Tidy,
    /// Do what CI does: run `.ci/run`
    Ci,
    /// Print cargo arguments for each set of features that CI checks, a set a line
    FeatureSets,
}

fn main() -> ExitCode {
    let done = match Cli::parse().chore {
        Chore::Determinism { args } => determinism::run(&args),
        Chore::Soak { args } => determinism::soak(&args),
        Chore::VmTest(args) => vm_test::run(&args),
        Chore::Tidy => tidy::run(),
        Chore::Ci => ci::run(),
        Chore::FeatureSets => feature_sets::run(),
    };
    done.unwrap_or_else(|error: Box<dyn Error>| {
        eprintln!("error: {error}");
        ExitCode::from(2)
    })
}
