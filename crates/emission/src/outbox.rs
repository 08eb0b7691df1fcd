//! The outbox: what the log has made of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use samestep_replay_traits::{Index, Record, ReplaySource};

use crate::change::{Change, Origin, StallPolicy};
use crate::client::{ClientId, Token};
use crate::error::{ApplyError, Full, Refused};
use crate::fingerprint::Fingerprint;
use crate::id::{Epoch, NodeId, ProducerId, Seq, SubscriptionId, Term};
use crate::limits::Limits;
use crate::subscription::{Subscription, len_of};

mod emit;
mod snapshot;

pub use snapshot::RestoreError;

/// Events that were emitted and not yet acknowledged: a pure function of the committed log.
///
/// Two outboxes to which the same records were applied in the same order are equal, and so are their
/// [snapshots](Self::snapshot), byte for byte. Nothing else goes in: no clock, no randomness, no configuration.
#[derive(Clone)]
pub struct Outbox {
    applied: Index,
    limits: Limits,
    reign: Reign,
    next_subscription: u64,
    subscriptions: BTreeMap<SubscriptionId, Subscription>,
    producers: BTreeMap<ProducerId, u64>,
    /// By what they subscribe to, then by client. Follows from `subscriptions`.
    names: BTreeMap<(Fingerprint, ClientId), SubscriptionId>,
    /// Sum over `subscriptions`.
    entries: u64,
    /// Sum over `subscriptions`.
    bytes: u64,
    /// Those that changed since the notifier last looked. Not part of the state.
    touched: Vec<SubscriptionId>,
    /// Some that are gone are no longer listed there.
    has_forgotten: bool,
}

/// Whether everything that changed was visited. Complete by definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "who was not told of those that are gone must look for them"]
pub(crate) enum Visited {
    /// It was.
    All,
    /// Some that are gone were not: so many were that they were not all kept in mind.
    AllThatAreThere,
}

/// The current epoch, and whose it is. Equal on every replica that applied as much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reign {
    /// The epoch; 0 before the first was started.
    pub epoch: Epoch,
    /// The term of the leader who started it.
    pub term: Term,
    /// That leader.
    pub node: NodeId,
}

/// What a record of the log did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Applied {
    /// An epoch began.
    EpochStarted {
        /// Which.
        epoch: Epoch,
    },
    /// The limits are others.
    Configured,
    /// There is a subscription for this client and fingerprint: a new one, or, if the token was the same, the one
    /// that was there, untouched.
    Subscribed {
        /// Which.
        subscription: SubscriptionId,
    },
    /// The subscription is gone.
    Unsubscribed {
        /// Events that waited for it.
        dropped: u64,
    },
    /// The event waits in its subscription (or, after [`StallPolicy::Evict`], was dropped with all before it).
    Emitted {
        /// Which subscription.
        subscription: SubscriptionId,
        /// Its position there.
        seq: Seq,
    },
    /// The event waits in every subscription of its topic.
    Published {
        /// How many there are.
        subscriptions: u32,
    },
    /// The producer's event, or a later one, was emitted before. Nothing changed.
    Duplicate,
    /// Events were acknowledged, and are gone.
    Acknowledged {
        /// How many. 0 if they had been acknowledged before.
        freed: u64,
    },
    /// The subscription is another client's.
    Rebound,
    /// A snapshot stands in the place of events.
    Compacted {
        /// How many.
        dropped: u64,
    },
    /// Events are gone without a snapshot.
    Evicted {
        /// How many. 0 if they had been acknowledged or dropped before.
        dropped: u64,
    },
    /// The producer is forgotten, if it was known.
    Retired,
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Outbox {
    /// The outbox before the first entry of the log.
    pub fn new() -> Self {
        Self {
            applied: Index::new(0),
            limits: Limits::default(),
            reign: Reign::default(),
            next_subscription: 1,
            subscriptions: BTreeMap::new(),
            producers: BTreeMap::new(),
            names: BTreeMap::new(),
            entries: 0,
            bytes: 0,
            touched: Vec::new(),
            has_forgotten: false,
        }
    }

    /// Applies the entry `index` of the log, whose bytes are `entry`. Bytes that are no record are refused like any
    /// other record that cannot be applied, so that every replica goes on alike.
    ///
    /// # Errors
    ///
    /// See [`Self::apply`].
    pub fn apply_entry(
        &mut self,
        index: Index,
        entry: &[u8],
    ) -> Result<Result<Applied, Refused>, ApplyError> {
        match Change::decode(entry) {
            Ok(change) => self.apply(index, &change),
            Err(error) => self.skip(index).map(|()| Err(error.into())),
        }
    }

    /// Applies every record of `log`. Returns how many there were.
    ///
    /// # Errors
    ///
    /// [`ReplayError`] at the first record that cannot be read or was applied already; those before it are applied.
    pub fn replay<S: ReplaySource>(&mut self, mut log: S) -> Result<u64, ReplayError<S::Error>> {
        let mut count = 0;
        while let Some(Record { index, payload }) = log.next_record().map_err(ReplayError::Read)? {
            // What is refused was refused when the log was written, too.
            let _answer = self.apply_entry(index, payload)?;
            count += 1;
        }
        Ok(count)
    }

    /// Applies `change`, the entry `index` of the log. The inner result is the answer for whoever proposed it: it is
    /// part of the history, the same on every replica; a refused record changes nothing but [`Self::applied`].
    ///
    /// # Errors
    ///
    /// [`ApplyError::Applied`] if an entry with this index or a higher one was applied before. Indices may skip:
    /// not every entry of a log is the outbox's.
    pub fn apply(
        &mut self,
        index: Index,
        change: &Change<'_>,
    ) -> Result<Result<Applied, Refused>, ApplyError> {
        self.skip(index)?;
        Ok(match *change {
            Change::StartEpoch { term, node } => self.start_epoch(term, node),
            Change::Configure(limits) => self.configure(limits),
            Change::Subscribe { client, fingerprint, token, stall } => {
                self.subscribe(client, fingerprint, token, stall)
            }
            Change::Unsubscribe { subscription, token } => self.unsubscribe(subscription, token),
            Change::Emit { target, origin, payload } => self.emit(index, target, origin, payload),
            Change::Acknowledge { subscription, through } => self.acknowledge(subscription, through),
            Change::Rebind { subscription, from, token, to, next_token } => {
                self.rebind(subscription, (from, token), (to, next_token))
            }
            Change::Compact { subscription, through, snapshot } => {
                self.compact(subscription, through, snapshot)
            }
            Change::Evict { subscription, through } => self.evict(subscription, through),
            Change::Retire { producer } => {
                self.producers.remove(&producer);
                Ok(Applied::Retired)
            }
        })
    }

    /// Says that the entry `index` of the log is not the outbox's.
    ///
    /// # Errors
    ///
    /// See [`Self::apply`].
    pub fn skip(&mut self, index: Index) -> Result<(), ApplyError> {
        if index <= self.applied {
            return Err(ApplyError::Applied { index, applied: self.applied });
        }
        self.applied = index;
        Ok(())
    }

    /// Index of the newest entry that was applied or skipped; 0 if none was.
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// The current epoch.
    pub fn reign(&self) -> Reign {
        self.reign
    }

    /// The limits.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The subscription `id`, if there is one.
    #[inline]
    pub fn subscription(&self, id: SubscriptionId) -> Option<&Subscription> {
        self.subscriptions.get(&id)
    }

    /// The subscription of `client` to `fingerprint`, if there is one.
    pub fn find(&self, client: &ClientId, fingerprint: Fingerprint) -> Option<SubscriptionId> {
        self.names.get(&(fingerprint, client.clone())).copied()
    }

    /// All subscriptions, by id.
    pub fn subscriptions(&self) -> impl ExactSizeIterator<Item = (SubscriptionId, &Subscription)> {
        self.subscriptions.iter().map(|(&id, subscription)| (id, subscription))
    }

    /// Number of the last event of `producer` that was emitted; 0 if none is known.
    pub fn producer(&self, producer: ProducerId) -> u64 {
        self.producers.get(&producer).copied().unwrap_or(0)
    }

    /// Events that wait, in all subscriptions together.
    pub fn pending_entries(&self) -> u64 {
        self.entries
    }

    /// Bytes that wait, in all subscriptions together.
    pub fn pending_bytes(&self) -> u64 {
        self.bytes
    }

    /// Visits those that changed since the last call, in the order in which they changed; `None` if one is gone.
    pub(crate) fn visit_touched(
        &mut self,
        mut visit: impl FnMut(SubscriptionId, Option<&Subscription>),
    ) -> Visited {
        for id in self.touched.drain(..) {
            let mut subscription = self.subscriptions.get_mut(&id);
            if let Some(subscription) = &mut subscription {
                subscription.is_touched = false;
            }
            visit(id, subscription.as_deref());
        }
        if std::mem::take(&mut self.has_forgotten) { Visited::AllThatAreThere } else { Visited::All }
    }

    fn start_epoch(&mut self, term: Term, node: NodeId) -> Result<Applied, Refused> {
        if term <= self.reign.term {
            return Err(Refused::OldTerm { term, current: self.reign.term });
        }
        // Every epoch takes an entry of the log, so they run out only after those.
        let epoch = Epoch::new(self.reign.epoch.get() + 1);
        self.reign = Reign { epoch, term, node };
        Ok(Applied::EpochStarted { epoch })
    }

    fn configure(&mut self, limits: Limits) -> Result<Applied, Refused> {
        limits.validate()?;
        self.limits = limits;
        Ok(Applied::Configured)
    }

    fn subscribe(
        &mut self,
        client: &[u8],
        fingerprint: Fingerprint,
        token: Token,
        stall: StallPolicy,
    ) -> Result<Applied, Refused> {
        let client = named(client);
        if let Some(&subscription) = self.names.get(&(fingerprint, client.clone())) {
            return if self.at(subscription)?.token == token {
                Ok(Applied::Subscribed { subscription })
            } else {
                Err(Refused::NameTaken { by: subscription })
            };
        }
        if self.subscriptions.len() as u64 >= u64::from(self.limits.subscriptions_max) {
            return Err(Refused::Full(Full::Subscriptions));
        }
        let subscription = SubscriptionId::new(self.next_subscription);
        self.next_subscription += 1;
        self.names.insert((fingerprint, client.clone()), subscription);
        self.subscriptions.insert(subscription, Subscription::new(client, fingerprint, token, stall));
        Ok(Applied::Subscribed { subscription })
    }

    fn unsubscribe(&mut self, id: SubscriptionId, token: Token) -> Result<Applied, Refused> {
        if self.at(id)?.token != token {
            return Err(Refused::NotOwner { subscription: id });
        }
        let gone = self.subscriptions.remove(&id).expect("it was there a moment ago");
        self.names.remove(&(gone.fingerprint, gone.client));
        self.entries -= gone.waiting.len() as u64;
        self.bytes -= gone.bytes;
        self.touch(id, gone.is_touched);
        Ok(Applied::Unsubscribed { dropped: gone.waiting.len() as u64 })
    }

    fn acknowledge(&mut self, id: SubscriptionId, through: Seq) -> Result<Applied, Refused> {
        self.check_emitted(id, through)?;
        let freed = self.change(id, |subscription| {
            subscription.acked = subscription.acked.max(through);
            subscription.drop_acknowledged()
        });
        Ok(Applied::Acknowledged { freed })
    }

    fn rebind(
        &mut self,
        id: SubscriptionId,
        (from, token): (&[u8], Token),
        (to, next_token): (&[u8], Token),
    ) -> Result<Applied, Refused> {
        let subscription = self.at(id)?;
        if subscription.client.as_bytes() != from || subscription.token != token {
            return Err(Refused::NotOwner { subscription: id });
        }
        let (fingerprint, to) = (subscription.fingerprint, named(to));
        match self.names.get(&(fingerprint, to.clone())) {
            Some(&by) if by != id => return Err(Refused::NameTaken { by }),
            _ => {}
        }
        self.names.remove(&(fingerprint, named(from)));
        self.names.insert((fingerprint, to.clone()), id);
        self.change(id, |subscription| {
            subscription.client = to;
            subscription.token = next_token;
        });
        Ok(Applied::Rebound)
    }

    fn compact(&mut self, id: SubscriptionId, through: Seq, snapshot: &[u8]) -> Result<Applied, Refused> {
        self.check_emitted(id, through)?;
        self.check_len(snapshot)?;
        let subscription = self.at(id)?;
        let floor = subscription.floor;
        if through < floor {
            return Err(Refused::BelowFloor { subscription: id, through, floor });
        }
        // It takes the place of at least what it stands for, but may be longer than that.
        let gone = usize::try_from(through.get() - floor.get()).expect("events wait in memory");
        let stays = subscription.waiting.iter().skip(gone);
        let bytes = stays.map(|event| len_of(&event.payload)).sum::<u64>() + snapshot.len() as u64;
        if bytes > self.limits.subscription_bytes_max.max(subscription.bytes) {
            return Err(Refused::Full(Full::SubscriptionBytes { subscription: id }));
        }
        if self.bytes - subscription.bytes + bytes > self.limits.bytes_max.max(self.bytes) {
            return Err(Refused::Full(Full::Bytes));
        }
        let dropped = self.change(id, |subscription| {
            let dropped = subscription.drop_through(through);
            subscription.set_snapshot(snapshot.into());
            dropped
        });
        Ok(Applied::Compacted { dropped })
    }

    fn evict(&mut self, id: SubscriptionId, through: Seq) -> Result<Applied, Refused> {
        self.check_emitted(id, through)?;
        let dropped = self.change(id, |subscription| subscription.drop_through(through));
        Ok(Applied::Evicted { dropped })
    }

    /// Changes a subscription that is there, and keeps the sums.
    fn change<T>(&mut self, id: SubscriptionId, change: impl FnOnce(&mut Subscription) -> T) -> T {
        let subscription = self.subscriptions.get_mut(&id).expect("it was looked up before");
        let (entries, bytes) = (subscription.waiting.len() as u64, subscription.bytes);
        let done = change(subscription);
        self.entries = self.entries - entries + subscription.waiting.len() as u64;
        self.bytes = self.bytes - bytes + subscription.bytes;
        let was_touched = std::mem::replace(&mut subscription.is_touched, true);
        self.touch(id, was_touched);
        done
    }

    fn touch(&mut self, id: SubscriptionId, was_touched: bool) {
        if was_touched {
            return;
        }
        // On a follower nobody looks. Those that are gone must not pile up there.
        if self.touched.len() >= 2 * self.subscriptions.len() + TOUCHED_SLACK {
            self.touched.retain(|id| self.subscriptions.contains_key(id));
            self.has_forgotten = true;
        }
        self.touched.push(id);
    }

    fn at(&self, subscription: SubscriptionId) -> Result<&Subscription, Refused> {
        self.subscriptions.get(&subscription).ok_or(Refused::UnknownSubscription { subscription })
    }

    fn check_emitted(&self, subscription: SubscriptionId, through: Seq) -> Result<(), Refused> {
        let emitted = self.at(subscription)?.emitted();
        if through == Seq::default() || through > emitted {
            return Err(Refused::NotEmitted { subscription, through, emitted });
        }
        Ok(())
    }

    fn check_len(&self, payload: &[u8]) -> Result<(), Refused> {
        let (bytes, bytes_max) = (payload.len() as u64, self.limits.payload_bytes_max);
        if bytes > bytes_max { Err(Refused::TooLong { bytes, bytes_max }) } else { Ok(()) }
    }

    fn check_origin(&self, origin: Option<Origin>) -> Result<Option<Applied>, Refused> {
        let Some(origin) = origin else { return Ok(None) };
        match self.producers.get(&origin.producer) {
            Some(&last) if origin.number <= last => Ok(Some(Applied::Duplicate)),
            None if self.producers.len() as u64 >= u64::from(self.limits.producers_max) => {
                Err(Refused::Full(Full::Producers))
            }
            _ => Ok(None),
        }
    }
}

/// Equal states. What the notifier has seen of it is no part of the state.
impl PartialEq for Outbox {
    fn eq(&self, other: &Self) -> bool {
        self.snapshot() == other.snapshot()
    }
}

impl Eq for Outbox {}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("applied", &self.applied)
            .field("reign", &self.reign)
            .field("subscriptions", &self.subscriptions.len())
            .field("pending_entries", &self.entries)
            .field("pending_bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// Why a log could not be applied to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError<E: std::error::Error + 'static> {
    /// The log could not be read.
    #[error("the log could not be read")]
    Read(#[source] E),
    /// The log and the outbox do not fit.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

/// The name of a client in a record.
fn named(client: &[u8]) -> ClientId {
    ClientId::new(client).expect("records with other names are not decoded, and change() is checked")
}

/// Subscriptions that may be gone and still be listed as changed, beside as many as there are.
const TOUCHED_SLACK: usize = 1024;

type Payload = Arc<[u8]>;

#[cfg(test)]
mod tests;
