//! Calls that take time and nothing else: opening a socket, looking up a name.

use std::task::{Poll, Waker};

use super::link::NETWORK_PLACES;
use super::slab::SlotId;
use super::{NetDue, Network};
use crate::kernel::{Kernel, Wait};
use crate::queue::EventId;

/// A call under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallId(SlotId);

/// A call's state.
#[derive(Debug, Default)]
pub(super) struct Call {
    due: Option<EventId>,
    waker: Option<Waker>,
}

impl Network {
    /// Begins a call that takes as long as the opening of a socket; decided with the latencies of the first link. None if that is no time.
    pub(crate) fn begin_call<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>) -> Option<CallId> {
        let nanos = self.settings.shape.sample(&mut kernel.choices, NETWORK_PLACES, self.settings.bind);
        if nanos == 0 {
            return None;
        }
        let (slot, call) = self.calls.claim();
        let id = CallId(slot);
        call.due = Some(kernel.schedule(nanos, NetDue::Call(id).into()));
        Some(id)
    }

    /// Whether the call is over.
    pub(crate) fn poll_call(&self, id: CallId) -> Poll<()> {
        match self.calls.get(id.0) {
            Some(call) if call.due.is_some() => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }

    /// Wakes `waker` when the call is over.
    pub(crate) fn wait_for_call<E>(&mut self, kernel: &mut Kernel<E>, id: CallId, waker: Waker) {
        match self.calls.get_mut(id.0) {
            Some(call) => {
                kernel.wait(Wait::Lookup);
                kernel.discard(call.waker.replace(waker));
            }
            None => kernel.wake(Some(waker)),
        }
    }

    /// Forgets the call, over or not.
    pub(crate) fn end_call<E>(&mut self, kernel: &mut Kernel<E>, id: CallId) {
        let Some(call) = self.calls.get_mut(id.0) else { return };
        kernel.discard(call.waker.take());
        if let Some(due) = call.due.take() {
            kernel.events.cancel(due);
        }
        self.calls.release(id.0);
    }

    /// The call is over.
    pub(super) fn call_is_over<E>(&mut self, kernel: &mut Kernel<E>, id: CallId) {
        if let Some(call) = self.calls.get_mut(id.0) {
            call.due = None;
            kernel.wake(call.waker.take());
        }
    }
}
