//! A log as it should be: lists in memory. Scripts run against it and against the real one.

use std::collections::BTreeMap;

use samestep_wal::{
    AppendError, CommitPolicy, Disk, Index, OpenError, Prepared, PruneError, SnapshotError, StateRecord,
    SyncError, TruncateError, Wal,
};

/// One call. Payloads follow from a number, so that scripts stay short when printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Append {
        seed: u8,
        len: usize,
    },
    Batch {
        seed: u8,
        lens: [usize; 3],
    },
    State {
        slot: u16,
        seed: u8,
    },
    Truncate {
        back: u64,
    },
    Prune {
        front: u64,
    },
    /// Marks a snapshot of all but the last `back` entries, if there is an entry to mark.
    Mark {
        back: u64,
        seed: u8,
    },
    Rotate,
    Sync,
}

/// What a log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) first: u64,
    pub(crate) entries: BTreeMap<u64, (u64, Vec<u8>)>,
    pub(crate) next: u64,
    pub(crate) states: BTreeMap<u16, Vec<u8>>,
    pub(crate) mark: Option<(u64, u64, Vec<u8>)>,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self { first: 1, entries: BTreeMap::new(), next: 1, states: BTreeMap::new(), mark: None }
    }

    pub(crate) fn apply(&mut self, call: Call) {
        match call {
            Call::Append { seed, len } => self.push(seed, len),
            Call::Batch { seed, lens } => {
                for (at, len) in lens.into_iter().enumerate() {
                    self.push(seed.wrapping_add(u8::try_from(at).unwrap()), len);
                }
            }
            Call::State { slot, seed } => drop(self.states.insert(slot, payload(seed, 9))),
            Call::Truncate { back } => {
                let from = self.next.saturating_sub(back).max(self.first);
                drop(self.entries.split_off(&from));
                self.mark.take_if(|(index, ..)| *index >= from);
                self.next = from;
            }
            Call::Mark { back, seed } => {
                let index = self.next.wrapping_sub(1 + back);
                if self.entries.contains_key(&index) {
                    self.mark = Some((index, seed.into(), payload(seed, 9)));
                }
            }
            Call::Prune { front } => {
                self.first = (self.first + front).min(self.next);
                self.entries = self.entries.split_off(&self.first);
            }
            Call::Rotate | Call::Sync => {}
        }
    }

    fn push(&mut self, seed: u8, len: usize) {
        self.entries.insert(self.next, (seed.into(), payload(seed, len)));
        self.next += 1;
    }
}

/// Bytes without long runs and without zeros, so that a byte that is missing is seen to be.
pub(crate) fn payload(seed: u8, len: usize) -> Vec<u8> {
    let byte = |at: usize| 0xa5 ^ u8::try_from((usize::from(seed) * 7 + at * 13) % 83).unwrap();
    (0..len).map(byte).collect()
}

/// Why a call failed, whichever it was.
#[derive(Debug)]
pub(crate) enum CallError {
    NoSpace,
    Poisoned,
}

/// Runs `call` on `wal`.
pub(crate) fn run<D: Disk>(wal: &mut Wal<D>, call: Call) -> Result<(), CallError> {
    match call {
        Call::Append { seed, len } => {
            let bytes = payload(seed, len);
            wal.append(Prepared::new(&bytes).with_aux(seed.into())).map(drop).map_err(of_append)
        }
        Call::Batch { seed, lens } => {
            let seeds = [0, 1, 2].map(|at: u8| seed.wrapping_add(at));
            let bytes: Vec<Vec<u8>> = seeds.iter().zip(lens).map(|(&seed, len)| payload(seed, len)).collect();
            let records: Vec<Prepared<'_>> = bytes
                .iter()
                .zip(seeds)
                .map(|(bytes, seed)| Prepared::new(bytes).with_aux(seed.into()))
                .collect();
            wal.append_batch(&records).map(drop).map_err(of_append)
        }
        Call::State { slot, seed } => {
            let record = StateRecord { index: Index::new(3), aux: 4, payload: payload(seed, 9) };
            wal.put_state(slot, &record).map_err(of_append)
        }
        Call::Truncate { back } => {
            let first = wal.first_index().unwrap_or(wal.next_index());
            let from = wal.next_index().get().saturating_sub(back).max(first.get());
            wal.truncate_suffix(Index::new(from)).map_err(|error| match error {
                TruncateError::NoSpace(_) => CallError::NoSpace,
                TruncateError::Poisoned(_) => CallError::Poisoned,
                other => panic!("{other}"),
            })
        }
        Call::Prune { front } => {
            let first = wal.first_index().unwrap_or(wal.next_index());
            let Some(through) = (first.get() + front).checked_sub(1) else { return Ok(()) };
            wal.prune_through(Index::new(through)).map_err(|error| match error {
                PruneError::NoSpace(_) => CallError::NoSpace,
                PruneError::Poisoned(_) => CallError::Poisoned,
                other => panic!("{other}"),
            })
        }
        Call::Mark { back, seed } => {
            let index = Index::new(wal.next_index().get().wrapping_sub(1 + back));
            match wal.mark_snapshot(index, seed.into(), &payload(seed, 9)) {
                Ok(()) => Ok(()),
                Err(SnapshotError::NotInLog { .. }) => {
                    assert!(wal.first_index().is_none_or(|first| index < first) || index >= wal.next_index());
                    Ok(())
                }
                Err(SnapshotError::NoSpace(_)) => Err(CallError::NoSpace),
                Err(SnapshotError::Poisoned(_)) => Err(CallError::Poisoned),
                Err(other) => panic!("{other}"),
            }
        }
        Call::Rotate => wal.rotate().map_err(of_sync),
        Call::Sync => wal.sync().map_err(of_sync),
    }
}

fn of_append(error: AppendError) -> CallError {
    match error {
        AppendError::NoSpace(_) => CallError::NoSpace,
        AppendError::Poisoned(_) => CallError::Poisoned,
        other => panic!("{other}"),
    }
}

pub(crate) fn of_sync(error: SyncError) -> CallError {
    match error {
        SyncError::NoSpace(_) => CallError::NoSpace,
        SyncError::Poisoned(_) => CallError::Poisoned,
        other => panic!("{other}"),
    }
}

/// Everything in `wal`, read in order and, where `by_index`, one by one too.
pub(crate) fn contents<D: Disk>(
    wal: &mut Wal<D>,
    by_index: ByIndex,
) -> Result<Model, samestep_wal::ReadError> {
    let mut entries = BTreeMap::new();
    let mut reader = wal.reader(Index::new(0))?;
    while let Some(entry) = reader.next_entry()? {
        entries.insert(entry.index.get(), (entry.aux, entry.payload.to_vec()));
    }
    if by_index == ByIndex::Too {
        for (&index, (aux, bytes)) in &entries {
            let entry = wal.read(Index::new(index))?;
            assert_eq!((entry.aux, &entry.payload[..]), (*aux, &bytes[..]));
        }
    }
    let next = wal.next_index().get();
    let first = wal.first_index().map_or(next, Index::get);
    assert_eq!(entries.len() as u64, next - first, "every live entry is lent");
    let states = wal.states().map(|(slot, record)| (slot, record.payload.clone())).collect();
    let mark = wal.snapshot().map(|mark| (mark.index.get(), mark.aux, mark.payload.clone()));
    Ok(Model { first, entries, next, states, mark })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByIndex {
    Too,
    No,
}

/// Options for tests, by policy.
pub(crate) fn options(commit: CommitPolicy, every: Option<u32>) -> samestep_wal::Options {
    let mut options = crate::public::small();
    options.commit = commit;
    options.force_rotate_every = every;
    options
}

/// Whether opening refused in a typed way that is allowed where bytes are damaged.
pub(crate) fn is_refusal(error: &OpenError) -> bool {
    matches!(
        error,
        OpenError::Corrupt(_)
            | OpenError::AmbiguousTail { .. }
            | OpenError::WrongLog { .. }
            | OpenError::Version { .. }
            | OpenError::NotFound
    )
}
