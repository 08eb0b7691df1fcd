//! A socket that several calls wait for at once, and that one of its handles may close for all.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
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
        poll_fn(|cx| {
            waiting.add(cx.waker());
            let wakes_all = Waker::from(Arc::clone(waiting));
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

/// Those who wait for one direction. Who left since is woken once for nothing.
#[derive(Debug, Default)]
struct Waiting {
    wakers: Mutex<Wakers>,
}

/// Mostly one, which takes no room on the heap.
#[derive(Debug, Default)]
struct Wakers {
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl Waiting {
    fn add(&self, waker: &Waker) {
        let mut wakers = self.lock();
        let is_known = wakers.first.iter().chain(&wakers.others).any(|known| known.will_wake(waker));
        if is_known {
            return;
        }
        if wakers.first.is_none() {
            wakers.first = Some(waker.clone());
        } else {
            wakers.others.push(waker.clone());
        }
    }

    fn wake_all(&self) {
        let wakers = std::mem::take(&mut *self.lock());
        // Outside the lock: a waker may run code that waits for this socket.
        wakers.first.into_iter().chain(wakers.others).for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Wakers> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
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
