//! Which of the tasks that are ready runs next.

use std::sync::Arc;

use crate::choice::{ChoiceFamily, Choices};
use crate::trace::TaskId;
use crate::world::ready::Ready;
use crate::world::tasks::Tasks;

/// How the next task is picked among those that are ready at the same instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchedulePolicy {
    /// The one that has waited longest.
    Fifo,
    /// Any, each equally likely, in rounds: a task that yields lets all others run first.
    #[default]
    Random,
    /// The one with the highest of priorities that are drawn when tasks start; at `depth` less one points of the
    /// run, drawn beforehand, and whenever it yields, the running task falls behind all others.
    ///
    /// Finds a bug that `depth` ordered steps are needed for with a chance of at least one in (tasks x
    /// polls^(depth - 1)): Burckhardt, Kothari, Musuvathi and Nagarakatti, "A randomized scheduler with
    /// probabilistic guarantees of finding bugs", 2010.
    Pct {
        /// How many steps the bug needs to be in one order; 1 draws priorities only.
        depth: u32,
    },
    /// As these tasks ran in a run before: see [`SimWorld::polled_tasks`](crate::SimWorld::polled_tasks). Where a
    /// task of the list is not ready, the one that has waited longest.
    Replay(Arc<[TaskId]>),
}

/// A policy, and how far it got.
#[derive(Debug)]
pub(crate) struct Schedule {
    policy: SchedulePolicy,
    polls: u64,
    /// Polls at which the running task falls behind, in no order.
    changes: Vec<u64>,
    demoted: u64,
}

impl Schedule {
    /// Begins to schedule by `policy`.
    pub(super) fn new(policy: SchedulePolicy, choices: &mut Choices) -> Self {
        let changes = match policy {
            SchedulePolicy::Pct { depth } => {
                let points = (1..depth).map(|_| choices.pick(ChoiceFamily::Schedule, CHANGES, PCT_POLLS));
                // Plain is no change.
                points.filter(|poll| *poll != 0).collect()
            }
            _ => Vec::new(),
        };
        Self { policy, polls: 0, changes, demoted: 0 }
    }

    /// Takes the task that runs next.
    pub(super) fn pick(&mut self, ready: &mut Ready, tasks: &Tasks, choices: &mut Choices) -> Option<u32> {
        let place = match &self.policy {
            SchedulePolicy::Fifo => {
                ready.round();
                0
            }
            SchedulePolicy::Random => {
                let waiting = ready.round().len();
                // Most often there is one: then there is nothing to choose.
                let place =
                    if waiting < 2 { 0 } else { choices.pick(ChoiceFamily::Schedule, ORDER, waiting as u64) };
                usize::try_from(place).unwrap_or(0)
            }
            SchedulePolicy::Pct { .. } => {
                let waiting = ready.all().iter().enumerate();
                let first = waiting.min_by_key(|(place, slot)| (tasks.priority(**slot), *place));
                first.map_or(0, |(place, _)| place)
            }
            SchedulePolicy::Replay(order) => {
                let next = usize::try_from(self.polls).ok().and_then(|poll| order.get(poll)).copied();
                ready.all().iter().position(|slot| tasks.id(*slot) == next).unwrap_or(0)
            }
        };
        ready.take(place)
    }

    /// The priority of a new task: the lowest number runs first.
    pub(super) fn priority(&self, choices: &mut Choices) -> u64 {
        match self.policy {
            SchedulePolicy::Pct { .. } => choices.pick(ChoiceFamily::Schedule, PRIORITIES, PRIORITY_BOUND),
            _ => 0,
        }
    }

    /// A task was polled. Its new priority, if it falls behind.
    #[inline]
    pub(super) fn polled(&mut self, yielded: bool) -> Option<u64> {
        self.polls += 1;
        if matches!(self.policy, SchedulePolicy::Pct { .. }) { self.demoted(yielded) } else { None }
    }

    #[cold]
    fn demoted(&mut self, yielded: bool) -> Option<u64> {
        if !yielded && !self.changes.contains(&self.polls) {
            return None;
        }
        self.demoted += 1;
        Some(PRIORITY_BOUND + self.demoted)
    }
}

/// Places of the choices: order within a round, priorities of tasks, points of change.
const ORDER: u32 = 0;
const PRIORITIES: u32 = 1;
const CHANGES: u32 = 2;
/// Polls among which the points of change are drawn.
const PCT_POLLS: u64 = 10_000;
const PRIORITY_BOUND: u64 = 1 << 32;
