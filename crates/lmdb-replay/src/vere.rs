//! The layout of Urbit's runtime, Vere, on top of the generic layer: piers, their epochs and their META tables.
//!
//! Supported are disk versions 1 (one flat log, runtimes 1.x to 2.12), 2 (a migration that was interrupted) and 3
//! (epochs, from 3.0 on), and epoch versions 1 and 2. Snapshots of the runtime's memory are opaque files here.

mod event;
mod finding;
mod job;
pub mod maintain;
mod meta;
mod pier;
mod snapshot_event;
mod survey;
mod text;
mod verify;

pub use event::{EventError, StoredEvent};
pub use finding::{Finding, Problem, Severity};
pub use job::{Job, JobError};
pub use meta::{Identity, MetaIssue, MetaIssueKind, MetaRecord};
pub use pier::{Access, DiskVersion, Pier, PierError};
pub use survey::{DataError, DataSurvey, EpochSurvey, SnapshotFiles, Survey};
pub use text::TextFile;
pub use verify::{Depth, Verified, verify};
