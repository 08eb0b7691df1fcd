//! What is done to a log between two replays, and what the replay behind it sees: nothing.

use std::path::Path;

use samestep_lmdb_replay::lock::ProcessIds;
use samestep_lmdb_replay::play::Start;
use samestep_lmdb_replay::vere::maintain::{ChopOptions, Live, export, plan_chop};
use samestep_lmdb_replay::vere::{Access, Depth, Pier, verify};
use samestep_lmdb_replay::{Machine, rock};
use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};

use super::{LAST, Mugs, ROLLS, expect_end, from_scratch, make_pier, open, replay, roll, run};
use crate::scenario::Scenario;

/// Rolled, copied, chopped.
pub(crate) const MAINTENANCE: Scenario = Scenario {
    name: "lmdb/maintenance",
    about: "after a roll, in a copy, and after a chop the log gives the states that it gave before, and verifies",
    run: maintenance,
};

fn maintenance(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let root = context.scratch().join("pier");
    make_pier(&root)?;
    let expected = from_scratch(&open(&root)?)?;
    tell(&root, "made", transcript)?;

    let pier = Pier::open(&root, Access::Write, ProcessIds::Honour)?;
    run(&roll(&pier, LAST)?, &pier)?;
    drop(pier);
    expect_end(&expected, &from_scratch(&open(&root)?)?, 0, "after a roll")?;
    tell(&root, "rolled", transcript)?;

    let copy = context.scratch().join("copy");
    export(&root, &copy, Live::Refuse, |_| ())?;
    expect_end(&expected, &from_scratch(&open(&copy)?)?, 0, "in a copy")?;
    tell(&copy, "copied", transcript)?;

    // Where the log that stays begins, a state must stand.
    let begins = ROLLS[2];
    let (mut replayed, _) = replay(&open(&root)?, None, Start::First, Some(begins), &mut Mugs::default())?;
    rock::write(&root, begins, &replayed.machine_mut().snapshot()?)?;
    let pier = Pier::open(&root, Access::Write, ProcessIds::Honour)?;
    run(&plan_chop(&pier, ChopOptions { keep: 2 })?, &pier)?;
    drop(pier);
    let mut mugs = Mugs::default();
    replay(&open(&root)?, None, Start::Nearest, None, &mut mugs)?;
    expect_end(&expected, &mugs.by_number, begins + 1, "after a chop")?;
    tell(&root, "chopped", transcript)
}

/// What a check of the whole pier says.
fn tell(root: &Path, done: &str, transcript: &mut Transcript) -> Result<(), LaneError> {
    let verified = verify(&open(root)?, Depth::Events, |_, _| ())?;
    let names: Vec<String> = verified.survey.epochs.iter().map(|epoch| epoch.number.to_string()).collect();
    let event = Event::new(done).field("sound", verified.is_sound()).field("events", verified.events);
    transcript.event(&event.field("epochs", names.join(" ")));
    for finding in verified.findings {
        transcript.event(&Event::new("finding").field("problem", finding.problem.to_string()));
    }
    Ok(())
}
