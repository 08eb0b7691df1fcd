//! Permits and the line of those who wait for them: what the locks are made of.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use crate::waits::WaitsOn;

/// Some permits, and who waits for how many of them, in order.
#[derive(Debug)]
pub(super) struct Line {
    state: RefCell<State>,
    on: WaitsOn,
}

#[derive(Debug)]
struct State {
    available: usize,
    /// By ticket, which are given out in order.
    waiting: BTreeMap<u64, Waiting>,
    /// Have what they waited for, and have not looked yet.
    granted: BTreeMap<u64, usize>,
    next_ticket: u64,
    is_closed: bool,
}

#[derive(Debug)]
struct Waiting {
    count: usize,
    waker: Waker,
}

/// The line was closed.
#[derive(Debug)]
pub(super) struct Closed;

impl Line {
    /// With so many permits. Who waits for them is noted to wait for that.
    pub(super) fn new(available: usize, on: WaitsOn) -> Self {
        let state = RefCell::new(State {
            available,
            waiting: BTreeMap::new(),
            granted: BTreeMap::new(),
            next_ticket: 0,
            is_closed: false,
        });
        Self { state, on }
    }

    /// Ends with so many permits taken, behind all who came before. Dropped early it has taken none.
    pub(super) async fn acquire(&self, count: usize) -> Result<(), Closed> {
        let mut place = Place { line: self, ticket: None };
        poll_fn(|cx| place.poll(count, cx)).await
    }

    /// Takes so many permits if they are there and nobody waits.
    pub(super) fn try_acquire(&self, count: usize) -> Result<bool, Closed> {
        let mut state = self.state.borrow_mut();
        if state.is_closed {
            return Err(Closed);
        }
        let is_free = state.waiting.is_empty() && state.available >= count;
        if is_free {
            state.available -= count;
        }
        Ok(is_free)
    }

    /// Puts permits back, or in.
    pub(super) fn release(&self, count: usize) {
        {
            let mut state = self.state.borrow_mut();
            state.available = state.available.checked_add(count).expect("fewer than 2^64 permits");
        }
        self.grant();
    }

    /// Tells all who wait, and all who come, that there will be none.
    pub(super) fn close(&self) {
        let waiting = {
            let mut state = self.state.borrow_mut();
            state.is_closed = true;
            std::mem::take(&mut state.waiting)
        };
        for waiting in waiting.into_values() {
            waiting.waker.wake();
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.borrow().is_closed
    }

    pub(super) fn available(&self) -> usize {
        self.state.borrow().available
    }

    /// Gives to those in front what is there for them. Who is in front and wants more than there is holds up the rest.
    fn grant(&self) {
        loop {
            let waker = {
                let state = &mut *self.state.borrow_mut();
                let Some(first) = state.waiting.first_entry() else { return };
                let count = first.get().count;
                if count > state.available {
                    return;
                }
                state.available -= count;
                let (ticket, waiting) = first.remove_entry();
                state.granted.insert(ticket, count);
                waiting.waker
            };
            waker.wake();
        }
    }
}

/// A place in the line, while somebody waits.
struct Place<'a> {
    line: &'a Line,
    ticket: Option<u64>,
}

impl Place<'_> {
    fn poll(&mut self, count: usize, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        let Some(ticket) = self.ticket else {
            match self.line.try_acquire(count) {
                Ok(false) => {}
                taken => return Poll::Ready(taken.map(|_| ())),
            }
            let waiting = Waiting { count, waker: cx.waker().clone() };
            let state = &mut *self.line.state.borrow_mut();
            self.ticket = Some(state.next_ticket);
            state.waiting.insert(state.next_ticket, waiting);
            state.next_ticket += 1;
            self.line.on.note(cx.waker());
            return Poll::Pending;
        };
        let waker = cx.waker().clone();
        let before = {
            let state = &mut *self.line.state.borrow_mut();
            if state.granted.remove(&ticket).is_some() {
                self.ticket = None;
                return Poll::Ready(Ok(()));
            }
            match state.waiting.get_mut(&ticket) {
                Some(waiting) => std::mem::replace(&mut waiting.waker, waker),
                None => return Poll::Ready(Err(Closed)),
            }
        };
        // Outside of the borrow: it may be of any kind.
        drop(before);
        self.line.on.note(cx.waker());
        Poll::Pending
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let (given_up, granted) = {
            let state = &mut *self.line.state.borrow_mut();
            (state.waiting.remove(&ticket), state.granted.remove(&ticket))
        };
        drop(given_up);
        // Who was in front may have held up the others.
        self.line.release(granted.unwrap_or(0));
    }
}
