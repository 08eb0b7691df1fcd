//! What a user sets around a test: which seeds, how many, what is shown.

#![expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment; nothing of it enters a run"
)]

use std::fmt::Display;
use std::path::PathBuf;
use std::thread;

use crate::runner::replay::{Replay, parse_seed};

/// The environment variables of a campaign. Those that are not set are none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// `SIM_SEED`: this seed alone.
    pub(crate) seed: Option<u64>,
    /// `SIM_SEEDS`: so many seeds.
    pub(crate) seeds: Option<u64>,
    /// `SIM_JOBS`: on so many threads.
    pub(crate) jobs: Option<usize>,
    /// `SIM_CHECK`: one in so many seeds is run twice and compared; 0 is none.
    pub(crate) check_every: Option<u64>,
    /// `SIM_REPLAY`: this run alone.
    pub(crate) replay: Option<Replay>,
    /// `SIM_UNTIL_EVENT`: the one run ends after this event, and tells what each task waits for.
    pub(crate) until_event: Option<u64>,
    /// `SIM_TIMELINE`: the one run is written here: a trace for Perfetto if the name ends in `.json`, else a page.
    pub(crate) timeline: Option<PathBuf>,
}

impl Environment {
    /// What is set.
    ///
    /// # Panics
    ///
    /// If a variable cannot be read: what was asked for is not done silently otherwise.
    pub(crate) fn read() -> Self {
        let seed = |text: &str| parse_seed(text).ok_or("no number");
        Self {
            seed: variable("SIM_SEED", seed),
            seeds: variable("SIM_SEEDS", seed),
            jobs: variable("SIM_JOBS", str::parse),
            check_every: variable("SIM_CHECK", str::parse),
            replay: variable("SIM_REPLAY", str::parse),
            until_event: variable("SIM_UNTIL_EVENT", str::parse),
            timeline: variable("SIM_TIMELINE", |text| Ok::<_, String>(PathBuf::from(text))),
        }
    }

    /// Whether one run alone is asked for.
    pub(crate) fn is_one_run(&self) -> bool {
        self.seed.is_some() || self.replay.is_some()
    }
}

/// Where the test runs, for the command that repeats it and for its regression file.
#[derive(Clone, Debug)]
pub(crate) struct TestName {
    /// Its name, as the test harness has it.
    pub(crate) test: Option<String>,
    package: Option<String>,
    manifest_folder: Option<PathBuf>,
}

impl TestName {
    /// The test that runs on this thread.
    pub(crate) fn current() -> Self {
        let name = thread::current().name().map(str::to_owned);
        Self {
            test: name.filter(|name| name != "main"),
            package: std::env::var("CARGO_PKG_NAME").ok(),
            manifest_folder: std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from),
        }
    }

    /// The command that runs this test alone.
    pub(crate) fn command(&self) -> String {
        match (&self.package, &self.test) {
            (Some(package), Some(test)) => format!("cargo test -p {package} -- --exact {test}"),
            _ => "the same command".to_owned(),
        }
    }

    /// Its regression file, beside the package's manifest.
    pub(crate) fn regressions(&self) -> Option<PathBuf> {
        let file = format!("{}.txt", self.test.as_ref()?.replace("::", "-"));
        Some(self.manifest_folder.as_ref()?.join("sim-regressions").join(file))
    }
}

fn variable<T, E: Display>(name: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
    let text = std::env::var(name).ok()?;
    match parse(&text) {
        Ok(value) => Some(value),
        Err(error) => panic!("{name}={text:?}: {error}"),
    }
}
