//! What Raft asks of its log.

use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};
use samestep_wal::{Index, Wal};

use super::{HARD_STATE, append, put_hard_state, rotating_every, tell};
use crate::scenario::Scenario;

/// A leader overwrites what a former one had left.
pub(crate) const CONFLICT_TRUNCATION: Scenario = Scenario {
    name: "wal/conflict-truncation",
    about: "suffixes are replaced by another term's, within a segment and across many; none comes back, also reopened",
    run: conflict_truncation,
};

/// The vote outlives the segment it was written in.
pub(crate) const HARD_STATE_ACROSS_PRUNE: Scenario = Scenario {
    name: "wal/hard-state-across-prune",
    about: "a hard state is written once and outlives forty entries, every prune and every reopening behind it",
    run: hard_state_across_prune,
};

fn conflict_truncation(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let dir = context.scratch().join("log");
    for (number, from) in [20_u64, 19, 12, 3, 1].into_iter().enumerate() {
        let term = number as u64 + 1;
        let (mut wal, _) = Wal::open(&dir, rotating_every(4))?;
        wal.truncate_suffix(Index::new(from))?;
        for index in wal.next_index().get()..=20 {
            append(&mut wal, index, term, format!("term {term} entry {index}").as_bytes())?;
        }
        let mut stale = None;
        super::replay(&mut wal, |entry| {
            let is_replaced = entry.index.get() >= from && entry.aux != term;
            stale = stale.or(is_replaced.then_some(entry.index));
        })?;
        if let Some(index) = stale {
            return Err(LaneError::failed(format!("entry {index} of an older term came back")));
        }
        transcript.event(&Event::new("conflict").field("from", from).field("term", term));
        tell(&mut wal, transcript)?;
        wal.close()?;
    }
    Ok(())
}

fn hard_state_across_prune(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let dir = context.scratch().join("log");
    let (mut wal, _) = Wal::open(&dir, rotating_every(2))?;
    put_hard_state(&mut wal, 7, 3, b"voted for 2")?;
    for round in 0..8_u64 {
        for index in round * 5 + 1..=round * 5 + 5 {
            append(&mut wal, index, 3, &index.to_le_bytes())?;
        }
        wal.prune_through(Index::new(round * 5 + 5))?;
        wal.close()?;
        (wal, _) = Wal::open(&dir, rotating_every(2))?;
        if wal.state(HARD_STATE).is_none_or(|state| state.payload != b"voted for 2") {
            return Err(LaneError::failed(format!("the vote is lost after prune {round}")));
        }
        transcript.event(&Event::new("pruned").field("round", round));
        tell(&mut wal, transcript)?;
    }
    Ok(())
}
