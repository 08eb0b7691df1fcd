//! Builds the determinism lanes and hands over to them.

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;

use crate::workspace::{cargo, exit_code, status};

/// Runs the lanes with `args`, in the caller's folder, and gives their exit code.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode, Box<dyn Error>> {
    // Not on standard output: that belongs to the lanes, whose transcripts are piped elsewhere.
    eprintln!("building the lanes (release)");
    let built = status(cargo().args(["build", "--release", "--package", PACKAGE]))?;
    if !built.success() {
        return Ok(exit_code(built));
    }
    let ran = status(
        cargo()
            .args(["run", "--release", "--quiet", "--package", PACKAGE, "--"])
            .args(args)
            .env("SAMESTEP_COMMAND", "cargo xtask determinism"),
    )?;
    Ok(exit_code(ran))
}

const PACKAGE: &str = "samestep-lanes";
