//! What is kept of one subscription.

use std::collections::VecDeque;
use std::sync::Arc;

use samestep_replay_traits::Index;

use crate::change::StallPolicy;
use crate::client::{ClientId, Token};
use crate::fingerprint::Fingerprint;
use crate::id::{Epoch, Seq};

/// A subscription as the log has made it: equal on every replica that applied as much.
///
/// What waits are the events behind the floor, up to the newest one that was emitted, without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub(crate) client: ClientId,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) token: Token,
    pub(crate) stall: StallPolicy,
    pub(crate) acked: Seq,
    pub(crate) floor: Seq,
    pub(crate) floor_epoch: Epoch,
    pub(crate) snapshot: Option<Arc<[u8]>>,
    pub(crate) waiting: VecDeque<Waiting>,
    pub(crate) bytes: u64,
    /// Whether the outbox has it in its list of those that changed. Not part of the state.
    pub(crate) is_touched: bool,
}

/// An event that waits to be acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Its entry in the log.
    pub(crate) commit: Index,
    /// The epoch in which it was emitted.
    pub(crate) epoch: Epoch,
    /// Shared by all subscriptions that it waits in.
    pub(crate) payload: Arc<[u8]>,
}

/// An event that waits, lent by [`Subscription::event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingEvent<'a> {
    /// Its position.
    pub seq: Seq,
    /// The epoch in which it was emitted.
    pub epoch: Epoch,
    /// Its entry in the log.
    pub commit: Index,
    /// The event.
    pub payload: &'a Arc<[u8]>,
}

impl Subscription {
    pub(crate) fn new(client: ClientId, fingerprint: Fingerprint, token: Token, stall: StallPolicy) -> Self {
        Self {
            client,
            fingerprint,
            token,
            stall,
            acked: Seq::default(),
            floor: Seq::default(),
            floor_epoch: Epoch::default(),
            snapshot: None,
            waiting: VecDeque::new(),
            bytes: 0,
            is_touched: false,
        }
    }

    /// Appends an event.
    #[inline]
    pub(crate) fn push(&mut self, event: Waiting) {
        self.bytes += len_of(&event.payload);
        self.waiting.push_back(event);
    }

    /// Removes the events up to `through`, and the snapshot that they make obsolete. Returns how many events.
    pub(crate) fn drop_through(&mut self, through: Seq) -> u64 {
        let mut dropped = 0;
        while self.floor < through && self.pop_front().is_some() {
            dropped += 1;
        }
        dropped
    }

    /// Removes what is acknowledged, the snapshot too: nobody will ask for it. Returns how many events.
    pub(crate) fn drop_acknowledged(&mut self) -> u64 {
        let dropped = self.drop_through(self.acked);
        if self.acked >= self.floor {
            self.clear_snapshot();
        }
        dropped
    }

    /// Lets the oldest event become the snapshot; the one that was is obsolete.
    pub(crate) fn fold_front(&mut self) {
        if let Some(event) = self.pop_front() {
            self.set_snapshot(event.payload);
        }
    }

    /// Puts `payload` in the place of everything up to the floor.
    pub(crate) fn set_snapshot(&mut self, payload: Arc<[u8]>) {
        self.clear_snapshot();
        self.bytes += len_of(&payload);
        self.snapshot = Some(payload);
    }

    /// Removes the oldest event, and the snapshot that now lacks it.
    fn pop_front(&mut self) -> Option<Waiting> {
        let event = self.waiting.pop_front()?;
        self.clear_snapshot();
        self.bytes -= len_of(&event.payload);
        self.floor = self.floor.next();
        self.floor_epoch = event.epoch;
        Some(event)
    }

    fn clear_snapshot(&mut self) {
        if let Some(old) = self.snapshot.take() {
            self.bytes -= len_of(&old);
        }
    }

    /// Whose it is.
    pub fn client(&self) -> &ClientId {
        &self.client
    }

    /// To what.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// What happens when the client is too slow.
    pub fn stall(&self) -> StallPolicy {
        self.stall
    }

    /// Position of the newest event that was emitted, 0 if none was.
    #[inline]
    pub fn emitted(&self) -> Seq {
        Seq::new(self.floor.get() + self.waiting.len() as u64)
    }

    /// Position of the newest event that was acknowledged, 0 if none was. Never goes back.
    #[inline]
    pub fn acked(&self) -> Seq {
        self.acked
    }

    /// Events up to this position are gone: acknowledged, compacted or dropped. Never goes back, and never behind
    /// [`Self::acked`].
    #[inline]
    pub fn floor(&self) -> Seq {
        self.floor
    }

    /// What stands for all events up to the floor, if there is such a thing and it is not acknowledged.
    pub fn snapshot(&self) -> Option<&Arc<[u8]>> {
        self.snapshot.as_ref()
    }

    /// Events that wait.
    pub fn pending_entries(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Bytes of the events that wait, and of the snapshot.
    pub fn pending_bytes(&self) -> u64 {
        self.bytes
    }

    /// The event at `seq`, if it waits.
    #[inline]
    pub fn event(&self, seq: Seq) -> Option<PendingEvent<'_>> {
        let position = usize::try_from(seq.get().checked_sub(self.floor.get() + 1)?).ok()?;
        let event = self.waiting.get(position)?;
        Some(PendingEvent { seq, epoch: event.epoch, commit: event.commit, payload: &event.payload })
    }

    /// The epoch of the event at `seq`, if that is known still: from the floor on.
    pub(crate) fn epoch_at(&self, seq: Seq) -> Option<Epoch> {
        if seq == self.floor { Some(self.floor_epoch) } else { self.event(seq).map(|event| event.epoch) }
    }
}

pub(crate) fn len_of(payload: &Arc<[u8]>) -> u64 {
    payload.len() as u64
}
