//! One log, one sequence of states, wherever the replay starts and however often it stops.

use std::fs;

use samestep_lmdb_replay::play::{End, Start};
use samestep_lmdb_replay::{EpochLog, Layout, Machine, rock};
use samestep_replay_traits::{Event, Index, LaneContext, LaneError, ReplaySource, Transcript};

use super::{LAST, LIFE, Mugs, expect_end, from_scratch, make_pier, open, replay, store};
use crate::scenario::Scenario;

/// The state after every event, across four epochs.
pub(crate) const REPLAY: Scenario = Scenario {
    name: "lmdb/replay",
    about: "a log of four epochs that real code wrote gives the mug of the state after each event, as recorded",
    run: replay_all,
};

/// Snapshots and rocks of every event.
pub(crate) const FROM_EVERY_STATE: Scenario = Scenario {
    name: "lmdb/from-every-state",
    about: "a replay from the snapshot and from the rock of each event goes through the states of a whole one",
    run: from_every_state,
};

/// Interrupted before each event, and resumed.
pub(crate) const INTERRUPTED: Scenario = Scenario {
    name: "lmdb/interrupted",
    about: "a replay that stops before each event, and resumes from what it saved, misses and repeats none",
    run: interrupted,
};

/// The log as a source of records, for those who know nothing of kernels.
pub(crate) const SOURCE: Scenario = Scenario {
    name: "lmdb/source",
    about: "the log lends its events as records, from the first and from the middle, in order and byte for byte",
    run: source,
};

fn replay_all(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let root = context.scratch().join("pier");
    make_pier(&root)?;
    let pier = open(&root)?;
    let mut mugs = Mugs::default();
    let (_, report) = replay(&pier, None, Start::First, None, &mut mugs)?;
    for (number, mug) in &mugs.by_number {
        transcript.event(&Event::new("state").field("event", number).field("mug", format!("{mug:08x}")));
    }
    let counts = Event::new("replay").field("verified", report.replay.verified);
    transcript.event(&counts.field("unverifiable", report.replay.unverifiable));
    Ok(())
}

fn from_every_state(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let root = context.scratch().join("pier");
    make_pier(&root)?;
    let pier = open(&root)?;
    let expected = from_scratch(&pier)?;
    for number in LIFE..=LAST {
        let store = store(&pier, &context.scratch().join(format!("states-{number}")))?;
        let (mut replay_to, _) =
            replay(&pier, Some(&store), Start::First, Some(number), &mut Mugs::default())?;
        let mut mugs = Mugs::default();
        let (_, report) = replay(&pier, Some(&store), Start::Nearest, None, &mut mugs)?;
        expect_end(&expected, &mugs.by_number, number + 1, "from a snapshot")?;
        let jam = replay_to.machine_mut().snapshot()?;
        rock::write(&root, number, &jam)?;
        let mut mugs = Mugs::default();
        replay(&pier, None, Start::Rock(number), None, &mut mugs)?;
        expect_end(&expected, &mugs.by_number, number + 1, "from a rock")?;
        // Without its rock again, so that the next one stands alone.
        fs::remove_file(rock::path(&root, number))?;
        let started = Event::new("started").field("from", &report.started_from).bytes("rock", &jam);
        transcript.event(&started.field("applied", report.replay.applied));
    }
    Ok(())
}

fn interrupted(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let root = context.scratch().join("pier");
    make_pier(&root)?;
    let pier = open(&root)?;
    let expected = from_scratch(&pier)?;
    let store = store(&pier, &context.scratch().join("states"))?;
    let mut all = Mugs::default();
    // Each run goes two events further than the last.
    for stop in (LIFE + 1..=LAST + 2).step_by(2) {
        let mut mugs = Mugs { stop_before: Some(stop), ..Mugs::default() };
        let (replayed, report) = replay(&pier, Some(&store), Start::Nearest, None, &mut mugs)?;
        for (number, mug) in mugs.by_number {
            if all.by_number.insert(number, mug).is_some() {
                return Err(LaneError::failed(format!("event {number} was applied twice")));
            }
        }
        let is_interrupted = report.replay.end == End::Interrupted;
        let run = Event::new("run").field("from", &report.started_from).field("to", replayed.number());
        transcript.event(&run.field("interrupted", is_interrupted));
    }
    expect_end(&expected, &all.by_number, 0, "in many runs")
}

fn source(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let root = context.scratch().join("pier");
    make_pier(&root)?;
    let log = EpochLog::open(&root.join(".urb/log"), Layout::VERE)?;
    for from in [1, 10, 11, 29, LAST] {
        let mut reader = log.reader(Index::new(from))?;
        while let Some(record) = reader.next_record()? {
            transcript
                .event(&Event::new("record").field("index", record.index).bytes("payload", record.payload));
        }
    }
    Ok(())
}
