//! Clocks and timers.

use std::collections::BTreeMap;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

use samestep_provider_traits::TimeProvider;
use tokio::task::unconstrained;
use tokio::time::Instant;

/// The operating system's clocks, and tokio's timers. Clones have the same start.
///
/// Tokio's timers are as fine as a millisecond: a sleep ends up to one later than asked for, never earlier.
/// Tasks whose sleeps are over are woken in the order of their deadlines; the future that a runtime blocks on is no
/// task, and is polled ahead of them.
#[derive(Clone, Debug)]
pub struct TokioTimeProvider {
    sleepers: Arc<Sleepers>,
}

impl TokioTimeProvider {
    /// Clocks that start now.
    pub fn new() -> Self {
        Self { sleepers: Arc::new(Sleepers { start: Instant::now(), list: Mutex::default() }) }
    }
}

impl Default for TokioTimeProvider {
    fn default() -> Self {
        Self::new()
    }
}

impl TimeProvider for TokioTimeProvider {
    fn now(&self) -> Duration {
        self.sleepers.now()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the provider through which others ask")]
    fn wall_clock(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + use<> {
        let sleepers = Arc::clone(&self.sleepers);
        async move {
            let deadline = sleepers.now().saturating_add(duration);
            end_in_turn(sleepers, deadline).await;
        }
    }

    fn sleep_until(&self, deadline: Duration) -> impl Future<Output = ()> + use<> {
        end_in_turn(Arc::clone(&self.sleepers), deadline)
    }
}

/// Sleeps until `deadline`, and ends behind all whose deadlines are earlier.
async fn end_in_turn(sleepers: Arc<Sleepers>, deadline: Duration) {
    if sleepers.now() >= deadline && !sleepers.has_earlier(deadline) {
        return;
    }
    let Some(instant) = sleepers.start.checked_add(deadline) else {
        // Centuries from now.
        return pending().await;
    };
    let me = Sleeper::register(Arc::clone(&sleepers), deadline);
    let wakes_all_due = Waker::from(sleepers);
    // Out of tokio's budget: when that is used up, tokio wakes the waker it is given to have the task polled
    // again, which this one does not do.
    let mut timer = pin!(unconstrained(tokio::time::sleep_until(instant)));
    poll_fn(|cx| {
        if !me.waits_on(cx.waker()) {
            return Poll::Ready(());
        }
        match timer.as_mut().poll(&mut Context::from_waker(&wakes_all_due)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                // Nobody told the timer to wake yet. This task is woken behind those who are earlier.
                wakes_all_due.wake_by_ref();
                Poll::Pending
            }
        }
    })
    .await;
}

/// All who sleep, which is also the waker of all their timers.
///
/// Tokio fires the timers of one millisecond in any order, and each would wake its own task. So all of them wake
/// this instead, which wakes all tasks that are due, in the order of their deadlines.
#[derive(Debug)]
struct Sleepers {
    start: Instant,
    list: Mutex<SleeperList>,
}

#[derive(Debug, Default)]
struct SleeperList {
    /// By deadline; equal ones by when they began. Who is no longer in it is to end.
    waiting: BTreeMap<(Duration, u64), Waker>,
    begun_count: u64,
}

impl Sleepers {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn wake_due(&self) {
        let due = {
            let now = self.now();
            let mut list = self.lock();
            let later = list.waiting.split_off(&(now.saturating_add(RESOLUTION), 0));
            std::mem::replace(&mut list.waiting, later)
        };
        // Outside the lock: a waker may run code that sleeps.
        due.into_values().for_each(Waker::wake);
    }

    /// Whether somebody sleeps until before `deadline`.
    fn has_earlier(&self, deadline: Duration) -> bool {
        self.lock().waiting.first_key_value().is_some_and(|((first, _), _)| *first < deadline)
    }

    fn lock(&self) -> MutexGuard<'_, SleeperList> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Sleepers {
    fn wake(self: Arc<Self>) {
        self.wake_due();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_due();
    }
}

/// One who sleeps. Leaves the list when dropped.
struct Sleeper {
    sleepers: Arc<Sleepers>,
    key: (Duration, u64),
}

impl Sleeper {
    fn register(sleepers: Arc<Sleepers>, deadline: Duration) -> Self {
        let key = {
            let mut list = sleepers.lock();
            list.begun_count += 1;
            let key = (deadline, list.begun_count);
            list.waiting.insert(key, Waker::noop().clone());
            key
        };
        Self { sleepers, key }
    }

    /// Notes whom to wake, and tells whether this one still waits.
    fn waits_on(&self, waker: &Waker) -> bool {
        let waker = waker.clone();
        let former = {
            let mut list = self.sleepers.lock();
            list.waiting.get_mut(&self.key).map(|known| std::mem::replace(known, waker))
        };
        // The former is dropped outside the lock: the last waker of a task may drop the task, and its sleeps.
        former.is_some()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let waker = self.sleepers.lock().waiting.remove(&self.key);
        // Outside the lock: dropping a waker may run code that sleeps.
        drop(waker);
    }
}

/// The smallest step of the clock: who is due now is before the next one.
const RESOLUTION: Duration = Duration::from_nanos(1);

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;

    use samestep_provider_traits::TimeProvider;
    use tokio::task::{JoinHandle, spawn_local};

    use super::TokioTimeProvider;
    use crate::TokioRuntime;

    /// Tokio rounds deadlines up to milliseconds and fires those of one in any order.
    #[test]
    fn sleeps_that_share_a_millisecond_end_in_order() {
        TokioRuntime::new().unwrap().block_on(async {
            tokio::time::pause();
            let time = TokioTimeProvider::new();
            let ended = Rc::new(RefCell::new(Vec::new()));
            // Over a few milliseconds, and in no order.
            let tasks: Vec<_> =
                (0..500).map(|number| sleep_until_us(&time, number * 7919 % 3000 + 1, &ended)).collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert!(ended.borrow().is_sorted(), "{:?}", ended.borrow());
            assert_eq!(ended.borrow().len(), 500);
            assert!(time.sleepers.lock().waiting.is_empty(), "a sleep that ended is still in the list");
        });
    }

    /// A deadline that has passed when its sleep begins is still behind those that passed before.
    #[test]
    fn a_late_sleep_overtakes_nobody() {
        TokioRuntime::new().unwrap().block_on(async {
            let time = TokioTimeProvider::new();
            let ended = Rc::new(RefCell::new(Vec::new()));
            let early = sleep_until_us(&time, 1000, &ended);
            tokio::task::yield_now().await;
            while time.now() < Duration::from_millis(3) {
                // Tokio looks at no timer meanwhile.
                std::hint::spin_loop();
            }
            sleep_until_us(&time, 2000, &ended).await.unwrap();
            early.await.unwrap();
            assert_eq!(*ended.borrow(), [1000, 2000]);
        });
    }

    /// A task that notes when its sleep ended.
    fn sleep_until_us(time: &TokioTimeProvider, us: u64, ended: &Rc<RefCell<Vec<u64>>>) -> JoinHandle<()> {
        let (time, ended) = (time.clone(), Rc::clone(ended));
        spawn_local(async move {
            time.sleep_until(Duration::from_micros(us)).await;
            ended.borrow_mut().push(us);
        })
    }

    #[test]
    fn a_sleep_without_end_is_no_panic() {
        let time = TokioTimeProvider::new();
        TokioRuntime::new().unwrap().block_on(async {
            let forever = time.sleep(Duration::MAX);
            time.timeout(Duration::from_millis(1), forever).await.unwrap_err();
        });
    }
}
