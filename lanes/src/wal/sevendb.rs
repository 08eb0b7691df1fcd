//! SevenDB's four log scenarios, with the lines that its own log would give.
//!
//! The golden lines are not ours: they follow from the scenarios' constants by the format of SevenDB's transcripts,
//! `index:crc32` and `index:term:kind:length:crc32` with the IEEE polynomial.

use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};
use samestep_wal::{Disk, Index, Wal};

use super::{append, expect_lines, full_lines, put_hard_state, rotating_every, short_lines};
use crate::scenario::Scenario;

/// Entries 1 to 12 and a HardState after each fifth, three appends a segment.
pub(crate) const ROLLOVER: Scenario = Scenario {
    name: "wal/rollover",
    about: "SevenDB's rollover: 12 entries and 2 hard states, 3 appends a segment, replayed in order",
    run: rollover,
};

/// Entries 1 to 12, two a segment, pruned below 7.
pub(crate) const PRUNE: Scenario = Scenario {
    name: "wal/prune",
    about: "SevenDB's prune: 12 entries, 2 a segment, all strictly below 7 removed",
    run: prune,
};

/// The rollover, whose checksums nobody gave.
pub(crate) const NO_APP_CRC: Scenario = Scenario {
    name: "wal/no-app-crc",
    about: "SevenDB's rollover without application checksums: the log's own give the same lines",
    run: no_app_crc,
};

/// Entries 1 to 6, closed, opened, entries 7 to 12.
pub(crate) const REOPEN_CONTINUE: Scenario = Scenario {
    name: "wal/reopen-continue",
    about: "SevenDB's reopen: 6 entries, close, open, 6 more",
    run: reopen_continue,
};

fn rollover(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let (mut wal, _) = Wal::open(context.scratch().join("log"), rotating_every(3))?;
    for index in 1..=12_u8 {
        append(&mut wal, index.into(), 1, &[index])?;
        if index.is_multiple_of(5) {
            put_hard_state(&mut wal, index.into(), 1, &[0xaa, index])?;
        }
    }
    tell_sevendb(&mut wal, transcript)?;
    expect_short(&mut wal, 1, &ONE_BYTE_CRCS)?;
    expect_full(&mut wal, 1, (1, 1), &ONE_BYTE_CRCS)
}

fn prune(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let (mut wal, _) = Wal::open(context.scratch().join("log"), rotating_every(2))?;
    for index in 1..=12_u8 {
        append(&mut wal, index.into(), 1, &[0x7f, index])?;
    }
    wal.prune_through(Index::new(6))?;
    tell_sevendb(&mut wal, transcript)?;
    expect_short(&mut wal, 7, &PRUNE_CRCS)?;
    expect_full(&mut wal, 7, (1, 2), &PRUNE_CRCS)
}

fn no_app_crc(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let (mut wal, _) = Wal::open(context.scratch().join("log"), rotating_every(3))?;
    for index in 1..=12_u8 {
        append(&mut wal, index.into(), 1, &[index])?;
        if index.is_multiple_of(4) {
            put_hard_state(&mut wal, index.into(), 1, &[0xbb, index])?;
        }
    }
    tell_sevendb(&mut wal, transcript)?;
    expect_full(&mut wal, 1, (1, 1), &ONE_BYTE_CRCS)
}

fn reopen_continue(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let dir = context.scratch().join("log");
    let (mut wal, _) = Wal::open(&dir, rotating_every(3))?;
    for index in 1..=6_u8 {
        append(&mut wal, index.into(), 2, &[0x11, index])?;
        if index.is_multiple_of(3) {
            put_hard_state(&mut wal, index.into(), 2, &[0xcc, index])?;
        }
    }
    wal.close()?;
    let (mut wal, _) = Wal::open(&dir, rotating_every(3))?;
    for index in 7..=12_u8 {
        append(&mut wal, index.into(), 2, &[0x11, index])?;
        if index % 4 == 1 {
            put_hard_state(&mut wal, index.into(), 2, &[0xdd, index])?;
        }
    }
    tell_sevendb(&mut wal, transcript)?;
    expect_full(&mut wal, 1, (2, 2), &REOPEN_CRCS)
}

/// Short lines, full lines, and the hard state, which no line of SevenDB's shows.
fn tell_sevendb<D: Disk>(wal: &mut Wal<D>, transcript: &mut Transcript) -> Result<(), LaneError> {
    short_lines(wal)?.iter().chain(&full_lines(wal)?).for_each(|line| transcript.line(line));
    if let Some(hard_state) = wal.state(super::HARD_STATE) {
        let event = Event::new("hard-state").field("commit", hard_state.index).field("term", hard_state.aux);
        transcript.event(&event.bytes("payload", &hard_state.payload));
    }
    Ok(())
}

fn expect_short<D: Disk>(wal: &mut Wal<D>, first: u64, crcs: &[&str]) -> Result<(), LaneError> {
    let golden: Vec<String> = (first..).zip(crcs).map(|(index, crc)| format!("{index}:{crc}")).collect();
    expect_lines("short lines", &short_lines(wal)?, &golden)
}

fn expect_full<D: Disk>(
    wal: &mut Wal<D>,
    first: u64,
    (term, length): (u64, usize),
    crcs: &[&str],
) -> Result<(), LaneError> {
    let line = |(index, crc): (u64, &&str)| format!("{index}:{term}:0:{length}:{crc}");
    let golden: Vec<String> = (first..).zip(crcs).map(line).collect();
    expect_lines("full lines", &full_lines(wal)?, &golden)
}

/// CRC-32/IEEE of the byte `01`, of `02`, and so on to `0c`.
const ONE_BYTE_CRCS: [&str; 12] = [
    "a505df1b", "3c0c8ea1", "4b0bbe37", "d56f2b94", "a2681b02", "3b614ab8", "4c667a2e", "dcd967bf",
    "abde5729", "32d70693", "45d03605", "dbb4a3a6",
];
/// Of `7f 07` to `7f 0c`.
const PRUNE_CRCS: [&str; 6] = ["771ae265", "e7a5fff4", "90a2cf62", "09ab9ed8", "7eacae4e", "e0c83bed"];
/// Of `11 01` to `11 0c`.
const REOPEN_CRCS: [&str; 12] = [
    "65070179", "fc0e50c3", "8b096055", "156df5f6", "626ac560", "fb6394da", "8c64a44c", "1cdbb9dd",
    "6bdc894b", "f2d5d8f1", "85d2e867", "1bb67dc4",
];
