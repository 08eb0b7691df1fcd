//! Replaying a log into a machine, with the mug of each event checked.

mod error;
mod observer;
#[cfg(feature = "vere")]
mod pier;
mod report;

use std::ops::ControlFlow;

use samestep_replay_traits::ReplaySource;

use crate::machine::{FailureKind, Machine, Reclaim};
use crate::snapshot::{Snapshot, SnapshotStore};

pub use self::error::{ReplayError, ReplayFailure};
pub use self::observer::{EventAt, Notice, Observer};
#[cfg(feature = "vere")]
pub use self::pier::{PlayError, PlayOptions, PlayReport, Prepared, Start, log_tag, play, prepare};
pub use self::report::{Divergence, End, Report};

/// Drives a machine through a log, from where it stands.
///
/// It never writes to the log, never makes up an event, and never passes one over: what cannot be applied ends the
/// replay with the state after the event before.
///
/// ```
/// use samestep_lmdb_replay::{Index, Machine, Record, Replay, ReplayOptions, ReplaySource};
///
/// /// Adds numbers up.
/// #[derive(Default)]
/// struct Sum(u32);
///
/// impl Machine for Sum {
///     type Error = std::array::TryFromSliceError;
///     fn poke(&mut self, _: u64, payload: &[u8]) -> Result<(), Self::Error> {
///         self.0 = self.0.wrapping_add(u32::from_le_bytes(payload.try_into()?));
///         Ok(())
///     }
///     fn mug(&mut self) -> u32 {
///         self.0
///     }
///     fn snapshot(&mut self) -> Result<Vec<u8>, Self::Error> {
///         Ok(self.0.to_le_bytes().to_vec())
///     }
///     fn restore(&mut self, _: u64, state: &[u8]) -> Result<(), Self::Error> {
///         self.0 = u32::from_le_bytes(state.try_into()?);
///         Ok(())
///     }
/// }
/// # struct Log(u64);
/// # impl ReplaySource for Log {
/// #     type Error = std::convert::Infallible;
/// #     fn next_record(&mut self) -> Result<Option<Record<'_>>, Self::Error> {
/// #         self.0 += 1;
/// #         Ok((self.0 <= 3).then(|| Record { index: Index::new(self.0), payload: &[7, 0, 0, 0] }))
/// #     }
/// # }
/// # let mut log = Log(0); // three times the number 7
/// let mut replay = Replay::new(Sum::default());
/// let report = replay.run(&mut log, &ReplayOptions::default(), None, &mut ())?;
/// assert_eq!((report.number, replay.machine().0), (3, 21));
/// # Ok::<(), samestep_lmdb_replay::ReplayError<std::array::TryFromSliceError, std::convert::Infallible>>(())
/// ```
#[derive(Debug)]
pub struct Replay<M> {
    machine: M,
    /// The last event in the state.
    number: u64,
    /// The last event in a state that was saved or restored.
    saved: u64,
    /// Whether the state is that after `number` and may be saved.
    is_sound: bool,
}

/// How to replay.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayOptions {
    /// The last event to apply, exactly; without it the last one of the log.
    pub target: Option<u64>,
    /// How many events make the machine, when it stands before the first.
    pub boot_events: u64,
    /// What the values of the log are.
    pub values: ValueFormat,
    /// What a mug that differs means.
    pub mugs: MugCheck,
    /// How memory is given back before an event is tried again.
    pub reclaim: Reclaim,
    /// How often one event is tried when memory is short, at least once.
    pub attempts_max: u32,
    /// Events between two saves on the way; without it only the end is saved.
    pub snapshot_every: Option<u64>,
}

/// To the end of a log of plain payloads, strictly, with three attempts, and nothing saved on the way.
impl Default for ReplayOptions {
    fn default() -> Self {
        Self {
            target: None,
            boot_events: 0,
            values: ValueFormat::Plain,
            mugs: MugCheck::Strict,
            reclaim: Reclaim::Pack,
            attempts_max: 3,
            snapshot_every: None,
        }
    }
}

/// What the values of a log are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueFormat {
    /// Payloads.
    Plain,
    /// The mug of the state after the event, `u32` little-endian, 0 for one that was not recorded; then the payload.
    MugFirst,
}

/// What a mug that differs from the recorded one means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MugCheck {
    /// The replay ends, with the state before the event if the machine can go back to it.
    Strict,
    /// It is told and counted, and the replay goes on with the state that came out.
    Soft,
}

impl<M: Machine> Replay<M> {
    /// A machine that stands before the first event.
    pub fn new(machine: M) -> Self {
        Self { machine, number: 0, saved: 0, is_sound: true }
    }

    /// A machine that stands behind the event of a snapshot.
    ///
    /// # Errors
    ///
    /// [`ReplayFailure::Restore`] if the machine refuses the state, [`ReplayFailure::RestoredMug`] if the state that it
    /// took has another mug than was saved with it.
    pub fn restore(mut machine: M, snapshot: &Snapshot) -> Result<Self, ReplayFailure<M::Error>> {
        let number = snapshot.number;
        let restored = machine.restore(number, &snapshot.state);
        restored.map_err(|source| ReplayFailure::Restore { number, source })?;
        let found = machine.mug();
        if found != snapshot.mug {
            return Err(ReplayFailure::RestoredMug { number, expected: snapshot.mug, found });
        }
        Ok(Self::standing_at(machine, number))
    }

    /// A machine that was brought behind event `number` by other means.
    pub fn standing_at(machine: M, number: u64) -> Self {
        Self { machine, number, saved: number, is_sound: true }
    }

    /// Applies the events that `source` lends, up to the target.
    ///
    /// Records that the state has already are passed over. Where there is a store, the state is saved on the way as
    /// the options say, and whenever the replay ends, for whatever reason, if it moved and is sound.
    ///
    /// That the observer stops the replay is no error: see [`End::Interrupted`].
    ///
    /// # Errors
    ///
    /// [`ReplayError`]: the state is the one after the last good event.
    pub fn run<S: ReplaySource>(
        &mut self,
        source: &mut S,
        options: &ReplayOptions,
        store: Option<&SnapshotStore>,
        observer: &mut (impl Observer + ?Sized),
    ) -> Result<Report, ReplayError<M::Error, S::Error>> {
        let mut report = Report::starting_at(self.number);
        let outcome = self.apply_all(source, options, store, observer, &mut report);
        if let Some(store) = store
            && let Err(error) = self.save_if_moved(store, observer)
        {
            match (&outcome, error) {
                // The first reason counts; the other one is told.
                (Err(_), ReplayFailure::Snapshot(error)) => observer.notice(&Notice::SaveFailed(&error)),
                (Err(_), _) => {}
                (Ok(_), error) => return Err(error.into()),
            }
        }
        report.end = outcome?;
        report.number = self.number;
        report.mug = self.machine.mug();
        Ok(report)
    }

    /// The machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The machine, to ask it for what changes no state.
    pub fn machine_mut(&mut self) -> &mut M {
        &mut self.machine
    }

    /// The machine, for good.
    pub fn into_machine(self) -> M {
        self.machine
    }

    /// The last event in the state.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Saves the state now.
    ///
    /// # Errors
    ///
    /// [`ReplayFailure::Save`] and [`ReplayFailure::Snapshot`].
    pub fn save(
        &mut self,
        store: &SnapshotStore,
        observer: &mut (impl Observer + ?Sized),
    ) -> Result<(), ReplayFailure<M::Error>> {
        let number = self.number;
        let state = self.machine.snapshot().map_err(|source| ReplayFailure::Save { number, source })?;
        let path = store.save(&Snapshot { number, mug: self.machine.mug(), state })?;
        self.saved = number;
        observer.saved(number, &path);
        Ok(())
    }

    fn save_if_moved(
        &mut self,
        store: &SnapshotStore,
        observer: &mut (impl Observer + ?Sized),
    ) -> Result<(), ReplayFailure<M::Error>> {
        if self.is_sound && self.number != self.saved { self.save(store, observer) } else { Ok(()) }
    }

    fn apply_all<S: ReplaySource>(
        &mut self,
        source: &mut S,
        options: &ReplayOptions,
        store: Option<&SnapshotStore>,
        observer: &mut (impl Observer + ?Sized),
        report: &mut Report,
    ) -> Result<End, ReplayError<M::Error, S::Error>> {
        let target = options.target.unwrap_or(u64::MAX);
        if self.number == 0 && options.boot_events > 0 {
            self.boot(source, options, observer, report)?;
        }
        while self.number < target {
            let Some(record) = source.next_record().map_err(ReplayError::Source)? else {
                return Ok(End::LogEnd);
            };
            let number = record.index.get();
            if number <= self.number {
                continue;
            }
            if number != self.number + 1 {
                return Err(ReplayFailure::Gap { expected: self.number + 1, found: number }.into());
            }
            let event = EventAt::split(number, record.payload, options.values)?;
            if observer.starting(&event) == ControlFlow::Break(()) {
                return Ok(End::Interrupted);
            }
            if self.apply(&event, options, observer, report)? == Applied::Interrupted {
                return Ok(End::Interrupted);
            }
            if let (Some(store), Some(every)) = (store, options.snapshot_every)
                && self.number - self.saved >= every.max(1)
            {
                self.save(store, observer)?;
            }
        }
        Ok(End::Target)
    }

    fn boot<S: ReplaySource>(
        &mut self,
        source: &mut S,
        options: &ReplayOptions,
        observer: &mut (impl Observer + ?Sized),
        report: &mut Report,
    ) -> Result<(), ReplayError<M::Error, S::Error>> {
        let count = options.boot_events;
        if let Some(target) = options.target.filter(|target| *target < count) {
            return Err(ReplayFailure::TargetInBoot { target, boot_events: count }.into());
        }
        let mut payloads = Vec::new();
        let mut recorded_mug = 0;
        for expected in 1..=count {
            let Some(record) = source.next_record().map_err(ReplayError::Source)? else {
                return Err(ReplayFailure::BootTooShort { boot_events: count, found: expected - 1 }.into());
            };
            let found = record.index.get();
            if found != expected {
                return Err(ReplayFailure::Gap { expected, found }.into());
            }
            let event = EventAt::split(found, record.payload, options.values)?;
            payloads.push(event.payload.to_vec());
            recorded_mug = event.recorded_mug;
            report.applied += 1;
            report.unverifiable += 1;
        }
        let booted = self.machine.boot(&payloads);
        booted.map_err(|source| {
            self.is_sound = false;
            ReplayFailure::Boot { boot_events: count, kind: M::failure_kind(&source), source }
        })?;
        self.number = count;
        let mug = self.machine.mug();
        observer.booted(count, mug);
        if recorded_mug != 0 {
            report.unverifiable -= 1;
            self.check(count, recorded_mug, mug, options, observer, report)?;
        }
        Ok(())
    }

    /// Applies one event, more than once if memory is short, and checks its mug.
    fn apply(
        &mut self,
        event: &EventAt<'_>,
        options: &ReplayOptions,
        observer: &mut (impl Observer + ?Sized),
        report: &mut Report,
    ) -> Result<Applied, ReplayFailure<M::Error>> {
        let number = event.number;
        let mut attempt = 1;
        while let Err(source) = self.machine.poke(number, event.payload) {
            let kind = M::failure_kind(&source);
            match kind {
                FailureKind::Interrupt => return Ok(Applied::Interrupted),
                FailureKind::Memory if attempt < options.attempts_max => {
                    observer.notice(&Notice::Retrying { number, attempt, error: &source });
                    report.retries += 1;
                    attempt += 1;
                    let reclaimed = self.machine.reclaim(options.reclaim);
                    reclaimed.map_err(|source| ReplayFailure::Event {
                        number,
                        kind: M::failure_kind(&source),
                        attempts: attempt,
                        source,
                    })?;
                }
                _ => {
                    self.is_sound = kind != FailureKind::Lost;
                    return Err(ReplayFailure::Event { number, kind, attempts: attempt, source });
                }
            }
        }
        self.number = number;
        report.applied += 1;
        let mug = self.machine.mug();
        if event.recorded_mug == 0 {
            report.unverifiable += 1;
        } else {
            self.check(number, event.recorded_mug, mug, options, observer, report)?;
        }
        observer.applied(event, mug);
        Ok(Applied::Done)
    }

    fn check(
        &mut self,
        number: u64,
        expected: u32,
        found: u32,
        options: &ReplayOptions,
        observer: &mut (impl Observer + ?Sized),
        report: &mut Report,
    ) -> Result<(), ReplayFailure<M::Error>> {
        if expected == found {
            report.verified += 1;
            report.last_agreeing = Some(number);
            return Ok(());
        }
        let divergence = Divergence { number, expected, found, last_agreeing: report.last_agreeing };
        if options.mugs == MugCheck::Soft {
            report.diverged += 1;
            report.first_divergence.get_or_insert(divergence);
            observer.notice(&Notice::Diverged(divergence));
            return Ok(());
        }
        // The boot has no state before it.
        self.is_sound = self.machine.revert();
        if self.is_sound {
            self.number = number - 1;
        }
        Err(ReplayFailure::Diverged(divergence))
    }
}

/// How applying an event ended, if it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Applied {
    Done,
    Interrupted,
}
