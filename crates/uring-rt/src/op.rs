//! Operations as futures.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::core::Core;
use crate::schedule::{Class, Place, Schedule};
use crate::slots::Key;
use crate::sys::{Attendance, Closed, Notice, OnDrop, Outcome, Owner, Prepared, RingId, Tag};

/// An operation under way. Ends with its outcome.
///
/// Holds a key and nothing that the kernel may touch: dropped early, it leaves everything to the driver and to the
/// operation's owner.
pub(crate) struct Op {
    core: Rc<Core>,
    state: State,
    on_drop: OnDrop,
    /// Where it waits for its turn, or did.
    place: Option<Place>,
}

enum State {
    UnderWay(Key),
    /// It was not started.
    Refused(Option<Outcome>),
    Over,
}

impl Op {
    /// Starts an operation on `ring`. `owner` is told of its end, under `tag`, and is given the outcome if this is
    /// dropped before.
    pub(crate) fn start(
        core: &Rc<Core>,
        ring: RingId,
        prepared: Prepared,
        owner: Option<Rc<dyn Owner>>,
        tag: Tag,
        on_drop: OnDrop,
    ) -> Self {
        let started = core.driver.borrow_mut().start(ring, prepared, owner, tag, Attendance::Awaited);
        let state = match started {
            Ok(key) => State::UnderWay(key),
            Err(Closed(outcome)) => State::Refused(Some(outcome)),
        };
        Self { core: Rc::clone(core), state, on_drop, place: None }
    }

    /// Starts a read or write on the poll ring, in parts, see [`Driver::start_polled`](crate::sys::Driver).
    pub(crate) fn start_polled(
        core: &Rc<Core>,
        prepared: Prepared,
        part_bytes_max: u32,
        owner: Rc<dyn Owner>,
        tag: Tag,
    ) -> Self {
        let mut driver = core.driver.borrow_mut();
        let started = driver.start_polled(prepared, part_bytes_max, Some(owner), tag, Attendance::Awaited);
        drop(driver);
        Self::of(core, started)
    }

    /// Has a read or write wait for its turn on its device, in parts of at most `part_bytes`. Dropped before, the parts
    /// that did not begin never do.
    pub(crate) fn wait_for_turn(
        core: &Rc<Core>,
        schedule: &Rc<Schedule>,
        class: Class,
        (ring, part_bytes): (RingId, u32),
        prepared: Prepared,
        (owner, tag): (Rc<dyn Owner>, Tag),
    ) -> Self {
        let transfer = prepared.transfer().expect("only reads and writes are scheduled");
        let mut driver = core.driver.borrow_mut();
        let held = driver.hold(ring, prepared, part_bytes, Some(owner), tag, Attendance::Awaited);
        drop(driver);
        let place = held.as_ref().ok().map(|whole| {
            let lineage = core.queues.lineage(class.queue);
            schedule.wait(class, lineage, transfer, part_bytes, *whole)
        });
        core.devices.start_due(&core.driver);
        let mut op = Self::of(core, held);
        op.place = place;
        op
    }

    /// Starts an operation, and one behind it that begins when the first succeeded in full and is `owner`'s alone.
    /// This is the first; the second is not started either if that was refused.
    pub(crate) fn start_linked(
        core: &Rc<Core>,
        first: Prepared,
        second: Prepared,
        owner: &Rc<dyn Owner>,
        tags: (Tag, Tag),
    ) -> Self {
        let started = core.driver.borrow_mut().start_linked(first, second, owner, tags);
        Self::of(core, started)
    }

    /// One that is left to end by itself.
    fn of(core: &Rc<Core>, started: Result<Key, Closed>) -> Self {
        let state = match started {
            Ok(key) => State::UnderWay(key),
            Err(Closed(outcome)) => State::Refused(Some(outcome)),
        };
        Self { core: Rc::clone(core), state, on_drop: OnDrop::Leave, place: None }
    }

    /// Whether it was started.
    pub(crate) fn is_started(&self) -> bool {
        !matches!(self.state, State::Refused(_))
    }
}

impl Future for Op {
    type Output = Outcome;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let outcome = match &mut self.state {
            State::UnderWay(key) => {
                let key = *key;
                std::task::ready!(self.core.driver.borrow_mut().poll(key, cx))
            }
            State::Refused(outcome) => outcome.take().expect("polled after it was over"),
            State::Over => panic!("polled after it was over"),
        };
        self.state = State::Over;
        Poll::Ready(outcome)
    }
}

impl Drop for Op {
    fn drop(&mut self) {
        let State::UnderWay(key) = self.state else { return };
        let mut driver = self.core.driver.borrow_mut();
        let mut notices: Vec<Notice> = driver.abandon(key, self.on_drop).into_iter().collect();
        if let Some(cancelled) = self.place.take().and_then(Place::leave) {
            driver.drop_held(cancelled.whole, cancelled.parts, &mut notices);
        }
        drop(driver);
        Core::give(&mut notices);
    }
}
