//! okaywal. A record is a chunk. It can only commit durably, so where no sync is asked for, many chunks share an
//! entry and its one sync.

use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use okaywal::{
    Configuration, Entry, EntryId, EntryWriter, LogManager, ReadChunkResult, SegmentReader, WriteAheadLog,
};

use crate::Result;
use crate::engines::{Opened, Setup, Subject, Writer};
use crate::payload::Checker;
use crate::rows::Durability;

pub(super) fn open(dir: &Path, setup: &Setup) -> Result<Opened> {
    let (log, found) = recover(dir, setup, None)?;
    let chunks_max = match setup.durability {
        Durability::Synced => 1,
        Durability::Unsynced => BULK_CHUNKS,
    };
    Ok(Opened { subject: Box::new(Okaywal { log, chunks_max }), records: Some(found.records) })
}

pub(super) fn replay(dir: &Path, setup: &Setup, checker: Checker) -> Result<(Checker, Duration)> {
    // Opening is reading: there is no other way to get at the entries in order.
    let (log, found) = recover(dir, setup, Some(checker))?;
    log.shutdown()?;
    Ok((found.checker.ok_or("the checker is gone")?, Duration::ZERO))
}

fn recover(dir: &Path, setup: &Setup, checker: Option<Checker>) -> Result<(WriteAheadLog, Found)> {
    let found = Arc::new(Mutex::new(Found { records: 0, checker }));
    let manager = Reading { found: Arc::clone(&found), buf: Vec::new() };
    let log = configuration(dir, setup)?.open(manager)?;
    let found = std::mem::take(&mut *found.lock().map_err(|_| "a check panicked")?);
    Ok((log, found))
}

fn configuration(dir: &Path, setup: &Setup) -> Result<Configuration> {
    // A checkpoint would give the entries back to the file system, so there is none, and the log is one file.
    let configuration = Configuration::default_for(dir)
        .preallocate_bytes(u32::try_from(setup.segment_bytes)?)
        .checkpoint_after_bytes(u64::MAX);
    Ok(configuration)
}

struct Okaywal {
    log: WriteAheadLog,
    chunks_max: usize,
}

impl Subject for Okaywal {
    fn writers(&mut self, count: usize) -> Vec<Box<dyn Writer + Send + '_>> {
        let new = || ChunkWriter { log: &self.log, entry: None, chunks: 0, chunks_max: self.chunks_max };
        (0..count).map(|_| Box::new(new()) as Box<dyn Writer + Send>).collect()
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.log.shutdown()?)
    }
}

struct ChunkWriter<'a> {
    log: &'a WriteAheadLog,
    entry: Option<EntryWriter<'a>>,
    chunks: usize,
    chunks_max: usize,
}

impl Writer for ChunkWriter<'_> {
    fn append(&mut self, payload: &[u8]) -> Result<()> {
        let mut entry = match self.entry.take() {
            Some(entry) => entry,
            None => self.log.begin_entry()?,
        };
        entry.write_chunk(payload)?;
        self.chunks += 1;
        self.entry = Some(entry);
        if self.chunks >= self.chunks_max { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.chunks = 0;
        if let Some(entry) = self.entry.take() {
            entry.commit()?;
        }
        Ok(())
    }
}

/// Reads every chunk, with its checksum.
///
/// It must: of a chunk that is not read, version 0.3.1 skips the checksum twice, takes what follows for the end of
/// the log, and would write there.
#[derive(Debug)]
struct Reading {
    found: Arc<Mutex<Found>>,
    buf: Vec<u8>,
}

/// What recovery saw.
#[derive(Debug, Default)]
struct Found {
    records: u64,
    checker: Option<Checker>,
}

impl LogManager for Reading {
    fn recover(&mut self, entry: &mut Entry<'_>) -> io::Result<()> {
        let mut found = self.found.lock().map_err(|_| io::Error::other("a check panicked"))?;
        while let ReadChunkResult::Chunk(mut chunk) = entry.read_chunk()? {
            self.buf.resize(chunk.bytes_remaining() as usize, 0);
            chunk.read_exact(&mut self.buf)?;
            if !chunk.check_crc()? {
                return Err(io::Error::other("a checksum does not hold"));
            }
            found.records += 1;
            if let Some(checker) = &mut found.checker {
                checker.take(&self.buf).map_err(io::Error::other)?;
            }
        }
        Ok(())
    }

    fn checkpoint_to(
        &mut self,
        _last: EntryId,
        _entries: &mut SegmentReader,
        _log: &WriteAheadLog,
    ) -> io::Result<()> {
        Ok(())
    }
}

/// Chunks in one entry where no sync is asked for.
const BULK_CHUNKS: usize = 4096;
