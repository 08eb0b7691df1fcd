//! Snapshot marks through rotations, prunes, truncations, crashes and openings.

use std::path::Path;

use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};
use samestep_wal::{Index, SnapshotError, Wal};

use super::{append, rotating_every, tell};
use crate::scenario::Scenario;

/// The last mark, whatever happens around it.
pub(crate) const SNAPSHOT_MARKS: Scenario = Scenario {
    name: "wal/snapshot-marks",
    about: "the last snapshot mark survives rotations, prunes, crashes and openings; only a truncation takes it back",
    run: snapshot_marks,
};

fn snapshot_marks(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let dir = context.scratch().join("log");
    let mut expected = None;
    for round in 0..8_u64 {
        let mut wal = open(&dir)?;
        expect(&wal, expected, "as it was left")?;
        let next = wal.next_index().get();
        for index in next..next + 7 {
            append(&mut wal, index, round + 1, format!("round {round} entry {index}").as_bytes())?;
        }
        refuse(&mut wal, next + 7, transcript)?;
        if round % 3 != 2 {
            let index = next + 4;
            wal.mark_snapshot(Index::new(index), round + 1, format!("snapshot-{index}").as_bytes())?;
            wal.prune_through(Index::new(index - 1))?;
            expected = Some(index);
        }
        if round == 4 {
            // The mark is of an entry that goes. What was pruned for it is gone all the same.
            wal.truncate_suffix(Index::new(next + 4))?;
            expected = None;
        }
        if round == 6 {
            wal.truncate_suffix(Index::new(next + 5))?;
        }
        expect(&wal, expected, "after the calls")?;
        transcript.event(&Event::new("round").field("number", round).field("next", wal.next_index()));
        tell_mark(&wal, transcript);
        tell(&mut wal, transcript)?;
        // Every other time the process ends without closing.
        if round.is_multiple_of(2) {
            wal.close()?;
        }
    }
    Ok(())
}

fn open(dir: &Path) -> Result<Wal, LaneError> {
    Ok(Wal::open(dir, rotating_every(3))?.0)
}

/// An entry that is not there cannot be marked.
fn refuse(wal: &mut Wal, index: u64, transcript: &mut Transcript) -> Result<(), LaneError> {
    match wal.mark_snapshot(Index::new(index), 0, b"of nothing") {
        Err(SnapshotError::NotInLog { index, first, next }) => {
            let event = Event::new("refused").field("index", index);
            transcript.event(&event.field("first", first).field("next", next));
            Ok(())
        }
        other => Err(LaneError::failed(format!("a mark of entry {index} gave {other:?}"))),
    }
}

fn expect(wal: &Wal, expected: Option<u64>, when: &str) -> Result<(), LaneError> {
    let found = wal.snapshot().map(|mark| mark.index.get());
    if found == expected {
        return Ok(());
    }
    Err(LaneError::failed(format!("{when}, the mark is of {found:?}, not of {expected:?}")))
}

fn tell_mark(wal: &Wal, transcript: &mut Transcript) {
    match wal.snapshot() {
        Some(mark) => {
            let event = Event::new("mark").field("index", mark.index).field("aux", mark.aux);
            transcript.event(&event.bytes("payload", &mark.payload));
        }
        None => transcript.event(&Event::new("no-mark")),
    }
}
