//! A channel from every shard to every other.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use crate::channel::{ShardReceiver, ShardSender, shard_channel};

/// A channel from each of several peers to each, itself included: made before the shards start, and joined by each.
///
/// ```
/// use samestep_uring_rt::{DriverChoice, Mesh, Runtime, run_shards};
///
/// let mesh = Mesh::new(3, 8);
/// let builder = Runtime::builder().driver(DriverChoice::RingOrThreads);
/// let sums = run_shards(3, &builder, move |shard| {
///     let (mut senders, mut receivers) = mesh.join(shard.number()).expect("each joins once");
///     async move {
///         for target in 0..shard.count() {
///             senders.send_to(target, shard.number()).await.expect("all are there");
///         }
///         drop(senders);
///         let mut sum = 0;
///         while let Some((from, number)) = receivers.recv().await {
///             assert_eq!(from, number);
///             sum += number;
///         }
///         sum
///     }
/// })?;
/// assert_eq!(sums, [3, 3, 3]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Mesh<T>(Arc<Mutex<Vec<Option<Seat<T>>>>>);

type Seat<T> = (MeshSenders<T>, MeshReceivers<T>);

/// Where one peer sends to all.
pub struct MeshSenders<T>(Vec<ShardSender<T>>);

/// Where one peer receives from all.
pub struct MeshReceivers<T> {
    /// `None` once it has ended.
    from: Vec<Option<ShardReceiver<T>>>,
    /// Who is looked at first: the one behind the last that had something.
    next: usize,
}

/// Why a value was not sent, with the value. Complete by definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeshSendError<T> {
    /// There are not so many peers.
    #[error("there is no such peer")]
    NoSuchPeer(T),
    /// The peer has dropped its receivers, or never joined and the mesh is gone.
    #[error("the peer is gone")]
    Closed(T),
    /// There is no room; of [`MeshSenders::try_send_to`] only.
    #[error("the channel to the peer is full")]
    Full(T),
}

impl<T: Send> Mesh<T> {
    /// Channels of at most `capacity` values, at least one, between `peers` peers: so many squared.
    pub fn new(peers: usize, capacity: usize) -> Self {
        let mut seats: Vec<Seat<T>> = (0..peers)
            .map(|_| (MeshSenders(Vec::new()), MeshReceivers { from: Vec::new(), next: 0 }))
            .collect();
        for from in 0..peers {
            for to in 0..peers {
                let (sender, receiver) = shard_channel(capacity);
                seats[from].0.0.push(sender);
                seats[to].1.from.push(Some(receiver));
            }
        }
        Self(Arc::new(Mutex::new(seats.into_iter().map(Some).collect())))
    }

    /// The ends of peer `number`: once each.
    pub fn join(&self, number: usize) -> Option<(MeshSenders<T>, MeshReceivers<T>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(number)?.take()
    }
}

impl<T> Clone for Mesh<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send> MeshSenders<T> {
    /// How many peers there are.
    pub fn peers(&self) -> usize {
        self.0.len()
    }

    /// Sends a value to a peer, when there is room.
    ///
    /// # Errors
    ///
    /// [`MeshSendError`] has the value.
    pub async fn send_to(&mut self, target: usize, value: T) -> Result<(), MeshSendError<T>> {
        match self.0.get_mut(target) {
            Some(sender) => sender.send(value).await.map_err(MeshSendError::Closed),
            None => Err(MeshSendError::NoSuchPeer(value)),
        }
    }

    /// Sends a value to a peer if there is room.
    ///
    /// # Errors
    ///
    /// [`MeshSendError`] has the value.
    pub fn try_send_to(&mut self, target: usize, value: T) -> Result<(), MeshSendError<T>> {
        let Some(sender) = self.0.get_mut(target) else { return Err(MeshSendError::NoSuchPeer(value)) };
        sender.try_send(value).map_err(|value| {
            if sender.is_closed() { MeshSendError::Closed(value) } else { MeshSendError::Full(value) }
        })
    }
}

impl<T: Send> MeshReceivers<T> {
    /// The next value of any peer, with the peer's number, or `None` once all are gone and everything was received.
    /// Values of one peer come in order; peers take turns. Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Option<(usize, T)> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The next value of one peer, or `None` once it is gone, or if there is no such peer.
    pub async fn recv_from(&mut self, peer: usize) -> Option<T> {
        self.from.get_mut(peer)?.as_mut()?.recv().await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<(usize, T)>> {
        let count = self.from.len();
        for step in 0..count {
            let peer = (self.next + step) % count;
            let Some(receiver) = &mut self.from[peer] else { continue };
            match receiver.poll_recv(cx) {
                Poll::Ready(Some(value)) => {
                    self.next = peer + 1;
                    return Poll::Ready(Some((peer, value)));
                }
                Poll::Ready(None) => self.from[peer] = None,
                Poll::Pending => {}
            }
        }
        if self.from.iter().all(Option::is_none) { Poll::Ready(None) } else { Poll::Pending }
    }
}

impl<T> fmt::Debug for Mesh<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mesh").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for MeshSenders<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshSenders").field("peers", &self.0.len()).finish()
    }
}

impl<T> fmt::Debug for MeshReceivers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshReceivers").field("peers", &self.from.len()).finish_non_exhaustive()
    }
}
