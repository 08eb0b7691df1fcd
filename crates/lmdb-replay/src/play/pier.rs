//! Replaying a pier: where to start, how far to go.

use std::io;
use std::path::PathBuf;

use samestep_replay_traits::Index;

use crate::log::LogError;
use crate::machine::{Machine, Reclaim};
use crate::play::{
    MugCheck, Notice, Observer, Replay, ReplayError, ReplayFailure, ReplayOptions, Report, ValueFormat,
};
use crate::rock::{self, RockError};
use crate::snapshot::{LogTag, SnapshotError, SnapshotStore};
use crate::vere::{DiskVersion, Pier, PierError, Survey};

/// How to replay a pier.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlayOptions {
    /// The last event to apply, exactly; without it, or behind the end, the last one of the log.
    pub target: Option<u64>,
    /// From where to start.
    pub start: Start,
    /// How many events boot the machine; without it the pier's `life`. A real lifecycle takes more.
    pub boot_events: Option<u64>,
    /// What a mug that differs means.
    pub mugs: MugCheck,
    /// How memory is given back before an event is tried again.
    pub reclaim: Reclaim,
    /// Events between two saves on the way.
    pub snapshot_every: Option<u64>,
}

/// From the nearest state to the end, strictly.
impl Default for PlayOptions {
    fn default() -> Self {
        Self {
            target: None,
            start: Start::Nearest,
            boot_events: None,
            mugs: MugCheck::Strict,
            reclaim: Reclaim::Pack,
            snapshot_every: None,
        }
    }
}

/// From where a replay of a pier starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// The snapshot of our own or the rock that is nearest before the target, otherwise the first event. One that is
    /// damaged is told and passed over. Vere's own snapshots are images of its memory, and no start for us.
    Nearest,
    /// The first event, whatever states there are: the whole log, all epochs of it.
    First,
    /// The rock of this event.
    Rock(u64),
}

/// What a replay of a pier did and found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlayReport {
    /// What was replayed.
    pub replay: Report,
    /// From what it started, in words.
    pub started_from: String,
    /// The last event of the log; `None` if an epoch cannot be opened.
    pub log_last: Option<u64>,
}

/// Replays `pier` into `machine`, and gives the machine behind the target.
///
/// Nothing is written into the log, ever; states are saved in `store` if there is one.
///
/// # Errors
///
/// [`PlayError`].
pub fn play<M: Machine>(
    pier: &Pier,
    machine: M,
    store: Option<&SnapshotStore>,
    options: &PlayOptions,
    observer: &mut (impl Observer + ?Sized),
) -> Result<(Replay<M>, PlayReport), PlayError<M::Error>> {
    let Prepared { mut replay, started_from, log_last, target, boot_events } =
        prepare(pier, machine, store, options, observer)?;
    let replay_options = ReplayOptions {
        target,
        boot_events,
        values: ValueFormat::MugFirst,
        mugs: options.mugs,
        reclaim: options.reclaim,
        snapshot_every: options.snapshot_every,
        ..ReplayOptions::default()
    };
    let reader = pier.log()?.reader(Index::new(replay.number().saturating_add(1)));
    let mut reader = reader.map_err(|error| match error {
        LogError::BeforeFirst { first, .. } => PlayError::NoStart { first, number: replay.number() },
        error => PlayError::Log(error),
    })?;
    let report = replay.run(&mut reader, &replay_options, store, observer)?;
    Ok((replay, PlayReport { replay: report, started_from, log_last }))
}

/// A replay of a pier that stands at its start.
#[derive(Debug)]
#[non_exhaustive]
pub struct Prepared<M> {
    /// The machine, behind the event of the state that was found, or before the first one.
    pub replay: Replay<M>,
    /// From what it starts, in words.
    pub started_from: String,
    /// The last event of the log; `None` if an epoch cannot be opened.
    pub log_last: Option<u64>,
    /// The last event to apply; `None` if that is where the log can no longer be read.
    pub target: Option<u64>,
    /// How many events boot the machine, if it stands before the first one.
    pub boot_events: u64,
}

/// Finds where a replay of `pier` starts and ends, and loads the state to start from. No event is applied.
///
/// # Errors
///
/// [`PlayError`].
pub fn prepare<M: Machine>(
    pier: &Pier,
    machine: M,
    store: Option<&SnapshotStore>,
    options: &PlayOptions,
    observer: &mut (impl Observer + ?Sized),
) -> Result<Prepared<M>, PlayError<M::Error>> {
    let survey = Survey::of(pier).map_err(|source| PlayError::Io { path: pier.log_dir(), source })?;
    let log_last = log_last(&survey)?;
    let end = log_last.unwrap_or(u64::MAX);
    let target = options.target.unwrap_or(end).min(end);
    let (replay, started_from) = find_start(pier, machine, store, options.start, target, end, observer)?;
    let boot_events = match (options.boot_events, survey.identity()) {
        (Some(count), _) => count,
        (None, Some(identity)) => identity.life.into(),
        (None, None) if replay.number() > 0 => 0,
        (None, None) => return Err(PlayError::NoLife),
    };
    if replay.number() == 0 && boot_events > end {
        return Err(ReplayFailure::BootTooShort { boot_events, found: end }.into());
    }
    let target = Some(target).filter(|target| *target < u64::MAX);
    Ok(Prepared { replay, started_from, log_last, target, boot_events })
}

/// The last event of the log, or `None` where a part of it cannot be opened and the end is not known: the replay then
/// goes as far as it can be read, and says why.
fn log_last<E: std::error::Error + 'static>(survey: &Survey) -> Result<Option<u64>, PlayError<E>> {
    let (is_known, newest) = if survey.disk == DiskVersion::Epochs {
        // An empty epoch tells by its number where the one before it ends.
        let newest = survey.epochs.last().map_or(0, |epoch| epoch.number);
        (survey.epochs.iter().all(|epoch| epoch.data.is_ok()), newest)
    } else {
        (survey.top.is_ok(), 0)
    };
    let last = survey.last().max(Some(newest)).filter(|last| *last > 0);
    match last {
        _ if !is_known => Ok(None),
        None => Err(PlayError::Empty),
        last => Ok(last),
    }
}

/// What names the log of a pier in snapshots: its ship.
pub fn log_tag(pier: &Pier) -> io::Result<LogTag> {
    Ok(LogTag(Survey::of(pier)?.identity().map_or(0, |identity| identity.who).to_le_bytes()))
}

fn find_start<M: Machine>(
    pier: &Pier,
    mut machine: M,
    store: Option<&SnapshotStore>,
    start: Start,
    target: u64,
    log_last: u64,
    observer: &mut (impl Observer + ?Sized),
) -> Result<(Replay<M>, String), PlayError<M::Error>> {
    let number = match start {
        Start::First => return Ok((Replay::new(machine), "the first event".to_owned())),
        Start::Rock(number) => number,
        Start::Nearest => {
            if let Some(store) = store {
                let newest = store.load(u64::MAX)?.snapshot.map(|snapshot| snapshot.number);
                if let Some(number) = newest.filter(|number| *number > log_last) {
                    return Err(PlayError::Ahead { what: "the snapshot", number, log_last });
                }
            }
            return nearest(pier, machine, store, target, observer);
        }
    };
    if number > log_last {
        return Err(PlayError::Ahead { what: "the rock", number, log_last });
    }
    if number > target {
        return Err(PlayError::BehindTarget { number, target });
    }
    let jam = rock::read(pier.root(), number)?;
    let restored = machine.restore(number, &jam);
    restored.map_err(|source| ReplayFailure::Restore { number, source })?;
    Ok((Replay::standing_at(machine, number), format!("the rock of event {number}")))
}

/// Tries the states at or before the target, nearest first.
fn nearest<M: Machine>(
    pier: &Pier,
    mut machine: M,
    store: Option<&SnapshotStore>,
    target: u64,
    observer: &mut (impl Observer + ?Sized),
) -> Result<(Replay<M>, String), PlayError<M::Error>> {
    let mut snapshot = None;
    if let Some(store) = store {
        let loaded = store.load(target)?;
        for error in &loaded.damaged {
            observer.notice(&Notice::StartSkipped { what: "a snapshot".to_owned(), error });
        }
        snapshot = loaded.snapshot;
    }
    let rocks = rock::list(pier.root());
    let rocks = rocks.map_err(|source| PlayError::Io { path: rock::path(pier.root(), 0), source })?;
    let mut rocks: Vec<u64> = rocks.into_iter().map(|(number, _)| number).filter(|n| *n <= target).collect();
    loop {
        let own = snapshot.take_if(|snapshot| rocks.last().is_none_or(|rock| *rock <= snapshot.number));
        if let Some(own) = own {
            let number = own.number;
            match machine.restore(number, &own.state) {
                Ok(()) if machine.mug() == own.mug => {
                    return Ok((
                        Replay::standing_at(machine, number),
                        format!("the snapshot of event {number}"),
                    ));
                }
                Ok(()) => {
                    let found = machine.mug();
                    return Err(ReplayFailure::RestoredMug { number, expected: own.mug, found }.into());
                }
                Err(error) => {
                    let what = format!("the snapshot of event {number}");
                    observer.notice(&Notice::StartSkipped { what, error: &error });
                }
            }
            continue;
        }
        let Some(number) = rocks.pop() else { break };
        let what = format!("the rock of event {number}");
        match rock::read(pier.root(), number) {
            Err(error) => observer.notice(&Notice::StartSkipped { what, error: &error }),
            Ok(jam) => match machine.restore(number, &jam) {
                Ok(()) => return Ok((Replay::standing_at(machine, number), what)),
                Err(error) => observer.notice(&Notice::StartSkipped { what, error: &error }),
            },
        }
    }
    Ok((Replay::new(machine), "the first event".to_owned()))
}

/// Why a pier could not be replayed to the target.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlayError<M: std::error::Error + 'static> {
    /// The log has no event.
    #[error("the log has no event")]
    Empty,
    /// No META says how many events boot the ship.
    #[error("META does not say how many events boot the ship: verify, or give their number")]
    NoLife,
    /// The log starts later than the state ends, and there is no other state.
    #[error(
        "the log starts with event {first}, but the state ends with {number}: a rock or snapshot between them is needed"
    )]
    NoStart {
        /// The log's first event.
        first: u64,
        /// The last event in the state; 0 for none.
        number: u64,
    },
    /// A state has events that the log has not: an epoch was taken away, or an older log put in place.
    #[error("{what} is of event {number}, but the log ends with {log_last}: it is ahead of the log")]
    Ahead {
        /// Which state.
        what: &'static str,
        /// Its last event.
        number: u64,
        /// The log's last event.
        log_last: u64,
    },
    /// The state that was asked for lies behind the target.
    #[error("the rock is of event {number}, behind the target {target}")]
    BehindTarget {
        /// Its last event.
        number: u64,
        /// The target.
        target: u64,
    },
    /// The pier cannot be listed.
    #[error(transparent)]
    Pier(#[from] PierError),
    /// The log cannot be opened or read on.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The replay ended.
    #[error(transparent)]
    Replay(#[from] ReplayFailure<M>),
    /// A snapshot cannot be used.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The rock that was asked for cannot be used.
    #[error(transparent)]
    Rock(#[from] RockError),
    /// A file or folder cannot be read.
    #[error("{}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl<M: std::error::Error + 'static> From<ReplayError<M, LogError>> for PlayError<M> {
    fn from(error: ReplayError<M, LogError>) -> Self {
        match error {
            ReplayError::Source(error) => Self::Log(error),
            ReplayError::Failure(failure) => Self::Replay(failure),
        }
    }
}
