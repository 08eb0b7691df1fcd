//! What happens when it is full.

use samestep_emission::{Applied, Change, Full, Limits, Refused, Seq, StallPolicy, SubscriptionId};

use crate::log::{Log, events};

fn small() -> Limits {
    Limits {
        subscriptions_max: 3,
        producers_max: 1,
        entries_max: 6,
        bytes_max: 60,
        subscription_entries_max: 3,
        subscription_bytes_max: 30,
        payload_bytes_max: 20,
    }
}

fn log(stall: StallPolicy) -> (Log, SubscriptionId) {
    let mut log = Log::new();
    log.configure(small());
    let id = log.subscribe_as("c", 7, stall);
    (log, id)
}

#[test]
fn suspended_events_are_refused_until_one_is_acknowledged() {
    let (mut log, id) = log(StallPolicy::Suspend);
    (1..=3).for_each(|at| assert_eq!(log.emit(id, "x"), at));
    let full = Err(Refused::Full(Full::SubscriptionEntries { subscription: id }));
    assert_eq!(log.try_emit(id, b"y"), full);
    assert_eq!(log.try_emit(id, b"y"), full);
    assert_eq!(log.ack(id, 1), Ok(Applied::Acknowledged { freed: 1 }));
    // The refused ones took no position.
    assert_eq!(log.emit(id, "y"), 4);
}

#[test]
fn bytes_are_bounded_too() {
    let (mut log, id) = log(StallPolicy::Suspend);
    assert_eq!(log.try_emit(id, &[0; 21]), Err(Refused::TooLong { bytes: 21, bytes_max: 20 }));
    assert!(log.try_emit(id, &[0; 20]).is_ok());
    assert_eq!(log.try_emit(id, &[0; 11]), Err(Refused::Full(Full::SubscriptionBytes { subscription: id })));
    assert!(log.try_emit(id, &[0; 10]).is_ok());
    assert_eq!(log.outbox.pending_bytes(), 30);
}

#[test]
fn coalescing_keeps_the_newest_and_turns_the_rest_into_a_snapshot() {
    let (mut log, id) = log(StallPolicy::Coalesce);
    for payload in ["a", "b", "c", "d", "e"] {
        log.emit(id, payload);
    }
    assert_eq!(log.pending(id), events(&[(3, "c"), (4, "d"), (5, "e")]));
    let found = log.outbox.subscription(id).unwrap();
    assert_eq!(found.snapshot().map(|bytes| &bytes[..]), Some(&b"b"[..]));
    assert_eq!((found.floor(), found.emitted(), found.pending_bytes()), (Seq::new(2), Seq::new(5), 4));
}

#[test]
fn coalescing_makes_room_for_bytes_even_if_nothing_is_left_but_the_snapshot() {
    let (mut log, id) = log(StallPolicy::Coalesce);
    log.emit(id, "aaaaaaaaaaaaaaaaaaaa");
    log.emit(id, "bbbbbbbbbbbbbbbbbbbb");
    // 20 as the snapshot and 20 waiting are more than 30.
    let found = log.outbox.subscription(id).unwrap();
    assert_eq!((found.floor(), found.pending_entries(), found.pending_bytes()), (Seq::new(2), 0, 20));
}

#[test]
fn eviction_drops_everything_and_goes_on() {
    let (mut log, id) = log(StallPolicy::Evict);
    (1..=3).for_each(|at| assert_eq!(log.emit(id, "x"), at));
    assert_eq!(log.emit(id, "y"), 4);
    let found = log.outbox.subscription(id).unwrap();
    assert_eq!((found.floor(), found.pending_entries(), found.snapshot()), (Seq::new(4), 0, None));
    assert_eq!(log.emit(id, "z"), 5);
    assert_eq!(log.pending(id), events(&[(5, "z")]));
}

#[test]
fn a_published_event_reaches_all_or_none() {
    let (mut log, id) = log(StallPolicy::Suspend);
    let other = log.subscribe("d", 7);
    (1..=3).for_each(|_| assert_eq!(log.publish(7, "x"), Ok(Applied::Published { subscriptions: 2 })));
    assert_eq!(log.ack(id, 3), Ok(Applied::Acknowledged { freed: 3 }));
    assert_eq!(log.publish(7, "y"), Err(Refused::Full(Full::SubscriptionEntries { subscription: other })));
    assert_eq!(log.pending(id), []);
}

#[test]
fn all_subscriptions_together_are_bounded() {
    let (mut log, one) = log(StallPolicy::Suspend);
    let two = log.subscribe("d", 7);
    let three = log.subscribe_as("e", 8, StallPolicy::Coalesce);
    for _ in 0..3 {
        log.emit(one, "x");
        log.emit(two, "x");
    }
    assert_eq!(log.outbox.pending_entries(), 6);
    // One more entry than all may have; but what coalesces needs none.
    assert_eq!(log.emit(three, "a"), 1);
    assert_eq!(log.outbox.pending_entries(), 6);
    assert_eq!(log.outbox.subscription(three).unwrap().snapshot().map(|bytes| &bytes[..]), Some(&b"a"[..]));
    let evicting = Change::Subscribe {
        client: b"f",
        fingerprint: samestep_emission::Fingerprint::new(9),
        token: crate::log::TOKEN,
        stall: StallPolicy::Evict,
    };
    assert_eq!(log.append(&evicting), Err(Refused::Full(Full::Subscriptions)));
}

#[test]
fn the_global_bounds_refuse_what_only_waits() {
    let mut log = Log::new();
    log.configure(Limits { entries_max: 3, ..small() });
    let (one, two) = (log.subscribe("c", 1), log.subscribe("d", 1));
    log.emit(one, "x");
    log.emit(one, "x");
    log.emit(two, "x");
    assert_eq!(log.try_emit(two, b"x"), Err(Refused::Full(Full::Entries)));
    log.configure(Limits { bytes_max: 30, ..small() });
    log.emit(two, "xxxxxxxxxxxxxxxxxxxx");
    assert_eq!(log.try_emit(one, b"xxxxxxxx"), Err(Refused::Full(Full::Bytes)));
    assert!(log.try_emit(one, b"xxxxxxx").is_ok());
    assert_eq!(log.outbox.pending_bytes(), 30);
}

#[test]
fn a_snapshot_must_fit() {
    let (mut log, id) = log(StallPolicy::Suspend);
    for payload in ["xxxxxxxxxx", "yyyyyyyyyyyyyyy"] {
        log.emit(id, payload);
    }
    // 15 wait, and 20 more would be 35.
    assert_eq!(
        log.compact(id, 1, "ssssssssssssssssssss"),
        Err(Refused::Full(Full::SubscriptionBytes { subscription: id }))
    );
    assert_eq!(log.compact(id, 1, "sssssssssssssss"), Ok(Applied::Compacted { dropped: 1 }));
    assert_eq!(log.outbox.pending_bytes(), 30);
}

#[test]
fn producers_are_bounded() {
    let (mut log, id) = log(StallPolicy::Suspend);
    assert!(log.produce(id, 1, 1).is_ok());
    assert_eq!(log.produce(id, 2, 1), Err(Refused::Full(Full::Producers)));
    assert!(log.produce(id, 1, 2).is_ok());
}

/// What waits stays when the limits are lowered, and nothing is added before it is less.
#[test]
fn lowered_limits_drop_nothing() {
    let (mut log, id) = log(StallPolicy::Suspend);
    (1..=3).for_each(|at| assert_eq!(log.emit(id, "x"), at));
    log.configure(Limits { subscription_entries_max: 1, ..small() });
    assert_eq!(log.pending(id).len(), 3);
    assert!(log.try_emit(id, b"x").is_err());
    log.ack(id, 3).unwrap();
    assert_eq!(log.emit(id, "x"), 4);
    let wrong = Limits { subscription_entries_max: 7, ..small() };
    assert!(
        matches!(log.append(&Change::Configure(wrong)), Err(Refused::Limits(error)) if error.name == "subscription_entries_max")
    );
}
