//! Lanes of the write-ahead log.

mod bits;
mod faces;
mod faults;
mod faulty;
mod folder;
mod history;
mod image;
mod layout;
mod raft;
mod sevendb;
mod snapshot;
mod torn;
mod writers;

pub(crate) use bits::BIT_FLIPS;
pub(crate) use faces::FACES;
#[cfg(target_os = "linux")]
pub(crate) use faces::{expect_alike, through_async_face, through_blocking_face};
pub(crate) use faults::{FSYNC_ERROR_FILE, FSYNC_ERRORS, FULL_DISK, PROCESS_DEATH};
pub(crate) use folder::FOLDER_BYTES;
#[cfg(target_os = "linux")]
pub(crate) use folder::digest_of;
pub(crate) use layout::{PRUNE_REOPEN_APPEND, SEGMENT_COUNTS, SIDECAR_DAMAGE};
pub(crate) use raft::{CONFLICT_TRUNCATION, HARD_STATE_ACROSS_PRUNE};
pub(crate) use sevendb::{NO_APP_CRC, PRUNE, REOPEN_CONTINUE, ROLLOVER};
pub(crate) use snapshot::SNAPSHOT_MARKS;
pub(crate) use torn::{TORN_TAIL_FILE, TORN_TAIL_IMAGES};
pub(crate) use writers::WRITERS_64;

use std::path::Path;

use samestep_replay_traits::{Event, LaneError, Transcript};
use samestep_wal::{Disk, EntryRef, Index, LogId, Options, Prepared, StateRecord, Wal};

/// Identity of every log here: fixed, so that two runs write the same bytes.
const LOG_ID: LogId = LogId::new(*b"samestep lanes 1");
/// Where Raft's HardState lives.
const HARD_STATE: u16 = 1;

/// Options of a small log that starts a new segment after every `appends`.
fn rotating_every(appends: u32) -> Options {
    let mut options = Options::create(LOG_ID);
    options.segment_bytes = 64 << 10;
    options.force_rotate_every = Some(appends);
    options
}

fn append<D: Disk>(wal: &mut Wal<D>, index: u64, term: u64, app: &[u8]) -> Result<(), LaneError> {
    wal.append(Prepared::new(app).with_index(Index::new(index)).with_aux(term))?;
    Ok(())
}

fn put_hard_state<D: Disk>(wal: &mut Wal<D>, commit: u64, term: u64, bytes: &[u8]) -> Result<(), LaneError> {
    let record = StateRecord { index: Index::new(commit), aux: term, payload: bytes.to_vec() };
    wal.put_state(HARD_STATE, &record)?;
    Ok(())
}

/// Calls `visit` with every live entry, oldest first.
fn replay<D: Disk>(wal: &mut Wal<D>, mut visit: impl FnMut(EntryRef<'_>)) -> Result<(), LaneError> {
    let mut reader = wal.reader(Index::new(0))?;
    while let Some(entry) = reader.next_entry()? {
        visit(entry);
    }
    Ok(())
}

/// SevenDB's short line: the index, and the checksum of what was appended.
fn short_line(entry: EntryRef<'_>) -> String {
    format!("{}:{:08x}", entry.index, entry.payload_crc)
}

/// SevenDB's full line: index, term, kind (0 is an entry), length and checksum.
fn full_line(entry: EntryRef<'_>) -> String {
    format!("{}:{}:0:{}:{:08x}", entry.index, entry.aux, entry.payload.len(), entry.payload_crc)
}

/// The short lines of all live entries.
fn short_lines<D: Disk>(wal: &mut Wal<D>) -> Result<Vec<String>, LaneError> {
    let mut lines = Vec::new();
    replay(wal, |entry| lines.push(short_line(entry)))?;
    Ok(lines)
}

/// The full lines of all live entries.
fn full_lines<D: Disk>(wal: &mut Wal<D>) -> Result<Vec<String>, LaneError> {
    let mut lines = Vec::new();
    replay(wal, |entry| lines.push(full_line(entry)))?;
    Ok(lines)
}

/// Writes what a reader of the log sees: entries, states, and where it goes on.
fn tell<D: Disk>(wal: &mut Wal<D>, transcript: &mut Transcript) -> Result<(), LaneError> {
    replay(wal, |entry| transcript.event(&entry_event(entry)))?;
    for (slot, record) in wal.states() {
        transcript.event(&state_event(slot, &record));
    }
    transcript.event(&end_event(wal.next_index()));
    Ok(())
}

fn entry_event(entry: EntryRef<'_>) -> Event {
    Event::new("entry")
        .field("index", entry.index)
        .field("aux", entry.aux)
        .field("slot", entry.slot)
        .field("crc", format_args!("{:08x}", entry.payload_crc))
        .bytes("payload", entry.payload)
}

fn state_event(slot: u16, record: &StateRecord) -> Event {
    let event = Event::new("state").field("slot", slot).field("index", record.index);
    event.field("aux", record.aux).bytes("payload", &record.payload)
}

fn end_event(next: Index) -> Event {
    Event::new("end").field("next", next)
}

/// Fails the lane unless `found` is `expected`, and names the first line that is not.
fn expect_lines(what: &str, found: &[String], expected: &[String]) -> Result<(), LaneError> {
    if found == expected {
        return Ok(());
    }
    let at = found.iter().zip(expected).take_while(|(found, expected)| found == expected).count();
    let (found, expected) = (found.get(at), expected.get(at));
    Err(LaneError::failed(format!("{what}: line {} is {found:?}, not {expected:?}", at + 1)))
}

/// The names in `dir`, sorted.
fn names(dir: &Path) -> Result<Vec<String>, LaneError> {
    let name =
        |entry: std::io::Result<std::fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    let mut names = std::fs::read_dir(dir)?.map(name).collect::<std::io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}
