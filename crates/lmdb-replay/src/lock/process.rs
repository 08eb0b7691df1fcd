//! When a process started, where the system tells.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whether process `pid` started after `time`, or `None` if that cannot be told.
///
/// Who wrote its id into a file was there before the file was. Told from `/proc`: field 22 of `/proc/PID/stat` is the
/// start in ticks since the system booted, and `btime` in `/proc/stat` when that was.
pub(super) fn started_after(pid: u32, time: SystemTime) -> Option<bool> {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program is in brackets and can hold anything, also brackets.
    let ticks: u64 = status.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let system = fs::read_to_string("/proc/stat").ok()?;
    let booted: u64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let started = booted.checked_add(ticks / rustix::param::clock_ticks_per_second())?;
    let written = time.duration_since(UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(started) > written + SLACK)
}

/// Both clocks are cut to seconds, and the time of the boot moves when the clock is set.
const SLACK: Duration = Duration::from_secs(60);
