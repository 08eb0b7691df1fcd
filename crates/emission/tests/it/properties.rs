//! What holds for every history.

use std::collections::BTreeMap;

use proptest::prelude::*;
use samestep_emission::{
    Answer, Applied, Change, ClientId, Epoch, Fingerprint, Index, Limits, NodeId, Notifier, NotifierOptions,
    Origin, Outbox, Output, Position, ProducerId, Receiver, Refused, Restart, Resumption, Seq, StallPolicy,
    SubscriptionId, Target, Term, Tick, Token, Verdict,
};

/// A change whose numbers are small enough to often mean something.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    StartEpoch(u64),
    Configure(u64, u64),
    Subscribe(u8, u64, u8),
    Unsubscribe(u64, bool),
    Emit(u64, Option<(u64, u64)>, Vec<u8>),
    Publish(u64, Vec<u8>),
    Acknowledge(u64, u64),
    Rebind(u64, u8, u8, bool),
    Compact(u64, u64, Vec<u8>),
    Evict(u64, u64),
    Retire(u64),
}

const CLIENTS: [&[u8]; 3] = [b"a", b"b", b"c"];

fn token(is_right: bool) -> Token {
    Token::new([u8::from(is_right); 16])
}

impl Step {
    pub(crate) fn change(&self) -> Change<'_> {
        let stall =
            |at: u8| [StallPolicy::Suspend, StallPolicy::Coalesce, StallPolicy::Evict][usize::from(at % 3)];
        match self {
            Self::StartEpoch(term) => Change::StartEpoch { term: Term::new(*term), node: NodeId::new(1) },
            Self::Configure(entries, bytes) => Change::Configure(Limits {
                subscriptions_max: 5,
                producers_max: 2,
                entries_max: 2 * entries,
                bytes_max: 2 * bytes,
                subscription_entries_max: *entries,
                subscription_bytes_max: *bytes,
                payload_bytes_max: 8,
            }),
            Self::Subscribe(client, fingerprint, at) => Change::Subscribe {
                client: CLIENTS[usize::from(*client % 3)],
                fingerprint: Fingerprint::new(*fingerprint),
                token: token(true),
                stall: stall(*at),
            },
            Self::Unsubscribe(id, is_right) => {
                Change::Unsubscribe { subscription: SubscriptionId::new(*id), token: token(*is_right) }
            }
            Self::Emit(id, origin, payload) => Change::Emit {
                target: Target::Subscription(SubscriptionId::new(*id)),
                origin: origin
                    .map(|(producer, number)| Origin { producer: ProducerId::new(producer), number }),
                payload,
            },
            Self::Publish(fingerprint, payload) => {
                Change::Emit { target: Target::Topic(Fingerprint::new(*fingerprint)), origin: None, payload }
            }
            Self::Acknowledge(id, through) => {
                Change::Acknowledge { subscription: SubscriptionId::new(*id), through: Seq::new(*through) }
            }
            Self::Rebind(id, from, to, is_right) => Change::Rebind {
                subscription: SubscriptionId::new(*id),
                from: CLIENTS[usize::from(*from % 3)],
                token: token(*is_right),
                to: CLIENTS[usize::from(*to % 3)],
                next_token: token(true),
            },
            Self::Compact(id, through, snapshot) => Change::Compact {
                subscription: SubscriptionId::new(*id),
                through: Seq::new(*through),
                snapshot,
            },
            Self::Evict(id, through) => {
                Change::Evict { subscription: SubscriptionId::new(*id), through: Seq::new(*through) }
            }
            Self::Retire(producer) => Change::Retire { producer: ProducerId::new(*producer) },
        }
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..10)
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let id = || 0..7_u64;
    prop_oneof![
        2 => (0..30_u64).prop_map(Step::StartEpoch),
        1 => (0..6_u64, 7..40_u64).prop_map(|(entries, bytes)| Step::Configure(entries, bytes)),
        4 => (any::<u8>(), 0..3_u64, any::<u8>()).prop_map(|(client, of, stall)| Step::Subscribe(client, of, stall)),
        1 => (id(), proptest::bool::weighted(0.8)).prop_map(|(id, right)| Step::Unsubscribe(id, right)),
        12 => (id(), proptest::option::of((0..3_u64, 1..9_u64)), bytes())
            .prop_map(|(id, origin, payload)| Step::Emit(id, origin, payload)),
        6 => (0..3_u64, bytes()).prop_map(|(of, payload)| Step::Publish(of, payload)),
        6 => (id(), 0..12_u64).prop_map(|(id, through)| Step::Acknowledge(id, through)),
        2 => (id(), any::<u8>(), any::<u8>(), proptest::bool::weighted(0.8))
            .prop_map(|(id, from, to, right)| Step::Rebind(id, from, to, right)),
        3 => (id(), 0..12_u64, bytes()).prop_map(|(id, through, snapshot)| Step::Compact(id, through, snapshot)),
        2 => (id(), 0..12_u64).prop_map(|(id, through)| Step::Evict(id, through)),
        1 => (0..3_u64).prop_map(Step::Retire),
    ]
}

pub(crate) fn history() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(), 0..80).prop_map(|mut steps| {
        steps.insert(0, Step::StartEpoch(1));
        steps.insert(1, Step::Configure(4, 24));
        steps
    })
}

/// Every event that was emitted, by subscription and position: what any replica or client may ever see there.
#[derive(Default)]
struct Emitted(BTreeMap<(SubscriptionId, Seq), (Epoch, Vec<u8>)>);

impl Emitted {
    /// Takes note of what waits and was not known.
    fn look(&mut self, outbox: &Outbox) {
        for (id, subscription) in outbox.subscriptions() {
            for seq in subscription.floor().get() + 1..=subscription.emitted().get() {
                let event = subscription.event(Seq::new(seq)).unwrap();
                let told = (event.epoch, event.payload.to_vec());
                let known = self.0.entry((id, event.seq)).or_insert_with(|| told.clone());
                assert_eq!(*known, told, "event {seq} of {id} is another one now");
            }
        }
    }
}

fn check_invariants(outbox: &Outbox) {
    let (mut entries, mut bytes) = (0, 0);
    for (id, subscription) in outbox.subscriptions() {
        assert!(
            subscription.acked() <= subscription.floor() && subscription.floor() <= subscription.emitted()
        );
        assert_eq!(outbox.find(subscription.client(), subscription.fingerprint()), Some(id));
        let waiting: u64 = (subscription.floor().get() + 1..=subscription.emitted().get())
            .map(|seq| subscription.event(Seq::new(seq)).unwrap().payload.len() as u64)
            .sum();
        let snapshot = subscription.snapshot().map_or(0, |snapshot| snapshot.len() as u64);
        assert_eq!(subscription.pending_bytes(), waiting + snapshot);
        entries += subscription.pending_entries();
        bytes += subscription.pending_bytes();
    }
    assert_eq!((outbox.pending_entries(), outbox.pending_bytes()), (entries, bytes));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// No history panics or breaks a sum; what is emitted stays what it is; bounds hold after every event that was
    /// accepted.
    #[test]
    fn every_history_keeps_the_invariants(steps in history()) {
        let mut outbox = Outbox::new();
        let mut emitted = Emitted::default();
        for (at, step) in steps.iter().enumerate() {
            let before = outbox.clone();
            let answer = outbox.apply(Index::new(at as u64 + 1), &step.change()).unwrap();
            check_invariants(&outbox);
            emitted.look(&outbox);
            for (id, subscription) in outbox.subscriptions() {
                if let Some(earlier) = before.subscription(id) {
                    prop_assert!(subscription.acked() >= earlier.acked());
                    prop_assert!(subscription.floor() >= earlier.floor());
                    prop_assert!(subscription.emitted() >= earlier.emitted());
                }
            }
            match answer {
                Ok(Applied::Emitted { .. } | Applied::Published { .. }) => {
                    let limits = outbox.limits();
                    prop_assert!(outbox.pending_entries() <= limits.entries_max.max(before.pending_entries()));
                    prop_assert!(outbox.pending_bytes() <= limits.bytes_max.max(before.pending_bytes()));
                    for (id, subscription) in outbox.subscriptions() {
                        let earlier = before.subscription(id).unwrap();
                        let grew = subscription.pending_entries() > earlier.pending_entries();
                        prop_assert!(!grew || subscription.pending_entries() <= limits.subscription_entries_max);
                    }
                }
                // A refused record changes nothing but the index.
                Err(_) => {
                    let mut same = before;
                    same.skip(outbox.applied()).unwrap();
                    prop_assert_eq!(&same, &outbox);
                }
                Ok(_) => {}
            }
        }
    }

    /// Snapshot and restore at every index, then the rest of the log: the same as the whole log.
    #[test]
    fn snapshot_then_replay_is_straight_replay(steps in history()) {
        let entries: Vec<Vec<u8>> = steps
            .iter()
            .map(|step| {
                let mut bytes = Vec::new();
                step.change().encode(&mut bytes).unwrap();
                bytes
            })
            .collect();
        let mut straight = Outbox::new();
        let mut snapshots = vec![straight.snapshot()];
        let mut answers = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            answers.push(straight.apply_entry(Index::new(at as u64 + 1), entry).unwrap());
            snapshots.push(straight.snapshot());
        }
        for (from, snapshot) in snapshots.iter().enumerate() {
            let mut restored = Outbox::restore(snapshot).unwrap();
            for (at, entry) in entries.iter().enumerate().skip(from) {
                let answer = restored.apply_entry(Index::new(at as u64 + 1), entry).unwrap();
                prop_assert_eq!(&answer, &answers[at]);
            }
            prop_assert_eq!(restored.snapshot(), snapshots.last().unwrap().clone());
        }
    }

    /// There is an answer to every request, and a receiver that acts on it gets exactly what the answer promises.
    #[test]
    fn the_reconnect_table_is_total_and_a_receiver_can_live_by_it(
        steps in history(),
        subscription in 0..7_u64,
        client in 0..3_usize,
        epoch in 0..8_u64,
        seq in prop_oneof![0..14_u64, Just(u64::MAX)],
    ) {
        let mut outbox = Outbox::new();
        let mut emitted = Emitted::default();
        for (at, step) in steps.iter().enumerate() {
            let _answer = outbox.apply(Index::new(at as u64 + 1), &step.change()).unwrap();
            emitted.look(&outbox);
        }
        let id = SubscriptionId::new(subscription);
        let client = ClientId::new(CLIENTS[client]).unwrap();
        let position = Position { epoch: Epoch::new(epoch), seq: Seq::new(seq) };
        let mut receiver = Receiver::new(id, client, position);
        let request = receiver.request();
        let term = outbox.reign().term;
        let mut notifier = Notifier::new(term, NotifierOptions::default()).unwrap();
        let answer = notifier.handle_reconnect(&outbox, &request, Tick::new(0)).unwrap();
        prop_assert_eq!(answer, outbox.reconnect(&request));
        let found = outbox.subscription(id).filter(|found| *found.client() == request.client);
        let resumption = receiver.handle_answer(answer, term);
        prop_assert_ne!(resumption, Resumption::Mismatch);
        let Some(found) = found else {
            prop_assert_eq!(answer, Answer::NotFound);
            prop_assert_eq!(resumption, Resumption::Gone);
            prop_assert_eq!(notifier.poll(&mut outbox, Tick::new(0)), None);
            return Ok(());
        };
        let (floor, newest) = (found.floor(), found.emitted());
        let was_emitted = seq == 0 || emitted.0.get(&(id, position.seq)).is_some_and(|(of, _)| of.get() == epoch);
        match answer {
            Answer::Ok { next } => {
                // Nothing is skipped, nothing comes twice, nothing that never was is believed.
                prop_assert!(position.seq >= floor && position.seq <= newest);
                prop_assert_eq!(next.get(), seq + 1);
                prop_assert!(was_emitted || position.seq == floor);
            }
            Answer::Stale { next, restart } => {
                prop_assert!(position.seq < floor);
                prop_assert_eq!(next.get(), if restart == Restart::Snapshot { floor.get() } else { floor.get() + 1 });
            }
            Answer::Invalid { .. } => {
                prop_assert!(!was_emitted || position.epoch > outbox.reign().epoch);
            }
            Answer::NotFound => prop_assert!(false, "there is such a subscription"),
        }
        if matches!(resumption, Resumption::Lost { .. } | Resumption::Diverged { .. }) {
            receiver.restart();
            // Also a client that is cut off at once, before anything came, is told to go on where it is.
            let again = outbox.reconnect(&receiver.request());
            let is_fine = match answer {
                Answer::Stale { restart: Restart::Snapshot, .. } | Answer::Invalid { restart: Restart::Snapshot, .. } => {
                    matches!(again, Answer::Stale { restart: Restart::Snapshot, .. })
                }
                _ => again == Answer::Ok { next: Seq::new(receiver.position().seq.get() + 1) },
            };
            prop_assert!(is_fine, "{:?} after {:?}", again, answer);
        }
        let mut got = Vec::new();
        while let Some(output) = notifier.poll(&mut outbox, Tick::new(0)) {
            let Output::Deliver(delivery) = output else { panic!("{output:?} after {answer:?}") };
            match receiver.handle_delivery(&delivery) {
                Verdict::Process => {
                    let (of, payload) = &emitted.0[&(id, delivery.seq)];
                    prop_assert_eq!((*of, &payload[..]), (delivery.epoch, delivery.payload));
                }
                Verdict::Replace => prop_assert_eq!(delivery.seq, floor),
                other => prop_assert!(false, "{:?} for {:?} after {:?}", other, delivery, answer),
            }
            receiver.confirm(&delivery);
            got.push(delivery.seq);
        }
        prop_assert_eq!(receiver.position().seq, newest);
        prop_assert!(got.windows(2).all(|pair| pair[1].get() == pair[0].get() + 1));
        // What it has now is a position that is always fine.
        let again = outbox.reconnect(&receiver.request());
        prop_assert_eq!(again, Answer::Ok { next: Seq::new(newest.get() + 1) });
    }
}

/// A refusal names what is full, so that the producer knows for whom it waits.
#[test]
fn refusals_are_values() {
    let refused = Refused::NoEpoch;
    assert_eq!(refused.to_string(), "no epoch has been started");
}
