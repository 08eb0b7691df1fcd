//! Sleeping tasks.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::choice::{Chance, ChoiceFamily};
use crate::fault::FaultFamily;
use crate::kernel::{NodeId, Wait};
use crate::net::ChaosConfiguration;
use crate::queue::EventId;
use crate::time::SimTime;
use crate::world::Core;
use crate::world::due::{Due, TimerDue};
use crate::world::registry::{Home, enter, try_enter};
use crate::world::waker::TaskRef;

/// Ends when a time has come. Dropping it takes its timer away.
#[must_use = "futures do nothing unless polled"]
pub struct SleepFuture {
    home: Home,
    until: Until,
    timer: Option<EventId>,
}

#[derive(Clone, Copy, Debug)]
enum Until {
    /// So long after the first poll.
    After(Duration),
    /// When it is this time.
    At(Duration),
}

impl SleepFuture {
    /// Ends when `duration` has passed since the first poll.
    pub(crate) const fn after(home: Home, duration: Duration) -> Self {
        Self { home, until: Until::After(duration), timer: None }
    }

    /// Ends when it is `deadline`.
    pub(crate) const fn at(home: Home, deadline: Duration) -> Self {
        Self { home, until: Until::At(deadline), timer: None }
    }

    fn start(&mut self, waker: Waker) -> (Poll<()>, Option<Waker>) {
        let (home, until) = (self.home, self.until);
        let (poll, timer, rest) = enter(home.world, |core| {
            let deadline = match until {
                Until::After(duration) => core.kernel.now.after(duration),
                Until::At(deadline) => SimTime::ZERO.after(deadline),
            };
            if !core.is_there(home) {
                return (Poll::Pending, None, Some(waker));
            }
            if deadline <= core.kernel.now {
                return (Poll::Ready(()), None, Some(waker));
            }
            let deadline = core.buggified(deadline, home.node);
            let task = core.kernel.task;
            let due = Due::Timer(TimerDue { waker, node: home.node, task });
            core.kernel.wait(Wait::Timer { until: deadline });
            (Poll::Pending, Some(core.kernel.events.put(deadline, due)), None)
        });
        self.timer = timer;
        (poll, rest)
    }
}

impl Future for SleepFuture {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(timer) = self.timer else {
            let waker = TaskRef::clone_of(cx.waker()).unwrap_or_else(|| cx.waker().clone());
            let (poll, rest) = self.start(waker);
            drop(rest);
            return poll;
        };
        let world = self.home.world;
        let seen = enter(world, |core| match core.kernel.events.get_mut(timer) {
            Some(Due::Timer(due)) if due.waker.will_wake(cx.waker()) => Seen::Waits,
            Some(_) => Seen::WaitsForAnother,
            None => Seen::Fired,
        });
        match seen {
            Seen::Fired => {
                self.timer = None;
                self.until = Until::At(Duration::ZERO);
                return Poll::Ready(());
            }
            Seen::Waits => {}
            Seen::WaitsForAnother => {
                let waker = cx.waker().clone();
                let old = enter(world, |core| match core.kernel.events.get_mut(timer) {
                    Some(Due::Timer(due)) => std::mem::replace(&mut due.waker, waker),
                    _ => waker,
                });
                drop(old);
            }
        }
        enter(world, |core| core.kernel.wait(Wait::Timer { until: core.kernel.now }));
        Poll::Pending
    }
}

impl Drop for SleepFuture {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            // The waker is dropped with nothing borrowed.
            drop(try_enter(self.home.world, |core| core.kernel.events.cancel(timer)));
        }
    }
}

impl fmt::Debug for SleepFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SleepFuture").field("until", &self.until).finish_non_exhaustive()
    }
}

enum Seen {
    Fired,
    Waits,
    WaitsForAnother,
}

/// How timers go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeChaos {
    /// How often a sleep takes longer.
    pub(crate) delay: Chance,
    /// How much longer at most.
    pub(crate) delay_nanos_max: u64,
    /// How far [`timer`](crate::SimTimeProvider::timer) may be ahead.
    pub(crate) drift_nanos_max: u64,
}

impl TimeChaos {
    /// As configured.
    pub(crate) fn of(chaos: &ChaosConfiguration) -> Self {
        let delay = if chaos.buggified_delay_enabled { chaos.buggified_delay_probability } else { 0.0 };
        let drift = if chaos.clock_drift_enabled { chaos.clock_drift_max } else { Duration::ZERO };
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self {
            delay: Chance::from_probability(delay),
            delay_nanos_max: nanos(chaos.buggified_delay_max),
            drift_nanos_max: nanos(drift),
        }
    }

    /// Timers that are exact.
    pub(crate) const fn none() -> Self {
        Self { delay: Chance::NEVER, delay_nanos_max: 0, drift_nanos_max: 0 }
    }
}

impl Core {
    /// The deadline, or a later one.
    #[inline]
    fn buggified(&mut self, deadline: SimTime, node: Option<NodeId>) -> SimTime {
        let TimeChaos { delay, delay_nanos_max, .. } = self.time_chaos;
        if delay.is_never() || delay_nanos_max == 0 {
            return deadline;
        }
        self.delayed(deadline, node)
    }

    fn delayed(&mut self, deadline: SimTime, node: Option<NodeId>) -> SimTime {
        let TimeChaos { delay, delay_nanos_max, .. } = self.time_chaos;
        let place = node.map_or(0, |node| node.0 + 1);
        if !self.kernel.choices.happens(ChoiceFamily::Latency, place, delay) {
            return deadline;
        }
        let ratio = self.kernel.choices.pick(ChoiceFamily::Latency, place, 1 << 32);
        let longer = scale_by_power(delay_nanos_max, ratio);
        if longer > 0 {
            self.kernel.fault(FaultFamily::BuggifiedDelay, node, || format!("{longer} ns longer"));
        }
        deadline.after_nanos(longer)
    }
}

/// `max` times the 1000th power of `ratio` / 2^32: nearly always next to nothing, and now and then nearly all, as
/// FoundationDB's `delay` does it. In integers, so that it is the same on every machine.
fn scale_by_power(max: u64, ratio: u64) -> u64 {
    let mut power = 1_u64 << 32;
    let mut square = ratio;
    let mut exponent = DELAY_EXPONENT;
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = (power * square) >> 32;
        }
        square = (square * square) >> 32;
        exponent >>= 1;
    }
    u64::try_from((u128::from(max) * u128::from(power)) >> 32).unwrap_or(max)
}

const DELAY_EXPONENT: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::scale_by_power;

    /// 0.999^1000 = 0.367695, 0.9999^1000 = 0.904833, 0.99^1000 = 0.0000431712.
    #[test]
    fn powers_are_those_of_reals() {
        let ratio = |thousandths: u64| (thousandths << 32) / 10_000;
        let near = |value: u64, expected: u64| assert!(value.abs_diff(expected) <= 5, "{value}");
        near(scale_by_power(1_000_000, ratio(9_990)), 367_695);
        near(scale_by_power(1_000_000, ratio(9_999)), 904_833);
        near(scale_by_power(1_000_000, ratio(9_900)), 43);
        assert_eq!(scale_by_power(1_000_000, 0), 0);
        assert_eq!(scale_by_power(1_000_000, ratio(5_000)), 0);
    }
}
