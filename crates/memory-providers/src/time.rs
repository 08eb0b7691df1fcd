//! The clock.

use std::fmt;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, SystemTime};

use samestep_provider_traits::TimeProvider;

use crate::executor::{Core, TimerKey};

/// The clock of a [`MemoryWorld`](crate::MemoryWorld). Its wall clock starts at the first of January 2000, UTC.
#[derive(Clone)]
pub struct MemoryTimeProvider {
    core: Rc<Core>,
}

impl MemoryTimeProvider {
    pub(crate) fn new(core: Rc<Core>) -> Self {
        Self { core }
    }
}

impl fmt::Debug for MemoryTimeProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTimeProvider").field("now", &self.core.now()).finish()
    }
}

impl TimeProvider for MemoryTimeProvider {
    fn now(&self) -> Duration {
        self.core.now()
    }

    fn wall_clock(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + WALL_CLOCK_START + self.core.now()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + use<> {
        let core = Rc::clone(&self.core);
        async move {
            let deadline = core.now().saturating_add(duration);
            Timer { core, key: None }.reach(deadline).await;
        }
    }

    fn sleep_until(&self, deadline: Duration) -> impl Future<Output = ()> + use<> {
        Timer { core: Rc::clone(&self.core), key: None }.reach(deadline)
    }
}

/// A timer that is removed when it is dropped.
struct Timer {
    core: Rc<Core>,
    key: Option<TimerKey>,
}

impl Timer {
    async fn reach(mut self, deadline: Duration) {
        poll_fn(
            |cx| if self.core.now() >= deadline { Poll::Ready(()) } else { self.wait(deadline, cx.waker()) },
        )
        .await;
    }

    fn wait(&mut self, deadline: Duration, waker: &Waker) -> Poll<()> {
        match self.key {
            Some(key) => self.core.set_timer_waker(key, waker),
            None => self.key = Some(self.core.add_timer(deadline, waker.clone())),
        }
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.core.remove_timer(key);
        }
    }
}

/// From 1970 to 2000.
const WALL_CLOCK_START: Duration = Duration::from_secs(946_684_800);
