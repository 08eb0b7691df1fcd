#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod async_wal;
mod background;
mod chunk;
#[cfg(feature = "cli")]
pub mod cli;
mod clock;
mod commit;
mod crc;
mod cursor;
mod disk;
mod entries;
mod error;
mod follow;
mod format;
mod frame;
mod group;
mod id;
mod log;
mod lookup;
#[expect(unsafe_code, reason = "mapping a file: only the caller can promise that nobody changes it")]
mod map;
mod metrics;
mod op;
mod opening;
mod options;
mod prepare;
mod provider_io;
mod read_only;
mod record;
mod recover;
mod report;
mod scan;
mod sidecar;
pub mod std_io;
mod sync;
mod ticket;
mod truncations;
pub mod verify;
mod view;
mod wal;

pub use async_wal::{AsyncFollower, AsyncReader, AsyncWal};
pub use disk::Disk;
pub use error::{
    AppendError, Damage, DamageKind, FollowError, OpenError, PruneError, ReadError, SnapshotError, SyncError,
    TruncateError,
};
pub use id::{LogId, Lsn, SegmentId};
pub use metrics::{Histogram, Metrics};
pub use op::{DiskError, FileName, Op};
pub use options::{CommitPolicy, Options, OptionsError, SlowSync, TailModel};
pub use read_only::{ReadOnlyDisk, is_in_use};
pub use record::{Entry, EntryRef, Prepared};
pub use report::{OpenOutcome, RecoveryReport, TailFound};
pub use samestep_replay_traits::{Index, Record, ReplaySource};
pub use std_io::StdDisk;
pub use ticket::Ticket;
pub use view::{SnapshotMark, StateRecord};
pub use wal::{Follower, Reader, Wal};

/// The cores without I/O, for drivers other than the two in this crate.
pub mod sans_io {
    pub use crate::cursor::Cursor;
    pub use crate::error::Failure;
    pub use crate::follow::Follow;
    pub use crate::log::{Log, Span, StageError};
    pub use crate::lookup::Lookup;
    pub use crate::opening::Opening;
}
