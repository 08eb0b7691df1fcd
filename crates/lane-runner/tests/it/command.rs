//! Runs the fixture program in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A folder in which the fixture is run, with an empty `Cargo.lock` that marks it as a workspace.
pub(crate) struct Workspace {
    folder: TempDir,
}

/// What a run of the fixture gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Workspace {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Cargo.lock"), "").unwrap();
        Self { folder }
    }

    /// Runs the fixture with `line`, split at spaces, as its arguments.
    #[track_caller]
    pub(crate) fn run(&self, line: &str) -> Ran {
        self.run_with(line, &[])
    }

    /// Runs the fixture with further environment variables.
    #[track_caller]
    pub(crate) fn run_with(&self, line: &str, environment: &[(&str, &str)]) -> Ran {
        self.run_all(line.split_whitespace(), environment)
    }

    /// Runs the fixture with arguments that may have spaces in them.
    #[track_caller]
    pub(crate) fn run_words(&self, words: &[&str]) -> Ran {
        self.run_all(words.iter().copied(), &[])
    }

    #[track_caller]
    fn run_all<'a>(&self, words: impl Iterator<Item = &'a str>, environment: &[(&str, &str)]) -> Ran {
        let program = fixture();
        let output = Command::new(&program)
            .args(words)
            .env_remove("SAMESTEP_REQUIRE")
            .env("SAMESTEP_COMMAND", "lanes")
            .envs(environment.iter().copied())
            .current_dir(self.path())
            .output()
            .unwrap_or_else(|error| {
                panic!(
                    "{}: {error}: a plain `cargo test` builds it, --all-targets and --test do not",
                    program.display()
                )
            });
        let text = |bytes| String::from_utf8(bytes).expect("it prints text");
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn lock(&self) -> String {
        fs::read_to_string(self.path().join("determinism.lock")).unwrap()
    }
}

impl Ran {
    /// Demands this exit code, and each of these texts on standard output.
    #[track_caller]
    pub(crate) fn check(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self}");
        for text in texts {
            assert!(self.stdout.contains(text), "{text:?} is not in\n{self}");
        }
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {:?}\n-- stdout\n{}\n-- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// Examples have no variable that names them, but they stand beside the folder of the tests.
pub(crate) fn fixture() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).expect("tests stand in target/<profile>/deps");
    profile.join("examples/lane-runner-fixture")
}
