//! Runs what the schedule says, several workers at a time.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a driver: it times real processes")]

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use samestep_replay_traits::{Lane, Seed};

use crate::process::Spawner;
use crate::schedule::{LaneState, Schedule, Step};
use crate::tally::Tally;
use crate::variation::Variation;

/// What is to be run.
pub(crate) struct Plan<'a> {
    /// The lanes, each with its seed.
    pub(crate) lanes: Vec<(&'a dyn Lane, Seed)>,
    /// The variations that each is run with.
    pub(crate) variations: Vec<u32>,
    /// How many workers run side by side.
    pub(crate) job_count: usize,
    /// How many CPUs they may use.
    pub(crate) cpu_count: usize,
}

/// Hears how the runs go.
pub(crate) trait Observer: Send {
    /// So many runs of all are done.
    fn handle_progress(&mut self, ended_count: usize, total_count: usize);
    /// A lane, given by its place in the plan, is finished.
    fn handle_lane(&mut self, lane: usize, tally: Tally) -> io::Result<()>;
}

/// Makes all runs of `plan`, and tells `observer` of them.
pub(crate) fn drive(plan: &Plan<'_>, spawner: &Spawner, observer: &mut dyn Observer) -> io::Result<()> {
    let tallies = plan.lanes.iter().map(|(lane, _)| Some(Tally::new(lane.expectation()))).collect();
    let schedule = Schedule::new(plan.lanes.len(), plan.variations.clone());
    let shared = Mutex::new(Shared { schedule, tallies, observer, error: None });
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..plan.job_count {
            scope.spawn(|| work(plan, spawner, &shared, started));
        }
    });
    let error = lock(&shared).error.take();
    error.map_or(Ok(()), Err)
}

/// What the threads share.
struct Shared<'a> {
    schedule: Schedule,
    /// `None` once the lane is finished.
    tallies: Vec<Option<Tally>>,
    observer: &'a mut dyn Observer,
    /// The first thing that went wrong with the check itself. It ends all threads.
    error: Option<io::Error>,
}

fn work(plan: &Plan<'_>, spawner: &Spawner, shared: &Mutex<Shared<'_>>, started: Instant) {
    loop {
        let step = {
            let mut shared = lock(shared);
            if shared.error.is_some() { Step::Done } else { shared.schedule.poll_step(started.elapsed()) }
        };
        match step {
            Step::Done => return,
            Step::WaitUntil(due) => thread::sleep(due.saturating_sub(started.elapsed())),
            Step::Run { lane, variation } => {
                if let Err(error) = run(plan, spawner, shared, lane, variation) {
                    lock(shared).error.get_or_insert(error);
                }
            }
        }
    }
}

fn run(
    plan: &Plan<'_>,
    spawner: &Spawner,
    shared: &Mutex<Shared<'_>>,
    at: usize,
    number: u32,
) -> io::Result<()> {
    let (lane, seed) = plan.lanes[at];
    let run_started = Instant::now();
    let outcome = spawner.run(lane.name(), seed, &Variation::draw(number, plan.cpu_count))?;
    let busy = run_started.elapsed();

    let shared = &mut *lock(shared);
    let tally = shared.tallies[at].as_mut().expect("a lane with a run under way is not finished");
    tally.handle_run(number, outcome, busy);
    let state = shared.schedule.handle_end(at, tally.is_settled());
    shared.observer.handle_progress(shared.schedule.ended_count(), shared.schedule.total_count());
    match state {
        LaneState::Open => Ok(()),
        LaneState::Finished => {
            let tally = shared.tallies[at].take().expect("a lane finishes once");
            shared.observer.handle_lane(at, tally)
        }
    }
}

/// A thread that panics ends the program as the scope ends; until then its data are as good as they were.
fn lock<'a, 'b>(shared: &'a Mutex<Shared<'b>>) -> MutexGuard<'a, Shared<'b>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
