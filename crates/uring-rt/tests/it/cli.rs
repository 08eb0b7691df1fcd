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
}
