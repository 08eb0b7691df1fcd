//! In which order the runs of all lanes start.
//!
//! Iteration by iteration over all lanes, not lane by lane: the runs of one lane then lie far apart in time and
//! have ever other neighbours on the machine. Owns no clock: the caller says how long the whole thing has run.

use std::time::Duration;

/// The runs that are still to be made, and those under way.
#[derive(Debug)]
pub(crate) struct Schedule {
    variations: Vec<u32>,
    lanes: Vec<LaneProgress>,
    next: usize,
}

/// How far one lane is.
#[derive(Clone, Copy, Debug, Default)]
struct LaneProgress {
    first_started: Option<Duration>,
    running_count: usize,
    ended_count: usize,
    is_settled: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Run this lane with this variation.
    Run { lane: usize, variation: u32 },
    /// Ask again at this time.
    WaitUntil(Duration),
    /// No run is left to start.
    Done,
}

/// Whether a lane needs further runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LaneState {
    Open,
    Finished,
}

impl Schedule {
    /// Each of `lane_count` lanes once with each of `variations`.
    pub(crate) fn new(lane_count: usize, variations: Vec<u32>) -> Self {
        Self { variations, lanes: vec![LaneProgress::default(); lane_count], next: 0 }
    }

    /// The next step, `now` after the start.
    #[must_use]
    pub(crate) fn poll_step(&mut self, now: Duration) -> Step {
        let lane_count = self.lanes.len();
        let last_row = self.variations.len().saturating_sub(1);
        while self.next < lane_count * self.variations.len() {
            let (row, lane) = (self.next / lane_count, self.next % lane_count);
            let progress = &mut self.lanes[lane];
            if progress.is_settled {
                self.next += 1;
                continue;
            }
            let due = progress.first_started.map_or(Duration::ZERO, |first| first + SPAN_MIN);
            if row > 0 && row == last_row && now < due {
                return Step::WaitUntil(due);
            }
            progress.first_started.get_or_insert(now);
            progress.running_count += 1;
            self.next += 1;
            return Step::Run { lane, variation: self.variations[row] };
        }
        Step::Done
    }

    /// A run of `lane` has ended; if it settled the lane, no further one is started.
    pub(crate) fn handle_end(&mut self, lane: usize, is_settled: bool) -> LaneState {
        let run_count = self.variations.len();
        let progress = &mut self.lanes[lane];
        progress.running_count -= 1;
        progress.ended_count += 1;
        progress.is_settled |= is_settled;
        let is_last = progress.is_settled || progress.ended_count == run_count;
        if is_last && progress.running_count == 0 { LaneState::Finished } else { LaneState::Open }
    }

    /// How many runs there are in all.
    pub(crate) fn total_count(&self) -> usize {
        self.lanes.len() * self.variations.len()
    }

    /// How many runs have ended, or are not needed any more.
    pub(crate) fn ended_count(&self) -> usize {
        let count = |lane: &LaneProgress| {
            if lane.is_settled { self.variations.len() - lane.running_count } else { lane.ended_count }
        };
        self.lanes.iter().map(count).sum()
    }
}

/// The last run of a lane starts this much after its first, so that wall time differs by a second at least and
/// whoever writes it, even in whole seconds, is caught.
const SPAN_MIN: Duration = Duration::from_millis(1100);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LaneState, SPAN_MIN, Schedule, Step};

    fn run(lane: usize, variation: u32) -> Step {
        Step::Run { lane, variation }
    }

    #[test]
    fn lanes_take_turns_and_the_last_turn_waits() {
        let mut schedule = Schedule::new(2, vec![0, 1, 2]);
        let at = Duration::from_millis;
        for (now, step) in [(at(0), run(0, 0)), (at(5), run(1, 0)), (at(6), run(0, 1)), (at(7), run(1, 1))] {
            assert_eq!(schedule.poll_step(now), step);
        }
        assert_eq!(schedule.poll_step(at(8)), Step::WaitUntil(SPAN_MIN));
        assert_eq!(schedule.poll_step(SPAN_MIN), run(0, 2));
        assert_eq!(schedule.poll_step(SPAN_MIN), Step::WaitUntil(SPAN_MIN + at(5)));
        assert_eq!(schedule.poll_step(SPAN_MIN + at(5)), run(1, 2));
        assert_eq!(schedule.poll_step(SPAN_MIN + at(5)), Step::Done);
    }

    #[test]
    fn a_lane_is_finished_by_its_last_run() {
        let mut schedule = Schedule::new(1, vec![0, 7]);
        assert_eq!(schedule.poll_step(Duration::ZERO), run(0, 0));
        assert_eq!(schedule.poll_step(SPAN_MIN), run(0, 7));
        assert_eq!(schedule.handle_end(0, false), LaneState::Open);
        assert_eq!(schedule.handle_end(0, false), LaneState::Finished);
        assert_eq!((schedule.ended_count(), schedule.total_count()), (2, 2));
    }

    #[test]
    fn a_settled_lane_starts_no_more_and_finishes_when_its_runs_have_ended() {
        let mut schedule = Schedule::new(2, vec![0, 1, 2]);
        for _ in 0..3 {
            let _ = schedule.poll_step(Duration::ZERO);
        }
        assert_eq!(schedule.handle_end(0, true), LaneState::Open, "another run of it is under way");
        assert_eq!(schedule.handle_end(0, false), LaneState::Finished);
        assert_eq!(schedule.poll_step(Duration::ZERO), run(1, 1));
        assert_eq!(schedule.ended_count(), 3);
    }

    #[test]
    fn one_run_waits_for_nothing() {
        let mut schedule = Schedule::new(1, vec![5]);
        assert_eq!(schedule.poll_step(Duration::ZERO), run(0, 5));
        assert_eq!(schedule.poll_step(Duration::ZERO), Step::Done);
    }
}
