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
        for line in ["\nnode ", "\n    core: cpu ", "\nusable    cpus ", "\nspread    on cpus "] {
            assert!(said.contains(line), "{said}");
        }
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

fn run_in(folder: &std::path::Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_samestep-uring"))
        .args(arguments)
        .arg("--folder")
        .arg(folder)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// What `tune` writes is what the runtime reads, and `latency` measures by it; both leave nothing behind.
#[test]
fn a_device_is_tuned_and_then_scheduled() {
    let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let properties = elsewhere.path().join("properties");
    let out = properties.to_str().unwrap();
    let tune = ["tune", "--for", "1s", "--size-mib", "8", "--driver", "ring-or-threads", "--out", out];
    let (code, said, told) = run_in(root.path(), &tune);
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    if code != Some(0) && told.contains("no direct I/O") {
        return println!("skipped: {told}");
    }
    assert_eq!((code, said.as_str()), (Some(0), ""), "{told}");
    assert!(told.starts_with("writes a file of 8.0 MiB in "), "{told}");
    let known = samestep_uring_rt::IoProperties::read(&properties).unwrap();
    let text = known.to_string();
    assert!(text.starts_with(&format!("[{}]\n", root.path().display())), "{text}");
    // Any disk does more than one in a second, and none a thousand million.
    for line in text.lines().filter(|line| line.contains("s_per_s")) {
        let number: u64 = line.split_once(" = ").unwrap().1.parse().unwrap();
        assert!((2..1_000_000_000_000).contains(&number), "{text}");
    }
    let latency = ["latency", "--for", "1s", "--rounds", "1", "--size-mib", "8", "--properties", out];
    let (code, said, told) = run_in(root.path(), &latency);
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    if code == Some(0) {
        for line in ["alone ", "beside a bulk load ", "beside one in turns ", "meanwhile "] {
            assert!(said.lines().any(|told| told.starts_with(line)), "{said}");
        }
    } else {
        assert!(told.contains("ask for the threads driver"), "{told}");
    }
}

/// A disk that has no room for the file, a folder that is not there, and properties of another device.
#[test]
fn what_cannot_be_measured_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let (code, said, told) = run_in(root.path(), &["tune", "--size-mib", "1000000000000"]);
    assert_eq!((code, said.as_str()), (Some(1), ""));
    assert!(told.contains("more than half of the") && told.contains("ask for less by --size-mib"), "{told}");
    let nowhere = root.path().join("nowhere");
    let (code, _, told) = run_in(&nowhere, &["tune"]);
    assert!(code == Some(1) && told.contains("nowhere: No such file or directory"), "{told}");
    let properties = root.path().join("properties");
    std::fs::write(&properties, "[0:0]\nreads_per_s = 1\n").unwrap();
    let properties = properties.to_str().unwrap();
    let (code, _, told) = run_in(root.path(), &["latency", "--properties", properties]);
    assert!(code == Some(1) && told.contains("section [0:0] does not tell read_bytes_per_s"), "{told}");
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1, "only the properties are there");
}

/// In each mode of the ring a few events are seen.
#[test]
fn preempt_measures_each_mode() {
    let root = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_samestep-uring"))
        .args(["preempt", "--events", "5"])
        .current_dir(root.path())
        .output()
        .unwrap();
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        assert!(told.contains("ask for the threads driver"), "{told}");
        return;
    }
    for mode in ["deferred", "cooperative"] {
        assert!(said.contains(&format!("an event on the latency ring, {mode} task run\n")), "{said}");
    }
}
