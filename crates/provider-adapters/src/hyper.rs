//! hyper's traits for runtimes.

#![expect(clippy::disallowed_types, reason = "hyper tells time in instants; here they are counted from one")]

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Executor, Read, ReadBufCursor, Sleep, Timer, Write};
use samestep_provider_traits::{TaskProvider, TimeProvider};
use send_wrapper::SendWrapper;

use crate::PollStream;

impl<S> Read for PollStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let received = ready!(self.poll_fill(cx))?;
        let count = received.len().min(buf.remaining());
        buf.put_slice(&received[..count]);
        self.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl<S> Write for PollStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_shutdown(cx)
    }
}

/// Starts hyper's tasks by a [`TaskProvider`], each called `hyper`.
#[derive(Clone, Debug)]
pub struct HyperExecutor<T> {
    tasks: T,
}

impl<T: TaskProvider> HyperExecutor<T> {
    /// Starts tasks by `tasks`.
    pub fn new(tasks: T) -> Self {
        Self { tasks }
    }
}

impl<T, F> Executor<F> for HyperExecutor<T>
where
    T: TaskProvider,
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        drop(self.tasks.spawn("hyper", future));
    }
}

/// Tells hyper the time of a [`TimeProvider`], and lets it sleep.
///
/// hyper wants timers that may go to other threads, which those of the traits do not: the timer and its sleeps
/// are wrapped so that they panic where they are used, or dropped, on another thread than that which made them.
///
/// To hyper a point in time is an [`Instant`]. The timer takes one when it is made, and counts the provider's time
/// from there, so that what hyper does depends on the provider alone.
pub struct HyperTimer<T> {
    time: SendWrapper<T>,
    /// An instant, and the provider's time that stands for it.
    origin: (Instant, Duration),
}

impl<T: TimeProvider> HyperTimer<T> {
    /// Asks `time`.
    #[expect(clippy::disallowed_methods, reason = "any instant will do: only differences to it are used")]
    pub fn new(time: T) -> Self {
        let origin = (Instant::now(), time.now());
        Self { time: SendWrapper::new(time), origin }
    }
}

impl<T: TimeProvider> Timer for HyperTimer<T> {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        // hyper counts from here, the provider from the first poll.
        let deadline = self.time.now().saturating_add(duration);
        Box::pin(HyperSleep::new(self.time.sleep_until(deadline)))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let (instant, at) = self.origin;
        // What is before the origin has passed.
        let deadline = at.saturating_add(deadline.saturating_duration_since(instant));
        Box::pin(HyperSleep::new(self.time.sleep_until(deadline)))
    }

    fn now(&self) -> Instant {
        let (instant, at) = self.origin;
        instant + (self.time.now() - at)
    }
}

impl<T: TimeProvider> Clone for HyperTimer<T> {
    fn clone(&self) -> Self {
        Self { time: SendWrapper::new((*self.time).clone()), origin: self.origin }
    }
}

impl<T> fmt::Debug for HyperTimer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperTimer").finish_non_exhaustive()
    }
}

/// A sleep of any provider. In a box of its own, as the wrapper lends no pinned reference to what it wraps.
struct HyperSleep {
    sleep: SendWrapper<Pin<Box<dyn Future<Output = ()>>>>,
}

impl HyperSleep {
    fn new(sleep: impl Future<Output = ()> + 'static) -> Self {
        Self { sleep: SendWrapper::new(Box::pin(sleep)) }
    }
}

impl Future for HyperSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().poll(cx)
    }
}

impl Sleep for HyperSleep {}
