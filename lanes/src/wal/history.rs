//! A short history of a log, and what must be left of it if it is cut short.

use std::collections::BTreeMap;

use samestep_replay_traits::LaneError;
use samestep_wal::{Disk, Index, Options, Prepared, StateRecord, Wal};

use super::{HARD_STATE, replay, rotating_every};

/// One call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Append { term: u64 },
    PutState { commit: u64 },
    TruncateFrom { index: u64 },
    PruneThrough { index: u64 },
    Rotate,
}

/// Appends, states, truncations and prunes over several segments of three appends each.
pub(super) const HISTORY: [Step; 16] = [
    Step::Append { term: 1 },
    Step::PutState { commit: 1 },
    Step::Append { term: 1 },
    Step::Append { term: 1 },
    Step::Append { term: 1 },
    Step::TruncateFrom { index: 3 },
    Step::Append { term: 2 },
    Step::PutState { commit: 3 },
    Step::Append { term: 2 },
    Step::Rotate,
    Step::Append { term: 2 },
    Step::Append { term: 2 },
    Step::PruneThrough { index: 3 },
    Step::Append { term: 3 },
    Step::TruncateFrom { index: 7 },
    Step::Append { term: 4 },
];

pub(super) fn options() -> Options {
    let mut options = rotating_every(3);
    options.segment_bytes = 8 << 10;
    options
}

/// What a log holds: the term of each entry, and the hard state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    terms: BTreeMap<u64, u64>,
    last: u64,
    commit: Option<u64>,
}

impl Contents {
    /// What they are after `step`.
    pub(super) fn after(&self, step: Step) -> Self {
        let mut next = self.clone();
        match step {
            Step::Append { term } => {
                next.last += 1;
                next.terms.insert(next.last, term);
            }
            Step::PutState { commit } => next.commit = Some(commit),
            Step::TruncateFrom { index } => {
                next.terms.split_off(&index);
                next.last = next.last.min(index - 1);
            }
            Step::PruneThrough { index } => next.terms = next.terms.split_off(&(index + 1)),
            Step::Rotate => {}
        }
        next
    }

    /// What the log holds. Fails if an entry's payload is not the one of its index and term.
    pub(super) fn of<D: Disk>(wal: &mut Wal<D>) -> Result<Self, LaneError> {
        let mut contents = Self { last: wal.next_index().get().saturating_sub(1), ..Self::default() };
        let mut wrong = None;
        replay(wal, |entry| {
            contents.terms.insert(entry.index.get(), entry.aux);
            if entry.payload != payload(entry.index, entry.aux).as_slice() {
                wrong = Some(entry.index);
            }
        })?;
        if let Some(index) = wrong {
            return Err(LaneError::failed(format!("entry {index} has a payload that nobody appended")));
        }
        contents.commit = wal.state(HARD_STATE).map(|state| state.index.get());
        Ok(contents)
    }
}

/// Does `step`. The error is a text, as each call has an error of its own.
pub(super) fn perform<D: Disk>(wal: &Wal<D>, step: Step) -> Result<(), String> {
    match step {
        Step::Append { term } => {
            let bytes = payload(wal.next_index(), term);
            wal.append(Prepared::new(&bytes).with_aux(term)).map(drop).map_err(chain)
        }
        Step::PutState { commit } => {
            let state = StateRecord { index: Index::new(commit), aux: 0, payload: b"vote".to_vec() };
            wal.put_state(HARD_STATE, &state).map_err(chain)
        }
        Step::TruncateFrom { index } => wal.truncate_suffix(Index::new(index)).map_err(chain),
        Step::PruneThrough { index } => wal.prune_through(Index::new(index)).map_err(chain),
        Step::Rotate => wal.rotate().map_err(chain),
    }
}

/// An error and its causes, in one line.
pub(super) fn chain(error: impl std::error::Error + Send + Sync + 'static) -> String {
    LaneError::from(error).to_string()
}

fn payload(index: Index, term: u64) -> Vec<u8> {
    format!("entry {index} of term {term}").into_bytes()
}
