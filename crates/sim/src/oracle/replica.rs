//! Replicas of a state machine are in the same state after the same entry.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

/// Watches replicas apply entries, and compares hashes of their states.
#[derive(Clone, Debug, Default)]
pub struct ReplicaHashes {
    /// The hash after each index, and the replica that told it first.
    by_index: BTreeMap<u64, (u64, String)>,
}

/// Two replicas whose states differ after the same entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "after entry {index} the state of {replica} hashes to {found:#018x}, that of {other} to {expected:#018x}"
)]
pub struct ReplicaDivergence {
    /// The entry's index.
    pub index: u64,
    /// Whose state it is.
    pub replica: String,
    /// Its hash.
    pub found: u64,
    /// Whose state it was compared to.
    pub other: String,
    /// That one's hash.
    pub expected: u64,
}

impl ReplicaHashes {
    /// No replica told a hash.
    pub const fn new() -> Self {
        Self { by_index: BTreeMap::new() }
    }

    /// After entry number `index`, the state of `replica` has this `hash`, see [`state_hash`].
    ///
    /// # Errors
    ///
    /// [`ReplicaDivergence`] if another replica, or the same one before a restart, had another.
    pub fn applied(&mut self, replica: &str, index: u64, hash: u64) -> Result<(), ReplicaDivergence> {
        let (expected, other) = self.by_index.entry(index).or_insert_with(|| (hash, replica.to_owned()));
        if *expected != hash {
            let (replica, other, expected) = (replica.to_owned(), other.clone(), *expected);
            return Err(ReplicaDivergence { index, replica, found: hash, other, expected });
        }
        Ok(())
    }

    /// Forgets entries below `index`, which no replica will apply again.
    pub fn forget_below(&mut self, index: u64) {
        self.by_index = self.by_index.split_off(&index);
    }
}

/// A hash of a state as bytes: XXH3-64, the same on every machine.
pub fn state_hash(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}
