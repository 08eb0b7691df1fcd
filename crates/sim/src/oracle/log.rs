//! Agreement on an append-only log: what one replica committed at an index, all commit there.

use std::collections::BTreeMap;
use std::fmt;

/// Watches replicas commit entries of one log, which is what they are to agree on.
///
/// ```
/// use samestep_sim::oracle::LogAgreement;
///
/// let mut log = LogAgreement::new();
/// log.committed("a", 0, "x").unwrap();
/// log.committed("a", 1, "y").unwrap();
/// log.committed("b", 0, "x").unwrap();
/// let error = log.committed("b", 1, "z").unwrap_err();
/// assert_eq!(error.to_string(), r#"entry 1 of b is "z", but a committed "y" there"#);
/// ```
#[derive(Clone, Debug)]
pub struct LogAgreement<E> {
    /// Each entry with the replica that committed it first.
    agreed: Vec<(E, String)>,
    /// How many entries each replica committed.
    replicas: BTreeMap<String, u64>,
}

/// Why a log is not agreed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogDisagreement<E: fmt::Debug> {
    /// Two replicas committed different entries at one index.
    #[error("entry {index} of {replica} is {entry:?}, but {other} committed {expected:?} there")]
    Differs {
        /// The index, from 0.
        index: u64,
        /// Who committed it now.
        replica: String,
        /// What.
        entry: E,
        /// Who had committed there first.
        other: String,
        /// What.
        expected: E,
    },
    /// A replica left entries out, or committed one twice.
    #[error("{replica} commits entry {index}, but its next is {expected}")]
    OutOfOrder {
        /// Who.
        replica: String,
        /// The index that it committed.
        index: u64,
        /// The index that it should have.
        expected: u64,
    },
    /// A replica came back with fewer entries than it had committed.
    #[error("{replica} came back with {found} entries, but had committed {expected}")]
    Lost {
        /// Who.
        replica: String,
        /// How many entries it has.
        found: u64,
        /// How many it had.
        expected: u64,
    },
}

impl<E: Clone + PartialEq + fmt::Debug> LogAgreement<E> {
    /// No replica committed anything.
    pub const fn new() -> Self {
        Self { agreed: Vec::new(), replicas: BTreeMap::new() }
    }

    /// `replica` commits `entry` at `index`, counted from 0. Each commits all entries, in order, once.
    pub fn committed(&mut self, replica: &str, index: u64, entry: E) -> Result<(), LogDisagreement<E>> {
        let expected = self.length_of(replica);
        if index != expected {
            return Err(LogDisagreement::OutOfOrder { replica: replica.to_owned(), index, expected });
        }
        let agreed = usize::try_from(index).ok().and_then(|index| self.agreed.get(index));
        match agreed {
            Some((agreed, other)) if *agreed != entry => {
                let (expected, other) = (agreed.clone(), other.clone());
                return Err(LogDisagreement::Differs {
                    index,
                    replica: replica.to_owned(),
                    entry,
                    other,
                    expected,
                });
            }
            Some(_) => {}
            None => self.agreed.push((entry, replica.to_owned())),
        }
        self.replicas.insert(replica.to_owned(), index + 1);
        Ok(())
    }

    /// `replica` came back after a crash and has `length` committed entries: none that it had committed may be gone.
    pub fn came_back(&self, replica: &str, length: u64) -> Result<(), LogDisagreement<E>> {
        let expected = self.length_of(replica);
        if length < expected {
            return Err(LogDisagreement::Lost { replica: replica.to_owned(), found: length, expected });
        }
        Ok(())
    }

    /// `replica` begins anew, as one whose disk is empty: it commits from entry 0 on.
    pub fn began_anew(&mut self, replica: &str) {
        self.replicas.remove(replica);
    }

    /// How many entries `replica` committed.
    pub fn length_of(&self, replica: &str) -> u64 {
        self.replicas.get(replica).copied().unwrap_or(0)
    }

    /// The entries that any replica committed, in order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &E> {
        self.agreed.iter().map(|(entry, _)| entry)
    }
}

impl<E: Clone + PartialEq + fmt::Debug> Default for LogAgreement<E> {
    fn default() -> Self {
        Self::new()
    }
}
