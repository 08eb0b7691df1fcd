//! What a run over a log finds: what, where, what is lost, what to do.

use std::fmt;

use crate::error::{Damage, DamageKind};
use crate::id::LogId;
use crate::op::{DiskError, FileName};

/// A problem and where it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The file it is in; `None` is the directory.
    pub file: Option<FileName>,
    /// First byte it is about.
    pub offset: u64,
    /// What it is.
    pub problem: Problem,
}

impl Finding {
    pub(crate) fn new(file: Option<FileName>, problem: Problem) -> Self {
        let offset = match &problem {
            Problem::Damage(damage) => damage.offset,
            Problem::Ambiguous { offset, .. } | Problem::Torn { offset, .. } => *offset,
            _ => 0,
        };
        Self { file, offset, problem }
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match &self.problem {
            Problem::Torn { .. }
            | Problem::Unproven { .. }
            | Problem::NeverActivated
            | Problem::Pruned
            | Problem::ForeignName { .. } => Severity::Note,
            Problem::Meta { .. } | Problem::Sidecar => Severity::Warning,
            _ => Severity::Damage,
        }
    }

    /// What is lost, in one sentence.
    pub fn loss(&self) -> String {
        match &self.problem {
            Problem::Damage(damage) => loss_of(damage),
            Problem::Ambiguous { bytes, .. } => {
                format!(
                    "the {bytes} bytes behind the last valid record, which nothing proves to be acknowledged"
                )
            }
            Problem::Torn { bytes, .. } => format!("{bytes} bytes that were never acknowledged"),
            Problem::WrongLog { .. } => "nothing, if the file is moved back to its own log".to_owned(),
            Problem::Unreadable(_) => "unknown: the disk does not give the bytes".to_owned(),
            Problem::Version { .. }
            | Problem::Meta { .. }
            | Problem::Sidecar
            | Problem::Unproven { .. }
            | Problem::NeverActivated
            | Problem::Pruned
            | Problem::ForeignName { .. } => "nothing".to_owned(),
        }
    }

    /// What to do about it, in one sentence.
    pub fn advice(&self) -> &'static str {
        match &self.problem {
            Problem::Damage(damage) if matches!(damage.kind, DamageKind::Missing) => {
                "put the file back from a backup or a replica, or give up what follows with `repair --accept-damage`"
            }
            Problem::Damage(_) => {
                "restore the file from a backup or a replica, or give up what follows with `repair --accept-damage`"
            }
            Problem::Ambiguous { .. } => "if the loss is acceptable, `repair` drops it and keeps a copy",
            Problem::WrongLog { .. } => "move the file back to the log it belongs to",
            Problem::Version { .. } => "read it with a newer version of this program",
            Problem::Unreadable(_) => "look at the system's log, copy the disk, and run this on the copy",
            Problem::Meta { .. } => "nothing: the next opening writes it anew",
            Problem::Sidecar => "nothing: it is a cache, and reading scans the segment instead",
            Problem::Torn { .. } => {
                "nothing: the next opening drops it and keeps the bytes in the old segment"
            }
            Problem::Unproven { .. } => "nothing: the next opening copies them into a new segment",
            Problem::NeverActivated | Problem::Pruned => "nothing: the next opening removes it",
            Problem::ForeignName { .. } => "nothing: it is not the log's, and the log leaves it alone",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = self.file {
            write!(f, "{file}: ")?;
        }
        self.problem.fmt(f)
    }
}

fn loss_of(damage: &Damage) -> String {
    match (damage.identity, damage.kind) {
        (Some((index, aux)), _) => format!("the payload of entry {index} (aux {aux}); its header is whole"),
        (None, DamageKind::Missing | DamageKind::SegmentHeader) => "every record of the segment".to_owned(),
        (None, DamageKind::Order) => "nothing, if files were swapped and are put back".to_owned(),
        (None, DamageKind::Length) => "every record behind the end of the file".to_owned(),
        (None, _) => "at least one record".to_owned(),
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// What a crash or a prune leaves behind, and the next opening takes care of.
    Note,
    /// Rot that costs nothing: of a cache, or of bounds that are known otherwise.
    Warning,
    /// Something is lost or cannot be judged.
    Damage,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Damage => "damage",
        })
    }
}

/// What is wrong.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Problem {
    /// Bytes that must be there are not as they were written.
    Damage(Damage),
    /// The tail is broken in a way that no crash explains, and nothing proves that it was acknowledged.
    Ambiguous {
        /// End of the last valid record.
        offset: u64,
        /// Bytes from there to the last that is not zero.
        bytes: u64,
    },
    /// The tail is a write that a crash cut short.
    Torn {
        /// End of the last complete record.
        offset: u64,
        /// Bytes from there to the last that is not zero.
        bytes: u64,
    },
    /// Records at the end are whole, and nothing proves yet that they were durable.
    Unproven {
        /// Bytes of them.
        bytes: u64,
    },
    /// The file is of another log.
    WrongLog {
        /// The log that most files are of.
        expected: LogId,
        /// The log that this one is of.
        found: LogId,
    },
    /// The segment needs a newer reader.
    Version {
        /// The oldest version that can read it.
        min_reader: u16,
    },
    /// `wal.meta`, or one of its slots, is not whole.
    Meta {
        /// No slot is left.
        is_lost: bool,
    },
    /// The sidecar does not describe its segment.
    Sidecar,
    /// A file that was created for a new segment and never used.
    NeverActivated,
    /// A file of a segment that is pruned.
    Pruned,
    /// The directory holds a name that no log would give.
    ForeignName {
        /// The name.
        name: String,
    },
    /// The disk refused to read the file.
    Unreadable(DiskError),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damage(damage) => damage.fmt(f),
            Self::Ambiguous { offset, bytes } => write!(f, "{bytes} unexplained bytes at byte {offset}"),
            Self::Torn { offset, bytes } => write!(f, "{bytes} bytes of a torn write at byte {offset}"),
            Self::Unproven { bytes } => write!(f, "the last {bytes} bytes are whole, and not proven durable"),
            Self::WrongLog { expected, found } => write!(f, "belongs to log {found}, not to {expected}"),
            Self::Version { min_reader } => write!(f, "needs a reader of format version {min_reader}"),
            Self::Meta { is_lost: true } => f.write_str("missing or damaged"),
            Self::Meta { is_lost: false } => f.write_str("one of its two slots is damaged"),
            Self::Sidecar => f.write_str("does not describe its segment"),
            Self::NeverActivated => f.write_str("was created and never used"),
            Self::Pruned => f.write_str("is pruned"),
            Self::ForeignName { name } => write!(f, "{name} is in the directory"),
            Self::Unreadable(error) => write!(f, "{error}: {}", error.source),
        }
    }
}
