#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod async_wal;
mod background;
mod clock;
mod commit;
mod cursor;
mod disk;
mod error;
mod format;
mod frame;
mod group;
mod id;
mod log;
mod metrics;
mod op;
mod opening;
mod options;
mod provider_io;
mod record;
mod recover;
mod report;
mod scan;
mod sidecar;
pub mod std_io;
mod ticket;
mod view;
mod wal;

pub use async_wal::{AsyncReader, AsyncWal};
pub use disk::Disk;
pub use error::{
    AppendError, Damage, DamageKind, OpenError, PruneError, ReadError, SyncError, TruncateError,
};
pub use id::{LogId, Lsn, SegmentId};
pub use metrics::{Histogram, Metrics};
pub use op::{DiskError, FileName, Op};
pub use options::{CommitPolicy, Options, OptionsError, SlowSync, TailModel};
pub use record::{Entry, EntryRef, Prepared};
pub use report::{OpenOutcome, RecoveryReport, TailFound};
pub use samestep_replay_traits::{Index, Record, ReplaySource};
pub use std_io::StdDisk;
pub use ticket::Ticket;
pub use view::StateRecord;
pub use wal::{Reader, Wal};

/// The cores without I/O, for drivers other than the two in this crate.
pub mod sans_io {
    pub use crate::cursor::{Cursor, Lookup};
    pub use crate::error::Failure;
    pub use crate::log::{Log, Span, StageError};
    pub use crate::opening::Opening;
}
