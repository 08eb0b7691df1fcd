//! Every value to everybody.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use crate::waiters::Waiters;
use crate::waits::WaitsOn;

/// A channel whose every value goes to each receiver. The last `capacity` values are kept, at least one: sending never
/// waits, and who is too slow is told how many values it has missed.
pub fn broadcast<T: Clone>(capacity: usize) -> (BroadcastSender<T>, BroadcastReceiver<T>) {
    let shared = Rc::new(Shared {
        capacity: capacity.max(1),
        kept: RefCell::default(),
        senders: Cell::new(1),
        sent: Waiters::on(WaitsOn::Broadcast),
    });
    (BroadcastSender(Rc::clone(&shared)), BroadcastReceiver { shared, next: 0 })
}

/// Where values go in.
#[derive(Debug)]
pub struct BroadcastSender<T>(Rc<Shared<T>>);

/// Where they come out. A clone goes on from where this is.
#[derive(Clone, Debug)]
pub struct BroadcastReceiver<T> {
    shared: Rc<Shared<T>>,
    /// The number of the next value.
    next: u64,
}

#[derive(Debug)]
struct Shared<T> {
    capacity: usize,
    kept: RefCell<Kept<T>>,
    senders: Cell<usize>,
    sent: Waiters,
}

#[derive(Debug)]
struct Kept<T> {
    values: VecDeque<T>,
    /// The number of the first one.
    first: u64,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { values: VecDeque::new(), first: 0 }
    }
}

/// Why there is no value. Complete by definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecvError {
    /// Values were sent faster than received; the next call gives the oldest that is kept.
    #[error("{missed} values were sent and not received in time")]
    Lagged {
        /// How many are lost to this receiver.
        missed: u64,
    },
    /// All senders are gone, and everything was received.
    #[error("all senders are gone")]
    Closed,
}

impl<T: Clone> BroadcastSender<T> {
    /// Sends a value to all receivers that are there.
    pub fn send(&self, value: T) {
        let dropped = {
            let mut kept = self.0.kept.borrow_mut();
            let is_full = kept.values.len() == self.0.capacity;
            let dropped = if is_full { kept.values.pop_front() } else { None };
            kept.first += u64::from(is_full);
            kept.values.push_back(value);
            dropped
        };
        // Outside of the borrow: dropping it may do anything.
        drop(dropped);
        self.0.sent.notify();
    }

    /// A receiver of what is sent from here on.
    pub fn subscribe(&self) -> BroadcastReceiver<T> {
        BroadcastReceiver { shared: Rc::clone(&self.0), next: self.0.kept.borrow().end() }
    }
}

impl<T: Clone> BroadcastReceiver<T> {
    /// The next value. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`RecvError`] tells whether there will be more.
    pub async fn recv(&mut self) -> Result<T, RecvError> {
        let shared = Rc::clone(&self.shared);
        let next = &mut self.next;
        shared.sent.until(|| take(&shared, next)).await
    }

    /// The next value if it is there.
    ///
    /// # Errors
    ///
    /// As for [`Self::recv`].
    pub fn try_recv(&mut self) -> Result<Option<T>, RecvError> {
        take(&self.shared, &mut self.next).transpose()
    }
}

fn take<T: Clone>(shared: &Shared<T>, next: &mut u64) -> Option<Result<T, RecvError>> {
    let kept = shared.kept.borrow();
    if *next < kept.first {
        let missed = kept.first - *next;
        *next = kept.first;
        return Some(Err(RecvError::Lagged { missed }));
    }
    let place = usize::try_from(*next - kept.first).expect("no more than are kept");
    match kept.values.get(place) {
        Some(value) => {
            *next += 1;
            Some(Ok(value.clone()))
        }
        None => (shared.senders.get() == 0).then_some(Err(RecvError::Closed)),
    }
}

impl<T> Kept<T> {
    fn end(&self) -> u64 {
        self.first + self.values.len() as u64
    }
}

impl<T> Clone for BroadcastSender<T> {
    fn clone(&self) -> Self {
        self.0.senders.set(self.0.senders.get() + 1);
        Self(Rc::clone(&self.0))
    }
}

impl<T> Drop for BroadcastSender<T> {
    fn drop(&mut self) {
        let left = self.0.senders.get() - 1;
        self.0.senders.set(left);
        if left == 0 {
            self.0.sent.notify();
        }
    }
}
