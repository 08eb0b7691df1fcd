//! A bounded channel from one shard, or any thread, to another: one sender, one receiver, no lock on the way.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};

use crate::sys::{Consumer, Producer, queue};
use crate::waits::WaitsOn;

/// A channel of at most `capacity` values, at least one.
pub fn shard_channel<T: Send>(capacity: usize) -> (ShardSender<T>, ShardReceiver<T>) {
    let (producer, consumer) = queue(capacity);
    (ShardSender { producer }, ShardReceiver { consumer })
}

/// Where values go in. Dropping it ends the channel behind what was sent.
pub struct ShardSender<T> {
    producer: Producer<T>,
}

/// Where values come out. Dropping it ends the channel at once; what was not received is dropped.
pub struct ShardReceiver<T> {
    consumer: Consumer<T>,
}

impl<T: Send> ShardSender<T> {
    /// Sends a value, when there is room.
    ///
    /// # Errors
    ///
    /// Gives the value back if the receiver is gone.
    pub async fn send(&mut self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        poll_fn(|cx| self.poll_send(&mut value, cx)).await
    }

    /// Sends a value if there is room.
    ///
    /// # Errors
    ///
    /// Gives the value back if there is none, or if the receiver is gone.
    pub fn try_send(&mut self, value: T) -> Result<(), T> {
        if self.is_closed() {
            return Err(value);
        }
        self.producer.push(value)?;
        self.producer.ring();
        Ok(())
    }

    /// Whether the receiver is gone.
    pub fn is_closed(&self) -> bool {
        self.producer.is_closed()
    }

    fn poll_send(&mut self, value: &mut Option<T>, cx: &mut Context<'_>) -> Poll<Result<(), T>> {
        for is_announced in [false, true] {
            if is_announced {
                WaitsOn::ShardChannelRoom.note(cx.waker());
                self.producer.await_room(cx.waker());
            }
            let Some(sent) = value.take() else { return Poll::Ready(Ok(())) };
            match self.try_send(sent) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(back) if self.is_closed() => return Poll::Ready(Err(back)),
                Err(back) => *value = Some(back),
            }
        }
        Poll::Pending
    }
}

impl<T: Send> ShardReceiver<T> {
    /// The next value, or `None` once the sender is gone and all was received. Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The next value if it is there.
    pub fn try_recv(&mut self) -> Option<T> {
        let value = self.consumer.pop()?;
        self.consumer.ring();
        Some(value)
    }

    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        for is_announced in [false, true] {
            if is_announced {
                WaitsOn::ShardChannelValue.note(cx.waker());
                self.consumer.await_value(cx.waker());
            }
            // Looked at before the queue: what was sent before the end is not overlooked.
            let is_closed = self.consumer.is_closed();
            if let Some(value) = self.try_recv() {
                return Poll::Ready(Some(value));
            }
            if is_closed {
                return Poll::Ready(None);
            }
        }
        Poll::Pending
    }
}

impl<T> Drop for ShardSender<T> {
    fn drop(&mut self) {
        self.producer.close();
    }
}

impl<T> Drop for ShardReceiver<T> {
    fn drop(&mut self) {
        self.consumer.close();
    }
}

impl<T> fmt::Debug for ShardSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardSender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for ShardReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardReceiver").finish_non_exhaustive()
    }
}
