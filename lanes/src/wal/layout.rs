//! Lanes in which the log's layout on disk must not show in what is replayed.

use std::fs;
use std::path::Path;

use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};
use samestep_wal::{CommitPolicy, FileName, Index, Wal};

use super::{append, names, put_hard_state, rotating_every, tell};
use crate::scenario::Scenario;

/// Pruned, closed, opened and appended to, over and over.
pub(crate) const PRUNE_REOPEN_APPEND: Scenario = Scenario {
    name: "wal/prune-reopen-append",
    about: "prunes, closes, opens and appends five times; indices go on, the hard state outlives its segment",
    run: prune_reopen_append,
};

/// The same records in 1, 11 and 101 segments.
pub(crate) const SEGMENT_COUNTS: Scenario = Scenario {
    name: "wal/segment-counts",
    about: "the same 200 records in 1, 11 and 101 segments are replayed alike",
    run: segment_counts,
};

/// Sidecars deleted, cut, stale and flipped.
pub(crate) const SIDECAR_DAMAGE: Scenario = Scenario {
    name: "wal/sidecar-damage",
    about: "sidecars deleted, cut, emptied, swapped, stale and flipped change nothing that is read",
    run: sidecar_damage,
};

fn prune_reopen_append(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let dir = context.scratch().join("log");
    for round in 0..5_u64 {
        let (mut wal, _) = Wal::open(&dir, rotating_every(3))?;
        let next = wal.next_index().get();
        if round == 0 {
            put_hard_state(&mut wal, 0, 1, b"the only vote")?;
        }
        for index in next..next + 7 {
            append(&mut wal, index, round + 1, format!("round {round} entry {index}").as_bytes())?;
        }
        wal.prune_through(Index::new(next + 2))?;
        transcript.event(&Event::new("round").field("number", round).field("first-after-prune", next + 3));
        tell(&mut wal, transcript)?;
        let first = wal.first_index().map(Index::get);
        if first != Some(next + 3) {
            return Err(LaneError::failed(format!("the first index is {first:?}, not {}", next + 3)));
        }
        wal.close()?;
    }
    Ok(())
}

fn segment_counts(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let mut told: Option<Transcript> = None;
    // 200 entries and one hard state, which counts as an append.
    for (appends, segments) in [(1000, 1), (20, 11), (2, 101)] {
        let dir = context.scratch().join(format!("log-{segments}"));
        let mut options = rotating_every(appends);
        options.commit = CommitPolicy::NoSync;
        let (mut wal, _) = Wal::open(&dir, options)?;
        put_hard_state(&mut wal, 1, 1, b"vote")?;
        for index in 1..=200 {
            append(&mut wal, index, 1 + index / 50, format!("entry {index}").as_bytes())?;
        }
        if wal.segment_count() != segments {
            let found = wal.segment_count();
            return Err(LaneError::failed(format!("{found} segments instead of {segments}")));
        }
        wal.close()?;
        let (mut wal, _) = Wal::open(&dir, rotating_every(appends))?;
        let mut this = Transcript::new();
        tell(&mut wal, &mut this)?;
        match &told {
            Some(told) if told.text() != this.text() => {
                return Err(LaneError::failed(format!("{segments} segments are replayed otherwise than 1")));
            }
            _ => told = Some(this),
        }
    }
    told.iter().flat_map(Transcript::lines).for_each(|line| transcript.line(line));
    Ok(())
}

fn sidecar_damage(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let dir = context.scratch().join("log");
    let (mut wal, _) = Wal::open(&dir, rotating_every(4))?;
    for index in 1..=30 {
        append(&mut wal, index, 1, format!("entry {index}").as_bytes())?;
    }
    wal.close()?;
    let is_sidecar = |name: &String| matches!(FileName::parse(name), Some(FileName::Sidecar(_)));
    let sidecars: Vec<_> = names(&dir)?.into_iter().filter(is_sidecar).collect();
    if sidecars.len() < 7 {
        return Err(LaneError::failed(format!("{} sidecars: there is nothing to damage", sidecars.len())));
    }
    let originals = sidecars.iter().map(|name| fs::read(dir.join(name))).collect::<Result<Vec<_>, _>>()?;
    read_all(&dir, "whole", transcript)?;
    for (name, bytes) in sidecars.iter().zip(&originals) {
        fs::remove_file(dir.join(name))?;
        read_all(&dir, "deleted", transcript)?;
        for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            fs::write(dir.join(name), &bytes[..cut])?;
            read_all(&dir, "cut", transcript)?;
        }
        for at in (0..bytes.len()).step_by(5) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            fs::write(dir.join(name), flipped)?;
            read_all(&dir, "flipped", transcript)?;
        }
        fs::write(dir.join(name), bytes)?;
    }
    // Each the one of the segment before it: valid in itself, and of another segment.
    for (name, bytes) in sidecars.iter().skip(1).zip(&originals) {
        fs::write(dir.join(name), bytes)?;
    }
    read_all(&dir, "of another segment", transcript)
}

/// Opens the log, reads every entry by its index and by replay, and writes what it saw if that is new.
fn read_all(dir: &Path, sidecars: &str, transcript: &mut Transcript) -> Result<(), LaneError> {
    let (mut wal, _) = Wal::open(dir, rotating_every(4))?;
    let mut seen = Transcript::new();
    tell(&mut wal, &mut seen)?;
    for index in 1..=30 {
        let entry = wal.read(Index::new(index))?;
        seen.event(&Event::new("read").field("index", entry.index).bytes("payload", &entry.payload));
    }
    wal.close()?;
    transcript.event(&Event::new("sidecars").field("are", sidecars).field("digest", seen.digest()));
    Ok(())
}
