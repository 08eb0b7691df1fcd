//! Does what CI does.

use std::error::Error;
use std::process::{Command, ExitCode};

use crate::workspace::{exit_code, root, status};

/// Runs `.ci/run`, which alone knows the steps.
pub(crate) fn run() -> Result<ExitCode, Box<dyn Error>> {
    let root = root();
    status(Command::new(root.join(".ci/run")).current_dir(&root)).map(exit_code)
}
