//! The program as its users run it.

use std::process::Command;

/// Three leaders are killed, and the program says that nothing was lost or doubled.
#[test]
fn three_leaders_are_killed() {
    let scratch = tempfile::tempdir().expect("there is a temporary folder");
    let output = Command::new(env!("CARGO_BIN_EXE_replicated-outbox"))
        .args(["--kills", "3", "--dir"])
        .arg(scratch.path())
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("0 lost, 0 doubled"), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("kill ")).count(), 3, "{text}");
}
