//! One source in all worlds, as its users see it.

use std::process::Command;

/// Simulated, on tokio and on uring-rt, the client processes the same bytes: those of the script, which is worked out
/// here from what `--transcript 1` says of it, and not taken from the program.
#[test]
fn one_script_gives_one_transcript_in_all_worlds() {
    let scratch = tempfile::tempdir().expect("there is a temporary folder");
    let output = Command::new(env!("CARGO_BIN_EXE_replicated-outbox"))
        .args(["--transcript", "1", "--dir"])
        .arg(scratch.path())
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("v2|")).collect();
    assert!(text.contains(&format!("{} events, 2 leaders", lines.len())), "{text}");
    let mut epoch_before = 1;
    for (seq, line) in (1..).zip(&lines) {
        let epoch: u64 =
            line.split('|').nth(3).and_then(|field| field.parse().ok()).expect("it has an epoch");
        assert!(epoch == epoch_before || epoch == epoch_before + 1, "{text}");
        epoch_before = epoch;
        assert_eq!(*line, format!("v2|{FINGERPRINT}|1|{epoch}|{seq}|DATA|delta=order {seq}"), "{text}");
    }
    assert_eq!(epoch_before, 3, "{text}");
    let digests: Vec<&str> = text.lines().filter(|line| line.contains("duplicates dropped")).collect();
    assert_eq!(digests.len(), 6, "{text}");
    assert!(digests.iter().all(|line| line[..16] == digests[0][..16]), "{text}");
    assert!(digests[4].contains("three processes on tokio"), "{text}");
    assert!(digests[5].contains("three processes on uring"), "{text}");
}

/// Of `WATCH orders`, as docs/transcript-format.md says it, by another implementation of XXH64.
const FINGERPRINT: u64 = 8_455_000_725_201_100_926;
