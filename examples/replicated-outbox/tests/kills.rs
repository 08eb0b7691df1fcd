//! The program as its users run it.

use std::process::Command;

#[test]
fn three_leaders_are_killed_on_tokio() {
    check("tokio");
}

/// Where io_uring is blocked, the same on threads.
#[test]
#[cfg(target_os = "linux")]
fn three_leaders_are_killed_on_uring() {
    check("uring");
}

#[test]
#[cfg(target_os = "linux")]
fn three_leaders_are_killed_on_the_threads_of_uring_rt() {
    check("uring-threads");
}

/// Three leaders are killed, and the program says that nothing was lost or doubled.
fn check(runtime: &str) {
    let scratch = tempfile::tempdir().expect("there is a temporary folder");
    let output = Command::new(env!("CARGO_BIN_EXE_replicated-outbox"))
        .args(["--kills", "3", "--runtime", runtime, "--dir"])
        .arg(scratch.path())
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains(&format!("three nodes on {runtime}")) || text.contains("Going on with"), "{text}");
    assert!(text.contains("0 lost, 0 doubled"), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("kill ")).count(), 3, "{text}");
}
