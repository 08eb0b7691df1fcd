//! What can be wrong with a pier: what, where, what is lost, what to do.

use std::fmt;
use std::path::PathBuf;

use crate::structure::DamagedPage;
use crate::vere::event::EventError;
use crate::vere::meta::MetaIssue;

/// A broken invariant, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; the log is sound.
    Note,
    /// Something needs attention before the next runtime or command touches the pier.
    Warning,
    /// Something is lost, or cannot be told.
    Damage,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A data file cannot be opened; the text says why.
    #[error("{why}")]
    Unopenable {
        /// The whole chain of reasons.
        why: String,
        /// Whether the file is shorter than the pages in use.
        is_truncated: bool,
    },
    /// The device refused to read.
    #[error("{why}")]
    Unreadable {
        /// The whole chain of reasons.
        why: String,
    },
    /// A page is damaged.
    #[error("page {} is damaged: {}", .0.page, .0.problem)]
    Page(DamagedPage),
    /// More pages are damaged than are told one by one.
    #[error("{count} more pages are damaged")]
    MorePages {
        /// How many.
        count: u64,
    },
    /// The file ends before its last page, but the missing ones are free.
    #[error("the file ends {missing_pages} pages before its last one; the missing ones are free")]
    ShortButFree {
        /// How many pages.
        missing_pages: u64,
    },
    /// The numbers of the transactions in the two meta pages do not follow each other.
    #[error("the meta pages give transactions {first} and {second}, which no writer leaves")]
    MetaTransactions {
        /// That of meta page 0.
        first: u64,
        /// That of meta page 1.
        second: u64,
    },
    /// A key of META is missing or means nothing.
    #[error(transparent)]
    Meta(MetaIssue),
    /// An epoch says another thing than the log it is in.
    #[error("META {key} is {found} here, and {expected} in {other}")]
    MetaDiffers {
        /// The key.
        key: &'static str,
        /// Here.
        found: String,
        /// There.
        expected: String,
        /// Where that is.
        other: String,
    },
    /// `epoc.txt` is missing.
    #[error("epoc.txt is missing: Vere 3.0 deletes such an epoch with all its events")]
    EpocMissing,
    /// `epoc.txt` is empty, as 3.0 leaves it when the disk is full.
    #[error("epoc.txt is empty")]
    EpocEmpty,
    /// `epoc.txt` holds no version that is known.
    #[error("epoc.txt says {text:?}, known are 1 and 2")]
    EpocUnknown {
        /// Its text, or what is there of it.
        text: String,
    },
    /// `vere.txt` is missing.
    #[error("vere.txt is missing")]
    VereMissing,
    /// An epoch after the first has no whole snapshot to start from.
    #[error("there is no whole snapshot to start this epoch from")]
    SnapshotMissing,
    /// An epoch does not start with the event behind its number.
    #[error("the first event is {found}, where {expected} should be")]
    FirstEvent {
        /// Its number and one.
        expected: u64,
        /// The first event.
        found: u64,
    },
    /// Events are missing.
    #[error("{}", missing(*first, *last))]
    Gap {
        /// The first one.
        first: u64,
        /// The last one.
        last: u64,
    },
    /// The ends of the table and its count contradict each other; the gaps say where.
    #[error("{entries} events from {first} to {last}")]
    Count {
        /// What the table counts.
        entries: u64,
        /// Its first event.
        first: u64,
        /// Its last event.
        last: u64,
    },
    /// An epoch does not start where the one before it ends.
    #[error("the epoch before this one ends with event {expected}, but it starts behind {found}")]
    EpochStart {
        /// The last event before.
        expected: u64,
        /// This epoch's number.
        found: u64,
    },
    /// An epoch that is not the newest holds no event.
    #[error("no event is in this epoch, which is not the newest one")]
    EmptyEpoch,
    /// There is no epoch at all.
    #[error("there is no epoch")]
    NoEpoch,
    /// More events boot the ship than its first epoch has.
    #[error("life is {life}, but the log's first epoch ends with event {last}")]
    Life {
        /// How many events boot it.
        life: u32,
        /// The last one there is.
        last: u64,
    },
    /// The value of an event is none.
    #[error("event {number}: {problem}")]
    Event {
        /// Its number.
        number: u64,
        /// Why.
        problem: EventError,
    },
    /// Mugs were recorded, and then one was not.
    #[error("event {number} has no mug, though event {before} has one")]
    MugZero {
        /// Its number.
        number: u64,
        /// The one before.
        before: u64,
    },
    /// The noun of an event cannot be decoded, or is no job.
    #[error("event {number}: {why}")]
    Job {
        /// Its number.
        number: u64,
        /// Why.
        why: String,
    },
    /// An event happened before the one before it.
    #[error("event {number} is dated before event {before}")]
    Date {
        /// Its number.
        number: u64,
        /// The one before.
        before: u64,
    },
    /// Two folders mean one epoch.
    #[error("this is epoch {number}, as {other} is")]
    SameEpoch {
        /// Its number.
        number: u64,
        /// The other folder.
        other: String,
    },
    /// Something has the name of an epoch, and is no folder.
    #[error("a file with the name of an epoch")]
    EpochIsFile,
    /// A flat log holds events beside epochs, or epochs stand beside a flat log.
    #[error("both a flat log and epochs hold events")]
    FlatAndEpochs,
    /// The migration to epochs was begun and not finished.
    #[error("the migration to epochs was begun and not finished")]
    Migrating,
    /// Something is left over from a command that was interrupted, or from an old runtime.
    #[error("left over: {what}")]
    Leftover {
        /// From what.
        what: &'static str,
    },
    /// The live snapshot was being saved when the runtime ended.
    #[error("the live snapshot was being saved when the runtime ended")]
    SnapshotPatch,
    /// The snapshot of an epoch is one of another event.
    #[error("the snapshot is of event {found}, but the epoch starts behind {expected}")]
    SnapshotElsewhere {
        /// The event it is of.
        found: u64,
        /// The epoch's number.
        expected: u64,
    },
    /// The live snapshot has events that the log has not: an epoch was taken away, or an older log put in place.
    #[error("the live snapshot is of event {event}, but the log ends with {last}: it is ahead of the log")]
    SnapshotAhead {
        /// The event it is of.
        event: u64,
        /// The log's last event.
        last: u64,
    },
    /// The live snapshot is older than the newest epoch: Vere refuses the pier.
    #[error("the live snapshot is of event {event}, but the newest epoch starts behind {epoch}")]
    SnapshotBehind {
        /// The event it is of.
        event: u64,
        /// The newest epoch.
        epoch: u64,
    },
    /// A lock file is there, but nobody has the pier.
    #[error("stale: {why}")]
    StaleLock {
        /// Why.
        why: String,
    },
    /// Pages are neither in use nor free.
    #[error("{pages} pages are neither in use nor free")]
    Leaked {
        /// How many.
        pages: u64,
    },
}

fn missing(first: u64, last: u64) -> String {
    if first == last {
        format!("event {first} is missing")
    } else {
        format!("events {first} to {last} are missing")
    }
}

impl Problem {
    /// Which of the invariants in `docs/vere-log.md` is broken.
    pub fn invariant(&self) -> u8 {
        match self {
            Self::Unopenable { .. }
            | Self::Unreadable { .. }
            | Self::Page(_)
            | Self::MorePages { .. }
            | Self::ShortButFree { .. }
            | Self::MetaTransactions { .. }
            | Self::Leaked { .. } => 1,
            Self::Meta(_) | Self::MetaDiffers { .. } | Self::FlatAndEpochs | Self::Migrating => 2,
            Self::EpocMissing | Self::EpocEmpty | Self::EpocUnknown { .. } | Self::VereMissing => 3,
            Self::FirstEvent { .. } | Self::Gap { .. } | Self::Count { .. } => 4,
            Self::EpochStart { .. } | Self::EmptyEpoch | Self::NoEpoch => 5,
            Self::Life { .. } => 6,
            Self::Event { .. } | Self::MugZero { .. } => 7,
            Self::Job { .. } | Self::Date { .. } => 8,
            Self::SnapshotMissing
            | Self::SnapshotPatch
            | Self::SnapshotElsewhere { .. }
            | Self::SnapshotAhead { .. }
            | Self::SnapshotBehind { .. } => 9,
            Self::StaleLock { .. } => 10,
            Self::SameEpoch { .. } | Self::EpochIsFile | Self::Leftover { .. } => 11,
        }
    }

    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self {
            Self::VereMissing
            | Self::StaleLock { .. }
            | Self::Leaked { .. }
            | Self::Leftover { .. }
            | Self::Date { .. }
            | Self::SnapshotPatch => Severity::Note,
            Self::ShortButFree { .. }
            | Self::MetaTransactions { .. }
            | Self::Meta(_)
            | Self::EpocMissing
            | Self::EpocEmpty
            | Self::EpocUnknown { .. }
            | Self::SnapshotMissing
            | Self::SnapshotElsewhere { .. }
            | Self::SnapshotBehind { .. }
            | Self::MugZero { .. }
            | Self::SameEpoch { .. }
            | Self::EpochIsFile
            | Self::Migrating => Severity::Warning,
            _ => Severity::Damage,
        }
    }

    /// What is lost, in words.
    pub fn loss(&self) -> String {
        match self {
            Self::Unopenable { .. } | Self::Unreadable { .. } => {
                "what the file holds, until it can be read".into()
            }
            Self::Page(damage) => damage.lost.to_string(),
            Self::Gap { first, last } if first == last => format!("event {first}"),
            Self::Gap { first, last } => format!("events {first} to {last}"),
            Self::FirstEvent { expected, found } if expected < found => {
                format!("events {expected} to {}: nothing replays from before them", found - 1)
            }
            Self::EpochStart { expected, found } if expected < found => {
                format!("events {} to {found}", expected + 1)
            }
            Self::Event { number, .. } | Self::Job { number, .. } => format!("event {number}"),
            Self::MorePages { .. } => "more than is told here".into(),
            Self::SnapshotAhead { event, last } => {
                format!("events {} to {event} of the log", last.saturating_add(1))
            }
            Self::NoEpoch => "all events".into(),
            Self::Life { .. } => "the end of the boot sequence".into(),
            Self::SnapshotMissing => {
                "the start of a replay here; one from an earlier epoch still works".into()
            }
            _ => "nothing".into(),
        }
    }

    /// What to do.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unopenable { .. } | Self::Page(_) | Self::MorePages { .. } => {
                "restore the file from a copy, or `salvage` what is readable into a new pier"
            }
            Self::Unreadable { .. } => {
                "look to the disk and its cables before anything else, then copy the pier"
            }
            Self::ShortButFree { .. } => {
                "if the file was copied while a ship ran, copy it again; else nothing"
            }
            Self::MetaTransactions { .. } => "compare with a copy; `export` and keep the original",
            Self::Meta(_) | Self::MetaDiffers { .. } => {
                "see what the other epochs say; `salvage` writes a META that agrees with most of them"
            }
            Self::EpocMissing | Self::EpocEmpty => {
                "write \"1\" (north.bin) or \"2\" (image.bin) into epoc.txt before any Vere starts; delete nothing"
            }
            Self::EpocUnknown { .. } => {
                "a newer runtime made this: read it with that one, or with a newer release"
            }
            Self::VereMissing | Self::StaleLock { .. } | Self::Leaked { .. } => "nothing",
            Self::SnapshotAhead { .. } => {
                "put the newest epoch or the newer log back where it was; else remove the snapshot and replay"
            }
            Self::SnapshotBehind { .. } => {
                "copy the newest epoch's own snapshot files over those in .urb/chk, then play"
            }
            Self::SnapshotMissing | Self::SnapshotElsewhere { .. } => {
                "replay from an earlier epoch or from a rock"
            }
            Self::FirstEvent { .. } => {
                "start from a snapshot or rock of an event that is in the log, or find the part that was chopped off"
            }
            Self::Gap { .. } | Self::Count { .. } | Self::EpochStart { .. } | Self::EmptyEpoch => {
                "look for the missing events in copies and in .urb/log/chop; else start behind them from a snapshot"
            }
            Self::NoEpoch => "look for the epochs in copies: 0i<number> in .urb/log",
            Self::Life { .. } => "restore the first epoch from a copy",
            Self::Event { .. } | Self::Job { .. } => {
                "restore the event from a copy; a replay stops before it, a snapshot of a later event starts behind it"
            }
            Self::MugZero { .. } | Self::Date { .. } => {
                "nothing, if a replay gives the mugs that are recorded"
            }
            Self::SameEpoch { .. } | Self::EpochIsFile => "move one of them out of .urb/log",
            Self::FlatAndEpochs => "compare both; keep a copy of each before any Vere starts",
            Self::Migrating => "finish it by `migrate`",
            Self::Leftover { .. } => "nothing, or remove it once the pier has run",
            Self::SnapshotPatch => {
                "keep control.bin and memory.bin with the snapshot: the runtime finishes the save"
            }
        }
    }
}

impl Finding {
    /// How much it matters.
    pub fn severity(&self) -> Severity {
        self.problem.severity()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.problem)
    }
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
