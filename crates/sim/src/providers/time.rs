//! Clocks and timers of a node.

use std::time::{Duration, SystemTime};

use samestep_provider_traits::TimeProvider;

use crate::choice::ChoiceFamily;
use crate::time::SimTime;
use crate::world::registry::Home;
use crate::world::{SleepFuture, WeakSimWorld, enter};

/// Clocks and timers of one boot of a node.
///
/// Its monotonic clock is the world's time. Once its node is down, its sleeps never end.
#[derive(Clone, Copy, Debug)]
pub struct SimTimeProvider {
    home: Home,
}

impl SimTimeProvider {
    /// Clocks and timers of the test itself, which no fault stops.
    pub fn new(world: impl Into<WeakSimWorld>) -> Self {
        Self::of(world.into().home())
    }

    pub(crate) const fn of(home: Home) -> Self {
        Self { home }
    }

    /// A clock that runs ahead of [`now`](TimeProvider::now) by up to the configured drift, by amounts that change,
    /// and never goes back: FoundationDB's `timer`, for leases and heartbeats. Without drift it is `now`.
    pub fn timer(&self) -> Duration {
        let home = self.home;
        enter(home.world, |core| {
            let now = core.kernel.now.as_nanos();
            let most = now.saturating_add(core.time_chaos.drift_nanos_max);
            let last = core.timer_nanos.max(now);
            let place = home.node.map_or(0, |node| node.0 + 1);
            // Half of the way that is left, at most, each time that somebody looks.
            let ahead = core.kernel.choices.pick(ChoiceFamily::Clock, place, (most - last) / 2 + 1);
            core.timer_nanos = last + ahead;
            SimTime::from_nanos(core.timer_nanos).since_start()
        })
    }
}

impl TimeProvider for SimTimeProvider {
    fn now(&self) -> Duration {
        enter(self.home.world, |core| core.kernel.now).since_start()
    }

    fn wall_clock(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + WORLD_BEGAN + self.now()
    }

    #[expect(refining_impl_trait, reason = "sleeps have a name and can be stored")]
    fn sleep(&self, duration: Duration) -> SleepFuture {
        SleepFuture::after(self.home, duration)
    }

    #[expect(refining_impl_trait, reason = "sleeps have a name and can be stored")]
    fn sleep_until(&self, deadline: Duration) -> SleepFuture {
        SleepFuture::at(self.home, deadline)
    }
}

/// What a right wall clock shows when a world begins, since 1970: the first second of 2025.
const WORLD_BEGAN: Duration = Duration::from_secs(1_735_689_600);
