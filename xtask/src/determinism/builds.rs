//! The lanes built in several ways, all against one lock file: what a compiler may choose must not be seen.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::determinism::{COMMAND_KEY, PACKAGE, with_iterations};
use crate::workspace::{cargo, exit_code, root, status};

/// One way to build the lanes.
struct Build {
    name: &'static str,
    /// Below `target`; builds that share settings with nothing else have a folder of their own.
    folder: &'static str,
    profile: Profile,
    environment: &'static [(&'static str, &'static str)],
    /// Another architecture, if it is not this one.
    emulated: Option<Emulated>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Profile {
    Dev,
    Release,
}

/// A machine that is not here.
struct Emulated {
    target: &'static str,
    /// Translates the program while it runs.
    emulator: &'static str,
    linker: &'static str,
    /// Where the C library of that machine stands.
    sysroot: &'static str,
    packages: &'static str,
}

/// Runs the lanes of every build with `args`; fails if those of one fail, when all have run.
pub(super) fn run_builds(args: &[OsString]) -> Result<ExitCode, Box<dyn Error>> {
    let args = with_iterations(args, ITERATIONS);
    let (mut failed, mut skipped) = (Vec::new(), Vec::new());
    for build in BUILDS {
        println!("== {}", build.name);
        if let Some(missing) = build.emulated.as_ref().and_then(Emulated::missing) {
            println!("skipped: {missing}");
            skipped.push(build.name);
        } else if build.run(&args)? != ExitCode::SUCCESS {
            failed.push(build.name);
        }
    }
    let held = BUILDS.len() - failed.len() - skipped.len();
    println!("builds: {held} held, {} failed, {} skipped", failed.len(), skipped.len());
    for name in &failed {
        println!("failed: {name}");
    }
    if !skipped.is_empty() && is_all_required() {
        println!("SAMESTEP_REQUIRE=all, and these were skipped: {}", skipped.join(", "));
        return Ok(ExitCode::FAILURE);
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Build {
    fn run(&self, args: &[OsString]) -> Result<ExitCode, Box<dyn Error>> {
        let program = match self.build()? {
            Ok(program) => program,
            Err(code) => return Ok(code),
        };
        let said = "cargo xtask determinism --builds";
        let Some(emulated) = &self.emulated else {
            return Ok(exit_code(status(Command::new(program).args(args).env(COMMAND_KEY, said))?));
        };
        // The lanes of this machine start workers of the other.
        let native = root().join("target/release").join(PACKAGE);
        let worker = format!("{} -L {} {}", emulated.emulator, emulated.sysroot, program.display());
        let mut command = Command::new(&native);
        command.args(args).args(["--timeout", "600", "--worker", &worker]);
        Ok(exit_code(status(command.env(COMMAND_KEY, said))?))
    }

    /// Builds the lanes; the program, or the exit code of a build that failed.
    fn build(&self) -> Result<Result<PathBuf, ExitCode>, Box<dyn Error>> {
        let folder = root().join("target").join(self.folder);
        let mut command = cargo();
        command.args(["build", "--quiet", "--package", PACKAGE]).arg("--target-dir").arg(&folder);
        command.envs(self.environment.iter().copied());
        if self.profile == Profile::Release {
            command.arg("--release");
        }
        let mut below = PathBuf::new();
        if let Some(Emulated { target, linker, .. }) = &self.emulated {
            let key = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
            command.args(["--target", target]).env(key, linker);
            below.push(target);
        }
        below.push(if self.profile == Profile::Dev { "debug" } else { "release" });
        let built = status(&mut command)?;
        let program = folder.join(below).join(PACKAGE);
        Ok(if built.success() { Ok(program) } else { Err(exit_code(built)) })
    }
}

impl Emulated {
    /// What is not installed, and how it would be.
    fn missing(&self) -> Option<String> {
        let Self { target, emulator, linker, sysroot, packages, .. } = self;
        let is_there = in_path(emulator) && in_path(linker) && Path::new(sysroot).is_dir();
        if !is_there {
            return Some(format!("{emulator}, {linker} or {sysroot} is missing: apt-get install {packages}"));
        }
        let output =
            Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output().ok()?;
        let libraries = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let has_std = fs::read_dir(libraries).is_ok_and(|mut entries| entries.next().is_some());
        (!has_std).then(|| format!("no standard library for {target}: rustup target add {target}"))
    }
}

#[expect(clippy::disallowed_methods, reason = "which programs there are depends on the machine")]
fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsStr::new("").to_owned());
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[expect(clippy::disallowed_methods, reason = "a switch of CI's")]
fn is_all_required() -> bool {
    std::env::var("SAMESTEP_REQUIRE").is_ok_and(|value| value == "all")
}

const BUILDS: &[Build] = &[
    Build { name: "release", folder: "", profile: Profile::Release, environment: &[], emulated: None },
    Build { name: "debug", folder: "", profile: Profile::Dev, environment: &[], emulated: None },
    Build {
        name: "small: one unit, optimised across crates for size",
        folder: "builds/small",
        profile: Profile::Release,
        environment: &[
            ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s"),
            ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
            ("CARGO_PROFILE_RELEASE_LTO", "thin"),
        ],
        emulated: None,
    },
    Build {
        name: "native: for all that this CPU can do",
        folder: "builds/native",
        profile: Profile::Release,
        environment: &[("RUSTFLAGS", "-Ctarget-cpu=native"), ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "32")],
        emulated: None,
    },
    Build {
        name: "aarch64, emulated",
        folder: "builds/aarch64",
        profile: Profile::Release,
        environment: &[],
        emulated: Some(Emulated {
            target: "aarch64-unknown-linux-gnu",
            emulator: "qemu-aarch64",
            linker: "aarch64-linux-gnu-gcc",
            sysroot: "/usr/aarch64-linux-gnu",
            packages: "qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
        }),
    },
];

/// Few: what differs here is the build, and it differs once.
const ITERATIONS: &str = "4";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{BUILDS, Emulated, Profile};

    const EMULATED: Emulated = Emulated {
        target: "x86_64-unknown-none",
        emulator: "sh",
        linker: "sh",
        sysroot: "/",
        packages: "one two",
    };

    #[test]
    fn what_is_not_installed_is_named_with_the_way_to_get_it() {
        let missing = |emulated: Emulated| emulated.missing().unwrap_or_default();
        let no_emulator = missing(Emulated { emulator: "no-such-emulator", ..EMULATED });
        assert_eq!(no_emulator, "no-such-emulator, sh or / is missing: apt-get install one two");
        let no_sysroot = missing(Emulated { sysroot: "/no/such/folder", ..EMULATED });
        assert!(no_sysroot.starts_with("sh, sh or /no/such/folder is missing"), "{no_sysroot}");
        let no_std = missing(Emulated { target: "wasm32-unknown-none-such", ..EMULATED });
        assert!(
            no_std.starts_with("no standard library for wasm32-unknown-none-such: rustup target add"),
            "{no_std}"
        );
    }

    /// Two builds in one folder would be one build if they differed in settings only.
    #[test]
    fn builds_with_settings_have_folders_of_their_own() {
        let place = |build: &super::Build| (Path::new(build.folder), build.profile == Profile::Dev);
        for (at, build) in BUILDS.iter().enumerate() {
            assert!(BUILDS[..at].iter().all(|other| place(other) != place(build)), "{}", build.name);
            assert!(build.environment.is_empty() || !build.folder.is_empty(), "{}", build.name);
        }
    }
}
