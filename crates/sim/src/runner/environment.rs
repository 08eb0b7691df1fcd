//! What a user sets around a test: which seeds, how many, what is shown.

#![expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment; nothing of it enters a run"
)]

use std::env::VarError;
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

/// Why the environment's variables cannot be used: what was asked for is not done silently otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum EnvironmentError {
    /// A variable's value is none.
    #[error("{name}={text:?}: {why}")]
    Value { name: &'static str, text: String, why: String },
    /// A variable's value is no text.
    #[error("{name} is not UTF-8")]
    NotText { name: &'static str },
    /// A variable is about one run, and many are asked for.
    #[error("{name} is about one run: set SIM_SEED or SIM_REPLAY as well")]
    NeedsOneRun { name: &'static str },
    /// Two variables name one run each.
    #[error("SIM_SEED and SIM_REPLAY each name a run: unset one of them")]
    TwoRuns,
}

impl Environment {
    /// What is set.
    ///
    /// # Panics
    ///
    /// With [`EnvironmentError`].
    pub(crate) fn read() -> Self {
        Self::parse(|name| std::env::var(name)).unwrap_or_else(|error| panic!("{error}"))
    }

    fn parse(value_of: impl Fn(&str) -> Result<String, VarError>) -> Result<Self, EnvironmentError> {
        let seed = |text: &str| parse_seed(text).ok_or("no number from 0 to 2^64 - 1");
        let count = |text: &str| match parse_seed(text) {
            None => Err("no number"),
            Some(0) => Err("none at all would test nothing: at least 1"),
            Some(count) => Ok(count),
        };
        let jobs = |text: &str| count(text).and_then(|jobs| usize::try_from(jobs).map_err(|_| "too many"));
        let number = |text: &str| parse_seed(text).ok_or("no number");
        let path = |text: &str| if text.is_empty() { Err("no file") } else { Ok(PathBuf::from(text)) };
        let read = Self {
            seed: variable(&value_of, "SIM_SEED", seed)?,
            seeds: variable(&value_of, "SIM_SEEDS", count)?,
            jobs: variable(&value_of, "SIM_JOBS", jobs)?,
            check_every: variable(&value_of, "SIM_CHECK", number)?,
            replay: variable(&value_of, "SIM_REPLAY", str::parse)?,
            until_event: variable(&value_of, "SIM_UNTIL_EVENT", number)?,
            timeline: variable(&value_of, "SIM_TIMELINE", path)?,
        };
        if read.seed.is_some() && read.replay.is_some() {
            return Err(EnvironmentError::TwoRuns);
        }
        for (name, is_set) in
            [("SIM_UNTIL_EVENT", read.until_event.is_some()), ("SIM_TIMELINE", read.timeline.is_some())]
        {
            if is_set && read.one_run().is_none() {
                return Err(EnvironmentError::NeedsOneRun { name });
            }
        }
        Ok(read)
    }

    /// The one run that is asked for, if one is.
    pub(crate) fn one_run(&self) -> Option<Replay> {
        self.replay.clone().or_else(|| self.seed.map(Replay::of_seed))
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

fn variable<T, E: Display>(
    value_of: impl Fn(&str) -> Result<String, VarError>,
    name: &'static str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, EnvironmentError> {
    match value_of(name) {
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(EnvironmentError::NotText { name }),
        Ok(text) => match parse(&text) {
            Ok(value) => Ok(Some(value)),
            Err(why) => Err(EnvironmentError::Value { name, text, why: why.to_string() }),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::env::VarError;
    use std::ffi::OsString;
    use std::path::PathBuf;

    use super::{Environment, EnvironmentError};
    use crate::runner::Replay;

    fn parse(set: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
        Environment::parse(|name| {
            let found = set.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned()).ok_or(VarError::NotPresent)
        })
    }

    #[test]
    fn each_variable_is_read() {
        let read = parse(&[("SIM_SEEDS", "1000"), ("SIM_JOBS", "4"), ("SIM_CHECK", "0")]).unwrap();
        assert_eq!(
            (read.seeds, read.jobs, read.check_every, read.one_run()),
            (Some(1000), Some(4), Some(0), None)
        );
        let read = parse(&[("SIM_SEED", "0xff"), ("SIM_TIMELINE", "a b.json")]).unwrap();
        assert_eq!(
            (read.one_run(), read.timeline),
            (Some(Replay::of_seed(255)), Some(PathBuf::from("a b.json")))
        );
        let read = parse(&[("SIM_REPLAY", "7@1:node.0.1=1"), ("SIM_UNTIL_EVENT", "9")]).unwrap();
        assert_eq!(read.one_run().unwrap().to_string(), "7@0000000000000001:node.0.1=1");
        assert_eq!(read.until_event, Some(9));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let said = |set| parse(set).unwrap_err().to_string();
        assert_eq!(said(&[("SIM_SEED", "x")]), "SIM_SEED=\"x\": no number from 0 to 2^64 - 1");
        assert_eq!(
            said(&[("SIM_SEEDS", "0")]),
            "SIM_SEEDS=\"0\": none at all would test nothing: at least 1"
        );
        assert_eq!(said(&[("SIM_JOBS", "-1")]), "SIM_JOBS=\"-1\": no number");
        assert_eq!(said(&[("SIM_CHECK", "")]), "SIM_CHECK=\"\": no number");
        assert!(said(&[("SIM_REPLAY", "7:node.1=2")]).contains("is no decision of the form"));
        assert_eq!(said(&[("SIM_SEED", "1"), ("SIM_UNTIL_EVENT", "?")]), "SIM_UNTIL_EVENT=\"?\": no number");
        assert_eq!(said(&[("SIM_SEED", "1"), ("SIM_TIMELINE", "")]), "SIM_TIMELINE=\"\": no file");
        assert_eq!(parse(&[("SIM_SEED", "1"), ("SIM_REPLAY", "1")]).unwrap_err(), EnvironmentError::TwoRuns);
        for name in ["SIM_UNTIL_EVENT", "SIM_TIMELINE"] {
            assert_eq!(parse(&[(name, "1")]).unwrap_err(), EnvironmentError::NeedsOneRun { name });
        }
        let not_text = Environment::parse(|_| Err(VarError::NotUnicode(OsString::new())));
        assert_eq!(not_text.unwrap_err(), EnvironmentError::NotText { name: "SIM_SEED" });
    }
}
