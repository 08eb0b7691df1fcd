//! Operations as futures.

use std::any::Any;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::executor::Core;
use super::sys::{Key, Ring};

/// An operation under way. It ends with its result and with what it owned.
///
/// Dropped before that, it is cancelled, and what it owned stays with the ring until the kernel is done.
pub(super) struct Op<R: 'static> {
    core: Rc<Core>,
    key: Option<Key>,
    /// Whether a dropped operation is asked to end soon.
    on_drop: OnDrop<R>,
    owned: PhantomData<fn() -> R>,
}

/// What becomes of an operation whose future is dropped.
pub(super) struct OnDrop<R> {
    /// Whether it is asked to end soon.
    pub(super) is_cancelled: bool,
    /// What is done with its outcome, which may be a success all the same.
    pub(super) orphan: fn(&dyn Any, io::Result<u32>, R),
    /// The state that `orphan` is given.
    pub(super) state: Rc<dyn Any>,
}

impl<R: 'static> Op<R> {
    /// Starts an operation. `at_end` is called when it is over, whether or not this future is still there.
    pub(super) fn start(
        core: &Rc<Core>,
        start: impl FnOnce(&mut Ring) -> Key,
        on_drop: OnDrop<R>,
        at_end: impl FnOnce() + 'static,
    ) -> Self {
        let mut ring = core.ring.borrow_mut();
        let key = start(&mut ring);
        ring.record_mut(key).at_end = Some(Box::new(at_end));
        Self { core: Rc::clone(core), key: Some(key), on_drop, owned: PhantomData }
    }
}

impl<R: 'static> Future for Op<R> {
    type Output = (io::Result<u32>, R);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let key = self.key.expect("polled after it was over");
        let taken = {
            let mut ring = self.core.ring.borrow_mut();
            let taken = ring.take(key);
            if taken.is_none() {
                ring.record_mut(key).waker = Some(cx.waker().clone());
            }
            taken
        };
        let Some(outcome) = taken else { return Poll::Pending };
        self.key = None;
        Poll::Ready(outcome)
    }
}

impl<R: 'static> Drop for Op<R> {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let (orphan, state) = (self.on_drop.orphan, Rc::clone(&self.on_drop.state));
        let is_over = {
            let mut ring = self.core.ring.borrow_mut();
            let is_over = ring.take::<R>(key);
            if is_over.is_none() {
                ring.record_mut(key).orphan = Some(Box::new(move |result, resources| {
                    orphan(
                        &*state,
                        result,
                        *resources.downcast().expect("what was given is what comes back"),
                    );
                }));
                if self.on_drop.is_cancelled {
                    ring.cancel(key);
                }
            }
            is_over
        };
        // It was over, and nobody had looked yet: the outcome is as good as any.
        if let Some((result, resources)) = is_over {
            orphan(&*self.on_drop.state, result, resources);
        }
    }
}
