//! Waiting for something on one thread to change.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use crate::slots::{Key, Slots};
use crate::waits::WaitsOn;

/// Tasks that wait for a change. One that no longer waits leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Waiters {
    places: RefCell<Slots<Option<Waker>>>,
    on: WaitsOn,
}

impl Default for Waiters {
    fn default() -> Self {
        Self::on(WaitsOn::Untold)
    }
}

impl Waiters {
    /// Who waits here is noted to wait for that.
    pub(crate) const fn on(on: WaitsOn) -> Self {
        Self { places: RefCell::new(Slots::new()), on }
    }

    /// Shows each who waits.
    pub(crate) fn each(&self, mut show: impl FnMut(&Waker)) {
        for (_, waker) in self.places.borrow().iter() {
            waker.iter().for_each(&mut show);
        }
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.borrow().len() == 0
    }

    /// Tells all who wait that something changed.
    pub(crate) fn notify(&self) {
        // Outside of the borrow: a waker may be anything. Mostly one waits, for whom no memory is taken.
        let (mut first, mut others) = (None, Vec::new());
        for waker in self.places.borrow_mut().iter_mut().filter_map(Option::take) {
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
        let place = Place { waiters: self, key: self.places.borrow_mut().insert(None) };
        poll_fn(|cx| {
            if let Some(found) = look() {
                return Poll::Ready(found);
            }
            let before = {
                let mut places = self.places.borrow_mut();
                places.get_mut(place.key).expect("it is there while this waits").replace(cx.waker().clone())
            };
            drop(before);
            self.on.note(cx.waker());
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
        let waker = self.waiters.places.borrow_mut().remove(self.key);
        drop(waker);
    }
}
