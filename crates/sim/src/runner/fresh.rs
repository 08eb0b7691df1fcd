//! Runs of a seed in a process of its own, which has none of what earlier runs left behind.
//!
//! The process is the test's own binary, which the test harness is told to run this one test of. It comes to the same
//! check, finds by a variable of the environment that it is asked for one run, writes what it saw of it to a file, and
//! ends. Checks that the test makes before that one are passed over there.

#![expect(
    clippy::disallowed_methods,
    reason = "starts a process, hands it a file by a variable, and waits for it; nothing of it enters a run"
)]

use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::determinism::Witness;
use crate::runner::environment::TestName;
use crate::runner::replay::Replay;
use crate::runner::scenario::{Request, Scenario};
use crate::trace::Keep;

/// What the check that is about to be made on this thread is to do.
#[derive(Debug)]
pub(crate) enum Part {
    /// Its work; and here is where a run can be made in a process of its own, if the test can be run by its name.
    Own(Option<Fresh>),
    /// Nothing: this is such a process, and another check is meant.
    None,
}

/// Counts a check of the test that runs on this thread. In a process that was started for it, makes the run that is asked
/// for and ends the process.
pub(crate) fn take_part(test: &TestName, scenario: &dyn Scenario) -> Part {
    let number = CHECKS.replace(CHECKS.get() + 1);
    let Ok(asked) = std::env::var(VARIABLE) else {
        return Part::Own(test.test.clone().map(|test| Fresh { test, number }));
    };
    let asked: Asked = match serde_json::from_str(&asked) {
        Ok(asked) => asked,
        Err(error) => {
            panic!("{VARIABLE} is for processes that a check starts, and not to be set by hand: {error}")
        }
    };
    if asked.check != number {
        return Part::None;
    }
    asked.answer(scenario);
    process::exit(0)
}

/// A check of a test, which can be run in a process of its own.
#[derive(Clone, Debug)]
pub(crate) struct Fresh {
    /// The test's name, as the harness has it.
    test: String,
    /// How many checks it made before.
    number: u32,
}

/// Why there is no run from a process of its own. The check goes on without, and says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FreshError {
    /// The process could not be started, or its file not be made.
    #[error("no run was made in a process of its own: it could not be started")]
    Start(#[source] io::Error),
    /// It did not come to the check.
    #[error(
        "no run was made in a process of its own: the test {test:?}, run alone, did not come to its check \
         number {number} and ended with {status}; if it cannot be run alone, use Check::without_process"
    )]
    Silent { test: String, number: u32, status: ExitStatus },
    /// It took too long, and was ended.
    #[error("no run was made in a process of its own: it took more than {limit:?}")]
    Late { limit: Duration },
    /// What it wrote cannot be read.
    #[error("no run was made in a process of its own: what it wrote is no such run")]
    Read(#[source] io::Error),
}

/// What a process is asked for.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    check: u32,
    run: String,
    keeps_tape: bool,
    keep: Keep,
    file: PathBuf,
}

impl Fresh {
    /// Makes the run in a process of its own.
    pub(crate) fn run(&self, request: &Request, keep: Keep) -> Result<Witness, FreshError> {
        let run = Replay { seed: request.seed, config: None, tape: request.tape.clone() };
        let file = Scratch::new().map_err(FreshError::Start)?;
        let asked = Asked {
            check: self.number,
            run: run.to_string(),
            keeps_tape: request.keeps_tape,
            keep,
            file: file.0.clone(),
        };
        let asked = serde_json::to_string(&asked).map_err(|error| FreshError::Start(error.into()))?;
        let child = Command::new(std::env::current_exe().map_err(FreshError::Start)?)
            .args(["--exact", &self.test])
            .env(VARIABLE, asked)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(FreshError::Start)?;
        let status = end_of(child)?;
        file.read()?.ok_or_else(|| {
            let Self { test, number } = self.clone();
            FreshError::Silent { test, number, status }
        })
    }
}

impl Asked {
    fn answer(&self, scenario: &dyn Scenario) {
        let Self { run, keeps_tape, keep, file, .. } = self;
        let replay: Replay = run.parse().unwrap_or_else(|error| panic!("{run:?}: {error}"));
        let request = Request {
            tape: replay.tape,
            keeps_tape: *keeps_tape,
            keep: keep.clone(),
            ..Request::of_seed(replay.seed)
        };
        let witness = scenario.run(&request).witness();
        let text = serde_json::to_vec(&witness).unwrap_or_else(|error| panic!("a run is JSON: {error}"));
        fs::write(file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

/// Waits for the end of a process, but not for ever.
fn end_of(mut child: Child) -> Result<ExitStatus, FreshError> {
    let mut waited = Duration::ZERO;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().map_err(FreshError::Start)? {
            return Ok(status);
        }
        if waited >= PROCESS_LIMIT {
            // One that ended meanwhile cannot be killed, which is as good.
            let _ended = child.kill();
            let _status = child.wait();
            return Err(FreshError::Late { limit: PROCESS_LIMIT });
        }
        thread::sleep(pause);
        waited += pause;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// A file of a name that no other has, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> io::Result<Self> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("samestep-sim-{}-{number}.json", process::id()));
        OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Self(path))
    }

    /// What was written there; none if nothing was.
    fn read(&self) -> Result<Option<Witness>, FreshError> {
        let mut bytes = Vec::new();
        let file = fs::File::open(self.path()).map_err(FreshError::Read)?;
        file.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).map_err(FreshError::Read)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(&bytes).map(Some).map_err(|error| FreshError::Read(error.into()))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Who cleans the folder for temporary files may have been faster.
        let _gone = fs::remove_file(&self.0);
    }
}

thread_local! {
    /// How many checks were made on this thread, which is the test's.
    static CHECKS: Cell<u32> = const { Cell::new(0) };
}

const VARIABLE: &str = "SIM_FRESH_RUN";
const PROCESS_LIMIT: Duration = Duration::from_secs(120);
const ANSWER_BYTES_MAX: u64 = 1 << 30;
