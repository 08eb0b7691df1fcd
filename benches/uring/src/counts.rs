//! What is counted, not timed: instructions in user space by valgrind's callgrind, and system calls by strace.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// Instructions of `command`, its other threads included.
pub(crate) fn instructions(command: &Command) -> Result<f64> {
    let out = std::env::temp_dir().join(format!("callgrind.{}", std::process::id()));
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", out.display()));
    run(valgrind, command)?;
    let profile = fs::read_to_string(&out)?;
    fs::remove_file(&out)?;
    let totals = profile.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(totals.ok_or("callgrind wrote no totals")?.trim().parse()?)
}

/// System calls of `command`, its other threads included.
pub(crate) fn system_calls(command: &Command) -> Result<f64> {
    let out = std::env::temp_dir().join(format!("strace.{}", std::process::id()));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-q", "-o"]).arg(&out);
    run(strace, command)?;
    let table = fs::read_to_string(&out)?;
    fs::remove_file(&out)?;
    calls_of(&table).ok_or_else(|| "strace wrote no total".into())
}

/// The column of calls in the last line: share, seconds, microseconds a call, calls, and errors if there were any.
fn calls_of(table: &str) -> Option<f64> {
    let total = table.lines().find(|line| line.trim_end().ends_with(" total"))?;
    total.split_whitespace().nth(3)?.parse().ok()
}

fn run(mut tool: Command, command: &Command) -> Result<()> {
    tool.arg(command.get_program()).args(command.get_args());
    let name = tool.get_program().to_string_lossy().into_owned();
    let mut child = tool.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let started = Instant::now();
    while child.try_wait()?.is_none() {
        if started.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Err(format!("{name}: no end in {} s", PATIENCE.as_secs()).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(format!("{name}: {last}").into())
}

/// Longer than any that ends. valgrind runs one thread at a time and does not know that one which waits for a ring lets
/// others run, so that two that wait for each other never end.
const PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::calls_of;

    #[test]
    fn calls_are_the_fourth_figure_of_the_total() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                     100.00    0.000012           0        34           io_uring_enter\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                     100.00    0.000012           0        36         2 total\n";
        assert_eq!(calls_of(table), Some(36.0));
    }
}
