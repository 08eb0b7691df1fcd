//! Where the workspace is, and the programs that are run in it.

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

/// The root of the workspace that this program was built in.
pub(crate) fn root() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.parent().expect("xtask stands in the root of its workspace").to_owned()
}

/// The cargo that runs us, else the first in the path.
pub(crate) fn cargo() -> Command {
    #[expect(clippy::disallowed_methods, reason = "cargo names itself to its children")]
    let cargo = std::env::var_os("CARGO");
    Command::new(cargo.unwrap_or_else(|| OsString::from("cargo")))
}

/// Runs a program to its end.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus, Box<dyn Error>> {
    let program = command.get_program().to_owned();
    command.status().map_err(|error| format!("cannot run {}: {error}", program.display()).into())
}

/// The exit code of a program that has ended; 1 if a signal ended it.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
