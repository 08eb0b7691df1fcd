//! Clocks and timers.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, SystemTime};

/// Clocks and timers of one node.
pub trait TimeProvider: Clone + 'static {
    /// Time since the provider's start. Never goes back; nanoseconds, as fine as the platform has them.
    fn now(&self) -> Duration;

    /// What the wall clock shows. May be wrong, drift, and jump in either direction: never use it to measure.
    fn wall_clock(&self) -> SystemTime;

    /// Ends when `duration` has passed since the first poll, never earlier. Zero ends at once.
    ///
    /// Dropping it cancels the timer.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + use<Self>;

    /// Ends when [`now`](Self::now) is `deadline` or later; at once if that has passed.
    ///
    /// Of two sleeps on one node the one with the earlier deadline ends first; equal deadlines may end in any
    /// order.
    fn sleep_until(&self, deadline: Duration) -> impl Future<Output = ()> + use<Self>;

    /// Gives `future` until `limit` has passed since the first poll, and drops it then.
    ///
    /// A future that is ready wins, even with a limit of zero.
    ///
    /// # Errors
    ///
    /// [`Elapsed`] if the limit passed first.
    fn timeout<F: Future>(
        &self,
        limit: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Elapsed>> + use<Self, F> {
        let sleep = self.sleep(limit);
        async move {
            let mut future = pin!(future);
            let mut sleep = pin!(sleep);
            poll_fn(|cx| {
                if let Poll::Ready(output) = future.as_mut().poll(cx) {
                    return Poll::Ready(Ok(output));
                }
                sleep.as_mut().poll(cx).map(|()| Err(Elapsed { limit }))
            })
            .await
        }
    }
}

/// A [`timeout`](TimeProvider::timeout) passed. Turns into an [`io::Error`] of kind
/// [`TimedOut`](io::ErrorKind::TimedOut).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed {
    limit: Duration,
}

impl Elapsed {
    /// The limit that passed.
    pub fn limit(&self) -> Duration {
        self.limit
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no answer within {:?}", self.limit)
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}
