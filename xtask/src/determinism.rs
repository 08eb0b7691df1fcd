//! Builds the determinism lanes and hands over to them.

mod builds;
mod sanitizer;

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use clap::Parser;

use crate::bisect::{self, BisectArgs};
use crate::determinism::builds::run_builds;
use crate::determinism::sanitizer::Sanitizer;
use crate::workspace::{cargo, exit_code, status};

/// Runs the lanes with `args`, in the caller's folder, and gives their exit code.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode, Box<dyn Error>> {
    if args.first().is_some_and(|arg| arg == "bisect") {
        // It builds the lanes of other commits, so it is not theirs.
        return bisect::run(&Bisect::parse_from(args).args);
    }
    match Mode::split(args) {
        (Mode::Default, args) => run_default(&args),
        (Mode::Sanitized(sanitizer, scope), args) => sanitizer.run(scope, &args),
        (Mode::Builds, args) => run_builds(&args),
    }
}

/// Draws seeds with the lanes' `soak`.
pub(crate) fn soak(args: &[OsString]) -> Result<ExitCode, Box<dyn Error>> {
    let mut words = vec![OsString::from("soak")];
    words.extend_from_slice(args);
    run_default(&words)
}

/// The words behind `cargo xtask determinism bisect`.
#[derive(Debug, Parser)]
#[command(
    bin_name = "cargo xtask determinism bisect",
    about = "Find the commit at which a lane's transcript changed"
)]
struct Bisect {
    #[command(flatten)]
    args: BisectArgs,
}

fn run_default(args: &[OsString]) -> Result<ExitCode, Box<dyn Error>> {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{OURS}\nAll other words are for the lanes, which say:\n");
    }
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
            .env(COMMAND_KEY, "cargo xtask determinism"),
    )?;
    Ok(exit_code(ran))
}

/// How the lanes are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Default,
    Sanitized(Sanitizer, Scope),
    /// In several ways, against one lock file.
    Builds,
}

/// How much is run in a mode that takes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    All,
    /// The lanes where it is likeliest to find something.
    Short,
    /// No lanes, but the tests of crates with threads and unsafe code.
    Tests,
}

impl Mode {
    /// Takes the words that choose a mode out of `args`; the rest are the lanes'. The last such word counts.
    fn split(args: &[OsString]) -> (Self, Vec<OsString>) {
        let mut mode = Self::Default;
        let mut rest = Vec::new();
        for arg in args {
            match arg.to_str() {
                Some("--race") => mode = Self::Sanitized(Sanitizer::Thread, Scope::All),
                Some("--race=short") => mode = Self::Sanitized(Sanitizer::Thread, Scope::Short),
                Some("--race=tests") => mode = Self::Sanitized(Sanitizer::Thread, Scope::Tests),
                Some("--asan") => mode = Self::Sanitized(Sanitizer::Address, Scope::All),
                Some("--asan=short") => mode = Self::Sanitized(Sanitizer::Address, Scope::Short),
                Some("--asan=tests") => mode = Self::Sanitized(Sanitizer::Address, Scope::Tests),
                Some("--builds") => mode = Self::Builds,
                _ => rest.push(arg.clone()),
            }
        }
        (mode, rest)
    }
}

/// Whether `args` choose lanes or say what else to do, so that nothing is to be chosen for them.
fn chooses(args: &[OsString]) -> bool {
    let is_choice = |arg: &OsString| arg == "--lane" || arg.to_string_lossy().starts_with("--lane=");
    !compares(args) || args.iter().any(is_choice)
}

/// Whether `args` ask for lanes to be compared, and not for a list, help, or one of the lanes' own commands.
fn compares(args: &[OsString]) -> bool {
    let is_other = |arg: &OsString| ["--list", "--help", "-h"].iter().any(|word| arg == word);
    args.first().is_none_or(|arg| arg.to_string_lossy().starts_with('-')) && !args.iter().any(is_other)
}

/// `args`, with `--iterations` if they do not say it and it makes sense to them.
fn with_iterations(args: &[OsString], iterations: &str) -> Vec<OsString> {
    let is_given = args.iter().any(|arg| arg.to_string_lossy().starts_with("--iterations"));
    let repeats = args.iter().any(|arg| arg.to_string_lossy().starts_with("--variation"));
    let mut args = args.to_vec();
    if compares(&args) && !is_given && !repeats {
        args.extend(["--iterations", iterations].map(|word| OsStr::new(word).to_owned()));
    }
    args
}

/// What `--help` of the lanes cannot know.
const OURS: &str = "\
cargo xtask determinism builds the lanes and runs them. Words of its own:
  --race, --race=short    under ThreadSanitizer, on nightly with rust-src: all lanes, or those with threads
  --asan, --asan=short    under AddressSanitizer, on nightly
  --race=tests, --asan=tests
                          the tests of uring-rt alone, which a whole run does last
  --builds                debug, release, two other settings and aarch64 in an emulator, against one lock file
  bisect --good REV --lane NAME
                          the commit at which a transcript changed";

const PACKAGE: &str = "samestep-lanes";
/// What the lanes print as the command that repeats a run.
const COMMAND_KEY: &str = "SAMESTEP_COMMAND";

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{Mode, Sanitizer, Scope, chooses, with_iterations};

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[track_caller]
    fn check(line: &str, mode: Mode, rest: &str) {
        assert_eq!(Mode::split(&words(line)), (mode, words(rest)), "{line}");
    }

    #[test]
    fn modes_are_ours_and_the_rest_is_the_lanes() {
        check("--lane a/b --bless", Mode::Default, "--lane a/b --bless");
        check("--race", Mode::Sanitized(Sanitizer::Thread, Scope::All), "");
        check("--race=short --jobs 1", Mode::Sanitized(Sanitizer::Thread, Scope::Short), "--jobs 1");
        check("--lane a/b --asan", Mode::Sanitized(Sanitizer::Address, Scope::All), "--lane a/b");
        check("--race=tests", Mode::Sanitized(Sanitizer::Thread, Scope::Tests), "");
        check("--asan=short", Mode::Sanitized(Sanitizer::Address, Scope::Short), "");
        check("--builds --iterations 4", Mode::Builds, "--iterations 4");
        // An unknown form is the lanes' to refuse.
        check("--race=long", Mode::Default, "--race=long");
    }

    #[test]
    fn who_chooses_is_left_alone() {
        for line in ["--lane a/b", "--jobs 1 --lane=a/b", "show a/b", "--list", "--help", "merge x.json"] {
            assert!(chooses(&words(line)), "{line}");
        }
        for line in ["", "--bless", "--jobs 1", "--report report.html"] {
            assert!(!chooses(&words(line)), "{line}");
        }
    }

    #[test]
    fn iterations_are_set_unless_they_are_given() {
        assert_eq!(with_iterations(&words("--jobs=1"), "4"), words("--jobs=1 --iterations 4"));
        for line in
            ["--iterations 9", "--iterations=9", "--lane a/b --variation 3", "--list", "show a/b", "--help"]
        {
            assert_eq!(with_iterations(&words(line), "4"), words(line));
        }
    }
}
