//! A socket that several calls wait for at once, and that one of its handles may close for all.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Which way bytes go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Direction {
    /// Receiving, and accepting.
    In,
    /// Sending.
    Out,
}

/// A socket, until it is closed.
///
/// Tokio's `readable` would borrow the socket for as long as a call waits, so that closing would have to wait for
/// calls that perhaps nobody polls any more. The polled functions borrow it for the poll alone, but remember one
/// waker for each direction: it is one that wakes all who wait.
#[derive(Debug)]
pub(super) struct Shared<S> {
    socket: RefCell<Option<S>>,
    incoming: Arc<Waiting>,
    outgoing: Arc<Waiting>,
}

impl<S> Shared<S> {
    pub(super) fn new(socket: S) -> Self {
        Self { socket: RefCell::new(Some(socket)), incoming: Arc::default(), outgoing: Arc::default() }
    }

    /// Polls `operation` on the socket until it is over. `operation` keeps nothing between polls, so that a
    /// dropped call loses nothing.
    ///
    /// # Errors
    ///
    /// Those of the operation; [`NotConnected`](io::ErrorKind::NotConnected) once the socket is closed.
    pub(super) async fn when_ready<T>(
        &self,
        direction: Direction,
        mut operation: impl FnMut(&S, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        let waiting = match direction {
            Direction::In => &self.incoming,
            Direction::Out => &self.outgoing,
        };
        let call = Call::begin(waiting);
        poll_fn(|cx| {
            let wakes_all = call.wait(cx.waker());
            self.with(|socket| Ok(operation(socket, &mut Context::from_waker(&wakes_all))))
                .unwrap_or_else(|error| Poll::Ready(Err(error)))
        })
        .await
    }

    /// Asks the socket something that takes no time.
    ///
    /// # Errors
    ///
    /// As [`Self::when_ready`].
    pub(super) fn with<T>(&self, ask: impl FnOnce(&S) -> io::Result<T>) -> io::Result<T> {
        match &*self.socket.borrow() {
            Some(socket) => ask(socket),
            None => {
                Err(io::Error::new(io::ErrorKind::NotConnected, "the socket was closed by a handle to it"))
            }
        }
    }

    /// Takes the socket away from all handles, and wakes those who wait for it.
    pub(super) fn take(&self) -> Option<S> {
        let socket = self.socket.borrow_mut().take();
        self.incoming.wake_by_ref();
        self.outgoing.wake_by_ref();
        socket
    }
}

/// The calls that wait for one direction.
#[derive(Debug, Default)]
struct Waiting {
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    /// By number; few, mostly one.
    wakers: Vec<(u64, Waker)>,
    begun_count: u64,
}

impl Waiting {
    fn wake_all(&self) {
        let mut wakers = mem::take(&mut self.lock().wakers);
        // Outside the lock: a waker may run code that waits for this socket.
        wakers.drain(..).for_each(|(_, waker)| waker.wake());
        let mut calls = self.lock();
        if calls.wakers.is_empty() {
            // The room is used again, so that waiting allocates nothing.
            calls.wakers = wakers;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

/// One call that waits. Leaves the list when dropped.
///
/// A call has one place, whatever waker it comes with: two wakers of one task need not be equal, and a list of
/// all that were seen would grow with every poll.
struct Call<'a> {
    waiting: &'a Arc<Waiting>,
    number: u64,
}

impl<'a> Call<'a> {
    fn begin(waiting: &'a Arc<Waiting>) -> Self {
        let mut calls = waiting.lock();
        calls.begun_count += 1;
        Self { waiting, number: calls.begun_count }
    }

    /// Notes whom to wake, and gives the waker that wakes all.
    fn wait(&self, waker: &Waker) -> Waker {
        let waker = waker.clone();
        let mut calls = self.waiting.lock();
        let known = calls.wakers.iter_mut().find(|(number, _)| *number == self.number);
        let former = if let Some((_, known)) = known {
            Some(mem::replace(known, waker))
        } else {
            calls.wakers.push((self.number, waker));
            None
        };
        drop(calls);
        // Outside the lock: the last waker of a task may drop the task, and with it calls that wait here.
        drop(former);
        Waker::from(Arc::clone(self.waiting))
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let waker = {
            let mut calls = self.waiting.lock();
            let place = calls.wakers.iter().position(|(number, _)| *number == self.number);
            place.map(|place| calls.wakers.remove(place))
        };
        // Outside the lock, as above.
        drop(waker);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::io;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake, Waker};

    use super::{Direction, Shared};

    /// Other wakers for each poll, as of one that is polled by a set of futures, do not pile up.
    #[test]
    fn a_call_has_one_place_and_leaves_it() {
        let shared = Shared::new(());
        {
            let never = || shared.when_ready(Direction::In, |(), _| Poll::<io::Result<()>>::Pending);
            let (mut one, mut two) = (pin!(never()), pin!(never()));
            for _ in 0..100 {
                let waker = Waker::from(Arc::new(Other));
                let mut cx = Context::from_waker(&waker);
                assert!(one.as_mut().poll(&mut cx).is_pending());
                assert!(two.as_mut().poll(&mut cx).is_pending());
            }
            assert_eq!(shared.incoming.lock().wakers.len(), 2);
        }
        assert_eq!(shared.incoming.lock().wakers.len(), 0);
    }

    struct Other;

    impl Wake for Other {
        fn wake(self: Arc<Self>) {}
    }
}
