//! The rows: what is measured, beside whom, and what the limit is.

use crate::engines::Engine::{self, *};

/// One measurement that several engines do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What the first engine, the limit, does.
    pub(crate) limit: &'static str,
    /// The limit first.
    pub(crate) engines: &'static [Engine],
    pub(crate) work: Work,
    pub(crate) writers: usize,
    pub(crate) payload_bytes: usize,
    /// All writers together.
    pub(crate) records: u64,
    /// Capacity of a segment or file of a log.
    pub(crate) segment_bytes: u64,
    /// Where more rounds would only repeat gigabytes.
    pub(crate) rounds_max: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Append records; durable one by one, or not at all.
    Append(Durability),
    /// Open a log that is in the page cache and read every record, verified.
    Replay,
    /// Open a log; how did its last user leave it?
    Open(Ending),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Each append returns when its record is durable.
    Synced,
    /// Handed to the system at the end.
    Unsynced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Closed,
    /// The process ended without a word, with [`TAIL_RECORDS`] written and not yet synced.
    Killed,
}

impl Row {
    /// The row by that name, in full size or quick.
    pub(crate) fn find(name: &str, quick: bool) -> Option<Self> {
        ROWS.iter().find(|row| row.name == name).map(|row| if quick { row.quick() } else { *row })
    }

    /// The same with sizes that take no time.
    pub(crate) fn quick(self) -> Self {
        let records = match self.work {
            Work::Append(Durability::Synced) => 4 * self.writers as u64,
            Work::Append(Durability::Unsynced) | Work::Replay => 30_000,
            Work::Open(_) => self.records / 256,
        };
        Self { records, segment_bytes: 4 << 20, rounds_max: 1, ..self }
    }

    /// Bytes of payload in the whole log.
    pub(crate) fn payload_total(&self) -> u64 {
        self.records * self.payload_bytes as u64
    }

    /// Whether appends roll through several segments while the clock runs.
    pub(crate) fn rolls(&self) -> bool {
        // 64 bytes are more than any framing here but walrus's, whose files have one size anyway.
        self.records * (self.payload_bytes as u64 + 64) > self.segment_bytes
    }
}

/// Prints what `rows` says.
pub(crate) fn print() {
    for row in ROWS {
        println!("{:<20} {}", row.name, row.title);
        println!("{:<20}   limit: {}", "", row.limit);
        let engines: Vec<String> = row.engines[1..].iter().map(ToString::to_string).collect();
        println!("{:<20}   beside it: {}", "", engines.join(", "));
    }
}

/// Records behind the last sync of a log whose process is killed.
pub(crate) const TAIL_RECORDS: u64 = 1000;

const SYNCED: Work = Work::Append(Durability::Synced);
const UNSYNCED: Work = Work::Append(Durability::Unsynced);
const SEGMENT: u64 = 64 << 20;

/// In the order in which they run.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "synced-256",
        title: "1 writer, 256 B, each append durable",
        limit: "write + fdatasync inside a zero-filled file",
        engines: &[Limit, LimitGrowing, Ours, RaftEngine, Okaywal, Walrus],
        work: SYNCED,
        writers: 1,
        payload_bytes: 256,
        records: 3000,
        segment_bytes: SEGMENT,
        rounds_max: 100,
    },
    Row {
        name: "synced-4k",
        title: "1 writer, 4 KiB, each append durable",
        limit: "write + fdatasync inside a zero-filled file",
        engines: &[Limit, LimitGrowing, Ours, RaftEngine, Okaywal, Walrus],
        work: SYNCED,
        writers: 1,
        payload_bytes: 4096,
        records: 3000,
        segment_bytes: SEGMENT,
        rounds_max: 100,
    },
    Row {
        name: "synced-256-x8",
        title: "8 writers in closed loops, 256 B, each append durable",
        limit: "one thread: 8 records in one write + fdatasync, zero-filled file",
        engines: &[Limit, Ours, OursGroup, RaftEngine, Okaywal, Walrus],
        work: SYNCED,
        writers: 8,
        payload_bytes: 256,
        records: 24_000,
        segment_bytes: SEGMENT,
        rounds_max: 100,
    },
    Row {
        name: "synced-256-x64",
        title: "64 writers in closed loops, 256 B, each append durable",
        limit: "one thread: 64 records in one write + fdatasync, zero-filled file",
        engines: &[Limit, Ours, OursGroup, RaftEngine, Okaywal, Walrus],
        work: SYNCED,
        writers: 64,
        payload_bytes: 256,
        records: 32_000,
        segment_bytes: SEGMENT,
        rounds_max: 100,
    },
    Row {
        name: "unsynced-256",
        title: "1 writer, 256 B, no sync, all in one segment that is there before the clock starts",
        limit: "crc32 + memcpy into a buffer, 64 KiB writes inside a zero-filled file",
        engines: &[Limit, LimitGrowing, Ours, RaftEngine, Okaywal, Walrus],
        work: UNSYNCED,
        writers: 1,
        payload_bytes: 256,
        records: 1_000_000,
        segment_bytes: 512 << 20,
        rounds_max: 100,
    },
    Row {
        name: "unsynced-256-rolling",
        title: "1 writer, 256 B, no sync, through segments of 64 MiB: rotations are inside the time",
        limit: "crc32 + memcpy, 64 KiB writes to growing files of 64 MiB, fdatasync at the end of each",
        engines: &[Limit, Ours, RaftEngine, Walrus],
        work: UNSYNCED,
        writers: 1,
        payload_bytes: 256,
        records: 1_000_000,
        segment_bytes: SEGMENT,
        rounds_max: 100,
    },
    Row {
        name: "replay-256",
        title: "open and read 1 M records of 256 B, verified, page cache warm, 64 MiB segments",
        limit: "1 MiB reads + crc32 of each payload, 8 bytes of header a record",
        engines: &[Limit, LimitFrames, Ours, RaftEngine, Okaywal, Walrus],
        work: Work::Replay,
        writers: 1,
        payload_bytes: 256,
        records: 1_000_000,
        segment_bytes: SEGMENT,
        rounds_max: 100,
    },
    Row {
        name: "open-256m",
        title: "open a closed log with 256 MiB of payload (256 B records), 64 MiB segments",
        limit: "open + 4 KiB read + close of each segment",
        engines: &[Limit, Ours, RaftEngine, Okaywal, Walrus],
        work: Work::Open(Ending::Closed),
        writers: 1,
        payload_bytes: 256,
        records: 1 << 20,
        segment_bytes: SEGMENT,
        rounds_max: 100,
    },
    Row {
        name: "open-2g",
        title: "open a closed log with 2 GiB of payload (256 B records), 64 MiB segments",
        limit: "open + 4 KiB read + close of each segment",
        engines: &[Limit, Ours, RaftEngine, Okaywal, Walrus],
        work: Work::Open(Ending::Closed),
        writers: 1,
        payload_bytes: 256,
        records: 8 << 20,
        segment_bytes: SEGMENT,
        rounds_max: 100,
    },
    Row {
        name: "open-2g-killed",
        title: "the same log after its process was killed, 1000 records behind the last sync",
        limit: "open + 4 KiB read + close of each segment",
        engines: &[Limit, Ours, RaftEngine, Okaywal, Walrus],
        work: Work::Open(Ending::Killed),
        writers: 1,
        payload_bytes: 256,
        records: 8 << 20,
        segment_bytes: SEGMENT,
        rounds_max: 2,
    },
];
