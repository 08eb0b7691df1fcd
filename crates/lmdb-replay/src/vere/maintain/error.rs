//! Why a pier was not changed.

use std::io;
use std::path::PathBuf;

use crate::vere::pier::PierError;
use crate::writer::WriteError;

/// Why a pier was not changed, or not to the end. What was done is durable; the same command again does the rest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaintainError {
    /// The command would lose something, or has nothing to stand on.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The pier cannot be opened.
    #[error(transparent)]
    Pier(#[from] PierError),
    /// LMDB could not write.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// What was made is not what should have been made: nothing was put in its place.
    #[error("{}: the new copy is not sound: {why}", path.display())]
    BadCopy {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The system refused.
    #[error("{}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

/// Why a command was not begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is a log already, and nothing is put over a log.
    #[error("{} is there already, and no log is replaced", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// The command needs epochs.
    #[error("the log has no epochs yet: `migrate` first")]
    NotEpochs,
    /// The log has no epoch at all.
    #[error("the log has no epoch")]
    NoEpoch,
    /// A file must be whole first.
    #[error("{} is not sound: {why}; `verify` names all of it", path.display())]
    Damaged {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// There is no whole live snapshot to start an epoch from.
    #[error("there is no whole snapshot in .urb/chk to start the new epoch from")]
    NoSnapshot,
    /// The live snapshot was being saved when the runtime ended.
    #[error("the live snapshot is half saved: start the ship, stop it, and try again")]
    SnapshotPatch,
    /// The live snapshot is of an earlier or later event.
    #[error(
        "the live snapshot is of event {snapshot}, but the log ends with {last}: play, and stop the ship gracefully"
    )]
    SnapshotStale {
        /// Its event.
        snapshot: u64,
        /// The log's last event.
        last: u64,
    },
    /// Which event the live snapshot is of cannot be told.
    #[error("which event the live snapshot is of cannot be told: say so if it is {last}")]
    SnapshotUnknown {
        /// The log's last event.
        last: u64,
    },
    /// The oldest epoch that would be kept could not start.
    #[error("epoch {epoch} has no whole snapshot of its own event: what is before it is still needed")]
    StartNeeded {
        /// The epoch.
        epoch: u64,
    },
    /// At least one epoch stays.
    #[error("at least one epoch must be kept")]
    KeepNone,
    /// META of the log does not say whose it is.
    #[error("META does not say whose log it is: {why}")]
    NoIdentity {
        /// What is missing.
        why: String,
    },
    /// A folder with the name that is needed is something else.
    #[error("{} is there, and is not what an interrupted command left", path.display())]
    InTheWay {
        /// The folder.
        path: PathBuf,
    },
    /// An event that is to be appended is none.
    #[error("event {number} has {what}")]
    BadEvent {
        /// Its number.
        number: u64,
        /// What it has.
        what: &'static str,
    },
}
