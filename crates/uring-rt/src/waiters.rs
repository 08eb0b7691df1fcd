//! Waiting for something on one thread to change.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use crate::slots::{Key, Slots};

/// Tasks that wait for a change. One that no longer waits leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Waiters(RefCell<Slots<Option<Waker>>>);

impl Default for Waiters {
    fn default() -> Self {
        Self(RefCell::new(Slots::new()))
    }
}

impl Waiters {
    /// Tells all who wait that something changed.
    pub(crate) fn notify(&self) {
        // Outside of the borrow: a waker may be anything. Mostly one waits, for whom no memory is taken.
        let (mut first, mut others) = (None, Vec::new());
        for waker in self.0.borrow_mut().iter_mut().filter_map(Option::take) {
            match first {
                None => first = Some(waker),
                Some(_) => others.push(waker),
            }
        }
        first.into_iter().chain(others).for_each(Waker::wake);
    }

    /// Ends with what `look` finds; it looks again after each [`Self::notify`].
    pub(crate) async fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        if let Some(found) = look() {
            return found;
        }
        let place = Place { waiters: self, key: self.0.borrow_mut().insert(None) };
        poll_fn(|cx| {
            if let Some(found) = look() {
                return Poll::Ready(found);
            }
            let before = {
                let mut places = self.0.borrow_mut();
                places.get_mut(place.key).expect("it is there while this waits").replace(cx.waker().clone())
            };
            drop(before);
            Poll::Pending
        })
        .await
    }

    /// Ends when `condition` holds.
    pub(crate) async fn until_true(&self, condition: impl Fn() -> bool) {
        self.until(|| condition().then_some(())).await;
    }
}

/// The place of one who waits.
struct Place<'a> {
    waiters: &'a Waiters,
    key: Key,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let waker = self.waiters.0.borrow_mut().remove(self.key);
        drop(waker);
    }
}
