//! The outbox as bytes: canonical, bounded, checked.

use std::collections::BTreeMap;

use samestep_replay_traits::Index;
use xxhash_rust::xxh64::xxh64;

use super::{Outbox, Payload, Reign};
use crate::change::{
    DecodeError, put_limits, read_client, read_fingerprint, read_limits, read_stall, stall_number,
};
use crate::client::{ClientId, Token};
use crate::id::{Epoch, NodeId, ProducerId, Seq, SubscriptionId, Term};
use crate::limits::{LimitsError, PAYLOAD_BYTES_LIMIT};
use crate::subscription::{Subscription, Waiting, len_of};
use crate::wire::{WireError, WireReader, put_bytes, put_number};

impl Outbox {
    /// The whole state, in bytes that are equal if and only if the states are.
    ///
    /// `"samestep outbox" | version: u8 = 1 | applied | epoch | term | node | next subscription | limits | producers |
    /// events | subscriptions | checksum`. Events are the distinct entries of the log that wait, by index, each once
    /// however many subscriptions it waits for; subscriptions are by id and name their events by place in that list.
    /// Numbers are LEB128; the checksum is XXH64 (seed 0) of all before it, little-endian: it finds damage, not
    /// forgery.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.snapshot_into(&mut out);
        out
    }

    /// Appends [`Self::snapshot`] to `out`.
    pub fn snapshot_into(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        for number in [
            self.applied.get(),
            self.reign.epoch.get(),
            self.reign.term.get(),
            self.reign.node.get(),
            self.next_subscription,
        ] {
            put_number(out, number);
        }
        put_limits(out, &self.limits);
        put_number(out, self.producers.len() as u64);
        for (producer, &number) in &self.producers {
            put_number(out, producer.get());
            put_number(out, number);
        }
        let events = self.distinct_events();
        out.reserve(usize::try_from(self.bytes).unwrap_or(0) + 8 * events.len());
        put_number(out, events.len() as u64);
        let mut before = 0;
        for (_, event) in &events {
            put_number(out, event.commit.get() - before);
            put_number(out, event.epoch.get());
            put_bytes(out, &event.payload);
            before = event.commit.get();
        }
        put_number(out, self.subscriptions.len() as u64);
        for (id, subscription) in &self.subscriptions {
            put_number(out, id.get());
            put_subscription(out, subscription, &events);
        }
        let checksum = xxh64(&out[start..], 0);
        out.extend_from_slice(&checksum.to_le_bytes());
    }

    /// The outbox that [`Self::snapshot`] wrote as `bytes`, all of them. Goes on with the entry behind
    /// [`Self::applied`].
    ///
    /// # Errors
    ///
    /// [`RestoreError`]; bytes that are none of a snapshot give an error, never an outbox that breaks its invariants.
    pub fn restore(bytes: &[u8]) -> Result<Self, RestoreError> {
        let (body, checksum) = bytes.split_last_chunk::<8>().ok_or(DecodeError::Short)?;
        let mut reader = WireReader::new(body);
        if reader.array::<{ MAGIC.len() }>()? != *MAGIC {
            return Err(RestoreError::Magic);
        }
        let version = reader.byte()?;
        if version != VERSION {
            return Err(DecodeError::Version { found: version }.into());
        }
        let (expected, found) = (u64::from_le_bytes(*checksum), xxh64(body, 0));
        if expected != found {
            return Err(RestoreError::Checksum { expected, found });
        }
        let outbox = read_outbox(&mut reader)?;
        match reader.remaining() {
            0 => Ok(outbox),
            bytes => Err(DecodeError::Trailing { bytes }.into()),
        }
    }

    /// Every entry of the log that waits, once, by index.
    fn distinct_events(&self) -> Vec<(Index, &Waiting)> {
        let waiting = self.subscriptions.values().flat_map(|subscription| &subscription.waiting);
        let mut events: Vec<(Index, &Waiting)> = waiting.map(|event| (event.commit, event)).collect();
        // A run of each subscription, which this way of sorting merges.
        events.sort_by_key(|(commit, _)| *commit);
        events.dedup_by_key(|(commit, _)| *commit);
        events
    }
}

fn put_subscription(out: &mut Vec<u8>, subscription: &Subscription, events: &[(Index, &Waiting)]) {
    put_bytes(out, subscription.client.as_bytes());
    out.extend_from_slice(&subscription.fingerprint.get().to_le_bytes());
    out.extend_from_slice(&subscription.token.to_bytes());
    out.push(stall_number(subscription.stall));
    put_number(out, subscription.acked.get());
    put_number(out, subscription.floor.get());
    put_number(out, subscription.floor_epoch.get());
    // A length of 0 stands for "none", so a snapshot has one more than its own.
    match &subscription.snapshot {
        None => put_number(out, 0),
        Some(snapshot) => {
            put_number(out, len_of(snapshot) + 1);
            out.extend_from_slice(snapshot);
        }
    }
    put_number(out, subscription.waiting.len() as u64);
    // Places ascend; what is written is the distance from the one before, the first from place -1.
    let (mut next, mut step) = (0, 0);
    for event in &subscription.waiting {
        // Where subscriptions take turns, the distance is that of the last time.
        let guess = next + step;
        let is_there = events.get(guess).is_some_and(|(commit, _)| *commit == event.commit);
        let place = if is_there { guess } else { next + place_of(&events[next..], event.commit) };
        step = place - next;
        put_number(out, step as u64);
        next = place + 1;
    }
}

/// Where `commit` stands in `events`, which has it, looked for from the front in growing steps.
fn place_of(events: &[(Index, &Waiting)], commit: Index) -> usize {
    let mut end = 1;
    while end < events.len() && events[end].0 < commit {
        end *= 2;
    }
    events[..events.len().min(end + 1)].partition_point(|(candidate, _)| *candidate < commit)
}

fn read_outbox(reader: &mut WireReader<'_>) -> Result<Outbox, RestoreError> {
    let mut outbox = Outbox::new();
    outbox.applied = Index::new(reader.number()?);
    outbox.reign = Reign {
        epoch: Epoch::new(reader.number()?),
        term: Term::new(reader.number()?),
        node: NodeId::new(reader.number()?),
    };
    outbox.next_subscription = reader.number()?;
    outbox.limits = read_limits(reader)?;
    outbox.limits.validate()?;
    // An epoch and a subscription took an entry each.
    let applied = outbox.applied.get();
    check(
        "epoch",
        outbox.reign.epoch.get() <= applied && outbox.reign.epoch.get() <= outbox.reign.term.get(),
    )?;
    check("term", (outbox.reign.epoch == Epoch::default()) == (outbox.reign.term == Term::default()))?;
    check("next subscription", (1..=applied.saturating_add(1)).contains(&outbox.next_subscription))?;
    outbox.producers = read_producers(reader)?;
    let mut events = read_events(reader, &outbox)?;
    let count = reader.number()?;
    let mut before = 0;
    for _ in 0..count {
        let id = reader.number()?;
        check("subscription", id > before && id < outbox.next_subscription)?;
        before = id;
        let subscription = read_subscription(reader, &mut events, outbox.reign.epoch)?;
        let id = SubscriptionId::new(id);
        let name = (subscription.fingerprint, subscription.client.clone());
        check("client", outbox.names.insert(name, id).is_none())?;
        outbox.entries += subscription.waiting.len() as u64;
        outbox.bytes = outbox.bytes.checked_add(subscription.bytes).ok_or(field("bytes"))?;
        outbox.subscriptions.insert(id, subscription);
    }
    check("event", events.iter().all(|event| event.is_used))?;
    Ok(outbox)
}

fn read_producers(reader: &mut WireReader<'_>) -> Result<BTreeMap<ProducerId, u64>, RestoreError> {
    let mut producers = BTreeMap::new();
    let count = reader.number()?;
    for _ in 0..count {
        let (producer, number) = (ProducerId::new(reader.number()?), reader.number()?);
        let ascends = producers.last_key_value().is_none_or(|(last, _)| *last < producer);
        check("producer", ascends && number > 0)?;
        producers.insert(producer, number);
    }
    Ok(producers)
}

/// An event that was read, and whether any subscription waits for it.
struct Event {
    waiting: Waiting,
    is_used: bool,
}

fn read_events(reader: &mut WireReader<'_>, outbox: &Outbox) -> Result<Vec<Event>, RestoreError> {
    let count = reader.number()?;
    // Each takes at least three bytes, so a count is never believed beyond what is there.
    let mut events =
        Vec::with_capacity(usize::try_from(count).unwrap_or(usize::MAX).min(reader.remaining() / 3));
    let (mut commit, mut epoch_before) = (0_u64, Epoch::default());
    for _ in 0..count {
        let step = reader.number()?;
        commit = commit.checked_add(step).filter(|_| step > 0).ok_or(field("event"))?;
        let epoch = Epoch::new(reader.number()?);
        check("event", commit <= outbox.applied.get())?;
        check("event epoch", epoch >= epoch_before && (1..=outbox.reign.epoch.get()).contains(&epoch.get()))?;
        epoch_before = epoch;
        let payload = Payload::from(reader.bytes(PAYLOAD_BYTES_LIMIT)?);
        let waiting = Waiting { commit: Index::new(commit), epoch, payload };
        events.push(Event { waiting, is_used: false });
    }
    Ok(events)
}

fn read_subscription(
    reader: &mut WireReader<'_>,
    events: &mut [Event],
    epoch: Epoch,
) -> Result<Subscription, RestoreError> {
    let client = ClientId::new(read_client(reader)?).expect("read_client checks the name");
    let fingerprint = read_fingerprint(reader)?;
    let token = Token::new(reader.array()?);
    let stall = read_stall(reader)?;
    let mut subscription = Subscription::new(client, fingerprint, token, stall);
    subscription.acked = Seq::new(reader.number()?);
    subscription.floor = Seq::new(reader.number()?);
    subscription.floor_epoch = Epoch::new(reader.number()?);
    check("acked", subscription.acked <= subscription.floor)?;
    let knows_epoch = subscription.floor_epoch != Epoch::default();
    check(
        "floor epoch",
        subscription.floor_epoch <= epoch && (subscription.floor != Seq::default()) == knows_epoch,
    )?;
    if let Some(len) = reader.number()?.checked_sub(1) {
        check("snapshot", len <= PAYLOAD_BYTES_LIMIT as u64 && subscription.floor != Seq::default())?;
        subscription.set_snapshot(reader.take(usize::try_from(len).unwrap_or(usize::MAX))?.into());
    }
    let count = reader.number()?;
    let mut next = 0_usize;
    for _ in 0..count {
        let step = usize::try_from(reader.number()?).unwrap_or(usize::MAX);
        let place = next.checked_add(step).filter(|&place| place < events.len()).ok_or(field("place"))?;
        let event = &mut events[place];
        event.is_used = true;
        check("event epoch", event.waiting.epoch >= subscription.floor_epoch)?;
        subscription.push(event.waiting.clone());
        next = place + 1;
    }
    // So that no later position overflows.
    let room = u64::MAX - subscription.floor.get();
    check("floor", room > 1 << 62)?;
    Ok(subscription)
}

fn check(name: &'static str, holds: bool) -> Result<(), RestoreError> {
    if holds { Ok(()) } else { Err(field(name)) }
}

fn field(name: &'static str) -> RestoreError {
    RestoreError::Decode(DecodeError::Field { name })
}

/// Why bytes are no outbox. Take another snapshot, or replay the log from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// They do not begin as a snapshot does.
    #[error("this is no snapshot of an outbox")]
    Magic,
    /// They were damaged.
    #[error("the snapshot's checksum is {found:#018x}, it says {expected:#018x}")]
    Checksum {
        /// The checksum that the snapshot has.
        expected: u64,
        /// That of its bytes.
        found: u64,
    },
    /// They were written by another version, or by nobody.
    #[error("the snapshot cannot be read")]
    Decode(#[from] DecodeError),
    /// The limits contradict each other.
    #[error("the snapshot's limits contradict each other")]
    Limits(#[from] LimitsError),
}

impl From<WireError> for RestoreError {
    fn from(error: WireError) -> Self {
        Self::Decode(error.into())
    }
}

const MAGIC: &[u8; 15] = b"samestep outbox";
const VERSION: u8 = 1;
