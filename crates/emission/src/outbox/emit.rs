//! Emitting: an event goes to all its subscriptions or to none.

use samestep_replay_traits::Index;

use super::{Applied, Outbox, Payload};
use crate::change::{Origin, StallPolicy, Target};
use crate::client::ClientId;
use crate::error::{Full, Refused};
use crate::fingerprint::Fingerprint;
use crate::id::{Epoch, Seq, SubscriptionId};
use crate::limits::Limits;
use crate::subscription::{Subscription, Waiting, len_of};

impl Outbox {
    pub(super) fn emit(
        &mut self,
        commit: Index,
        target: Target,
        origin: Option<Origin>,
        payload: &[u8],
    ) -> Result<Applied, Refused> {
        if self.reign.epoch == Epoch::default() {
            return Err(Refused::NoEpoch);
        }
        self.check_len(payload)?;
        if let Some(duplicate) = self.check_origin(origin)? {
            return Ok(duplicate);
        }
        let applied = match target {
            Target::Subscription(subscription) => {
                let seq = self.emit_to_one(subscription, commit, payload)?;
                Applied::Emitted { subscription, seq }
            }
            Target::Topic(fingerprint) => {
                let subscriptions = self.emit_to_topic(fingerprint, commit, payload)?;
                Applied::Published { subscriptions }
            }
        };
        // Only now: a refused event may be proposed again under its number.
        if let Some(Origin { producer, number }) = origin {
            self.producers.insert(producer, number);
        }
        Ok(applied)
    }

    fn emit_to_one(&mut self, id: SubscriptionId, commit: Index, payload: &[u8]) -> Result<Seq, Refused> {
        let pressure = self.judge(&[id], payload.len() as u64)?;
        Ok(self.push(id, Waiting { commit, epoch: self.reign.epoch, payload: payload.into() }, pressure))
    }

    fn emit_to_topic(
        &mut self,
        fingerprint: Fingerprint,
        commit: Index,
        payload: &[u8],
    ) -> Result<u32, Refused> {
        let ids: Vec<SubscriptionId> = self
            .names
            .range((fingerprint, ClientId::before_all())..)
            .take_while(|((of, _), _)| *of == fingerprint)
            .map(|(_, &id)| id)
            .collect();
        let pressure = self.judge(&ids, payload.len() as u64)?;
        let payload = Payload::from(payload);
        for &id in &ids {
            let event = Waiting { commit, epoch: self.reign.epoch, payload: Payload::clone(&payload) };
            self.push(id, event, pressure);
        }
        Ok(u32::try_from(ids.len()).expect("subscriptions_max is a u32"))
    }

    /// Whether an event of `bytes` fits into all of `ids`, and how. Changes nothing.
    fn judge(&self, ids: &[SubscriptionId], bytes: u64) -> Result<Pressure, Refused> {
        let limits = &self.limits;
        for &subscription in ids {
            let state = self.at(subscription)?;
            if state.stall != StallPolicy::Suspend {
                continue;
            }
            match exceeded(state, limits, bytes) {
                None => {}
                Some(Bound::Entries) => return Err(Full::SubscriptionEntries { subscription }.into()),
                Some(Bound::Bytes) => return Err(Full::SubscriptionBytes { subscription }.into()),
            }
        }
        let count = ids.len() as u64;
        let fits = |entries: u64, bytes: u64| {
            if entries > limits.entries_max {
                Err(Full::Entries)
            } else if bytes > limits.bytes_max {
                Err(Full::Bytes)
            } else {
                Ok(())
            }
        };
        if fits(self.entries + count, self.bytes.saturating_add(bytes.saturating_mul(count))).is_ok() {
            return Ok(Pressure::None);
        }
        // What is left if all who may give up do so at once.
        let (mut entries, mut sum) = (self.entries, self.bytes);
        for &subscription in ids {
            let state = self.at(subscription)?;
            match state.stall {
                StallPolicy::Suspend => (entries, sum) = (entries + 1, sum.saturating_add(bytes)),
                StallPolicy::Coalesce => {
                    entries -= state.pending_entries();
                    sum = (sum - state.bytes).saturating_add(bytes);
                }
                StallPolicy::Evict => {
                    entries -= state.pending_entries();
                    sum -= state.bytes;
                }
            }
        }
        fits(entries, sum).map(|()| Pressure::Global).map_err(Refused::Full)
    }

    /// Appends `event`, for which [`Self::judge`] found room, and returns its position.
    #[inline]
    fn push(&mut self, id: SubscriptionId, event: Waiting, pressure: Pressure) -> Seq {
        let limits = self.limits;
        let bytes = len_of(&event.payload);
        self.change(id, |subscription| {
            let is_full = exceeded(subscription, &limits, bytes).is_some() || pressure == Pressure::Global;
            subscription.push(event);
            let seq = subscription.emitted();
            match subscription.stall {
                StallPolicy::Suspend => {}
                StallPolicy::Coalesce => {
                    let is_over = |state: &Subscription| {
                        pressure == Pressure::Global
                            || state.pending_entries() > limits.subscription_entries_max
                            || state.bytes > limits.subscription_bytes_max
                    };
                    while subscription.pending_entries() > 0 && is_over(subscription) {
                        subscription.fold_front();
                    }
                }
                StallPolicy::Evict => {
                    if is_full {
                        subscription.drop_through(seq);
                    }
                }
            }
            seq
        })
    }
}

/// Which bound of `state` an event of `bytes` exceeds.
fn exceeded(state: &Subscription, limits: &Limits, bytes: u64) -> Option<Bound> {
    if state.pending_entries() >= limits.subscription_entries_max {
        Some(Bound::Entries)
    } else if state.bytes.saturating_add(bytes) > limits.subscription_bytes_max {
        Some(Bound::Bytes)
    } else {
        None
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Entries,
    Bytes,
}

/// Whether the outbox as a whole is full, so that those give up who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pressure {
    None,
    Global,
}

impl From<Full> for Refused {
    fn from(full: Full) -> Self {
        Self::Full(full)
    }
}
