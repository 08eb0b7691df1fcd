//! Planted bugs that a hundred runs do not show, under the sanitizers of a nightly compiler. Without one they are
//! skipped; CI has them in the job of the sanitizers.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A run of the lane, built with the sanitizer, ends at a finding in the lane's own code.
///
/// One run, without the runner around it. The standard library is not built with the sanitizer here, as it is for
/// `--race`, so what orders threads inside it goes unseen, and more is found than was planted.
#[track_caller]
fn check_found(sanitizer: &str, options: (&str, &str), lane: &str, finding: &str) {
    let Some(fixture) = build(sanitizer) else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(fixture)
        .args(["worker", "--lane", lane, "--seed", "1", "--variation", "0", "--folder"])
        .arg(folder.path())
        .env(options.0, options.1)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let is_it = |line: &str| line.contains(finding) && line.contains("tests/fixture/memory.rs");
    assert!(text.lines().any(is_it), "{text}");
    assert!(!output.status.success(), "{text}");
}

#[test]
fn a_race() {
    let finding = "SUMMARY: ThreadSanitizer: data race";
    check_found("thread", ("TSAN_OPTIONS", "halt_on_error=0"), "planted/race", finding);
}

#[test]
fn a_use_after_free() {
    // The runner leaks on purpose, to stir the heap.
    let options = ("ASAN_OPTIONS", "detect_leaks=0");
    let finding = "SUMMARY: AddressSanitizer: heap-use-after-free";
    check_found("address", options, "planted/use-after-free", finding);
}

/// The fixture built with `sanitizer`, or `None`, and why, where there is no nightly compiler that can.
fn build(sanitizer: &str) -> Option<PathBuf> {
    let Some(host) = nightly_host() else {
        assert!(!is_required(), "SAMESTEP_REQUIRE=all, and there is no nightly compiler");
        eprintln!("skipped: no nightly compiler, so nobody looked whether a sanitizer finds the planted bug");
        return None;
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(sanitizer);
    let flags = format!("-Zsanitizer={sanitizer} -Cunsafe-allow-abi-mismatch=sanitizer");
    let output = nightly(&["cargo", "build", "--quiet", "--example", "lane-runner-fixture"])
        .args(["--target", &host, "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .env("RUSTFLAGS", flags)
        .env("CARGO_TARGET_DIR", &folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(folder.join(host).join("debug/examples/lane-runner-fixture"))
}

/// What the nightly compiler builds for, if there is one and it has sanitizers for that.
fn nightly_host() -> Option<String> {
    let Output { status, stdout, .. } = nightly(&["rustc", "-vV"]).output().ok()?;
    let version = String::from_utf8(stdout).ok().filter(|_| status.success())?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "))?.to_owned();
    host.ends_with("-linux-gnu").then_some(host)
}

/// A program of the nightly toolchain, without what the cargo that runs this test says to its own children.
fn nightly(words: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly"]).args(words);
    for key in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN", "RUSTC_WRAPPER", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(key);
    }
    command
}

/// Whether nothing may be skipped. What has a job of its own is not missed elsewhere.
#[expect(clippy::disallowed_methods, reason = "switches of CI's")]
fn is_required() -> bool {
    let is = |key: &str, value: &str| std::env::var(key).is_ok_and(|found| found == value);
    is("SAMESTEP_REQUIRE", "all") && !is("SAMESTEP_RACE", "elsewhere")
}
