//! Operations: all that a core asks of the world, as owned values.
//!
//! A core never touches a file. It hands out an [`Op`]; a driver performs it and gives it back with its outcome.
//! The blocking driver, the asynchronous one, the crash enumerator and a fuzzer differ only in how they perform.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::id::SegmentId;

/// One operation on the directory of a log. It owns its buffer until it is handed back.
///
/// The outcome is an [`io::Result`] of a number; what the number means stands at each variant, and it is 0 where
/// nothing is said. All offsets and lengths are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Op {
    /// Create the log's directory with all its parents; fine if it is there.
    CreateDir,
    /// Make the log's directory itself durable, in its parent.
    SyncParent,
    /// Make created and removed names in the log's directory durable.
    SyncDir,
    /// Create `LOCK` if it is missing and lock it, or fail with [`io::ErrorKind::WouldBlock`] at once.
    Lock,
    /// Fill `names` with the names in the log's directory, in any order.
    List {
        /// Where the names go. Empty when handed out.
        names: Vec<String>,
    },
    /// Open an existing file. The outcome is its length.
    Open {
        /// Which file.
        file: FileName,
    },
    /// Create a file, or empty the one that is there, and open it.
    Create {
        /// Which file.
        file: FileName,
    },
    /// Fill `buf` from `offset` on. The outcome is the number of bytes read, short only at the end of the file.
    ReadAt {
        /// Which file. It was opened or created before.
        file: FileName,
        /// Where to start.
        offset: u64,
        /// Where the bytes go; its length is how many are wanted.
        buf: Vec<u8>,
    },
    /// Write all of `buf` at `offset`. Not durable before the next [`Op::SyncData`]; after a failure any part of
    /// `buf` may have been written.
    WriteAt {
        /// Which file. It was opened or created before.
        file: FileName,
        /// Where to start.
        offset: u64,
        /// What to write.
        buf: Vec<u8>,
    },
    /// Write `len` zeros from offset 0 on.
    WriteZeros {
        /// Which file. It was created just before.
        file: FileName,
        /// How many.
        len: u64,
        /// Whether a hole will do. If not, write them really: later writes then change no metadata, and cost no more
        /// than their data at each barrier.
        may_be_hole: bool,
    },
    /// Make all completed writes to the file, and its length, durable.
    SyncData {
        /// Which file.
        file: FileName,
    },
    /// Cut the file to `len`.
    SetLen {
        /// Which file.
        file: FileName,
        /// The new length, not above the present one.
        len: u64,
    },
    /// Remove the name. Durable after the next [`Op::SyncDir`].
    Remove {
        /// Which file.
        file: FileName,
    },
    /// Close the file; `LOCK` is unlocked by it. Fine if it is not open.
    Close {
        /// Which file.
        file: FileName,
    },
}

impl Op {
    /// The file that the operation is about, if it is about one.
    pub fn file(&self) -> Option<FileName> {
        match self {
            Self::CreateDir | Self::SyncParent | Self::SyncDir | Self::List { .. } => None,
            Self::Lock => Some(FileName::Lock),
            Self::Open { file }
            | Self::Create { file }
            | Self::ReadAt { file, .. }
            | Self::WriteAt { file, .. }
            | Self::WriteZeros { file, .. }
            | Self::SyncData { file }
            | Self::SetLen { file, .. }
            | Self::Remove { file }
            | Self::Close { file } => Some(*file),
        }
    }

    /// The operation's name in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CreateDir => "create directory",
            Self::SyncParent => "sync parent directory",
            Self::SyncDir => "sync directory",
            Self::Lock => "lock",
            Self::List { .. } => "list directory",
            Self::Open { .. } => "open",
            Self::Create { .. } => "create",
            Self::ReadAt { .. } => "read",
            Self::WriteAt { .. } => "write",
            Self::WriteZeros { .. } => "zero-fill",
            Self::SyncData { .. } => "sync",
            Self::SetLen { .. } => "trim",
            Self::Remove { .. } => "remove",
            Self::Close { .. } => "close",
        }
    }
}

/// A file in the directory of a log. `Display` gives its name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FileName {
    /// `LOCK`: held while the log is open. Always empty.
    Lock,
    /// `wal.meta`: lower bounds of what must be there.
    Meta,
    /// `seg-<20 digits>.wal`: frames.
    Segment(SegmentId),
    /// `seg-<20 digits>.wal.idx`: where the entries of a sealed segment stand. A cache, never trusted.
    Sidecar(SegmentId),
}

impl FileName {
    /// The file with this name, or `None` if no log would name a file so.
    ///
    /// Segment numbers are parsed as numbers and must have 20 digits, so that no two names mean one segment.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "LOCK" => return Some(Self::Lock),
            "wal.meta" => return Some(Self::Meta),
            _ => {}
        }
        let rest = name.strip_prefix("seg-")?;
        let (digits, suffix) = rest.split_at_checked(20)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let id = SegmentId::new(digits.parse().ok()?);
        match suffix {
            ".wal" => Some(Self::Segment(id)),
            ".wal.idx" => Some(Self::Sidecar(id)),
            _ => None,
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock => f.write_str("LOCK"),
            Self::Meta => f.write_str("wal.meta"),
            Self::Segment(id) => write!(f, "seg-{:020}.wal", id.get()),
            Self::Sidecar(id) => write!(f, "seg-{:020}.wal.idx", id.get()),
        }
    }
}

/// An operation that failed, with the system's reason as its source. Cheap to clone: a poisoned log repeats it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot {op}{}", self.file.map(|file| format!(" {file}")).unwrap_or_default())]
pub struct DiskError {
    /// What failed, see [`Op::name`].
    pub op: &'static str,
    /// On which file, if on one.
    pub file: Option<FileName>,
    /// Why, in the system's words.
    pub source: Arc<io::Error>,
}

impl DiskError {
    /// Says that `op` failed with `source`.
    pub fn new(op: &Op, source: io::Error) -> Self {
        Self { op: op.name(), file: op.file(), source: Arc::new(source) }
    }

    /// Whether the device or the quota was full: space can be made, and then the same call may succeed.
    pub fn is_no_space(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

#[cfg(test)]
mod tests {
    use super::FileName;
    use crate::id::SegmentId;

    #[test]
    fn a_name_means_one_file() {
        for file in [FileName::Lock, FileName::Meta, FileName::Segment(SegmentId::new(12))] {
            assert_eq!(FileName::parse(&file.to_string()), Some(file));
        }
        let sidecar = FileName::Sidecar(SegmentId::new(u64::MAX));
        assert_eq!(FileName::parse(&sidecar.to_string()), Some(sidecar));
        for name in ["seg-12.wal", "seg-+0000000000000000012.wal", "seg-00000000000000000012.wal.tmp", "lock"]
        {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }

    /// Names sort as numbers do, also beyond nine.
    #[test]
    fn names_are_ordered_by_number() {
        let name = |number| FileName::Segment(SegmentId::new(number)).to_string();
        assert!(name(9) < name(10) && name(99) < name(101));
        assert!(FileName::Segment(SegmentId::new(9)) < FileName::Segment(SegmentId::new(10)));
    }
}
