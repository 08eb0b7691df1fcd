//! Where it was measured, and what the process used. What a system does not tell is left out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What a reader must know to compare.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) file_system: String,
    pub(crate) compiler: String,
    pub(crate) commit: String,
}

impl Machine {
    /// Looks around; `dir` is where the logs go.
    pub(crate) fn look(dir: &Path) -> Self {
        Self {
            cpu: cpu().unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: output("uname", &["-sr"]).unwrap_or_else(unknown),
            file_system: file_system(dir).unwrap_or_else(unknown),
            compiler: output("rustc", &["--version"]).unwrap_or_else(unknown),
            commit: commit().unwrap_or_else(unknown),
        }
    }
}

/// CPU time of this process, all its threads, user and system.
pub(crate) fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// A field of this process's memory statistics, in KiB.
pub(crate) fn memory_kib(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Waits until the file system of `dir` has nothing left to write, so that no run pays for the one before.
pub(crate) fn settle(dir: &Path) {
    #[cfg(target_os = "linux")]
    if let Ok(dir) = fs::File::open(dir) {
        let _best_effort = rustix::fs::syncfs(&dir);
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = dir;
        rustix::fs::sync();
    }
}

/// Bytes that all files in `dir` and below take on disk, holes not counted.
pub(crate) fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    });
    bytes.sum()
}

fn cpu() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Type of the file system that `dir` is on: the mount with the longest path above it.
fn file_system(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mut best: Option<(PathBuf, String)> = None;
    for line in mounts.lines() {
        let mut words = line.split_whitespace().skip(1);
        let (Some(point), Some(kind)) = (words.next(), words.next()) else { continue };
        let is_better = best.as_ref().is_none_or(|(best, _)| Path::new(point).starts_with(best));
        if dir.starts_with(point) && is_better {
            best = Some((point.into(), kind.to_owned()));
        }
    }
    best.map(|(_, kind)| kind)
}

fn commit() -> Option<String> {
    let commit = output("git", &["rev-parse", "--short=12", "HEAD"])?;
    let is_clean = output("git", &["status", "--porcelain", "--", "../crates"])?.is_empty();
    Some(if is_clean { commit } else { format!("{commit}, with changes") })
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let here = env!("CARGO_MANIFEST_DIR");
    let output = Command::new(program).args(args).current_dir(here).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn unknown() -> String {
    "unknown".to_owned()
}
