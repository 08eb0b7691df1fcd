//! Ready checks of whole systems: given what clients saw, or what replicas did, they say whether it can be right.
//!
//! An oracle knows nothing of the system and takes part in nothing: it is told by the test. None of them draws a
//! number or changes a run.

mod history;
mod linearizability;
mod log;
mod replica;
mod search;
mod specification;

pub use history::{Call, CallId, History, KvHistory, OpenCall};
pub use linearizability::{Explanation, Verdict};
pub use log::{LogAgreement, LogDisagreement};
pub use replica::{ReplicaDivergence, ReplicaHashes, state_hash};
pub use specification::{Register, RegisterOperation, RegisterOutcome, Specification};

#[cfg(test)]
mod tests;
