//! A signal without a value.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use crate::waits::WaitsOn;

/// Tells one who waits, or all, that something happened.
///
/// Signals are not counted: any number of [`notify_one`](Self::notify_one) while nobody waits let one pass.
#[derive(Debug, Default)]
pub struct Notify(RefCell<State>);

#[derive(Debug, Default)]
struct State {
    /// By ticket, which are given out in order.
    waiting: BTreeMap<u64, Waker>,
    /// Were told, and have not looked yet.
    told: BTreeMap<u64, Told>,
    next_ticket: u64,
    /// Somebody was told before anybody came.
    is_kept: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Alone,
    WithAll,
}

impl Notify {
    /// With nothing to tell yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits to be told, behind everybody who waits already; or is over at once if [`Self::notify_one`] found nobody.
    /// Who was told alone, and is dropped before looking, passes it on.
    pub async fn notified(&self) {
        let mut place = Place { notify: self, ticket: None };
        poll_fn(|cx| place.poll(cx)).await;
    }

    /// Tells the one who has waited longest; or the next to come, if nobody waits.
    pub fn notify_one(&self) {
        let waker = {
            let state = &mut *self.0.borrow_mut();
            let first = state.waiting.pop_first();
            match &first {
                Some((ticket, _)) => _ = state.told.insert(*ticket, Told::Alone),
                None => state.is_kept = true,
            }
            first.map(|(_, waker)| waker)
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Tells all who wait now. Who comes later waits.
    pub fn notify_all(&self) {
        let wakers = {
            let state = &mut *self.0.borrow_mut();
            let waiting = std::mem::take(&mut state.waiting);
            state.told.extend(waiting.keys().map(|ticket| (*ticket, Told::WithAll)));
            waiting
        };
        wakers.into_values().for_each(Waker::wake);
    }
}

/// A place in the line, while somebody waits.
struct Place<'a> {
    notify: &'a Notify,
    ticket: Option<u64>,
}

impl Place<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let before = {
            let state = &mut *self.notify.0.borrow_mut();
            match self.ticket {
                None if std::mem::take(&mut state.is_kept) => return Poll::Ready(()),
                None => {
                    self.ticket = Some(state.next_ticket);
                    state.next_ticket += 1;
                    state.waiting.insert(state.next_ticket - 1, waker)
                }
                Some(ticket) if state.told.remove(&ticket).is_some() => {
                    self.ticket = None;
                    return Poll::Ready(());
                }
                Some(ticket) => state.waiting.insert(ticket, waker),
            }
        };
        // Outside of the borrow: it may be of any kind.
        drop(before);
        WaitsOn::Notify.note(cx.waker());
        Poll::Pending
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let (waker, told) = {
            let state = &mut *self.notify.0.borrow_mut();
            (state.waiting.remove(&ticket), state.told.remove(&ticket))
        };
        drop(waker);
        if told == Some(Told::Alone) {
            self.notify.notify_one();
        }
    }
}
