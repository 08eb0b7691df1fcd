//! One run of one seed.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use samestep_provider_traits::{JoinError, JoinHandle};

use crate::choice::Tape;
use crate::fault::FaultLog;
use crate::marks::Marks;
use crate::runner::Failure;
use crate::runner::panics::{quiet, take_location};
use crate::time::SimTime;
use crate::trace::TraceEvent;
use crate::world::tasks::panic_message;
use crate::world::{SimJoinHandle, SimWorld, WorldConfig};

/// How a world is run.
#[derive(Clone, Debug)]
pub(crate) struct RunPlan {
    pub(crate) config: WorldConfig,
    /// Simulated time in which the main task must end.
    pub(crate) time_limit: Duration,
    /// How much may happen.
    pub(crate) events_max: u64,
    /// Ends the run, as it is, after the instant in which this many events have happened.
    pub(crate) stop_at_event: Option<u64>,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub(crate) struct RunReport {
    pub(crate) seed: u64,
    /// Rolling hash of all that happened, the end of the world included.
    pub(crate) hash: u64,
    pub(crate) events: u64,
    pub(crate) polls: u64,
    pub(crate) ended_at: SimTime,
    /// Why it failed, in the order in which that was seen; empty if it did not.
    pub(crate) failures: Vec<Failure>,
    /// Empty unless it was kept.
    pub(crate) tape: Tape,
    pub(crate) faults: FaultLog,
    /// Empty unless it was kept.
    pub(crate) trace: Vec<TraceEvent>,
    /// None unless they were kept.
    pub(crate) marks: Option<Marks>,
}

/// The task whose end is the run's.
pub(crate) type Main = SimJoinHandle<Result<(), String>>;

impl RunPlan {
    /// A run of a world as `config` says, for ten minutes of simulated time or a hundred million events.
    pub(crate) fn new(config: WorldConfig) -> Self {
        Self { config, time_limit: TIME_LIMIT, events_max: EVENTS_MAX, stop_at_event: None }
    }
}

/// Makes a world, lets `setup` fill it, and runs it until the task that `setup` gave has ended, something has failed,
/// or a limit is reached; `after_instant` is called after each instant, with nothing borrowed, and may say so by
/// [`SimWorld::fail`]. Then the world ends. Panics go no further than here, whoever has them.
pub(crate) fn run_one(
    plan: &RunPlan,
    setup: impl FnOnce(&SimWorld) -> Main,
    after_instant: &mut dyn FnMut(&SimWorld),
) -> RunReport {
    let _quiet = quiet();
    let world = SimWorld::with_config(plan.config.clone());
    match contained(|| setup(&world)) {
        Ok(mut main) => {
            // Caught once for all instants, not at each; after one it is the test's own, and otherwise ours.
            let is_looking = Cell::new(false);
            let mut after_instant = |world: &SimWorld| {
                is_looking.set(true);
                after_instant(world);
                is_looking.set(false);
            };
            let run = || run_to_end(plan, &world, &mut main, &mut after_instant);
            match catch_unwind(AssertUnwindSafe(run)) {
                Ok(None) => {}
                Ok(Some(failure)) => world.fail(failure),
                Err(payload) if is_looking.get() => {
                    let message = located_message(&*payload);
                    world.fail(Failure::Check { name: "after each instant".to_owned(), message });
                }
                Err(payload) => resume_unwind(payload),
            }
            drop(main);
        }
        Err(message) => world.fail(Failure::SetupPanic { message }),
    }
    world.shared.end();
    report(plan, &world)
}

/// Runs until there is a reason to stop. The reason, if nobody knows it yet and it is a failure.
fn run_to_end(
    plan: &RunPlan,
    world: &SimWorld,
    main: &mut Main,
    after_instant: &mut dyn FnMut(&SimWorld),
) -> Option<Failure> {
    let deadline = SimTime::ZERO.after(plan.time_limit);
    loop {
        let went_on = world.shared.step(deadline);
        after_instant(world);
        let pulse = world.shared.pulse();
        if pulse.has_foreign_wakes
            && let Some(task) = world.foreign_wakes().into_iter().next()
        {
            return Some(Failure::ForeignWake { task });
        }
        if pulse.has_failed {
            return None;
        }
        if main.is_finished() {
            return match main.take() {
                Some(Ok(Err(message))) => Some(Failure::Error { message }),
                Some(Err(JoinError::Cancelled)) => {
                    Some(Failure::Error { message: "the test's main task was cancelled".to_owned() })
                }
                _ => None,
            };
        }
        let events = pulse.events;
        if plan.stop_at_event.is_some_and(|stop| events >= stop) {
            return None;
        }
        let (at, tasks) = (pulse.now, || world.task_states());
        if pulse.is_spinning {
            return Some(Failure::Spinning { at, tasks: tasks() });
        }
        if events > plan.events_max {
            return Some(Failure::TooManyEvents { events_max: plan.events_max, at, tasks: tasks() });
        }
        if !pulse.has_pending {
            return Some(Failure::Deadlock { at, tasks: tasks() });
        }
        if !went_on {
            return Some(Failure::Deadline { limit: plan.time_limit, tasks: tasks() });
        }
    }
}

fn report(plan: &RunPlan, world: &SimWorld) -> RunReport {
    let core = world.shared.core.borrow();
    let panics = core.panics.iter().cloned().map(Failure::Panic);
    RunReport {
        seed: plan.config.seed,
        hash: core.kernel.trace.hash(),
        events: core.kernel.trace.count(),
        polls: core.polls,
        ended_at: core.kernel.now,
        failures: panics.chain(core.failures.iter().cloned()).collect(),
        tape: core.kernel.choices.tape(),
        faults: core.kernel.faults.clone(),
        trace: core.kernel.trace.events().to_vec(),
        marks: core.kernel.trace.marks().cloned(),
    }
}

/// Runs code of the test; the message of its panic, and where, if it has one.
fn contained<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| located_message(&*payload))
}

/// The message of a panic, and where it was, if that is known.
fn located_message(payload: &(dyn Any + Send)) -> String {
    let message = panic_message(payload);
    match take_location() {
        Some(location) => format!("{message}, at {location}"),
        None => message,
    }
}

const TIME_LIMIT: Duration = Duration::from_secs(600);
const EVENTS_MAX: u64 = 100_000_000;

#[cfg(test)]
mod tests;
