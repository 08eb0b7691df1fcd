//! The lanes under a sanitizer of a nightly compiler: races, and memory that is not theirs.
//!
//! Bugs are planted here, too, and looked for first: a sanitizer that does not find them would be green for ever.

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::determinism::{COMMAND_KEY, PACKAGE, Scope, chooses, compares, with_iterations};
use crate::workspace::{exit_code, root, status};

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sanitizer {
    /// Two threads that use one place, one of them writing, with nothing between them.
    Thread,
    /// Memory that is used after it was freed, or past its end.
    Address,
}

impl Sanitizer {
    /// Builds the lanes, sees that the planted bug is found, and runs the lanes: those with real threads first.
    pub(super) fn run(self, scope: Scope, args: &[OsString]) -> Result<ExitCode, Box<dyn Error>> {
        let nightly = Nightly::find().ok_or_else(|| {
            format!(
                "{} needs a nightly compiler: `rustup toolchain install nightly --profile minimal`",
                self.flag()
            )
        })?;
        if self == Self::Thread && !nightly.has_source() {
            return Err(
                "--race needs the source of nightly's standard library: `rustup component add rust-src \
                        --toolchain nightly`"
                    .into(),
            );
        }
        let target = nightly.host;
        let folder = root().join("target").join(format!("sanitizer-{}", self.name()));
        if scope == Scope::Tests {
            return self.run_tests(&target, &folder);
        }
        eprintln!("building the lanes and the planted bugs (nightly, {} sanitizer)", self.name());
        // In one go, so that the packages that both need are built once.
        let built = status(self.cargo(&target, &folder).args(["build", "--quiet"]).args(TARGETS))?;
        if !built.success() {
            return Ok(exit_code(built));
        }
        let programs = folder.join(&target).join("debug");
        self.check_planted(&programs.join("examples/lane-runner-fixture"))?;

        let lanes = programs.join(PACKAGE);
        if chooses(args) {
            return self.run_lanes(&lanes, &[], &with_iterations(args, ITERATIONS));
        }
        let threaded = self.run_lanes(&lanes, THREADED, &with_iterations(args, THREADED_ITERATIONS))?;
        if scope == Scope::Short || threaded != ExitCode::SUCCESS {
            return Ok(threaded);
        }
        let all = self.run_lanes(&lanes, &[], &with_iterations(args, ITERATIONS))?;
        if all != ExitCode::SUCCESS {
            return Ok(all);
        }
        self.run_tests(&target, &folder)
    }

    /// Runs the tests of crates whose threads, and memory that a kernel writes to, are of their own making: the ring of
    /// uring-rt's tests writes to a buffer when its operation completes, so that one freed too early is found.
    fn run_tests(self, target: &str, folder: &Path) -> Result<ExitCode, Box<dyn Error>> {
        eprintln!("running the tests of {} (nightly, {} sanitizer)", TESTED.join(", "), self.name());
        let mut command = self.cargo(target, folder);
        command.arg("test").args(TESTED.map(|package| format!("--package={package}")));
        command.args(["--lib", "--test=it"]);
        if self == Self::Thread {
            command.args(["--", "--skip", HELD_BACK]);
        }
        Ok(exit_code(status(self.quiet(&mut command).env("PROPTEST_CASES", PROPTEST_CASES))?))
    }

    fn cargo(self, target: &str, folder: &Path) -> Command {
        let mut command = Command::new("rustup");
        command.args(["run", "nightly", "cargo"]);
        let mut flags = format!("-Zsanitizer={}", self.name());
        match self {
            // How the standard library's own locks and counters order threads must be seen, or every use of one is
            // a race: it is built with the sanitizer, too.
            Self::Thread => {
                command.arg("-Zbuild-std");
            }
            // What the standard library does to memory by itself is not looked at.
            Self::Address => flags.push_str(" -Cunsafe-allow-abi-mismatch=sanitizer"),
        }
        command.env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", folder).env("CARGO_BUILD_TARGET", target);
        command
    }

    /// Demands that the planted bug is found, and said to be what it is.
    fn check_planted(self, fixture: &Path) -> Result<(), Box<dyn Error>> {
        let (lane, report) = self.planted();
        // The line that sums a report up names the place; another race than the planted one would not do.
        let is_it = |line: &str| line.contains(report) && line.contains("fixture/memory.rs");
        let mut command = Command::new(fixture);
        // Without a lock file its lanes cannot hold, but that is not what they are to fail for.
        command.args(["--lane", lane, "--iterations", "2", "--lock", "/dev/null"]);
        let output = self.quiet(&mut command).stderr(Stdio::inherit()).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if text.lines().any(is_it) {
            println!("caught   {lane}  {report}, as it must");
            return Ok(());
        }
        Err(format!("{lane} was not caught, so nothing shows that {} finds anything:\n{text}", self.flag())
            .into())
    }

    fn run_lanes(
        self,
        program: &Path,
        lanes: &[&str],
        args: &[OsString],
    ) -> Result<ExitCode, Box<dyn Error>> {
        let chosen = lanes.iter().flat_map(|lane| ["--lane", lane]);
        let mut command = Command::new(program);
        command.args(chosen).args(args);
        // A sanitizer is slow. A limit that is given counts.
        if compares(args) && !args.iter().any(|arg| arg.to_string_lossy().starts_with("--timeout")) {
            command.args(["--timeout", "1800"]);
        }
        let said = format!("cargo xtask determinism {}", self.flag());
        Ok(exit_code(status(self.quiet(&mut command).env(COMMAND_KEY, said))?))
    }

    /// Ends a process at the first finding, and finds no leaks: the runner leaks on purpose, to stir the heap.
    fn quiet(self, command: &mut Command) -> &mut Command {
        match self {
            Self::Thread => command.env("TSAN_OPTIONS", "halt_on_error=1"),
            Self::Address => command.env("ASAN_OPTIONS", "detect_leaks=0"),
        }
    }

    /// A lane with a bug, and what must be said of it.
    fn planted(self) -> (&'static str, &'static str) {
        match self {
            Self::Thread => ("planted/race", "SUMMARY: ThreadSanitizer: data race"),
            Self::Address => ("planted/use-after-free", "SUMMARY: AddressSanitizer: heap-use-after-free"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Address => "address",
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Self::Thread => "--race",
            Self::Address => "--asan",
        }
    }
}

/// A nightly compiler.
struct Nightly {
    /// What it builds for if nothing is said.
    host: String,
    sysroot: PathBuf,
}

impl Nightly {
    fn find() -> Option<Self> {
        let ask = |arguments: &[&str]| {
            let output =
                Command::new("rustup").args(["run", "nightly", "rustc"]).args(arguments).output().ok()?;
            output.status.success().then(|| String::from_utf8(output.stdout).ok())?
        };
        let version = ask(&["-vV"])?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "))?.to_owned();
        Some(Self { host, sysroot: PathBuf::from(ask(&["--print", "sysroot"])?.trim()) })
    }

    fn has_source(&self) -> bool {
        self.sysroot.join("lib/rustlib/src/rust/library/Cargo.lock").is_file()
    }
}

const TARGETS: &[&str] = &[
    "--package=samestep-lanes",
    "--bin=samestep-lanes",
    "--package=samestep-lane-runner",
    "--example=lane-runner-fixture",
];

/// Crates whose tests are run, too.
const TESTED: [&str; 1] = ["samestep-uring-rt"];
/// A test that looks at what a signal interrupts: ThreadSanitizer holds signals back to a place of its own choosing.
const HELD_BACK: &str = "a_task_that_computes_for_long_is_told_with_its_stack";
/// Of 256, as each takes ten times as long.
const PROPTEST_CASES: &str = "32";

/// Lanes with threads of their own: what `--race=short` runs, and what a whole run begins with.
const THREADED: &[&str] = &[
    "wal/writers-64",
    "wal/faces",
    "wal/process-death",
    "lmdb/ipc",
    "sim/register-on-three",
    "uring/echo",
    "uring/wal-face",
    "emission/outbox-one-transcript",
];
const THREADED_ITERATIONS: &str = "6";
/// A sanitizer slows a lane down tenfold, and what it finds it finds in one run.
const ITERATIONS: &str = "2";

#[cfg(test)]
mod tests {
    use std::fs;

    use super::THREADED;
    use crate::workspace::root;

    /// A lane that was renamed would be asked for in vain, and only on nightly would anybody notice.
    #[test]
    fn the_lanes_with_threads_are_lanes() {
        let lock = fs::read_to_string(root().join("determinism.lock")).unwrap();
        let names: Vec<&str> =
            lock.lines().filter_map(|line| line.split_once(' ')).map(|(name, _)| name).collect();
        for lane in THREADED {
            assert!(names.contains(lane), "{lane}");
        }
    }
}
