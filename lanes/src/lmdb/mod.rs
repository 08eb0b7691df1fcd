//! `lmdb/*`: logs of events in LMDB, with events that Vere wrote, replayed from everywhere.

mod damage;
mod ipc;
mod maintenance;
mod replays;

pub(crate) use damage::DAMAGE;
pub(crate) use ipc::IPC;
pub(crate) use maintenance::MAINTENANCE;
pub(crate) use replays::{FROM_EVERY_STATE, INTERRUPTED, REPLAY, SOURCE};

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use samestep_lmdb_replay::WriteOptions;
use samestep_lmdb_replay::lock::ProcessIds;
use samestep_lmdb_replay::machine::{Budget, NockMachine};
use samestep_lmdb_replay::play::{EventAt, Observer, PlayOptions, PlayReport, Replay, Start, log_tag, play};
use samestep_lmdb_replay::snapshot::SnapshotStore;
use samestep_lmdb_replay::vere::maintain::{
    Appender, EpochFormat, PierSpec, Plan, RollOptions, SnapshotClaim, create_pier, plan_roll,
};
use samestep_lmdb_replay::vere::{Access, DiskVersion, Identity, Pier, StoredEvent};
use samestep_replay_traits::LaneError;

/// How many events boot the kernel.
const LIFE: u64 = 2;
const LAST: u64 = 45;
/// Epochs begin behind these events.
const ROLLS: [u64; 3] = [10, 20, 30];
const WRITE: WriteOptions = WriteOptions { map_bytes: 1 << 26 };

/// An event as it is logged: the mug of the kernel after it, 0 if none was recorded, and the jam.
struct Logged {
    number: u64,
    mug: u32,
    jam: Vec<u8>,
}

/// Events 1 to 45 of a pier that Vere's own code wrote, with the mugs that it recorded.
fn events() -> Result<Vec<Logged>, LaneError> {
    let text = include_str!("../../../crates/lmdb-replay/tests/data/count-kernel.txt");
    let unreadable = || LaneError::failed("the list of events cannot be read");
    let line = |line: &str| {
        let mut words = line.split(' ');
        let number = words.next()?.parse().ok()?;
        let mug = u32::from_str_radix(words.next()?, 16).ok()?;
        let digits = words.next()?;
        let byte = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        let jam = (0..digits.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>()?;
        Some(Logged { number, mug, jam })
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|text| line(text).ok_or_else(unreadable)).collect()
}

/// Writes a pier at `root` with events 1 to 45, and rolls behind each of [`ROLLS`].
fn make_pier(root: &Path) -> Result<(), LaneError> {
    let events = events()?;
    let spec = PierSpec {
        identity: Identity { who: 0x100, is_fake: true, life: u32::try_from(LIFE)? },
        disk: DiskVersion::Epochs,
        format: EpochFormat::NorthSouth,
        runtime: "3.0".to_owned(),
        write: WRITE,
    };
    drop(create_pier(root, &spec)?);
    let mut from = 0;
    for to in ROLLS.into_iter().chain([LAST]) {
        let pier = Pier::open(root, Access::Write, ProcessIds::Honour)?;
        let part = events.iter().filter(|event| event.number > from && event.number <= to);
        let part: Vec<StoredEvent<'_>> =
            part.map(|event| StoredEvent { mug: event.mug, jam: &event.jam }).collect();
        Appender::open(&pier, WRITE)?.append(&part)?;
        if to < LAST {
            run(&roll(&pier, to)?, &pier)?;
        }
        from = to;
    }
    Ok(())
}

/// A plan for a new epoch behind event `last`, with a snapshot that nobody here can look into.
fn roll(pier: &Pier, last: u64) -> Result<Plan, LaneError> {
    let dir = pier.snapshot_dir();
    fs::create_dir_all(&dir)?;
    for name in ["north.bin", "south.bin"] {
        fs::write(dir.join(name), format!("{name} of event {last}"))?;
    }
    Ok(plan_roll(pier, RollOptions { snapshot: SnapshotClaim::OfEvent(last), write: WRITE })?)
}

fn run(plan: &Plan, pier: &Pier) -> Result<(), LaneError> {
    Ok(plan.run(pier, |_| ())?)
}

fn open(root: &Path) -> Result<Pier, LaneError> {
    Ok(Pier::open(root, Access::Read, ProcessIds::Honour)?)
}

fn machine() -> NockMachine {
    NockMachine::new(Budget::default())
}

fn store(pier: &Pier, dir: &Path) -> Result<SnapshotStore, LaneError> {
    Ok(SnapshotStore::new(dir, log_tag(pier)?))
}

/// The mugs that a replay passes through, and where it is to stop.
#[derive(Default)]
struct Mugs {
    by_number: BTreeMap<u64, u32>,
    stop_before: Option<u64>,
}

impl Observer for Mugs {
    fn starting(&mut self, event: &EventAt<'_>) -> ControlFlow<()> {
        if self.stop_before == Some(event.number) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn booted(&mut self, count: u64, mug: u32) {
        self.by_number.insert(count, mug);
    }

    fn applied(&mut self, event: &EventAt<'_>, mug: u32) {
        self.by_number.insert(event.number, mug);
    }
}

/// Replays from `start` to `target`, or to the end.
fn replay(
    pier: &Pier,
    store: Option<&SnapshotStore>,
    start: Start,
    target: Option<u64>,
    mugs: &mut Mugs,
) -> Result<(Replay<NockMachine>, PlayReport), LaneError> {
    let mut options = PlayOptions::default();
    (options.start, options.target) = (start, target);
    Ok(play(pier, machine(), store, &options, mugs)?)
}

/// All mugs of a replay from the first event on.
fn from_scratch(pier: &Pier) -> Result<BTreeMap<u64, u32>, LaneError> {
    let mut mugs = Mugs::default();
    replay(pier, None, Start::First, None, &mut mugs)?;
    Ok(mugs.by_number)
}

/// Fails unless `found` is the end of `expected` from event `from` on.
fn expect_end(
    expected: &BTreeMap<u64, u32>,
    found: &BTreeMap<u64, u32>,
    from: u64,
    what: &str,
) -> Result<(), LaneError> {
    if found.iter().eq(expected.range(from..)) {
        return Ok(());
    }
    let first = expected.range(from..).find(|(number, mug)| found.get(number) != Some(mug));
    Err(LaneError::failed(format!("{what}: not the mugs of a whole replay, first at {first:?}")))
}
