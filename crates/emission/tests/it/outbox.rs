//! What each record does.

use samestep_emission::{
    Applied, ApplyError, Change, ClientId, DecodeError, Epoch, Fingerprint, Index, NodeId, Outbox,
    ProducerId, Refused, Seq, StallPolicy, SubscriptionId, Term, Token,
};

use crate::log::{Log, TOKEN, events};

#[test]
fn an_event_waits_until_it_is_acknowledged() {
    let mut log = Log::new();
    let id = log.subscribe("c", 7);
    assert_eq!((log.emit(id, "a"), log.emit(id, "b"), log.emit(id, "c")), (1, 2, 3));
    assert_eq!(log.pending(id), events(&[(1, "a"), (2, "b"), (3, "c")]));
    assert_eq!(log.ack(id, 2), Ok(Applied::Acknowledged { freed: 2 }));
    assert_eq!(log.pending(id), events(&[(3, "c")]));
    assert_eq!((log.outbox.pending_entries(), log.outbox.pending_bytes()), (1, 1));
    // Positions go on where they were.
    assert_eq!(log.emit(id, "d"), 4);
}

/// Positions are dense and do not depend on what else the log has.
#[test]
fn one_entry_per_event_and_positions_without_gaps() {
    let mut log = Log::new();
    let (one, other) = (log.subscribe("c", 1), log.subscribe("d", 1));
    let before = log.entries.len();
    for round in 1..=5 {
        assert_eq!(log.emit(one, "x"), round);
        assert_eq!(log.emit(other, "y"), round);
    }
    assert_eq!(log.entries.len() - before, 10);
}

#[test]
fn a_topic_reaches_all_its_subscriptions_and_no_other() {
    let mut log = Log::new();
    let ids = [log.subscribe("b", 5), log.subscribe("a", 5)];
    let others = [log.subscribe("a", 4), log.subscribe("a", 6)];
    assert_eq!(log.publish(5, "x"), Ok(Applied::Published { subscriptions: 2 }));
    assert_eq!(log.publish(9, "x"), Ok(Applied::Published { subscriptions: 0 }));
    for id in ids {
        assert_eq!(log.pending(id), events(&[(1, "x")]));
    }
    for id in others {
        assert_eq!(log.pending(id), []);
    }
}

#[test]
fn subscribing_twice_with_one_token_is_one_subscription() {
    let mut log = Log::new();
    let id = log.subscribe("c", 7);
    log.emit(id, "a");
    assert_eq!(log.subscribe("c", 7), id);
    assert_eq!(log.pending(id), events(&[(1, "a")]));
    let thief = Change::Subscribe {
        client: b"c",
        fingerprint: Fingerprint::new(7),
        token: Token::new([1; 16]),
        stall: StallPolicy::Suspend,
    };
    assert_eq!(log.append(&thief), Err(Refused::NameTaken { by: id }));
    assert_eq!(log.outbox.find(&ClientId::new("c").unwrap(), Fingerprint::new(7)), Some(id));
}

#[test]
fn a_subscription_that_ended_is_unknown_for_ever() {
    let mut log = Log::new();
    let id = log.subscribe("c", 7);
    log.emit(id, "a");
    assert_eq!(
        log.append(&Change::Unsubscribe { subscription: id, token: Token::new([0; 16]) }),
        Err(Refused::NotOwner { subscription: id })
    );
    let end = Change::Unsubscribe { subscription: id, token: TOKEN };
    assert_eq!(log.append(&end), Ok(Applied::Unsubscribed { dropped: 1 }));
    assert_eq!((log.outbox.pending_entries(), log.outbox.pending_bytes()), (0, 0));
    let unknown = Err(Refused::UnknownSubscription { subscription: id });
    assert_eq!(log.append(&end), unknown);
    assert_eq!(log.try_emit(id, b"b"), unknown);
    assert_eq!(log.ack(id, 1), unknown);
    assert_eq!(log.compact(id, 1, "s"), unknown);
    assert_eq!(log.evict(id, 1), unknown);
    assert_eq!(log.rebind(id, "c", "d"), unknown);
    // The same client subscribes again: another subscription, from its own beginning.
    let again = log.subscribe("c", 7);
    assert_ne!(again, id);
    assert_eq!(log.emit(again, "b"), 1);
}

#[test]
fn acknowledgements_are_checked_against_what_was_emitted() {
    let mut log = Log::new();
    let id = log.subscribe("c", 7);
    let refused = |through, emitted| {
        Err(Refused::NotEmitted { subscription: id, through: Seq::new(through), emitted: Seq::new(emitted) })
    };
    assert_eq!(log.ack(id, 1), refused(1, 0));
    log.emit(id, "a");
    for through in [0, 2, u64::MAX] {
        assert_eq!(log.ack(id, through), refused(through, 1));
    }
    assert_eq!(log.ack(id, 1), Ok(Applied::Acknowledged { freed: 1 }));
    // Twice, or late: nothing happens, and it is no error.
    log.emit(id, "b");
    log.emit(id, "c");
    assert_eq!(log.ack(id, 3), Ok(Applied::Acknowledged { freed: 2 }));
    assert_eq!(log.ack(id, 2), Ok(Applied::Acknowledged { freed: 0 }));
    assert_eq!(log.outbox.subscription(id).unwrap().acked(), Seq::new(3));
}

#[test]
fn compaction_replaces_a_prefix_and_never_goes_back() {
    let mut log = Log::new();
    let id = log.subscribe("c", 7);
    (1..=6).for_each(|at| assert_eq!(log.emit(id, "xx"), at));
    assert_eq!(log.compact(id, 4, "S"), Ok(Applied::Compacted { dropped: 4 }));
    let found = log.outbox.subscription(id).unwrap();
    assert_eq!((found.floor(), found.snapshot().map(|bytes| &bytes[..])), (Seq::new(4), Some(&b"S"[..])));
    assert_eq!(found.pending_bytes(), 2 * 2 + 1);
    assert_eq!(
        log.compact(id, 3, "older"),
        Err(Refused::BelowFloor { subscription: id, through: Seq::new(3), floor: Seq::new(4) })
    );
    // At the same position a snapshot may be replaced.
    assert_eq!(log.compact(id, 4, "S2"), Ok(Applied::Compacted { dropped: 0 }));
    assert!(matches!(log.compact(id, 7, "future"), Err(Refused::NotEmitted { .. })));
    assert!(matches!(log.compact(id, 0, "nothing"), Err(Refused::NotEmitted { .. })));
    // What is acknowledged needs no snapshot.
    assert_eq!(log.ack(id, 4), Ok(Applied::Acknowledged { freed: 0 }));
    assert_eq!(log.outbox.subscription(id).unwrap().snapshot(), None);
    assert_eq!(log.outbox.pending_bytes(), 4);
}

#[test]
fn eviction_drops_a_prefix_without_a_snapshot() {
    let mut log = Log::new();
    let id = log.subscribe("c", 7);
    (1..=3).for_each(|at| assert_eq!(log.emit(id, "x"), at));
    assert_eq!(log.evict(id, 2), Ok(Applied::Evicted { dropped: 2 }));
    assert_eq!(log.evict(id, 1), Ok(Applied::Evicted { dropped: 0 }));
    assert!(matches!(log.evict(id, 4), Err(Refused::NotEmitted { .. })));
    let found = log.outbox.subscription(id).unwrap();
    assert_eq!((found.acked(), found.floor(), found.snapshot()), (Seq::new(0), Seq::new(2), None));
}

#[test]
fn rebinding_needs_the_old_identity_and_keeps_the_subscription() {
    let mut log = Log::new();
    let id = log.subscribe("old", 7);
    log.emit(id, "a");
    let rebind = |from: &'static [u8], token| Change::Rebind {
        subscription: id,
        from,
        token,
        to: b"new",
        next_token: Token::new([9; 16]),
    };
    let not_owner = Err(Refused::NotOwner { subscription: id });
    assert_eq!(log.append(&rebind(b"other", TOKEN)), not_owner);
    assert_eq!(log.append(&rebind(b"old", Token::new([0; 16]))), not_owner);
    assert_eq!(log.append(&rebind(b"old", TOKEN)), Ok(Applied::Rebound));
    assert_eq!(log.outbox.subscription(id).unwrap().client().as_bytes(), b"new");
    assert_eq!(log.pending(id), events(&[(1, "a")]));
    assert_eq!(log.outbox.find(&ClientId::new("old").unwrap(), Fingerprint::new(7)), None);
    assert_eq!(log.outbox.find(&ClientId::new("new").unwrap(), Fingerprint::new(7)), Some(id));
    // The old token is worth nothing now, and the name is taken.
    assert_eq!(log.append(&rebind(b"new", TOKEN)), not_owner);
    let second = log.subscribe("third", 7);
    assert_eq!(log.rebind(second, "third", "new"), Err(Refused::NameTaken { by: id }));
    // To itself: nothing but the token changes.
    assert_eq!(log.rebind(second, "third", "third"), Ok(Applied::Rebound));
    assert_eq!(log.outbox.find(&ClientId::new("third").unwrap(), Fingerprint::new(7)), Some(second));
}

#[test]
fn epochs_ascend_with_terms() {
    let mut log = Log { entries: Vec::new(), outbox: Outbox::new() };
    let id = log.subscribe("c", 7);
    assert_eq!(log.try_emit(id, b"x"), Err(Refused::NoEpoch));
    let start = |term, node| Change::StartEpoch { term: Term::new(term), node: NodeId::new(node) };
    assert_eq!(log.append(&start(3, 2)), Ok(Applied::EpochStarted { epoch: Epoch::new(1) }));
    let old = |term| Err(Refused::OldTerm { term: Term::new(term), current: Term::new(3) });
    assert_eq!(log.append(&start(3, 2)), old(3));
    assert_eq!(log.append(&start(2, 1)), old(2));
    assert_eq!(log.append(&start(9, 1)), Ok(Applied::EpochStarted { epoch: Epoch::new(2) }));
    // Positions go on; the epoch tells who emitted.
    log.emit(id, "x");
    log.start_epoch(10);
    log.emit(id, "y");
    let found = log.outbox.subscription(id).unwrap();
    let epochs = [1, 2].map(|seq| found.event(Seq::new(seq)).unwrap().epoch.get());
    assert_eq!(epochs, [2, 3]);
}

#[test]
fn a_producers_event_is_emitted_once() {
    let mut log = Log::new();
    let id = log.subscribe("c", 7);
    assert!(matches!(log.produce(id, 5, 1), Ok(Applied::Emitted { .. })));
    assert_eq!(log.produce(id, 5, 1), Ok(Applied::Duplicate));
    assert!(matches!(log.produce(id, 5, 3), Ok(Applied::Emitted { .. })));
    assert_eq!(log.produce(id, 5, 2), Ok(Applied::Duplicate));
    // Another producer's numbers are its own.
    assert!(matches!(log.produce(id, 6, 1), Ok(Applied::Emitted { .. })));
    assert_eq!(log.pending(id).len(), 3);
    let producer = ProducerId::new(5);
    assert_eq!(log.outbox.producer(producer), 3);
    assert_eq!(log.append(&Change::Retire { producer }), Ok(Applied::Retired));
    assert!(matches!(log.produce(id, 5, 1), Ok(Applied::Emitted { .. })));
}

/// A number is used up by an event that was emitted, not by one that was refused.
#[test]
fn a_refused_event_may_be_proposed_again() {
    let mut log = Log::new();
    let id = SubscriptionId::new(1);
    assert!(log.produce(id, 5, 1).is_err());
    assert_eq!(log.subscribe("c", 7), id);
    assert!(matches!(log.produce(id, 5, 1), Ok(Applied::Emitted { .. })));
}

#[test]
fn an_entry_is_applied_once() {
    let mut log = Log::new();
    let id = log.subscribe("c", 7);
    log.emit(id, "a");
    let before = log.outbox.clone();
    for (index, entry) in (1..).zip(log.entries.clone()) {
        let again = log.outbox.apply_entry(Index::new(index), &entry);
        assert_eq!(again, Err(ApplyError::Applied { index: Index::new(index), applied: Index::new(3) }));
    }
    assert_eq!(log.outbox, before);
}

/// An entry that is no record takes its place in the log and does nothing else.
#[test]
fn what_is_no_record_is_refused_and_the_log_goes_on() {
    let mut log = Log::new();
    let refused = log.outbox.apply_entry(Index::new(2), b"").unwrap();
    assert_eq!(refused, Err(Refused::Undecodable(DecodeError::Short)));
    assert_eq!(log.outbox.applied(), Index::new(2));
    log.outbox.skip(Index::new(10)).unwrap();
    assert!(log.outbox.skip(Index::new(10)).is_err());
}
