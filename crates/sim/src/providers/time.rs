//! Clocks and timers of a node.

use std::time::{Duration, SystemTime};

use samestep_provider_traits::TimeProvider;

use crate::kernel::NodeId;
use crate::world::registry::Home;
use crate::world::{Core, SleepFuture, WeakSimWorld, enter};

/// Clocks and timers of one boot of a node.
///
/// Its monotonic clock is the world's time. Its wall clock is the node's and may be wrong, see
/// [`ClockConfiguration`](crate::ClockConfiguration); it never shows a time before 1970. Once its node is down, its
/// sleeps never end.
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
            let drift = core.time_chaos.drift_nanos_max;
            Duration::from_nanos(core.clocks.timer(&mut core.kernel, home.node, drift))
        })
    }
}

impl TimeProvider for SimTimeProvider {
    fn now(&self) -> Duration {
        enter(self.home.world, |core| core.kernel.now).since_start()
    }

    fn wall_clock(&self) -> SystemTime {
        let home = self.home;
        let nanos = enter(home.world, |core| core.wall_clock_nanos(home.node)).max(0);
        SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
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

impl Core {
    /// What the wall clock of `node`, or of the test itself, shows: nanoseconds since 1970.
    pub(crate) fn wall_clock_nanos(&mut self, node: Option<NodeId>) -> i128 {
        let drift = self.time_chaos.drift_nanos_max;
        let since_start = self.clocks.wall_clock(&mut self.kernel, node, drift);
        since_start + i128::try_from(WORLD_BEGAN.as_nanos()).unwrap_or(i128::MAX)
    }
}

/// What a right wall clock shows when a world begins, since 1970: the first second of 2025.
const WORLD_BEGAN: Duration = Duration::from_secs(1_735_689_600);
