//! What happened on the rings since the start, none of which ever goes back; and what is under way.

use std::rc::Rc;

use super::samples::Samples;
use super::{Driver, Owner, State};
use crate::histogram::Histogram;
use crate::latencies::{OperationKind, Sampler};
use crate::sys::sqe::Op;
use crate::sys::task::Wakee;

/// On all rings together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DriverCounters {
    pub(crate) started: u64,
    pub(crate) harmless_errors: u64,
    pub(crate) stale: u64,
    pub(crate) orphans: u64,
    pub(crate) backlogged: u64,
    pub(crate) cancels: u64,
    pub(crate) buffers_picked: u64,
    pub(crate) buffers_back: u64,
    pub(crate) poll_refusals: u64,
    pub(crate) overflows: u64,
}

/// On one ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LaneCounters {
    pub(crate) enters: u64,
    pub(crate) submissions: u64,
    pub(crate) completions: u64,
}

/// What one ring has done so far, and has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingStats {
    /// `main`, `latency` or `poll`.
    pub name: &'static str,
    /// Calls of `io_uring_enter`, or what the other driver has in its place.
    pub enters: u64,
    /// Operations, parts of them and cancellations that the ring was given.
    pub submissions: u64,
    /// Completions, of which an operation may have many.
    pub completions: u64,
    /// Operations that are under way now; a few are the runtime's own.
    pub in_flight: usize,
    /// Submissions that wait for room in the ring now.
    pub backlog: usize,
}

impl Driver {
    pub(crate) fn counters(&self) -> DriverCounters {
        let overflows: u64 = self.lanes.iter().map(|lane| lane.ring.overflows()).sum();
        DriverCounters { overflows: self.counters.overflows + overflows, ..self.counters }
    }

    /// From here on some operations are looked at for how long they take.
    pub(crate) fn sample_latencies(&mut self, sampler: Sampler) {
        self.samples = Some(Box::new(Samples::new(sampler)));
    }

    /// How long those took, if any are looked at.
    pub(crate) fn latencies(&self) -> impl Iterator<Item = (OperationKind, &Histogram)> {
        self.samples.iter().flat_map(|samples| samples.histograms())
    }

    /// What each operation under way is, the address of the task that it wakes, if it wakes one directly, and whose it
    /// is.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = (Op, Option<usize>, Option<&Rc<dyn Owner>>)> {
        self.records.iter().filter_map(|(_, record)| {
            let task = match &record.state {
                State::Awaited(wakee) => wakee.as_ref().and_then(Wakee::task),
                State::Detached => None,
                State::Ended(_) | State::Part(..) => return None,
            };
            Some((record.op, task, record.owner.as_ref()))
        })
    }

    /// Of each ring, the main one first. The counters stay when the rings are gone.
    pub(crate) fn rings(&self) -> Vec<RingStats> {
        let name = |lane| match lane {
            0 => "main",
            lane if self.latency == Some(lane) => "latency",
            _ => "poll",
        };
        let counts = self.counters_before.iter().chain(self.lanes.iter().map(|lane| &lane.counters));
        let one = |(number, counters): (usize, &LaneCounters)| {
            let lane = self.lanes.get(number);
            RingStats {
                name: name(number),
                enters: counters.enters,
                submissions: counters.submissions,
                completions: counters.completions,
                in_flight: lane.map_or(0, |lane| lane.in_flight),
                backlog: lane.map_or(0, |lane| lane.backlog.len()),
            }
        };
        counts.enumerate().map(one).collect()
    }
}
