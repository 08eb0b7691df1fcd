//! Small C programs: what other processes do to a log.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Compiles `tests/c/NAME.c` into `folder`. LMDB itself is C, so a compiler is there, but not all that is included.
pub(crate) fn try_compile(folder: &Path, name: &str, flags: &[&str]) -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(format!("{name}.c"));
    let program = folder.join(name);
    let mut command = Command::new("cc");
    let output =
        command.arg("-o").arg(&program).arg(source).args(flags).output().map_err(|e| e.to_string())?;
    if output.status.success() {
        Ok(program)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// A process that holds something until this value is dropped.
pub(crate) struct Holding(Child);

impl Holding {
    /// Starts `command`, which prints `held` once it does.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = [0; 5];
        child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        assert_eq!(&line, b"held\n");
        Self(child)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}
