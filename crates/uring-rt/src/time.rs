//! Clocks and timers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use samestep_provider_traits::TimeProvider;

use crate::core::Core;
use crate::slots::Key;

/// The monotonic clock since the runtime's start, and the wall clock. A timer is an entry in a wheel; the kernel
/// knows of the next one only.
#[derive(Clone)]
pub struct UringTime(pub(crate) Rc<Core>);

impl TimeProvider for UringTime {
    fn now(&self) -> Duration {
        self.0.now()
    }

    fn wall_clock(&self) -> SystemTime {
        let now = Duration::try_from(clock_gettime(ClockId::Realtime)).expect("it is past 1970");
        SystemTime::UNIX_EPOCH + now
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + use<> {
        Sleep { core: Rc::clone(&self.0), state: State::Unset(Until::After(duration)) }
    }

    fn sleep_until(&self, deadline: Duration) -> impl Future<Output = ()> + use<> {
        Sleep { core: Rc::clone(&self.0), state: State::Unset(Until::Deadline(deadline)) }
    }
}

impl fmt::Debug for UringTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UringTime").field("now", &self.0.now()).finish_non_exhaustive()
    }
}

/// A timer, set at the first poll.
struct Sleep {
    core: Rc<Core>,
    state: State,
}

enum State {
    Unset(Until),
    Set(Key),
    Over,
}

#[derive(Clone, Copy)]
enum Until {
    After(Duration),
    Deadline(Duration),
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.state {
            State::Unset(until) => {
                let now = self.core.now();
                let deadline = match until {
                    Until::After(duration) => now.saturating_add(duration),
                    Until::Deadline(deadline) => deadline,
                };
                if deadline <= now {
                    self.state = State::Over;
                    return Poll::Ready(());
                }
                let deadline_ns = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX);
                let key = self.core.timers.borrow_mut().set(deadline_ns, Some(cx.waker().clone()));
                self.state = State::Set(key);
                Poll::Pending
            }
            State::Set(key) => {
                let before = {
                    let mut timers = self.core.timers.borrow_mut();
                    match timers.get_mut(key) {
                        Some(Some(waker)) if waker.will_wake(cx.waker()) => return Poll::Pending,
                        Some(waker) => Some(waker.replace(cx.waker().clone())),
                        None => None,
                    }
                };
                if before.is_some() {
                    return Poll::Pending;
                }
                // It fired, and is no more.
                self.state = State::Over;
                Poll::Ready(())
            }
            State::Over => Poll::Ready(()),
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let State::Set(key) = self.state {
            let waker = self.core.timers.borrow_mut().cancel(key);
            drop(waker);
        }
    }
}
