//! Why a data file, or a page in it, could not be read.

use std::fmt;
use std::io;

/// Why a data file could not be opened. Nothing was touched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file is not there, or the device refused.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// Zero bytes. A writer of LMDB would silently make a new, empty database of it.
    #[error("the file is empty, where LMDB would make a new database: restore it from a copy")]
    Empty,
    /// A meta page is damaged. The other one may be whole: salvage reads the log as of that one.
    #[error("meta page {page} is damaged: {problem}; salvage what the other meta page leads to")]
    Meta {
        /// 0 or 1.
        page: u8,
        /// How it is damaged.
        problem: MetaProblem,
    },
    /// The file ends before the last page in use. LMDB would open it, and die of SIGBUS.
    #[error(
        "the file has {found_bytes} bytes, but pages up to byte {needed_bytes} are in use: \
         restore it from a copy, or salvage what is left"
    )]
    Truncated {
        /// Bytes in the file.
        found_bytes: u64,
        /// Bytes up to the end of the last page in use.
        needed_bytes: u64,
    },
}

/// What is wrong with a meta page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetaProblem {
    /// The file ends before the meta page does.
    #[error("the file ends before it")]
    Missing,
    /// It is not LMDB's, or of a host with another order of bytes.
    #[error("magic {found:#010x}, expected 0xbeefc0de")]
    Magic {
        /// The word in its place.
        found: u32,
    },
    /// Written by an LMDB that we do not know.
    #[error("data version {found}, expected 1")]
    Version {
        /// The version it gives.
        found: u32,
    },
    /// The page's own header says that it is another page.
    #[error("its header says page {number} with flags {flags:#06x}")]
    Header {
        /// The number it gives.
        number: u64,
        /// The flags it gives, 0x0008 in a meta page.
        flags: u16,
    },
    /// Not a power of two from 256 to 65536, or not the same in both.
    #[error("page size {found}")]
    PageBytes {
        /// The size it gives.
        found: u32,
    },
    /// The last page cannot be the last page.
    #[error("last page {found}")]
    LastPage {
        /// The number it gives.
        found: u64,
    },
    /// One of its two trees cannot be.
    #[error("{problem}")]
    Tree {
        /// How.
        problem: PageProblem,
    },
}

/// What is wrong with a page, or with an entry in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PageProblem {
    /// Numbers of a tree that contradict each other.
    #[error("a table's record contradicts itself")]
    Record,
    /// The number is that of a meta page, behind the last page, or behind the end of the file.
    #[error("there is no such page")]
    Outside,
    /// Another kind of page than its place in the tree asks for; 0 in zeroed ones.
    #[error("page flags {flags:#06x} are not those of its place in the tree")]
    Kind {
        /// The flags it gives.
        flags: u16,
    },
    /// The page says that it is another one.
    #[error("the page says that it is page {found}")]
    Number {
        /// The number it gives.
        found: u64,
    },
    /// Its entries would lie outside.
    #[error("the bounds of its entries are impossible")]
    Bounds,
    /// An entry reaches over the end of the page, or its key has a length that the table does not allow.
    #[error("entry {at} does not fit")]
    Node {
        /// Which, from 0.
        at: usize,
    },
    /// Keys must ascend, over all pages.
    #[error("the key of entry {at} does not come after the one before it")]
    Order {
        /// Which, from 0.
        at: usize,
    },
    /// The value's pages are fewer than its length needs.
    #[error("a value of {value_bytes} bytes in {pages} pages")]
    Overflow {
        /// Its length.
        value_bytes: u32,
        /// Its pages.
        pages: u32,
    },
    /// Two places in the trees use the page.
    #[error("the page is used twice")]
    Shared,
    /// The page is in the list of free ones, and in use or there twice: the next writer would overwrite it.
    #[error("the page is called free, and is in use or called so twice")]
    Free,
    /// The numbers of pages in the table's record are not those found.
    #[error("the table's record counts other pages")]
    Counts,
    /// The tree ended before or after the number of entries in its record.
    #[error("{found} entries, but the table's record counts {expected}")]
    Entries {
        /// Those in the pages.
        found: u64,
        /// Those in the record.
        expected: u64,
    },
}

/// Why an entry could not be read. The reader stays where it is: asked again, it tries again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The device refused, or the file has become shorter since it was opened.
    #[error("page {page} cannot be read")]
    Io {
        /// The page, or the first one of a run.
        page: u64,
        /// What the device says.
        source: io::Error,
    },
    /// A page is damaged, and what lies behind it is out of reach. Salvage goes around it.
    #[error("page {page} is damaged: {problem}; lost: {lost}")]
    Damaged {
        /// The page.
        page: u64,
        /// How it is damaged.
        problem: PageProblem,
        /// Which entries cannot be reached for it.
        lost: Lost,
    },
    /// A value is longer than the limit that was set: raise it, if this can be.
    #[error("a value of {value_bytes} bytes is longer than the limit of {limit_bytes}")]
    TooLong {
        /// Its length.
        value_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// The table has an order or duplicates that no event log has, or no integer keys where they are asked for.
    #[error("a table with flags {flags:#06x} holds no event log")]
    Flags {
        /// The flags in its record.
        flags: u16,
    },
}

/// The entries of a table that lie under one damaged page, as its parents tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The first number that can be lost, if the parents tell.
    pub first: Option<u64>,
    /// The last one, if there is a next page.
    pub last: Option<u64>,
    /// Whether keys are numbers of events. If not, the two others are `None`.
    pub is_events: bool,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_events, self.first, self.last) {
            (false, ..) => f.write_str("a table, or keys of one that holds no events"),
            (true, Some(first), Some(last)) if first == last => write!(f, "event {first}"),
            (true, Some(first), Some(last)) => write!(f, "events {first} to {last}"),
            (true, Some(first), None) => write!(f, "event {first} and all after it"),
            (true, None, Some(last)) => write!(f, "all events up to {last}"),
            (true, None, None) => f.write_str("all events of the table"),
        }
    }
}
