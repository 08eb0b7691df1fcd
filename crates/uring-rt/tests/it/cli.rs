//! The command, as a process.

use std::process::Command;

#[test]
fn info_tells_the_driver_and_each_choice() {
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_samestep-uring")).args(arguments).output().unwrap()
    };
    let output = run(&["info", "--driver", "threads"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.starts_with("driver    threads\nkernel    "), "{said}");
    let output = run(&["info"]);
    if output.status.success() {
        let said = String::from_utf8(output.stdout).unwrap();
        for line in ["driver    io_uring", "deferred task run       yes", "buffer ring             yes"] {
            assert!(said.contains(line), "{said}");
        }
    } else {
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("ask for the threads driver"), "{said}");
    }
    assert_eq!(run(&["unheard-of"]).status.code(), Some(2));
    assert_eq!(run(&["soak", "--for", "1d"]).status.code(), Some(2));
}

/// A short soak on each driver ends flat, and removes its folder.
#[test]
fn a_soak_ends_flat() {
    for driver in ["threads", "ring-or-threads"] {
        let root = tempfile::tempdir().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_samestep-uring"))
            .args(["soak", "--for", "3s", "--driver", driver, "--folder"])
            .arg(root.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.ends_with("flat\n"), "{said}{:?}", output.stderr);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
