//! samestep-wal.

use std::path::Path;
use std::time::{Duration, Instant};

use samestep_wal::{CommitPolicy, Index, LogId, Options, Wal};

use crate::Result;
use crate::engines::{Opened, Setup, Subject, Writer};
use crate::payload::Checker;
use crate::rows::Durability;

/// How barriers are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grouping {
    /// A barrier starts as soon as the disk is idle.
    Greedy,
    /// A barrier waits for those who are ready to append.
    Gathering,
}

pub(super) fn open(dir: &Path, setup: &Setup, grouping: Grouping) -> Result<Opened> {
    let (wal, records) = open_wal(dir, setup, grouping)?;
    Ok(Opened { subject: Box::new(Ours(wal)), records: Some(records) })
}

pub(super) fn replay(dir: &Path, setup: &Setup, mut checker: Checker) -> Result<(Checker, Duration)> {
    let started = Instant::now();
    let (wal, _) = open_wal(dir, setup, Grouping::Greedy)?;
    let opened = started.elapsed();
    let mut reader = wal.reader(Index::new(0))?;
    while let Some(entry) = reader.next_entry()? {
        checker.take(entry.payload)?;
    }
    wal.close()?;
    Ok((checker, opened))
}

fn open_wal(dir: &Path, setup: &Setup, grouping: Grouping) -> Result<(Wal, u64)> {
    let mut options = Options::create(LogId::new(*b"samestep benches"));
    options.segment_bytes = setup.segment_bytes;
    options.commit = match setup.durability {
        Durability::Synced if grouping == Grouping::Gathering => CommitPolicy::Group { max_bytes: 1 << 20 },
        Durability::Synced => CommitPolicy::StrictSync,
        Durability::Unsynced => CommitPolicy::NoSync,
    };
    options.prepares_segments = grouping == Grouping::Gathering;
    let (wal, report) = Wal::open(dir, options)?;
    Ok((wal, report.next_index.get() - report.first_index.get()))
}

struct Ours(Wal);

impl Subject for Ours {
    fn writers(&mut self, count: usize) -> Vec<Box<dyn Writer + Send + '_>> {
        (0..count).map(|_| Box::new(self.0.clone()) as Box<dyn Writer + Send>).collect()
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.0.close()?)
    }
}

impl Writer for Wal {
    fn append(&mut self, payload: &[u8]) -> Result<()> {
        Wal::append(self, payload)?;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(Wal::flush(self)?)
    }

    fn sync(&mut self) -> Result<()> {
        Ok(Wal::sync(self)?)
    }
}
