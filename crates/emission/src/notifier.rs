//! The one who hands out what waits.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use samestep_replay_traits::Index;

use crate::change::Change;
use crate::error::Refused;
use crate::fingerprint::Fingerprint;
use crate::id::{Epoch, Seq, SubscriptionId, Term, Tick};
use crate::metrics::Metrics;
use crate::outbox::{Outbox, Visited};
use crate::reconnect::{Answer, Reconnect};
use crate::subscription::Subscription;

mod deadlines;
mod stream;

use deadlines::Deadlines;
use stream::Stream;

/// Hands out the events of an [`Outbox`] on the node that leads, in order, again and again until acknowledged.
///
/// Make one with the term in which the node was elected, propose a [`Change::StartEpoch`] with that term, and call
/// [`poll`](Self::poll) after every application of the log and every tick until it gives nothing. It gives nothing
/// before that epoch is applied, and nothing after any later one is: two notifiers never both think that the same
/// outbox is theirs. Acknowledgements and clients that (re)connect come in by `handle_*`. Keeps no state that has to
/// survive: the next leader's notifier starts empty, and clients reconnect to it.
///
/// The work of a call is in proportion to what is new or due, however many subscriptions are idle.
pub struct Notifier {
    term: Term,
    options: NotifierOptions,
    streams: BTreeMap<SubscriptionId, Stream>,
    /// Streams that may have something to send, each once.
    ready: VecDeque<SubscriptionId>,
    deadlines: Deadlines,
    /// Up to which entry the log was applied in which tick, oldest first.
    marks: VecDeque<(Index, Tick)>,
    has_looked: bool,
    metrics: Metrics,
}

/// How a [`Notifier`] paces itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotifierOptions {
    /// Events of one subscription that are under way at a time. Default: 1024. Range: from 1.
    pub window_entries: u64,
    /// After how many ticks without progress everything under way is sent again, the first time; twice as many each
    /// further time. Default: 100. Range: from 1.
    pub resend_ticks_min: u64,
    /// How far that doubles. Default: 10,000. Range: from `resend_ticks_min`.
    pub resend_ticks_max: u64,
    /// After how many ticks without progress a subscription with something pending is reported as
    /// [`Output::Stalled`], connected or not. Default: `None`, never. Range: from 1.
    pub stall_ticks: Option<u64>,
}

impl Default for NotifierOptions {
    fn default() -> Self {
        Self { window_entries: 1024, resend_ticks_min: 100, resend_ticks_max: 10_000, stall_ticks: None }
    }
}

/// An option is out of the range documented at its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("option {name} is out of range")]
pub struct NotifierOptionsError {
    /// Name of the field of [`NotifierOptions`].
    pub name: &'static str,
}

/// What the caller should do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output<'a> {
    /// Send this to the client.
    Deliver(Delivery<'a>),
    /// Tell the client that events it never got are gone, and that it should reconnect: the answer will be STALE.
    /// Nothing is sent to it before it does.
    Overtaken {
        /// Of which subscription.
        subscription: SubscriptionId,
    },
    /// A subscription has made no progress for [`NotifierOptions::stall_ticks`]: propose a [`Change::Evict`] if it
    /// should not hold its events any longer. Told once, and again after as long.
    Stalled {
        /// Which.
        subscription: SubscriptionId,
        /// The newest event that waits for it.
        through: Seq,
    },
}

/// One event or snapshot on its way to one client. Equal events have equal `subscription`, `seq` and `epoch`,
/// whichever leader sends them and however often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// To whom.
    pub subscription: SubscriptionId,
    /// What was subscribed to.
    pub fingerprint: Fingerprint,
    /// Term of the leader that sends. Clients ignore what comes from a lower one than they have seen.
    pub term: Term,
    /// Epoch in which the event was emitted.
    pub epoch: Epoch,
    /// Position in the subscription.
    pub seq: Seq,
    /// An event, or what stands for all events up to it.
    pub kind: DeliveryKind,
    /// The event or the snapshot.
    pub payload: &'a [u8],
}

/// What a [`Delivery`] carries. Complete by definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryKind {
    /// The event at its position.
    Event,
    /// What all events up to its position, this one included, amount to.
    Snapshot,
}

/// This node does not lead: it was not elected in this term, has not applied its own epoch yet, or has applied a later
/// one. Ask the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the leader: this notifier is of term {own}, the current epoch of term {current}")]
pub struct NotLeading {
    /// The term of the notifier.
    pub own: Term,
    /// The term of the current epoch.
    pub current: Term,
}

/// Why an acknowledgement is not to be proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// Ask the leader.
    #[error(transparent)]
    NotLeading(#[from] NotLeading),
    /// The outbox would refuse it: the client acknowledges what it never got, or has no such subscription.
    #[error("the acknowledgement cannot be right")]
    Refused(#[from] Refused),
}

impl Notifier {
    /// A notifier for the leader of `term`.
    ///
    /// # Errors
    ///
    /// [`NotifierOptionsError`] if an option is out of range.
    pub fn new(term: Term, options: NotifierOptions) -> Result<Self, NotifierOptionsError> {
        let in_range = |name, ok: bool| if ok { Ok(()) } else { Err(NotifierOptionsError { name }) };
        in_range("window_entries", options.window_entries >= 1)?;
        in_range("resend_ticks_min", options.resend_ticks_min >= 1)?;
        in_range("resend_ticks_max", options.resend_ticks_max >= options.resend_ticks_min)?;
        in_range("stall_ticks", options.stall_ticks != Some(0))?;
        Ok(Self {
            term,
            options,
            streams: BTreeMap::new(),
            ready: VecDeque::new(),
            deadlines: Deadlines::default(),
            marks: VecDeque::new(),
            has_looked: false,
            metrics: Metrics::default(),
        })
    }

    /// A client connects. Unless the answer is NOT_FOUND, its events follow by [`Self::poll`], from the position that
    /// the answer tells.
    ///
    /// # Errors
    ///
    /// [`NotLeading`]: the answer of another node could be wrong by now.
    pub fn handle_reconnect(
        &mut self,
        outbox: &Outbox,
        request: &Reconnect,
        now: Tick,
    ) -> Result<Answer, NotLeading> {
        self.check_leads(outbox)?;
        let answer = outbox.reconnect(request);
        self.metrics.reconnects.count(answer);
        let next = match answer {
            Answer::Ok { next } | Answer::Stale { next, .. } | Answer::Invalid { next, .. } => next,
            Answer::NotFound => return Ok(answer),
        };
        let acked = outbox.subscription(request.subscription).map_or(Seq::default(), Subscription::acked);
        let stream = self.streams.entry(request.subscription).or_insert_with(|| Stream::detached(acked, now));
        if !stream.is_connected {
            self.metrics.connected += 1;
        }
        stream.connect(Seq::new(next.get() - 1), now);
        Self::make_ready(&mut self.ready, request.subscription, stream);
        Ok(answer)
    }

    /// A client is gone. Nothing is sent to it before it reconnects.
    pub fn handle_disconnect(&mut self, subscription: SubscriptionId) {
        if let Some(stream) = self.streams.get_mut(&subscription)
            && stream.is_connected
        {
            stream.is_connected = false;
            self.metrics.connected -= 1;
        }
    }

    /// A client acknowledges. Gives the record to propose, or `None` if `through` was acknowledged before.
    ///
    /// # Errors
    ///
    /// [`AckError`].
    pub fn handle_ack(
        &mut self,
        outbox: &Outbox,
        subscription: SubscriptionId,
        through: Seq,
    ) -> Result<Option<Change<'static>>, AckError> {
        self.check_leads(outbox)?;
        let Some(found) = outbox.subscription(subscription) else {
            self.metrics.refused_acks += 1;
            return Err(Refused::UnknownSubscription { subscription }.into());
        };
        if through > found.emitted() || through == Seq::default() {
            self.metrics.refused_acks += 1;
            return Err(Refused::NotEmitted { subscription, through, emitted: found.emitted() }.into());
        }
        if through <= found.acked() {
            self.metrics.stale_acks += 1;
            return Ok(None);
        }
        Ok(Some(Change::Acknowledge { subscription, through }))
    }

    /// The caller could not send the delivery of `seq`. It, and what came after it, is handed out again after a while:
    /// [`NotifierOptions::resend_ticks_min`], twice as long each further time.
    pub fn handle_unsent(&mut self, subscription: SubscriptionId, seq: Seq, now: Tick) {
        let Some(stream) = self.streams.get_mut(&subscription) else { return };
        self.metrics.unsent += 1;
        stream.hold(seq, now);
        self.deadlines.queue(subscription, stream.deadline(&self.options), &mut stream.queued_at);
    }

    /// What to do next, or `None` if there is nothing until the log moves on, a client calls, or
    /// [`Self::next_deadline`].
    #[must_use]
    pub fn poll<'a>(&mut self, outbox: &'a mut Outbox, now: Tick) -> Option<Output<'a>> {
        if self.check_leads(outbox).is_err() {
            return None;
        }
        self.look_at_changes(outbox, now);
        let outbox: &'a Outbox = outbox;
        if let Some(stalled) = self.fire_deadlines(outbox, now) {
            return Some(stalled);
        }
        while let Some(&id) = self.ready.front() {
            // A subscription may have ended while it was ready.
            let Some(stream) = self.streams.get_mut(&id) else {
                self.ready.pop_front();
                continue;
            };
            let subscription = outbox.subscription(id);
            let output = subscription
                .and_then(|subscription| next_output(id, stream, subscription, self.term, &self.options));
            match output {
                Some(Output::Deliver(delivery)) => {
                    let had_sent = stream.take(delivery.seq, now);
                    self.deadlines.queue(id, stream.deadline(&self.options), &mut stream.queued_at);
                    self.metrics.sends += 1;
                    if had_sent {
                        self.metrics.resends += 1;
                    } else if let Some(event) = subscription.and_then(|found| found.event(delivery.seq)) {
                        let applied = self.applied_at(event.commit).unwrap_or(now);
                        self.metrics.commit_to_send_ticks.record(now.since(applied));
                    }
                    // The others first.
                    if self.ready.len() > 1 {
                        self.ready.rotate_left(1);
                    }
                    return Some(Output::Deliver(delivery));
                }
                Some(other) => {
                    stream.is_connected = false;
                    self.metrics.connected -= 1;
                    self.metrics.overtaken += 1;
                    self.unready_front();
                    return Some(other);
                }
                None => self.unready_front(),
            }
        }
        None
    }

    /// When [`Self::poll`] should be called at the latest, if nothing else happens. It may be too early, never too
    /// late.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.deadlines.first()
    }

    /// The term it was made for.
    pub fn term(&self) -> Term {
        self.term
    }

    /// Whether `outbox` is this notifier's to hand out.
    pub fn leads(&self, outbox: &Outbox) -> bool {
        self.check_leads(outbox).is_ok()
    }

    /// Whether the client of `subscription` is connected.
    pub fn is_connected(&self, subscription: SubscriptionId) -> bool {
        self.streams.get(&subscription).is_some_and(|stream| stream.is_connected)
    }

    /// What it did, and how `outbox` stands.
    pub fn metrics(&self, outbox: &Outbox) -> Metrics {
        Metrics {
            pending_entries: outbox.pending_entries(),
            pending_bytes: outbox.pending_bytes(),
            subscriptions: outbox.subscriptions().len() as u64,
            ..self.metrics.clone()
        }
    }

    /// Takes note of what the log did since the last call.
    fn look_at_changes(&mut self, outbox: &mut Outbox, now: Tick) {
        if self.marks.back().is_none_or(|(index, _)| *index < outbox.applied()) {
            match self.marks.back_mut() {
                Some((index, tick)) if *tick == now => *index = outbox.applied(),
                _ => self.marks.push_back((outbox.applied(), now)),
            }
            if self.marks.len() > MARKS_MAX {
                self.marks.pop_front();
            }
        }
        let watches_stalls = self.options.stall_ticks.is_some();
        if !self.has_looked {
            self.has_looked = true;
            if watches_stalls {
                let waiting = outbox.subscriptions().filter(|(_, found)| found.pending_entries() > 0);
                for (id, found) in waiting {
                    let stream =
                        self.streams.entry(id).or_insert_with(|| Stream::detached(found.acked(), now));
                    self.deadlines.queue(id, stream.deadline(&self.options), &mut stream.queued_at);
                }
            }
        }
        let Self { streams, ready, metrics, deadlines, options, .. } = self;
        let visited = outbox.visit_touched(|id, subscription| {
            let Some(subscription) = subscription else {
                if streams.remove(&id).is_some_and(|stream| stream.is_connected) {
                    metrics.connected -= 1;
                }
                return;
            };
            let stream = match streams.get_mut(&id) {
                Some(stream) => stream,
                None if watches_stalls => {
                    streams.entry(id).or_insert_with(|| Stream::detached(subscription.acked(), now))
                }
                None => return,
            };
            if stream.see_acked(subscription.acked(), now) {
                metrics.acks += 1;
                metrics.ack_lag_entries.record(subscription.pending_entries());
            }
            deadlines.queue(id, stream.deadline(options), &mut stream.queued_at);
            Self::make_ready(ready, id, stream);
        });
        if visited == Visited::AllThatAreThere {
            streams.retain(|id, stream| {
                let is_there = outbox.subscription(*id).is_some();
                metrics.connected -= u64::from(!is_there && stream.is_connected);
                is_there
            });
        }
    }

    /// Winds streams back whose time has come.
    fn fire_deadlines(&mut self, outbox: &Outbox, now: Tick) -> Option<Output<'static>> {
        while let Some(id) = self.deadlines.pop_due(now) {
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            stream.queued_at = None;
            let Some(subscription) = outbox.subscription(id) else { continue };
            if subscription.pending_entries() == 0 {
                stream.rest(now);
                continue;
            }
            if stream.resend_is_due(now, &self.options) {
                stream.rewind(subscription.acked(), now);
                Self::make_ready(&mut self.ready, id, stream);
            }
            let is_stalled = stream.stall_is_due(now, &self.options);
            if is_stalled {
                stream.restart_stall(now);
            }
            if let Some(deadline) = stream.deadline(&self.options) {
                self.deadlines.queue(id, Some(deadline), &mut stream.queued_at);
            }
            if is_stalled {
                return Some(Output::Stalled { subscription: id, through: subscription.emitted() });
            }
        }
        None
    }

    fn make_ready(ready: &mut VecDeque<SubscriptionId>, id: SubscriptionId, stream: &mut Stream) {
        if stream.is_connected && !stream.is_held && !stream.is_ready {
            stream.is_ready = true;
            ready.push_back(id);
        }
    }

    fn unready_front(&mut self) {
        if let Some(id) = self.ready.pop_front()
            && let Some(stream) = self.streams.get_mut(&id)
        {
            stream.is_ready = false;
        }
    }

    /// The tick in which the entry was applied, or the oldest that is remembered.
    fn applied_at(&self, commit: Index) -> Option<Tick> {
        let at = self.marks.partition_point(|(index, _)| *index < commit);
        self.marks.get(at).map(|(_, tick)| *tick)
    }

    fn check_leads(&self, outbox: &Outbox) -> Result<(), NotLeading> {
        let current = outbox.reign().term;
        if current == self.term { Ok(()) } else { Err(NotLeading { own: self.term, current }) }
    }
}

/// What to do for one subscription; `None` if there is nothing now.
fn next_output<'a>(
    id: SubscriptionId,
    stream: &mut Stream,
    subscription: &'a Subscription,
    term: Term,
    options: &NotifierOptions,
) -> Option<Output<'a>> {
    if !stream.is_connected || stream.is_held {
        return None;
    }
    let deliver = |seq, epoch, kind, payload| {
        let fingerprint = subscription.fingerprint();
        Some(Output::Deliver(Delivery { subscription: id, fingerprint, term, epoch, seq, kind, payload }))
    };
    let floor = subscription.floor();
    if stream.sent < floor {
        if let Some(snapshot) = subscription.snapshot() {
            return deliver(floor, subscription.floor_epoch, DeliveryKind::Snapshot, snapshot);
        }
        if floor > subscription.acked() {
            return Some(Output::Overtaken { subscription: id });
        }
        // The client acknowledged, through somebody else, what this connection has not sent.
        stream.sent = floor;
    }
    if stream.sent.get() - subscription.acked().get().min(stream.sent.get()) >= options.window_entries {
        return None;
    }
    let event = subscription.event(stream.sent.next())?;
    deliver(event.seq, event.epoch, DeliveryKind::Event, event.payload)
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier")
            .field("term", &self.term)
            .field("streams", &self.streams.len())
            .field("ready", &self.ready.len())
            .finish_non_exhaustive()
    }
}

/// In how many ticks the log may have moved on for latencies to be exact. What is older counts from the oldest.
const MARKS_MAX: usize = 1024;
