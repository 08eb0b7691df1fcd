//! A test for each defect of SevenDB's emission that ours must not have. Each would fail with the defect.

use std::collections::BTreeMap;

use samestep_emission::{
    Answer, Applied, Change, ClientId, Epoch, Fingerprint, Index, Limits, Notifier, Outbox, Output, Position,
    Receiver, Reconnect, Refused, Restart, Seq, StallPolicy, Target, Term, Tick, Verdict,
};

use crate::log::{Log, TOKEN, deliveries, events, notifier, options};

/// W10: a second subscriber of one command evicts the first and takes its events.
#[test]
fn w10_a_new_subscriber_takes_nothing_from_others() {
    let mut log = Log::new();
    let first = log.subscribe("a", 7);
    log.emit(first, "for a");
    let second = log.subscribe("b", 7);
    assert_ne!(first, second);
    assert_eq!(log.pending(first), events(&[(1, "for a")]));
    assert_eq!(log.pending(second), []);
    // Nor by a rebind without what the owner knows.
    let steal = Change::Rebind {
        subscription: first,
        from: b"a",
        token: samestep_emission::Token::new([0; 16]),
        to: b"c",
        next_token: TOKEN,
    };
    assert_eq!(log.append(&steal), Err(Refused::NotOwner { subscription: first }));
}

/// W14: entries are dropped when nobody drains a queue. Applying is a call that ends with the entry applied.
#[test]
fn w14_applying_drops_nothing_however_much_waits() {
    let mut log = Log::new();
    let id = log.subscribe("a", 7);
    log.emit_many(id, 5000);
    assert_eq!(log.outbox.subscription(id).unwrap().emitted(), Seq::new(5000));
    assert_eq!(log.outbox.pending_entries(), 5000);
}

/// W15: the leader writes the outbox by a second record, which a failover loses. Here one entry is all, and a follower
/// that applied it has the event.
#[test]
fn w15_one_entry_makes_the_event_wait_on_every_replica() {
    let mut log = Log::new();
    let id = log.subscribe("a", 7);
    log.emit(id, "x");
    let mut follower = Outbox::new();
    for (index, entry) in (1..).zip(&log.entries) {
        follower.apply_entry(Index::new(index), entry).unwrap().unwrap();
    }
    assert_eq!(log.entries.len(), 3, "epoch, subscription, event");
    assert_eq!(follower.subscription(id).unwrap().event(Seq::new(1)).unwrap().payload[..], b"x"[..]);
}

/// W16: a new leader's epoch may be lower, so that its own events compare as already sent.
#[test]
fn w16_a_new_leaders_events_come_behind_the_old_ones() {
    let mut log = Log::new();
    let id = log.subscribe("a", 7);
    log.emit(id, "old");
    let mut receiver = Receiver::new(id, ClientId::new("a").unwrap(), Position::START);
    let mut seen = Vec::new();
    for term in 1..=3 {
        if term > 1 {
            log.start_epoch(term);
            log.emit(id, &format!("term {term}"));
        }
        let mut notifier = notifier(&log);
        let answer = notifier.handle_reconnect(&log.outbox, &receiver.request(), Tick::new(0)).unwrap();
        receiver.handle_answer(answer, Term::new(term));
        while let Some(Output::Deliver(delivery)) = notifier.poll(&mut log.outbox, Tick::new(0)) {
            assert_eq!(receiver.handle_delivery(&delivery), Verdict::Process);
            receiver.confirm(&delivery);
            seen.push((delivery.epoch.get(), delivery.seq.get()));
        }
        // Acknowledgements of an earlier epoch's events are none the worse for it.
        let through = receiver.poll_ack().unwrap();
        log.ack(id, through.get()).unwrap();
    }
    assert_eq!(seen, [(1, 1), (2, 2), (3, 3)]);
    assert_eq!(log.outbox.pending_entries(), 0);
}

/// W18: numbers that a process counts by itself complete another's request. Numbers here belong to a producer.
#[test]
fn w18_producers_do_not_answer_for_one_another() {
    let mut log = Log::new();
    let id = log.subscribe("a", 7);
    assert!(matches!(log.produce(id, 1, 1), Ok(Applied::Emitted { .. })));
    assert!(matches!(log.produce(id, 2, 1), Ok(Applied::Emitted { .. })));
    assert_eq!(log.produce(id, 1, 1), Ok(Applied::Duplicate));
    assert_eq!(log.pending(id).len(), 2);
}

/// W19: snapshots without the outbox, and counters that restart.
#[test]
fn w19_a_snapshot_has_the_outbox_and_positions_go_on() {
    let mut log = Log::new();
    let id = log.subscribe("a", 7);
    log.emit_many(id, 3);
    let mut restored = Outbox::restore(&log.outbox.snapshot()).unwrap();
    assert_eq!(restored.subscription(id).unwrap().pending_entries(), 3);
    let emit = Change::Emit { target: Target::Subscription(id), origin: None, payload: b"y" };
    let next = Index::new(restored.applied().get() + 1);
    let emitted = Applied::Emitted { subscription: id, seq: Seq::new(4) };
    assert_eq!(restored.apply(next, &emit), Ok(Ok(emitted)));
}

/// E1: NOT_FOUND never, INVALID for lost acknowledgements, any future believed, overflow, the bucket ignored.
#[test]
fn e1_the_reconnect_table_has_no_holes() {
    let mut log = Log::new();
    let id = log.subscribe("a", 7);
    log.emit_many(id, 9);
    log.ack(id, 5).unwrap();
    let answer = |seq| log.outbox.reconnect(&log.request(id, "a", seq));
    assert_eq!(log.outbox.reconnect(&log.request(id, "b", 5)), Answer::NotFound);
    // Processed 9, acknowledgements of 6 to 9 lost.
    assert_eq!(answer(9), Answer::Ok { next: Seq::new(10) });
    let invalid = Answer::Invalid { next: Seq::new(6), restart: Restart::Wanted { epoch: Epoch::new(1) } };
    assert_eq!([answer(10), answer(u64::MAX)], [invalid; 2]);
    let future = Position { epoch: Epoch::new(2), seq: Seq::new(6) };
    let request = Reconnect { subscription: id, client: ClientId::new("a").unwrap(), position: future };
    assert_eq!(log.outbox.reconnect(&request), invalid);
    // No acknowledgement ever: a future position is not believed either.
    let other = log.subscribe("b", 7);
    log.emit(other, "x");
    let answer = log.outbox.reconnect(&log.request(other, "b", 7));
    assert_eq!(answer, Answer::Invalid { next: Seq::new(1), restart: Restart::Beginning });
}

/// E2: an acknowledgement of what was never emitted purges everything and makes all later ones wrong.
#[test]
fn e2_what_was_not_emitted_cannot_be_acknowledged() {
    let mut log = Log::new();
    let id = log.subscribe("a", 7);
    log.emit_many(id, 2);
    assert!(matches!(log.ack(id, u64::MAX), Err(Refused::NotEmitted { .. })));
    assert_eq!(log.pending(id).len(), 2);
    assert_eq!(log.ack(id, 1), Ok(Applied::Acknowledged { freed: 1 }));
}

/// E3: a rebind on one node only.
#[test]
fn e3_a_rebind_reaches_every_replica() {
    let mut log = Log::new();
    let id = log.subscribe("old", 7);
    log.emit_many(id, 2);
    log.rebind(id, "old", "new").unwrap();
    log.ack(id, 1).unwrap();
    let mut follower = Outbox::new();
    for (index, entry) in (1..).zip(&log.entries) {
        follower.apply_entry(Index::new(index), entry).unwrap().unwrap();
    }
    assert_eq!(follower.subscription(id).unwrap().client().as_bytes(), b"new");
    assert_eq!(follower.subscription(id).unwrap().pending_entries(), 1);
    assert_eq!(follower, log.outbox);
}

/// E4: clients in the order of a hash map. Many subscriptions, two runs, one order; and it is the order of the log.
#[test]
fn e4_the_order_of_deliveries_is_that_of_the_log() {
    let run = || {
        let mut log = Log::new();
        let ids: Vec<_> = (0..20).map(|at| log.subscribe(&format!("c{at}"), 7)).collect();
        let mut notifier = notifier(&log);
        for (at, &id) in ids.iter().enumerate() {
            notifier
                .handle_reconnect(&log.outbox, &log.request(id, &format!("c{at}"), 0), Tick::new(0))
                .unwrap();
        }
        assert_eq!(deliveries(&mut notifier, &mut log, 0), []);
        for at in [13, 2, 19, 7, 0] {
            log.emit(ids[at], &format!("{at}"));
        }
        deliveries(&mut notifier, &mut log, 0)
    };
    assert_eq!(run(), events(&[(1, "13"), (1, "2"), (1, "19"), (1, "7"), (1, "0")]));
    assert_eq!(run(), run());
}

/// E5: unbounded, and never freed. After everybody left, the snapshot is as small as it was.
#[test]
fn e5_the_outbox_is_bounded_and_frees_what_nobody_wants() {
    let mut log = Log::new();
    log.configure(Limits { subscription_entries_max: 10, ..Limits::default() });
    let empty = log.outbox.snapshot().len();
    let id = log.subscribe("a", 7);
    let accepted = (0..100).filter(|_| log.try_emit(id, b"x").is_ok()).count();
    assert_eq!(accepted, 10);
    let evicting = log.subscribe_as("b", 7, StallPolicy::Evict);
    for _ in 0..100 {
        log.try_emit(evicting, b"x").unwrap();
    }
    assert!(log.outbox.subscription(evicting).unwrap().pending_entries() <= 10);
    for subscription in [id, evicting] {
        log.append(&Change::Unsubscribe { subscription, token: TOKEN }).unwrap();
    }
    assert_eq!((log.outbox.pending_entries(), log.outbox.subscriptions().len()), (0, 0));
    // The index of the log is a byte longer by now.
    assert!(log.outbox.snapshot().len() <= empty + 2);
}

/// E6: a late purge moves the watermark back.
#[test]
fn e6_watermarks_never_go_back() {
    let mut log = Log::new();
    let id = log.subscribe("a", 7);
    log.emit_many(id, 6);
    log.compact(id, 4, "S").unwrap();
    assert!(matches!(log.compact(id, 2, "older"), Err(Refused::BelowFloor { .. })));
    log.ack(id, 6).unwrap();
    log.ack(id, 5).unwrap();
    log.evict(id, 3).unwrap();
    let found = log.outbox.subscription(id).unwrap();
    assert_eq!((found.acked(), found.floor()), (Seq::new(6), Seq::new(6)));
}

/// E7: every entry is applied twice, which inserts purged events again.
#[test]
fn e7_an_entry_is_applied_once() {
    let mut log = Log::new();
    let id = log.subscribe("a", 7);
    log.emit(id, "x");
    log.ack(id, 1).unwrap();
    let emit = log.entries[2].clone();
    assert!(log.outbox.apply_entry(Index::new(3), &emit).is_err());
    assert_eq!(log.outbox.pending_entries(), 0);
}

/// E8: two nodes hand out at a time. Each notifier is of a term, and asks the outbox whose the epoch is; and a client
/// that has heard of the new leader does not listen to the old one, whose outbox may be behind.
#[test]
fn e8_a_deposed_leader_is_not_heard() {
    let mut log = Log::new();
    let id = log.subscribe("a", 7);
    log.emit(id, "x");
    let mut old = notifier(&log);
    old.handle_reconnect(&log.outbox, &log.request(id, "a", 0), Tick::new(0)).unwrap();
    // Cut off: its outbox stays where it was.
    let mut left_behind = log.outbox.clone();
    log.start_epoch(2);
    log.emit(id, "y");
    let mut new = Notifier::new(Term::new(2), options()).unwrap();
    let mut receiver = Receiver::new(id, ClientId::new("a").unwrap(), Position::START);
    let answer = new.handle_reconnect(&log.outbox, &receiver.request(), Tick::new(0)).unwrap();
    receiver.handle_answer(answer, Term::new(2));
    let Some(Output::Deliver(from_old)) = old.poll(&mut left_behind, Tick::new(0)) else {
        panic!("nothing to send")
    };
    assert_eq!(receiver.handle_delivery(&from_old), Verdict::Fenced);
    // As soon as it hears of the new epoch it falls silent.
    assert_eq!(old.poll(&mut log.outbox, Tick::new(50)), None);
    assert_eq!(deliveries(&mut new, &mut log, 0), events(&[(1, "x"), (2, "y")]));
}

/// E9: the value is read again after the write, so that two quick writes send the second value twice.
#[test]
fn e9_an_event_is_what_was_logged() {
    let mut log = Log::new();
    let id = log.subscribe("a", 7);
    log.publish(7, "first").unwrap();
    log.publish(7, "second").unwrap();
    assert_eq!(log.pending(id), events(&[(1, "first"), (2, "second")]));
}

/// E10: bytes that are no text are replaced.
#[test]
fn e10_payloads_are_bytes() {
    let mut log = Log::new();
    let id = log.subscribe("a", 7);
    let payload: Vec<u8> = (0..=255).collect();
    log.try_emit(id, &payload).unwrap();
    let again = Outbox::restore(&log.outbox.snapshot()).unwrap();
    assert_eq!(again.subscription(id).unwrap().event(Seq::new(1)).unwrap().payload[..], payload[..]);
}

/// E11: lines that confuse events. `v2_lines_can_be_read_back` in the crate shows that no two do; here the two of
/// SevenDB's that do.
#[test]
fn e11_lines_tell_clients_and_epochs_apart() {
    use samestep_emission::{Canonicalizer, LineVersion, Numbering};
    let mut log = Log::new();
    let ids = [log.subscribe("a", 7), log.subscribe("b", 7)];
    log.publish(7, "x").unwrap();
    let mut lines: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    for version in [LineVersion::V1, LineVersion::V2] {
        let mut canonical = Canonicalizer::new(version, Numbering::Own);
        let mut notifier = notifier(&log);
        for (id, client) in ids.into_iter().zip(["a", "b"]) {
            notifier.handle_reconnect(&log.outbox, &log.request(id, client, 0), Tick::new(0)).unwrap();
        }
        while let Some(Output::Deliver(delivery)) = notifier.poll(&mut log.outbox, Tick::new(0)) {
            *lines.entry(canonical.delivery(&delivery).unwrap().to_vec()).or_default() += 1;
        }
    }
    let counts: Vec<u32> = lines.values().copied().collect();
    // One line twice in v1; two lines in v2.
    assert_eq!(counts, [2, 1, 1]);
}

/// E14: keys with spaces, and argument lists that share a fingerprint.
#[test]
fn e14_argument_lists_do_not_share_a_fingerprint() {
    let lists: [&[&[u8]]; 6] = [
        &[b"GET", b"a b"],
        &[b"GET", b"a", b"b"],
        &[b"GET a b"],
        &[b"GET", b"a b", b""],
        &[b"", b"GET", b"a b"],
        &[],
    ];
    let mut fingerprints: Vec<Fingerprint> =
        lists.iter().map(|words| Fingerprint::of_command(words)).collect();
    fingerprints.sort_unstable();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), lists.len());
    // What is no number is an error, and no fingerprint 0.
    assert!("c1:x".parse::<Fingerprint>().is_err());
}
