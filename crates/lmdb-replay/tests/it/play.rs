//! Replays of small piers: where they start, where they stop, and what stops them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;

use samestep_lmdb_replay::machine::{Budget, FailureKind, NockMachine, NockMachineError, Reclaim};
use samestep_lmdb_replay::play::{
    End, EventAt, MugCheck, Notice, Observer, PlayError, PlayOptions, PlayReport, Replay, ReplayFailure,
    Start, log_tag, play,
};
use samestep_lmdb_replay::snapshot::{SnapshotError, SnapshotStore};
use samestep_lmdb_replay::vere::{DiskVersion, Pier};
use samestep_lmdb_replay::{LogError, Machine, rock};
use samestep_noun::{NockError, Noun, Watch};

use crate::kernel::{self, LIFE, Logged};

const LAST: u64 = 45;

fn machine() -> NockMachine {
    NockMachine::new(Budget::default())
}

fn options(target: Option<u64>, start: Start) -> PlayOptions {
    let mut options = PlayOptions::default();
    (options.target, options.start) = (target, start);
    options
}

fn store(pier: &Pier, folder: &Path) -> SnapshotStore {
    SnapshotStore::new(folder.join("states"), log_tag(pier).unwrap())
}

/// What an observer sees, and when it stops.
#[derive(Default)]
struct Seen {
    mugs: BTreeMap<u64, u32>,
    saved: Vec<u64>,
    notices: Vec<String>,
    stop_before: Option<u64>,
}

impl Observer for Seen {
    fn starting(&mut self, event: &EventAt<'_>) -> ControlFlow<()> {
        if self.stop_before == Some(event.number) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn applied(&mut self, event: &EventAt<'_>, mug: u32) {
        self.mugs.insert(event.number, mug);
    }

    fn saved(&mut self, number: u64, _: &Path) {
        self.saved.push(number);
    }

    fn notice(&mut self, notice: &Notice<'_>) {
        self.notices.push(notice.to_string());
    }
}

type Outcome = Result<(Replay<NockMachine>, PlayReport), PlayError<NockMachineError>>;

/// Checks that the state is that of `number`, by the mug that Vere recorded, if it did.
fn check_state(events: &[Logged], outcome: Outcome, number: u64) -> PlayReport {
    let (mut replay, report) = outcome.unwrap();
    assert_eq!((replay.number(), report.replay.number), (number, number));
    let recorded = events[usize::try_from(number).unwrap() - 1].mug;
    if recorded != 0 {
        assert_eq!(replay.machine_mut().mug(), recorded, "event {number}");
    }
    report
}

/// A replay stops exactly at its target, wherever that is, and a later one goes on from there; over epochs too.
#[test]
fn any_target_is_reached_exactly() {
    let events = kernel::events();
    for rolls in [&[][..], &[10, 11, 30, LAST]] {
        let folder = tempfile::tempdir().unwrap();
        let pier = kernel::write(folder.path(), &events, rolls);
        for target in LIFE..=LAST + 1 {
            let reached = target.min(LAST);
            let store = store(&pier, &folder.path().join(target.to_string()));
            let first = play(&pier, machine(), Some(&store), &options(Some(target), Start::First), &mut ());
            let report = check_state(&events, first, reached);
            assert_eq!(report.replay.applied, reached);
            assert_eq!(report.replay.verified + report.replay.unverifiable, reached);
            assert_eq!(report.replay.end, End::Target);
            let rest = play(&pier, machine(), Some(&store), &options(None, Start::Nearest), &mut ());
            let report = check_state(&events, rest, LAST);
            assert_eq!((report.replay.start, report.replay.applied), (reached, LAST - reached));
        }
    }
}

/// A target inside the boot sequence is refused: those events are applied at once.
#[test]
fn a_target_in_the_boot_sequence_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(folder.path(), &kernel::events(), &[]);
    let outcome = play(&pier, machine(), None, &options(Some(1), Start::First), &mut ());
    let expected = ReplayFailure::<NockMachineError>::TargetInBoot { target: 1, boot_events: 2 };
    assert_eq!(outcome.unwrap_err().to_string(), expected.to_string());
}

/// A replay that is stopped before any event saves exactly there, and goes on exactly there.
#[test]
fn an_interrupt_saves_and_resumes_exactly() {
    let events = kernel::events();
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(folder.path(), &events, &[20]);
    for stop in LIFE + 1..=LAST {
        let store = store(&pier, &folder.path().join(stop.to_string()));
        let mut seen = Seen { stop_before: Some(stop), ..Seen::default() };
        let stopped = play(&pier, machine(), Some(&store), &PlayOptions::default(), &mut seen);
        let report = check_state(&events, stopped, stop - 1);
        assert_eq!((report.replay.end, &seen.saved[..]), (End::Interrupted, &[stop - 1][..]));
        let mut seen = Seen::default();
        let resumed = play(&pier, machine(), Some(&store), &PlayOptions::default(), &mut seen);
        check_state(&events, resumed, LAST);
        assert_eq!(seen.mugs.keys().copied().collect::<Vec<_>>(), (stop..=LAST).collect::<Vec<_>>());
    }
}

/// The watcher stops the machine inside an event: the state is the one before it.
#[test]
fn an_interrupt_inside_an_event_leaves_the_state_before() {
    let events = kernel::events();
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(folder.path(), &events, &[]);
    let store = store(&pier, folder.path());
    let asked = Rc::new(Cell::new(0));
    let watch = Rc::new({
        let asked = Rc::clone(&asked);
        move || {
            asked.set(asked.get() + 1);
            if asked.get() == 30 { Watch::Interrupt } else { Watch::Continue }
        }
    });
    let stopped = play(&pier, machine().with_watch(watch), Some(&store), &PlayOptions::default(), &mut ());
    let (_, report) = stopped.unwrap();
    assert_eq!(report.replay.end, End::Interrupted);
    assert!(report.replay.number > LIFE && report.replay.number < LAST, "{report:?}");
    check_state(&events, play(&pier, machine(), Some(&store), &PlayOptions::default(), &mut ()), LAST);
}

/// States are saved at the distance that is asked for, and at the end.
#[test]
fn states_are_saved_on_the_way() {
    let events = kernel::events();
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(folder.path(), &events, &[]);
    let mut seen = Seen::default();
    let mut every_ten = PlayOptions::default();
    every_ten.snapshot_every = Some(10);
    play(&pier, machine(), Some(&store(&pier, folder.path())), &every_ten, &mut seen).unwrap();
    assert_eq!(seen.saved, [10, 20, 30, 40, 45]);
}

/// A rock of any event is a start, and with a damaged one the next best is found.
#[test]
fn rocks_are_starts() {
    let events = kernel::events();
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(folder.path(), &events, &[20]);
    for number in [LIFE, 20, 30, LAST] {
        let (mut replay, _) =
            play(&pier, machine(), None, &options(Some(number), Start::First), &mut ()).unwrap();
        rock::write(folder.path(), number, &replay.machine_mut().snapshot().unwrap()).unwrap();
        let from_rock = play(&pier, machine(), None, &options(None, Start::Rock(number)), &mut ());
        let report = check_state(&events, from_rock, LAST);
        assert_eq!(report.replay.start, number);
    }
    assert_eq!(rock::list(folder.path()).unwrap().len(), 4);
    let nearest = play(&pier, machine(), None, &options(Some(44), Start::Nearest), &mut ()).unwrap().1;
    assert_eq!(nearest.started_from, "the rock of event 30");
    fs::write(rock::path(folder.path(), 30), b"cut").unwrap();
    let mut seen = Seen::default();
    let nearest = play(&pier, machine(), None, &options(Some(44), Start::Nearest), &mut seen).unwrap().1;
    assert_eq!(nearest.started_from, "the rock of event 20");
    assert!(seen.notices[0].starts_with("not started from the rock of event 30: "), "{:?}", seen.notices);
    // Asked for, a damaged one is an error, as is one that is not there, or is behind the target.
    let start = |number, target| play(&pier, machine(), None, &options(target, Start::Rock(number)), &mut ());
    assert!(matches!(start(30, None), Err(PlayError::Replay(ReplayFailure::Restore { number: 30, .. }))));
    assert!(matches!(start(31, None), Err(PlayError::Rock(_))));
    assert!(matches!(start(45, Some(44)), Err(PlayError::BehindTarget { number: 45, target: 44 })));
    assert!(matches!(start(99, None), Err(PlayError::Ahead { number: 99, log_last: LAST, .. })));
}

/// A log whose front was chopped off replays from a rock, and says what is needed without one.
#[test]
fn a_chopped_log_needs_a_state() {
    let events = kernel::events();
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(folder.path(), &events, &[20, 30]);
    let (mut replay, _) = play(&pier, machine(), None, &options(Some(20), Start::First), &mut ()).unwrap();
    let jam = replay.machine_mut().snapshot().unwrap();
    drop(pier);
    fs::remove_dir_all(folder.path().join(".urb/log/0i0")).unwrap();
    let pier = Pier::open(
        folder.path(),
        samestep_lmdb_replay::vere::Access::Read,
        samestep_lmdb_replay::lock::ProcessIds::Honour,
    )
    .unwrap();
    for start in [Start::First, Start::Nearest] {
        let outcome = play(&pier, machine(), None, &options(None, start), &mut ());
        assert!(matches!(outcome, Err(PlayError::NoStart { first: 21, number: 0 })), "{outcome:?}");
    }
    rock::write(folder.path(), 20, &jam).unwrap();
    check_state(&events, play(&pier, machine(), None, &PlayOptions::default(), &mut ()), LAST);
}

/// The flat log of a runtime up to 2.12 replays as it is; one that cannot be opened says so.
#[test]
fn a_flat_log_replays() {
    let events = kernel::events();
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write_disk(folder.path(), DiskVersion::Flat, &events, &[]);
    for target in [LIFE, 30, LAST] {
        let outcome = play(&pier, machine(), None, &options(Some(target), Start::First), &mut ());
        check_state(&events, outcome, target);
    }
    let path = folder.path().join(".urb/log/data.mdb");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let outcome = play(&pier, machine(), None, &PlayOptions::default(), &mut ());
    assert!(matches!(outcome, Err(PlayError::Pier(_) | PlayError::NoLife)), "{outcome:?}");
}

/// A log without an event has nothing to replay.
#[test]
fn an_empty_log_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(folder.path(), &[], &[]);
    let outcome = play(&pier, machine(), None, &PlayOptions::default(), &mut ());
    assert!(matches!(outcome, Err(PlayError::Empty)), "{outcome:?}");
}

/// A snapshot of events that the log does not have is told as such: an epoch was taken away.
#[test]
fn a_snapshot_ahead_of_the_log_is_refused() {
    let events = kernel::events();
    let folder = tempfile::tempdir().unwrap();
    let long = kernel::write(&folder.path().join("long"), &events, &[]);
    let short = kernel::write(&folder.path().join("short"), &events[..30], &[]);
    let store = store(&long, folder.path());
    play(&long, machine(), Some(&store), &PlayOptions::default(), &mut ()).unwrap();
    let outcome = play(&short, machine(), Some(&store), &PlayOptions::default(), &mut ());
    assert!(matches!(outcome, Err(PlayError::Ahead { number: LAST, log_last: 30, .. })), "{outcome:?}");
}

/// A damaged snapshot falls back to the one before it, and then to the first event.
#[test]
fn damaged_snapshots_fall_back() {
    let events = kernel::events();
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(folder.path(), &events, &[]);
    let store = store(&pier, folder.path());
    for target in [20, 30] {
        play(&pier, machine(), Some(&store), &options(Some(target), Start::First), &mut ()).unwrap();
    }
    let starts: Vec<u64> = ["b.snapshot", "a.snapshot"]
        .map(|name| {
            let path = store.dir().join(name);
            let mut bytes = fs::read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(&path, bytes).unwrap();
            // Without the store's own saves: what is damaged stays so.
            let mut seen = Seen { stop_before: Some(31), ..Seen::default() };
            let outcome = play(&pier, machine(), Some(&store), &options(Some(30), Start::Nearest), &mut seen);
            assert!(seen.notices[0].contains("its state is damaged"), "{:?}", seen.notices);
            outcome.unwrap().1.replay.start
        })
        .into();
    // The first fallback saved event 30 again, over the damaged one, so that the second falls back to that.
    assert_eq!(starts, [20, 30]);
}

/// One wrong mug: strictly, the replay ends with the state before it; softly, it goes on and tells.
#[test]
fn a_wrong_mug_is_found() {
    let mut events = kernel::events();
    let right = events[29].mug;
    events[29].mug ^= 1;
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(folder.path(), &events, &[]);
    let store = store(&pier, folder.path());
    let mut seen = Seen::default();
    let outcome = play(&pier, machine(), Some(&store), &PlayOptions::default(), &mut seen);
    let Err(PlayError::Replay(ReplayFailure::Diverged(found))) = outcome else { panic!("{outcome:?}") };
    assert_eq!((found.number, found.expected, found.found), (30, right ^ 1, right));
    assert_eq!(found.last_agreeing, Some(29));
    assert_eq!(seen.saved, [29], "the state before it is saved");
    let kept = store.load(u64::MAX).unwrap().snapshot.unwrap();
    assert_eq!((kept.number, kept.mug), (29, events[28].mug));
    let mut soft = PlayOptions::default();
    soft.mugs = MugCheck::Soft;
    let (replay, report) = play(&pier, machine(), None, &soft, &mut seen).unwrap();
    assert_eq!((replay.number(), report.replay.diverged), (LAST, 1));
    assert_eq!(report.replay.first_divergence, Some(found));
    assert!(seen.notices[0].starts_with("event 30 gives mug"), "{:?}", seen.notices);
}

/// A changed event is found by the first mug behind it, which names the last one that agrees.
#[test]
fn a_changed_event_is_found_by_the_next_mug() {
    let mut events = kernel::events();
    events[19].jam = events[18].jam.clone();
    events[19].mug = 0;
    events[20].mug = 0;
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(folder.path(), &events, &[]);
    let outcome = play(&pier, machine(), None, &PlayOptions::default(), &mut ());
    let Err(PlayError::Replay(ReplayFailure::Diverged(found))) = outcome else { panic!("{outcome:?}") };
    assert_eq!((found.number, found.last_agreeing), (22, Some(19)));
    assert!(found.to_string().ends_with("the last one that agrees is 19"), "{found}");
}

/// A crash in an event is an error with its reason: nothing is made up for it, and nothing passed over.
#[test]
fn a_crash_ends_the_replay() {
    let mut events = kernel::events();
    events.truncate(10);
    kernel::append(&mut events, ("fail", 0));
    kernel::append(&mut events, ("poke", 0));
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(folder.path(), &events, &[]);
    let store = store(&pier, folder.path());
    let mut seen = Seen::default();
    let outcome = play(&pier, machine(), Some(&store), &PlayOptions::default(), &mut seen);
    let Err(PlayError::Replay(ReplayFailure::Event { number: 11, kind, attempts: 1, source })) = outcome
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(kind, FailureKind::Crash);
    assert!(matches!(source, NockMachineError::Nock(NockError::Crash { .. })), "{source:?}");
    assert_eq!(seen.saved, [10]);
    assert_eq!(seen.mugs.keys().last(), Some(&10));
    // A rerun starts there, and fails in the same way.
    let again = play(&pier, machine(), Some(&store), &PlayOptions::default(), &mut ());
    assert!(matches!(again, Err(PlayError::Replay(ReplayFailure::Event { number: 11, .. }))), "{again:?}");
}

/// A jam that is cut ends the replay with the bit.
#[test]
fn an_event_that_is_no_noun_ends_the_replay() {
    let mut events = kernel::events();
    let jam = &mut events[19].jam;
    jam.truncate(5);
    *jam.last_mut().unwrap() = 1;
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(folder.path(), &events, &[]);
    let outcome = play(&pier, machine(), None, &PlayOptions::default(), &mut ());
    let Err(PlayError::Replay(ReplayFailure::Event { number: 20, kind, .. })) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(kind, FailureKind::Unreadable);
}

/// An event that needs more memory than there is, is tried three times, with memory given back before, and then ends
/// the replay; one that needs more reductions than it gets is out of time.
#[test]
fn budgets_end_the_replay() {
    let events = kernel::events();
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(folder.path(), &events, &[]);
    for reclaim in [Reclaim::Pack, Reclaim::Meld] {
        let small = NockMachine::new(Budget::default().with_memory_bytes_max(20_000));
        let mut seen = Seen::default();
        let mut options = PlayOptions::default();
        options.reclaim = reclaim;
        let outcome = play(&pier, small, None, &options, &mut seen);
        let Err(PlayError::Replay(ReplayFailure::Event { number, kind, attempts: 3, .. })) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!((number, kind), (13, FailureKind::Memory), "the event of 7506 bytes");
        assert_eq!(seen.notices.len(), 2, "{:?}", seen.notices);
        assert!(seen.notices[0].starts_with("event 13: attempt 1 failed: "), "{:?}", seen.notices);
    }
    let slow = NockMachine::new(Budget::default().with_fuel(3));
    let outcome = play(&pier, slow, None, &PlayOptions::default(), &mut ());
    let kind = match outcome {
        Err(PlayError::Replay(ReplayFailure::Boot { kind, .. } | ReplayFailure::Event { kind, .. })) => kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(kind, FailureKind::Deadline);
}

/// Giving memory back changes no mug, and nothing is kept that belongs to nothing.
#[test]
fn reclaiming_is_not_seen() {
    let mut machine = machine();
    let events = kernel::events();
    let boot: Vec<Vec<u8>> = events[..2].iter().map(|event| event.jam.clone()).collect();
    machine.boot(&boot).unwrap();
    for event in &events[2..] {
        machine.poke(event.number, &event.jam).unwrap();
        machine.reclaim(Reclaim::Meld).unwrap();
        if event.mug != 0 {
            assert_eq!(machine.mug(), event.mug, "event {}", event.number);
        }
    }
    assert!(machine.leaks().is_clean(), "{:?}", machine.leaks());
}

/// The boot sequence of a kernel of our own: an arm that gives the gate `[battery 0 kernel]`, and some data.
fn boot(battery: &str) -> Vec<Logged> {
    let arm: Noun = format!("[[1 {battery}] [1 0] 0 1]").parse().unwrap();
    let formula = Noun::from((1, 0, 0, ((0, 0, 0, arm), 0)));
    [formula, Noun::ZERO].into_iter().zip(1..).map(|(noun, number)| logged(number, &noun)).collect()
}

fn logged(number: u64, noun: &Noun) -> Logged {
    Logged { number, mug: 0, jam: noun.jam() }
}

/// A kernel that keeps every event holds equal ones many times, until they are shared: then there is room again.
#[test]
fn melding_makes_room() {
    // Effects 0, and the kernel with the event before its data.
    let mut events = boot("[[1 0] [0 14] [0 6] 0 15]");
    let large = Noun::list(0..1000_u64);
    events.extend((3..=12).map(|number| logged(number, &large)));
    drop(large);
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(folder.path(), &events, &[]);
    let mut outcomes = [Reclaim::Pack, Reclaim::Meld].map(|reclaim| {
        let small = NockMachine::new(Budget::default().with_memory_bytes_max(450_000));
        let mut options = PlayOptions::default();
        options.reclaim = reclaim;
        Some(play(&pier, small, None, &options, &mut ()))
    });
    let packed = outcomes[0].take().unwrap();
    let kind = match packed {
        Err(PlayError::Replay(ReplayFailure::Event { kind, attempts: 3, .. })) => kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(kind, FailureKind::Memory);
    let (_, report) = outcomes[1].take().unwrap().unwrap();
    assert_eq!(report.replay.number, 12);
    assert!(report.replay.retries > 0);
}

/// A crash tells the hints around it.
#[test]
fn a_crash_has_its_trace() {
    let mut events = boot("[11 [%spot 1 [%app %test %hoon 0] [7 3] 7 20] 11 [%mean 1 'gone wrong'] 0 0]");
    events.push(logged(3, &Noun::ZERO));
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(folder.path(), &events, &[]);
    let outcome = play(&pier, machine(), None, &PlayOptions::default(), &mut ());
    let Err(PlayError::Replay(ReplayFailure::Event { number: 3, source, .. })) = outcome else {
        panic!("{outcome:?}")
    };
    let expected =
        "crash: an axis is 0 or a cell\n  at %mean gone wrong\n  at %spot /app/test/hoon:<[7 3].[7 20]>";
    assert_eq!(source.to_string(), expected);
    assert_eq!(source.trace().unwrap().entries.len(), 2);
}

/// A gap ends the replay before it, inside an epoch and between two.
#[test]
fn a_gap_ends_the_replay() {
    let events = kernel::events();
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(folder.path(), &events[..29], &[20, 30]);
    let mut seen = Seen::default();
    let outcome = play(&pier, machine(), None, &PlayOptions::default(), &mut seen);
    assert!(matches!(outcome, Err(PlayError::Log(LogError::EpochStart { .. }))), "{outcome:?}");
    assert_eq!(seen.mugs.keys().last(), Some(&29));
}

/// Life says how many events boot; more are taken too, and fewer than life in the log are refused.
#[test]
fn more_events_than_life_boot_the_same_kernel() {
    let events = kernel::events();
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(folder.path(), &events, &[]);
    for count in LIFE..=LAST {
        let mut options = PlayOptions::default();
        options.boot_events = Some(count);
        check_state(&events, play(&pier, machine(), None, &options, &mut ()), LAST);
    }
    let mut options = PlayOptions::default();
    options.boot_events = Some(255);
    let outcome = play(&pier, machine(), None, &options, &mut ());
    let expected = ReplayFailure::<NockMachineError>::BootTooShort { boot_events: 255, found: LAST };
    assert_eq!(outcome.unwrap_err().to_string(), expected.to_string());
}

/// The states of one ship are no start for another.
#[test]
fn states_of_another_ship_are_refused() {
    let events = kernel::events();
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(folder.path(), &events, &[]);
    let other =
        SnapshotStore::new(folder.path().join("states"), samestep_lmdb_replay::snapshot::LogTag([9; 16]));
    play(&pier, machine(), Some(&other), &PlayOptions::default(), &mut ()).unwrap();
    let outcome =
        play(&pier, machine(), Some(&store(&pier, folder.path())), &PlayOptions::default(), &mut ());
    assert!(matches!(outcome, Err(PlayError::Snapshot(SnapshotError::OtherLog { .. }))), "{outcome:?}");
}

/// A replay changes no byte of the pier.
#[test]
fn a_replay_writes_nothing_into_the_pier() {
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(folder.path(), &kernel::events(), &[20]);
    let before = contents(folder.path());
    play(&pier, machine(), None, &PlayOptions::default(), &mut ()).unwrap();
    assert_eq!(contents(folder.path()), before);
}

fn contents(folder: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut contents(&path));
        } else {
            found.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    found
}
