//! raft-engine: a region per writer, entries as protobuf values, one batch and so one write per record.

use std::path::Path;
use std::time::{Duration, Instant};

use protobuf::well_known_types::BytesValue;
use raft_engine::internals::LogQueue;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};

use crate::Result;
use crate::engines::{Opened, Setup, Subject, Writer};
use crate::payload::{Checker, number_of};
use crate::rows::Durability;

pub(super) fn open(dir: &Path, setup: &Setup) -> Result<Opened> {
    let engine = open_engine(dir, setup)?;
    if setup.prefill && setup.durability == Durability::Synced {
        enter_prefilled_file(&engine)?;
    }
    let records = (0..setup.writers).filter_map(|writer| engine.last_index(region_of(writer))).sum();
    let sync = setup.durability == Durability::Synced;
    Ok(Opened { subject: Box::new(RaftEngine { engine, sync }), records: Some(records) })
}

pub(super) fn replay(dir: &Path, setup: &Setup, mut checker: Checker) -> Result<(Checker, Duration)> {
    let started = Instant::now();
    let engine = open_engine(dir, setup)?;
    let opened = started.elapsed();
    let mut entries = Vec::new();
    for writer in 0..setup.writers {
        let region = region_of(writer);
        let (Some(first), Some(last)) = (engine.first_index(region), engine.last_index(region)) else {
            continue;
        };
        let mut begin = first;
        while begin <= last {
            let end = (begin + FETCH_ENTRIES).min(last + 1);
            engine.fetch_entries_to::<Payload>(region, begin, end, None, &mut entries)?;
            for entry in entries.drain(..) {
                checker.take(&entry.value)?;
            }
            begin = end;
        }
    }
    Ok((checker, opened))
}

fn open_engine(dir: &Path, setup: &Setup) -> Result<Engine> {
    let segment = ReadableSize(setup.segment_bytes);
    let config = Config {
        dir: dir.to_str().ok_or("the folder's name is not UTF-8")?.to_owned(),
        batch_compression_threshold: ReadableSize(0),
        target_file_size: segment,
        // Nothing is purged here; and no more than this many bytes of files are kept for recycling.
        purge_threshold: ReadableSize(setup.segment_bytes.max(256 << 20)),
        enable_log_recycle: true,
        prefill_for_recycle: setup.prefill,
        prefill_limit: setup.prefill.then_some(if setup.one_segment {
            segment
        } else {
            ReadableSize(256 << 20)
        }),
        ..Config::default()
    };
    Ok(Engine::open(config)?)
}

/// The first file of a new engine is not one of the prefilled: fills it, so that the engine moves on to one.
fn enter_prefilled_file(engine: &Engine) -> Result<()> {
    let newest = || engine.file_span(LogQueue::Append).1;
    let first = newest();
    let mut batch = LogBatch::with_capacity(1);
    while newest() == first {
        batch.put(FILLER_REGION, b"filler".to_vec(), vec![1; 1 << 20])?;
        engine.write(&mut batch, false)?;
    }
    batch.put(FILLER_REGION, b"filler".to_vec(), Vec::new())?;
    engine.write(&mut batch, true)?;
    Ok(())
}

/// Region 0 is not one of raft-engine's customs.
fn region_of(writer: usize) -> u64 {
    writer as u64 + 1
}

#[derive(Clone)]
struct Payload;

impl MessageExt for Payload {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        number_of(&entry.value)
    }
}

struct RaftEngine {
    engine: Engine,
    sync: bool,
}

impl Subject for RaftEngine {
    fn writers(&mut self, count: usize) -> Vec<Box<dyn Writer + Send + '_>> {
        let new = |writer| RegionWriter {
            engine: &self.engine,
            sync: self.sync,
            region: region_of(writer),
            batch: LogBatch::with_capacity(1),
            entry: [BytesValue::new()],
        };
        (0..count).map(|writer| Box::new(new(writer)) as Box<dyn Writer + Send>).collect()
    }

    fn close(self: Box<Self>) -> Result<()> {
        drop(self.engine);
        Ok(())
    }
}

struct RegionWriter<'a> {
    engine: &'a Engine,
    sync: bool,
    region: u64,
    batch: LogBatch,
    entry: [BytesValue; 1],
}

impl Writer for RegionWriter<'_> {
    fn append(&mut self, payload: &[u8]) -> Result<()> {
        let value = self.entry[0].mut_value();
        value.clear();
        value.extend_from_slice(payload);
        self.batch.add_entries::<Payload>(self.region, &self.entry)?;
        self.engine.write(&mut self.batch, self.sync)?;
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        // `Engine::sync` of this version does nothing; a synced write does.
        self.batch.put(self.region, b"synced".to_vec(), b"yes".to_vec())?;
        self.engine.write(&mut self.batch, true)?;
        Ok(())
    }
}

/// A region that no writer has.
const FILLER_REGION: u64 = u64::MAX;
/// Entries asked for at a time.
const FETCH_ENTRIES: u64 = 1024;
