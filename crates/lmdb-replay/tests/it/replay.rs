//! The generic layer: a machine that knows nothing of nouns, and every rule of the driver.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::path::Path;

use samestep_lmdb_replay::machine::{FailureKind, Reclaim};
use samestep_lmdb_replay::play::{End, EventAt, MugCheck, Observer, ReplayFailure, Report, ValueFormat};
use samestep_lmdb_replay::snapshot::{LogTag, Snapshot, SnapshotStore};
use samestep_lmdb_replay::{
    EpochLog, Index, Layout, Machine, Record, Replay, ReplayError, ReplayOptions, ReplaySource,
};

use crate::common;

/// Keeps a polynomial of all payload bytes, and fails as it is told to.
#[derive(Debug, Default)]
struct Sum {
    total: u32,
    before: u32,
    /// The event that fails, in what way, and how often.
    fails: Option<(u64, FailureKind, u32)>,
    reclaimed: Vec<Reclaim>,
    booted: usize,
    cannot_revert: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?}")]
struct Failed(FailureKind);

fn step(sum: u32, payload: &[u8]) -> u32 {
    payload.iter().fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte))) & 0x7fff_ffff
}

impl Machine for Sum {
    type Error = Failed;

    fn boot(&mut self, payloads: &[Vec<u8>]) -> Result<(), Failed> {
        self.booted = payloads.len();
        (1..).zip(payloads).try_for_each(|(number, payload)| self.poke(number, payload))
    }

    fn poke(&mut self, number: u64, payload: &[u8]) -> Result<(), Failed> {
        if let Some((at, kind, left)) = &mut self.fails
            && *at == number
            && *left > 0
        {
            *left -= 1;
            return Err(Failed(*kind));
        }
        self.before = self.total;
        self.total = step(self.total, payload);
        Ok(())
    }

    fn mug(&mut self) -> u32 {
        self.total
    }

    fn snapshot(&mut self) -> Result<Vec<u8>, Failed> {
        Ok(self.total.to_le_bytes().to_vec())
    }

    fn restore(&mut self, _: u64, state: &[u8]) -> Result<(), Failed> {
        self.total = u32::from_le_bytes(state.try_into().map_err(|_| Failed(FailureKind::Unreadable))?);
        Ok(())
    }

    fn revert(&mut self) -> bool {
        self.total = self.before;
        !self.cannot_revert
    }

    fn reclaim(&mut self, how: Reclaim) -> Result<(), Failed> {
        self.reclaimed.push(how);
        Ok(())
    }

    fn failure_kind(error: &Failed) -> FailureKind {
        error.0
    }
}

/// A log in memory: `[number]` after the mug of the state behind it, if it has one.
struct Log {
    values: Vec<(u64, Vec<u8>)>,
    at: usize,
}

impl Log {
    fn plain(last: u64) -> Self {
        Self { values: (1..=last).map(|number| (number, number.to_le_bytes().to_vec())).collect(), at: 0 }
    }

    /// With mugs, but at 0 for the events in `without`.
    fn with_mugs(last: u64, without: &[u64]) -> Self {
        let mut sum = 0;
        let mut log = Self::plain(last);
        for (number, value) in &mut log.values {
            sum = step(sum, value);
            let mug = if without.contains(number) { 0 } else { sum };
            *value = [&mug.to_le_bytes(), &value[..]].concat();
        }
        log
    }
}

impl ReplaySource for Log {
    type Error = Infallible;

    fn next_record(&mut self) -> Result<Option<Record<'_>>, Infallible> {
        let value = self.values.get(self.at);
        self.at += usize::from(value.is_some());
        Ok(value.map(|(number, payload)| Record { index: Index::new(*number), payload }))
    }
}

type Outcome = Result<Report, ReplayError<Failed, Infallible>>;

fn mug_first() -> ReplayOptions {
    let mut options = ReplayOptions::default();
    options.values = ValueFormat::MugFirst;
    options
}

fn sum_of(last: u64) -> u32 {
    (1..=last).fold(0, |sum, number| step(sum, &number.to_le_bytes()))
}

/// Stops before an event.
struct StopBefore(u64);

impl Observer for StopBefore {
    fn starting(&mut self, event: &EventAt<'_>) -> ControlFlow<()> {
        if event.number == self.0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// The log of another program, of several epochs, into a machine of its own.
#[test]
fn a_log_of_epochs_drives_any_machine() {
    let folder = tempfile::tempdir().unwrap();
    common::write_epoch(folder.path(), 0, 40, 7);
    common::write_epoch(folder.path(), 40, 100, 100);
    let log = EpochLog::open(folder.path(), Layout::VERE).unwrap();
    let mut replay = Replay::new(Sum::default());
    let mut reader = log.reader(Index::new(1)).unwrap();
    let report = replay.run(&mut reader, &ReplayOptions::default(), None, &mut ()).unwrap();
    let expected = (1..=100).fold(0, |sum, number| step(sum, &common::value(number)));
    assert_eq!((report.number, report.mug, report.end), (100, expected, End::LogEnd));
    assert_eq!((report.applied, report.unverifiable), (100, 100));
}

/// Records that the state has already are passed over; one that is missing ends the replay.
#[test]
fn a_replay_goes_on_where_the_machine_stands() {
    let snapshot = Snapshot { number: 6, mug: sum_of(6), state: sum_of(6).to_le_bytes().to_vec() };
    let mut replay = Replay::restore(Sum::default(), &snapshot).unwrap();
    let report = replay.run(&mut Log::with_mugs(10, &[]), &mug_first(), None, &mut ()).unwrap();
    assert_eq!((report.start, report.applied, report.verified), (6, 4, 4));
    let mut log = Log::plain(10);
    log.values.remove(6);
    let mut replay = Replay::new(Sum::default());
    let outcome = replay.run(&mut log, &ReplayOptions::default(), None, &mut ());
    let gap = ReplayFailure::<Failed>::Gap { expected: 7, found: 8 };
    assert_eq!(outcome.unwrap_err().to_string(), gap.to_string());
    assert_eq!((replay.number(), replay.machine().total), (6, sum_of(6)));
}

/// A state with another mug than was saved with it is no start.
#[test]
fn a_restored_state_is_checked() {
    let snapshot = Snapshot { number: 6, mug: 1, state: sum_of(6).to_le_bytes().to_vec() };
    let outcome = Replay::restore(Sum::default(), &snapshot);
    assert!(matches!(outcome, Err(ReplayFailure::RestoredMug { number: 6, expected: 1, .. })));
    let snapshot = Snapshot { number: 6, mug: 1, state: vec![1] };
    let outcome = Replay::restore(Sum::default(), &snapshot);
    assert!(matches!(outcome, Err(ReplayFailure::Restore { number: 6, .. })));
}

/// The first events make the machine, all at once.
#[test]
fn the_first_events_boot() {
    let mut options = mug_first();
    options.boot_events = 4;
    let mut replay = Replay::new(Sum::default());
    let report = replay.run(&mut Log::with_mugs(10, &[1, 2, 3]), &options, None, &mut ()).unwrap();
    assert_eq!(replay.machine().booted, 4);
    assert_eq!((report.applied, report.verified, report.unverifiable), (10, 7, 3));
    // The last of them has a mug that is wrong: there is no state before it to keep.
    let mut log = Log::with_mugs(10, &[]);
    log.values[3].1[0] ^= 1;
    let folder = tempfile::tempdir().unwrap();
    let store = SnapshotStore::new(folder.path().join("states"), LogTag([0; 16]));
    let mut cannot = Replay::new(Sum { cannot_revert: true, ..Sum::default() });
    let outcome = cannot.run(&mut log, &options, Some(&store), &mut ());
    assert!(matches!(outcome, Err(ReplayError::Failure(ReplayFailure::Diverged(at))) if at.number == 4));
    assert!(store.load(u64::MAX).unwrap().snapshot.is_none());
}

/// Runs ten events of which one fails; gives the outcome, the last event saved, and the machine.
fn fail(at: u64, kind: FailureKind, times: u32) -> (Outcome, Option<u64>, Sum) {
    let folder = tempfile::tempdir().unwrap();
    let store = SnapshotStore::new(folder.path().join("states"), LogTag([0; 16]));
    let mut replay = Replay::new(Sum { fails: Some((at, kind, times)), ..Sum::default() });
    let outcome = replay.run(&mut Log::with_mugs(10, &[]), &mug_first(), Some(&store), &mut ());
    let saved = store.load(u64::MAX).unwrap().snapshot.map(|snapshot| snapshot.number);
    (outcome, saved, replay.into_machine())
}

/// Short memory is met by giving some back and trying again, three times in all; nothing else is tried again.
#[test]
fn each_kind_of_failure_has_its_rule() {
    for times in 1..=2 {
        let (outcome, saved, machine) = fail(5, FailureKind::Memory, times);
        let report = outcome.unwrap();
        assert_eq!((report.retries, report.number, saved), (times.into(), 10, Some(10)));
        assert_eq!(machine.reclaimed, vec![Reclaim::Pack; times as usize]);
    }
    let cases = [
        (FailureKind::Memory, 3, 3),
        (FailureKind::Crash, 1, 1),
        (FailureKind::Deadline, 1, 1),
        (FailureKind::Unreadable, 1, 1),
    ];
    for (kind, times, expected_attempts) in cases {
        let (outcome, saved, machine) = fail(5, kind, times);
        let Err(ReplayError::Failure(ReplayFailure::Event { number: 5, kind: found, attempts, .. })) =
            outcome
        else {
            panic!("{kind:?}: {outcome:?}")
        };
        assert_eq!((found, attempts, saved), (kind, expected_attempts, Some(4)));
        assert_eq!(machine.total, sum_of(4));
    }
    // A machine that is lost has no state to save; one that was interrupted has, and that is no failure.
    let (outcome, saved, _) = fail(5, FailureKind::Lost, 1);
    assert!(matches!(outcome, Err(ReplayError::Failure(ReplayFailure::Event { .. }))));
    assert_eq!(saved, None);
    let (outcome, saved, _) = fail(5, FailureKind::Interrupt, 1);
    assert_eq!((outcome.unwrap().end, saved), (End::Interrupted, Some(4)));
}

/// Strictly, a wrong mug ends the replay, before it if the machine can go back; softly all of them are counted.
#[test]
fn wrong_mugs_are_found() {
    let wrong = || {
        let mut log = Log::with_mugs(10, &[4]);
        log.values[4].1[0] ^= 1;
        log.values[7].1[0] ^= 1;
        log
    };
    for cannot_revert in [false, true] {
        let mut replay = Replay::new(Sum { cannot_revert, ..Sum::default() });
        let folder = tempfile::tempdir().unwrap();
        let store = SnapshotStore::new(folder.path().join("states"), LogTag([0; 16]));
        let outcome = replay.run(&mut wrong(), &mug_first(), Some(&store), &mut ());
        let Err(ReplayError::Failure(ReplayFailure::Diverged(found))) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!((found.number, found.found, found.last_agreeing), (5, sum_of(5), Some(3)));
        let saved = store.load(u64::MAX).unwrap().snapshot.map(|snapshot| snapshot.number);
        assert_eq!(saved, if cannot_revert { None } else { Some(4) });
    }
    let mut soft = mug_first();
    soft.mugs = MugCheck::Soft;
    let report = Replay::new(Sum::default()).run(&mut wrong(), &soft, None, &mut ()).unwrap();
    assert_eq!((report.diverged, report.verified, report.unverifiable), (2, 7, 1));
    assert_eq!(report.first_divergence.unwrap().number, 5);
}

/// A value that is no more than a mug, or whose mug has 32 bits, is damage.
#[test]
fn values_are_checked() {
    for value in [vec![], vec![1, 0, 0, 0], vec![1, 0, 0, 0x80, 7]] {
        let mut log = Log::with_mugs(10, &[]);
        log.values[5].1 = value;
        let mut replay = Replay::new(Sum::default());
        let outcome = replay.run(&mut log, &mug_first(), None, &mut ());
        assert!(matches!(outcome, Err(ReplayError::Failure(ReplayFailure::Value { number: 6, .. }))));
        assert_eq!(replay.number(), 5);
    }
}

/// The same machine goes on after it was stopped, without a store.
#[test]
fn a_stopped_replay_goes_on() {
    for stop in 1..=10 {
        let mut log = Log::with_mugs(10, &[]);
        let mut replay = Replay::new(Sum::default());
        let report = replay.run(&mut log, &mug_first(), None, &mut StopBefore(stop)).unwrap();
        assert_eq!((report.number, report.end), (stop - 1, End::Interrupted));
        // A source that was read up to there and is read again from its beginning.
        let report = replay.run(&mut Log::with_mugs(10, &[]), &mug_first(), None, &mut ()).unwrap();
        assert_eq!((report.start, report.number, report.mug), (stop - 1, 10, sum_of(10)));
    }
}

/// That the disk is full when a state is saved ends the replay, and the state in memory is good.
#[test]
fn a_save_that_fails_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("no-folder");
    std::fs::write(&file, b"").unwrap();
    let store = SnapshotStore::new(Path::new(&file).join("states"), LogTag([0; 16]));
    let mut options = mug_first();
    options.snapshot_every = Some(3);
    let mut replay = Replay::new(Sum::default());
    let outcome = replay.run(&mut Log::with_mugs(10, &[]), &options, Some(&store), &mut ());
    assert!(matches!(outcome, Err(ReplayError::Failure(ReplayFailure::Snapshot(_)))), "{outcome:?}");
    assert_eq!((replay.number(), replay.machine().total), (3, sum_of(3)));
}
