//! Values from many tasks to one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::line::Line;
use crate::waiters::Waiters;
use crate::waits::WaitsOn;

/// A channel of at most `capacity` values, at least one, between tasks of one shard.
pub fn channel<T>(capacity: usize) -> (LocalSender<T>, LocalReceiver<T>) {
    make(capacity.max(1))
}

/// A channel without a bound, for where something else bounds what is sent.
pub fn unbounded_channel<T>() -> (LocalSender<T>, LocalReceiver<T>) {
    make(usize::MAX)
}

fn make<T>(capacity: usize) -> (LocalSender<T>, LocalReceiver<T>) {
    let shared = Rc::new(Shared {
        room: Line::new(capacity, WaitsOn::ChannelRoom),
        values: RefCell::default(),
        senders: Cell::new(1),
        sent: Waiters::on(WaitsOn::ChannelValue),
    });
    (LocalSender(Rc::clone(&shared)), LocalReceiver(shared))
}

/// Where values go in.
#[derive(Debug)]
pub struct LocalSender<T>(Rc<Shared<T>>);

/// Where values come out. Dropping it ends the channel; what was not received is dropped.
#[derive(Debug)]
pub struct LocalReceiver<T>(Rc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    /// A permit for each value that still fits.
    room: Line,
    values: RefCell<VecDeque<T>>,
    senders: Cell<usize>,
    sent: Waiters,
}

/// Why a value was not sent, with the value. Complete by definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrySendError<T> {
    /// There is no room, or others wait for it.
    #[error("the channel is full: wait for room")]
    Full(T),
    /// The receiver is gone.
    #[error("the receiver is gone")]
    Closed(T),
}

impl<T> LocalSender<T> {
    /// Sends a value when there is room, behind all who wait for that. Dropped early it has sent nothing, and the value
    /// is dropped with it.
    ///
    /// # Errors
    ///
    /// Gives the value back if the receiver is gone.
    pub async fn send(&self, value: T) -> Result<(), T> {
        // Room that was given just before the end is of no use any more.
        if self.0.room.acquire(1).await.is_err() || self.0.room.is_closed() {
            return Err(value);
        }
        self.0.put(value);
        Ok(())
    }

    /// Sends a value if there is room and nobody waits for it.
    ///
    /// # Errors
    ///
    /// [`TrySendError`] tells whether it is worth waiting, and has the value.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match self.0.room.try_acquire(1) {
            Ok(true) => {
                self.0.put(value);
                Ok(())
            }
            Ok(false) => Err(TrySendError::Full(value)),
            Err(_) => Err(TrySendError::Closed(value)),
        }
    }

    /// Whether the receiver is gone.
    pub fn is_closed(&self) -> bool {
        self.0.room.is_closed()
    }
}

impl<T> LocalReceiver<T> {
    /// The next value, or `None` once all senders are gone and everything was received. Dropping the future loses
    /// nothing.
    pub async fn recv(&mut self) -> Option<T> {
        let shared = Rc::clone(&self.0);
        shared.sent.until(|| shared.take().map(Some).or((shared.senders.get() == 0).then_some(None))).await
    }

    /// The next value if it is there.
    pub fn try_recv(&mut self) -> Option<T> {
        self.0.take()
    }

    /// Values that are there.
    pub fn len(&self) -> usize {
        self.0.values.borrow().len()
    }

    /// Whether none is there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Shared<T> {
    fn put(&self, value: T) {
        self.values.borrow_mut().push_back(value);
        self.sent.notify();
    }

    fn take(&self) -> Option<T> {
        let value = self.values.borrow_mut().pop_front()?;
        self.room.release(1);
        Some(value)
    }
}

impl<T> Clone for LocalSender<T> {
    fn clone(&self) -> Self {
        self.0.senders.set(self.0.senders.get() + 1);
        Self(Rc::clone(&self.0))
    }
}

impl<T> Drop for LocalSender<T> {
    fn drop(&mut self) {
        let left = self.0.senders.get() - 1;
        self.0.senders.set(left);
        if left == 0 {
            self.0.sent.notify();
        }
    }
}

impl<T> Drop for LocalReceiver<T> {
    fn drop(&mut self) {
        self.0.room.close();
        let values = self.0.values.take();
        // Outside of the borrow: dropping them may do anything.
        drop(values);
    }
}
