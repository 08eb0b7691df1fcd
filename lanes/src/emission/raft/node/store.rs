//! The log as Raft reads it: in memory, from the last snapshot on. What is here is durable before Raft hears so.

use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError, util};

use super::disk::Recovered;

pub(super) struct Store {
    hard_state: HardState,
    voters: ConfState,
    /// Stands for all entries up to its index; empty at 0.
    snapshot: Snapshot,
    /// From the one behind the snapshot on, dense.
    entries: Vec<Entry>,
}

impl Store {
    pub(super) fn new(recovered: Recovered, voters: ConfState) -> Self {
        let Recovered { mut hard_state, snapshot, entries } = recovered;
        let snapshot = snapshot.unwrap_or_default();
        // Entries are written in front of the HardState that comes with them, and a crash in between may leave them
        // alone. Nobody was told of that term then, so that no vote was given in it either.
        let newest = entries.last().map_or(snapshot.get_metadata().term, |entry| entry.term);
        if hard_state.term < newest {
            (hard_state.term, hard_state.vote) = (newest, 0);
        }
        // What a snapshot stands for was committed.
        hard_state.commit = hard_state.commit.max(snapshot.get_metadata().index);
        Self { hard_state, voters, snapshot, entries }
    }

    pub(super) fn append(&mut self, entries: Vec<Entry>) {
        if let Some(first) = entries.first() {
            let at = self.position(first.index);
            self.entries.truncate(at);
            self.entries.extend(entries);
        }
    }

    pub(super) fn set_hard_state(&mut self, hard_state: HardState) {
        self.hard_state = hard_state;
    }

    pub(super) fn set_commit(&mut self, commit: u64) {
        self.hard_state.commit = commit;
    }

    /// Takes a snapshot from the leader in the place of everything.
    pub(super) fn install(&mut self, snapshot: Snapshot) {
        let meta = snapshot.get_metadata();
        self.hard_state.term = self.hard_state.term.max(meta.term);
        self.hard_state.commit = meta.index;
        self.entries.clear();
        self.snapshot = snapshot;
    }

    /// Removes what `snapshot`, made here, stands for.
    pub(super) fn compact(&mut self, snapshot: Snapshot) {
        let behind = self.position(snapshot.get_metadata().index + 1);
        self.entries.drain(..behind);
        self.snapshot = snapshot;
    }

    /// A snapshot that stands for all entries up to `index`.
    pub(super) fn make_snapshot(&self, index: u64, data: Vec<u8>) -> Snapshot {
        let mut snapshot = Snapshot { data: data.into(), ..Snapshot::default() };
        let meta = snapshot.mut_metadata();
        meta.index = index;
        meta.term = self.term(index).expect("only what is in the log was applied");
        meta.set_conf_state(self.voters.clone());
        snapshot
    }

    pub(super) fn hard_state(&self) -> &HardState {
        &self.hard_state
    }

    pub(super) fn snapshot_index(&self) -> u64 {
        self.snapshot.get_metadata().index
    }

    fn position(&self, index: u64) -> usize {
        let position =
            index.checked_sub(self.snapshot_index() + 1).expect("what a snapshot stands for stays");
        usize::try_from(position).expect("entries are counted in memory")
    }
}

impl Storage for Store {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState { hard_state: self.hard_state.clone(), conf_state: self.voters.clone() })
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.snapshot_index() {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        let mut entries = self.entries[self.position(low)..self.position(high)].to_vec();
        util::limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        let meta = self.snapshot.get_metadata();
        match index.checked_sub(meta.index) {
            None => Err(raft::Error::Store(StorageError::Compacted)),
            Some(0) => Ok(meta.term),
            Some(_) => match self.entries.get(self.position(index)) {
                Some(entry) => Ok(entry.term),
                None => Err(raft::Error::Store(StorageError::Unavailable)),
            },
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.snapshot_index() + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.snapshot_index() + self.entries.len() as u64)
    }

    fn snapshot(&self, request_index: u64, _: u64) -> raft::Result<Snapshot> {
        if self.snapshot_index() < request_index.max(1) {
            return Err(raft::Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        Ok(self.snapshot.clone())
    }
}

#[cfg(test)]
mod tests {
    use raft::Storage;
    use raft::eraftpb::{ConfState, Entry, HardState};

    use super::{Recovered, Store};

    fn recovered(hard_state: (u64, u64), entries: &[u64]) -> (u64, u64) {
        let (term, vote) = hard_state;
        let entry = |(index, term): (u64, &u64)| Entry { index, term: *term, ..Entry::default() };
        let recovered = Recovered {
            hard_state: HardState { term, vote, ..HardState::default() },
            snapshot: None,
            entries: (1..).zip(entries).map(entry).collect(),
        };
        let state = Store::new(recovered, ConfState::default()).initial_state().unwrap().hard_state;
        (state.term, state.vote)
    }

    /// A node whose term is behind its own log could be made to panic by anybody who asks for its vote.
    #[test]
    fn no_term_is_behind_the_log() {
        assert_eq!(recovered((0, 0), &[1, 1]), (1, 0));
        assert_eq!(recovered((3, 2), &[1, 3, 4]), (4, 0), "in term 4 no vote was given");
        assert_eq!(recovered((4, 2), &[1, 3, 4]), (4, 2), "a vote is kept");
        assert_eq!(recovered((5, 1), &[]), (5, 1));
    }
}
