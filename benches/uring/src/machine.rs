//! Where it was measured, and what a process may have of it.

use std::fs;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Prints what a reader must know to compare.
pub(crate) fn print() {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    println!("CPU:      {}, {} cores", cpu.map_or("unknown", |(_, name)| name), cores());
    println!("Kernel:   {}", output("uname", &["-sr"]));
    println!("Compiler: {}", output("rustc", &["--version"]));
    let is_clean = output("git", &["status", "--porcelain", "--", "../../crates"]).is_empty();
    let commit = output("git", &["rev-parse", "--short=12", "HEAD"]);
    println!("Commit:   {commit}{}", if is_clean { "" } else { ", with changes" });
    println!("Load:     {}", fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Keeps this thread, and those that it makes, on one processor; on the last one if there are not so many.
pub(crate) fn pin(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor.min(cores_of_machine() - 1));
    let _best_effort = sched_setaffinity(None, &set);
}

/// Bytes of this process that are in memory now.
pub(crate) fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    pages * rustix::param::page_size() as u64
}

/// As many descriptors as may be had, for a thousand connections.
pub(crate) fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let _best_effort = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Whether io_uring can be had, or why not.
pub(crate) fn ring() -> Result<(), String> {
    match io_uring::IoUring::new(2) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("io_uring cannot be had here: {error}")),
    }
}

/// Whether a program can be started.
pub(crate) fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Not only those that this thread may use.
fn cores_of_machine() -> usize {
    let cores = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    cores.lines().filter(|line| line.starts_with("processor")).count().max(1)
}

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
