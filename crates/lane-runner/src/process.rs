//! Spawns one worker, waits for it, and reads what it left.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a driver: it times a real process")]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use samestep_replay_traits::Seed;

use crate::tally::{Outcome, RunFailure};
use crate::variation::Variation;
use crate::worker::{OUTPUT_FILE, RunVerdict, SCRATCH_FOLDER, TRANSCRIPT_FILE, VERDICT_FILE};

/// How workers are started.
#[derive(Clone, Debug)]
pub(crate) struct Spawner {
    program: PathBuf,
    /// What the program is told that it is called; also the way to start another one by name.
    name: OsString,
    /// What stands before the words that are for the worker.
    first_args: Vec<String>,
    timeout: Duration,
    print: Print,
}

/// How to start workers that are not this very program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkerCommand {
    program: String,
    args: Vec<String>,
}

impl FromStr for WorkerCommand {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split_whitespace().map(ToOwned::to_owned);
        let program = words.next().ok_or("expected a program and its first arguments")?;
        // Workers start in folders of their own, so a path that is meant from here is made whole.
        let absolute = |word: String| match std::path::absolute(&word) {
            Ok(path) if word.contains('/') && path.exists() => path.display().to_string(),
            _ => word,
        };
        Ok(Self { program: absolute(program), args: words.map(absolute).collect() })
    }
}

/// Where a worker prints to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Print {
    /// Into a file, of which the end is shown if the run fails.
    Kept,
    /// To our standard error, both streams.
    Shown,
}

impl Spawner {
    /// Workers that are this very program.
    pub(crate) fn new(timeout: Duration, print: Print) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let name = program.as_os_str().to_owned();
        // The path may be built anew while we run; this link stays with the file that was started, so that all
        // runs are runs of one program.
        let link = Path::new("/proc/self/exe");
        let program = if link.exists() { link.to_owned() } else { program };
        Ok(Self { program, name, first_args: Vec::new(), timeout, print })
    }

    /// Workers that are another program, given with its first arguments: another build, or an emulator.
    pub(crate) fn with_worker(mut self, worker: &WorkerCommand) -> Self {
        self.program = PathBuf::from(&worker.program);
        self.name = OsString::from(&worker.program);
        self.first_args.clone_from(&worker.args);
        self
    }

    /// Runs a lane once, in a fresh process and a fresh folder.
    pub(crate) fn run(&self, lane: &str, seed: Seed, variation: &Variation) -> io::Result<Outcome> {
        let folder = tempfile::Builder::new().prefix("lane-").tempdir()?;
        // The worker is elsewhere, and `TMPDIR` may be a relative path.
        let path = std::path::absolute(folder.path())?;
        let mut child = self.spawn(lane, seed, variation, &path)?;
        let ended = wait(&mut child, self.timeout)?;
        let outcome = read_outcome(&path, ended, self.timeout)?;
        // What cannot be removed (a lane may take its own permissions away) is no reason to fail.
        drop(folder);
        Ok(outcome)
    }

    fn spawn(&self, lane: &str, seed: Seed, variation: &Variation, folder: &Path) -> io::Result<Child> {
        let working_folder = folder.join("cwd").join(variation.working_folder());
        let temporary_folder = folder.join("tmp");
        fs::create_dir_all(&working_folder)?;
        fs::create_dir(&temporary_folder)?;
        fs::create_dir(folder.join(SCRATCH_FOLDER))?;
        let output = File::create(folder.join(OUTPUT_FILE))?;
        let (stdout, stderr) = match self.print {
            Print::Kept => (Stdio::from(output.try_clone()?), Stdio::from(output)),
            Print::Shown => (Stdio::from(io::stderr()), Stdio::from(io::stderr())),
        };
        Command::new(&self.program)
            .arg0(&self.name)
            .args(&self.first_args)
            .args(["worker", "--lane", lane])
            .args(["--seed", &seed.to_string()])
            .args(["--variation", &variation.number().to_string()])
            .arg("--folder")
            .arg(folder)
            .envs(variation.environment())
            .env("TMPDIR", temporary_folder)
            .current_dir(working_folder)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            // So that a timeout ends what the lane has started, too.
            .process_group(0)
            .spawn()
    }
}

/// How a worker ended.
#[derive(Clone, Copy, Debug)]
enum Ended {
    ByItself(ExitStatus),
    ByTimeout,
}

fn wait(child: &mut Child, timeout: Duration) -> io::Result<Ended> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Ended::ByItself(status));
        }
        let elapsed = started.elapsed();
        if elapsed >= timeout {
            kill_group(child);
            child.wait()?;
            return Ok(Ended::ByTimeout);
        }
        // There is no portable wait with a limit. Asking ever more seldom costs a run at most an eighth more.
        thread::sleep((elapsed / 8).clamp(PAUSE_MIN, PAUSE_MAX));
    }
}

fn kill_group(child: &mut Child) {
    use rustix::process::{Pid, Signal, kill_process_group};

    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // It may be gone already; the wait that follows tells.
    let _ = group.map(|group| kill_process_group(group, Signal::KILL));
    let _ = child.kill();
}

fn read_outcome(folder: &Path, ended: Ended, timeout: Duration) -> io::Result<Outcome> {
    let failed = |what: String| -> io::Result<Outcome> {
        let output_tail = read_tail(&folder.join(OUTPUT_FILE))?;
        Ok(Outcome::Failed(RunFailure { what, output_tail }))
    };
    let status = match ended {
        Ended::ByTimeout => return failed(format!("no end after {} s: killed", timeout.as_secs_f64())),
        Ended::ByItself(status) => status,
    };
    if let Some(signal) = status.signal() {
        return failed(format!("killed by signal {signal}"));
    }
    if !status.success() {
        let code = status.code().unwrap_or_default();
        return failed(format!("exited with {code}{}", if code == PANIC_CODE { " (a panic)" } else { "" }));
    }
    let verdict = fs::read_to_string(folder.join(VERDICT_FILE)).unwrap_or_default();
    match RunVerdict::parse(&verdict) {
        None => failed("left the process before the lane returned".to_owned()),
        Some(RunVerdict::Failed { what }) => failed(format!("the lane failed: {what}")),
        Some(RunVerdict::Skipped { reason }) => Ok(Outcome::Skipped { reason }),
        Some(RunVerdict::Done) => Ok(Outcome::Transcript(fs::read_to_string(folder.join(TRANSCRIPT_FILE))?)),
    }
}

/// The end of a file, in whole lines and as text.
fn read_tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length_bytes = file.metadata()?.len();
    file.seek(SeekFrom::Start(length_bytes.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n"))
}

/// What a Rust program exits with after a panic.
const PANIC_CODE: i32 = 101;

const PAUSE_MIN: Duration = Duration::from_micros(200);
const PAUSE_MAX: Duration = Duration::from_millis(8);
// A panic's message stands above its backtrace, and is what one wants to see.
const TAIL_BYTES: u64 = 16 * 1024;
const TAIL_LINES: usize = 60;
