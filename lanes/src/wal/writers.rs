//! Many threads on one log.

use std::collections::BTreeMap;
use std::thread;

use samestep_replay_traits::{Digest, Event, LaneContext, LaneError, Transcript};
use samestep_wal::{CommitPolicy, Index, Options, Prepared, Wal};

use super::{LOG_ID, replay};
use crate::scenario::Scenario;

/// In which order the threads come is the scheduler's affair; what the log makes of it is not.
pub(crate) const WRITERS_64: Scenario = Scenario {
    name: "wal/writers-64",
    about: "64 threads append to one log on real files under each policy; every record is there once, in its order",
    run: writers_64,
};

const WRITERS: u64 = 64;
const RECORDS: u64 = 12;

fn writers_64(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let policies = [
        ("strict", CommitPolicy::StrictSync),
        ("group", CommitPolicy::Group { max_bytes: 4096 }),
        ("interval", CommitPolicy::Interval(std::time::Duration::from_millis(1))),
        ("none", CommitPolicy::NoSync),
    ];
    for (name, commit) in policies {
        let mut options = Options::create(LOG_ID);
        options.segment_bytes = 32 << 10;
        options.commit = commit;
        let dir = context.scratch().join(name);
        let (wal, _) = Wal::open(&dir, options.clone())?;
        let outcomes: Vec<Result<(), String>> = thread::scope(|scope| {
            let write = |writer| {
                let wal = wal.clone();
                scope.spawn(move || write(&wal, writer).map_err(|error| error.to_string()))
            };
            let threads: Vec<_> = (0..WRITERS).map(write).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|_| Err("a writer panicked".to_owned()))
            };
            threads.into_iter().map(join).collect()
        });
        outcomes.into_iter().collect::<Result<Vec<()>, String>>().map_err(LaneError::failed)?;
        wal.close()?;
        let (mut wal, _) = Wal::open(&dir, options)?;
        tell_writers(&mut wal, name, transcript)?;
        wal.close()?;
    }
    Ok(())
}

/// Appends in one of three ways, by record; the last record of each way is durable before the next is appended.
fn write(wal: &Wal, writer: u64) -> Result<(), Box<dyn std::error::Error>> {
    for record in 0..RECORDS {
        let bytes = payload(writer, record);
        let prepared = Prepared::new(&bytes).with_aux(writer);
        let index = match record % 3 {
            0 => wal.append(prepared)?,
            1 => wal.append_ticket(prepared)?.wait()?,
            _ => {
                let index = wal.append(prepared)?;
                wal.wait_durable(index)?;
                index
            }
        };
        if record % 3 > 0 && wal.durable_index() < Some(index) {
            return Err(format!("record {index} is waited for and not durable").into());
        }
    }
    Ok(())
}

/// A line per writer, in order of writers: how many records, and the digest of them in the order of the log.
fn tell_writers(wal: &mut Wal, policy: &str, transcript: &mut Transcript) -> Result<(), LaneError> {
    let mut by_writer: BTreeMap<u64, Transcript> = BTreeMap::new();
    let mut next = Index::new(1);
    let mut is_dense = true;
    replay(wal, |entry| {
        is_dense &= entry.index == next;
        next = Index::new(next.get() + 1);
        by_writer.entry(entry.aux).or_default().event(&Event::new("record").bytes("payload", entry.payload));
    })?;
    if !is_dense {
        return Err(LaneError::failed("the indices are not dense"));
    }
    transcript.event(&Event::new("log").field("policy", policy).field("next", next));
    for (writer, records) in by_writer {
        let digest: Digest = records.digest();
        let event = Event::new("writer").field("writer", writer).field("records", records.line_count());
        transcript.event(&event.field("digest", digest));
    }
    Ok(())
}

fn payload(writer: u64, record: u64) -> Vec<u8> {
    format!("writer {writer} record {record} {}", "x".repeat(usize::try_from(writer).unwrap_or_default()))
        .into_bytes()
}
