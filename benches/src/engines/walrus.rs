//! walrus-rust: a topic per writer.
//!
//! Its folder and its verbosity come from the environment, which `run` sets for its processes.

use std::path::Path;
use std::time::{Duration, Instant};

use walrus_rust::{FsyncSchedule, ReadConsistency, Walrus};

use crate::Result;
use crate::engines::{Opened, Setup, Subject, Writer};
use crate::payload::Checker;
use crate::rows::Durability;

/// What must be in the environment for a log in `dir`.
pub(crate) fn environment(dir: &Path) -> [(&'static str, String); 2] {
    [("WALRUS_DATA_DIR", dir.display().to_string()), ("WALRUS_QUIET", "1".to_owned())]
}

pub(super) fn open(dir: &Path, setup: &Setup) -> Result<Opened> {
    let log = open_walrus(dir, setup)?;
    Ok(Opened { subject: Box::new(Topics(log)), records: None })
}

pub(super) fn replay(dir: &Path, setup: &Setup, mut checker: Checker) -> Result<(Checker, Duration)> {
    let started = Instant::now();
    let log = open_walrus(dir, setup)?;
    let opened = started.elapsed();
    for writer in 0..setup.writers {
        let topic = topic_of(writer);
        // The position moves in memory only; a second reader starts at the front again.
        loop {
            let entries = log.batch_read_for_topic(&topic, READ_BYTES, true)?;
            if entries.is_empty() {
                break;
            }
            for entry in &entries {
                checker.take(&entry.data)?;
            }
        }
    }
    Ok((checker, opened))
}

fn open_walrus(dir: &Path, setup: &Setup) -> Result<Walrus> {
    let expected = environment(dir);
    if expected.iter().any(|(name, value)| std::env::var(name).ok().as_ref() != Some(value)) {
        let wanted: Vec<String> = expected.iter().map(|(name, value)| format!("{name}={value}")).collect();
        return Err(format!("walrus takes its folder from the environment: set {}", wanted.join(" ")).into());
    }
    let schedule = match setup.durability {
        Durability::Synced => FsyncSchedule::SyncEach,
        Durability::Unsynced => FsyncSchedule::NoFsync,
    };
    let consistency = ReadConsistency::AtLeastOnce { persist_every: u32::MAX };
    Ok(Walrus::with_consistency_and_schedule(consistency, schedule)?)
}

fn topic_of(writer: usize) -> String {
    format!("writer-{writer}")
}

struct Topics(Walrus);

impl Subject for Topics {
    fn writers(&mut self, count: usize) -> Vec<Box<dyn Writer + Send + '_>> {
        let new = |writer| TopicWriter { log: &self.0, topic: topic_of(writer) };
        (0..count).map(|writer| Box::new(new(writer)) as Box<dyn Writer + Send>).collect()
    }

    fn close(self: Box<Self>) -> Result<()> {
        // There is nothing to call: dropping it is how it is closed.
        drop(self.0);
        Ok(())
    }
}

struct TopicWriter<'a> {
    log: &'a Walrus,
    topic: String,
}

impl Writer for TopicWriter<'_> {
    fn append(&mut self, payload: &[u8]) -> Result<()> {
        // An `Ok` says little: it does not look at what its writes return. Reading back does.
        Ok(self.log.append_for_topic(&self.topic, payload)?)
    }
}

/// Bytes asked for at a time.
const READ_BYTES: usize = 1 << 20;
