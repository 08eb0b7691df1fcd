//! Handing out: order, window, fence, resends.

use samestep_emission::{
    AckError, Answer, Change, NotLeading, Notifier, NotifierOptions, Output, Refused, Seq, StallPolicy, Term,
    Tick,
};

use crate::log::{Log, TOKEN, deliveries, events, notifier, options};

/// A log with a subscription of `c` and `count` events, and a notifier to which `c` is connected.
fn connected(count: u64) -> (Log, samestep_emission::SubscriptionId, Notifier) {
    let mut log = Log::new();
    let id = log.subscribe("c", 7);
    for at in 1..=count {
        assert_eq!(log.emit(id, &format!("e{at}")), at);
    }
    let mut notifier = notifier(&log);
    let request = log.request(id, "c", 0);
    assert_eq!(
        notifier.handle_reconnect(&log.outbox, &request, Tick::new(0)),
        Ok(Answer::Ok { next: Seq::new(1) })
    );
    (log, id, notifier)
}

#[test]
fn events_are_handed_out_in_order_and_once() {
    let (mut log, id, mut notifier) = connected(3);
    assert_eq!(deliveries(&mut notifier, &mut log, 0), events(&[(1, "e1"), (2, "e2"), (3, "e3")]));
    assert_eq!(deliveries(&mut notifier, &mut log, 0), []);
    log.emit(id, "e4");
    assert_eq!(deliveries(&mut notifier, &mut log, 0), events(&[(4, "e4")]));
    log.ack(id, 4).unwrap();
    assert_eq!(deliveries(&mut notifier, &mut log, 100), []);
    assert_eq!(notifier.metrics(&log.outbox).sends, 4);
}

#[test]
fn nobody_gets_anything_before_connecting_or_after_disconnecting() {
    let mut log = Log::new();
    let id = log.subscribe("c", 7);
    log.emit(id, "a");
    let mut notifier = notifier(&log);
    assert_eq!(deliveries(&mut notifier, &mut log, 0), []);
    let request = log.request(id, "c", 0);
    notifier.handle_reconnect(&log.outbox, &request, Tick::new(0)).unwrap();
    assert_eq!(notifier.metrics(&log.outbox).connected, 1);
    notifier.handle_disconnect(id);
    assert!(!notifier.is_connected(id));
    assert_eq!(deliveries(&mut notifier, &mut log, 50), []);
    assert_eq!(notifier.metrics(&log.outbox).connected, 0);
}

#[test]
fn the_window_bounds_what_is_under_way() {
    let mut log = Log::new();
    let id = log.subscribe("c", 7);
    (1..=5).for_each(|at| assert_eq!(log.emit(id, "x"), at));
    let options = NotifierOptions { window_entries: 2, ..options() };
    let mut notifier = Notifier::new(Term::new(1), options).unwrap();
    notifier.handle_reconnect(&log.outbox, &log.request(id, "c", 0), Tick::new(0)).unwrap();
    let seqs = |all: Vec<(u64, String)>| all.into_iter().map(|(seq, _)| seq).collect::<Vec<_>>();
    assert_eq!(seqs(deliveries(&mut notifier, &mut log, 0)), [1, 2]);
    log.ack(id, 1).unwrap();
    assert_eq!(seqs(deliveries(&mut notifier, &mut log, 0)), [3]);
    log.ack(id, 3).unwrap();
    assert_eq!(seqs(deliveries(&mut notifier, &mut log, 0)), [4, 5]);
}

/// A subscription that ends while something waits to be handed out is nobody's any more; the others go on.
#[test]
fn subscriptions_may_end_while_they_are_ready() {
    let (mut log, id, mut notifier) = connected(2);
    let other = log.subscribe("d", 7);
    log.emit(other, "d1");
    notifier.handle_reconnect(&log.outbox, &log.request(other, "d", 0), Tick::new(0)).unwrap();
    let Some(Output::Deliver(first)) = notifier.poll(&mut log.outbox, Tick::new(0)) else {
        panic!("nothing is handed out")
    };
    assert_eq!((first.subscription, first.seq), (id, Seq::new(1)));
    log.append(&Change::Unsubscribe { subscription: id, token: TOKEN }).unwrap();
    assert_eq!(deliveries(&mut notifier, &mut log, 0), events(&[(1, "d1")]));
    assert_eq!(notifier.metrics(&log.outbox).connected, 1);
}

/// More subscriptions end between two looks than the outbox keeps in mind. All are noticed.
#[test]
fn however_many_subscriptions_end_none_stays_connected() {
    let mut log = Log::new();
    let ids: Vec<_> = (0..3000).map(|at| (at, log.subscribe(&format!("c{at}"), 7))).collect();
    let stays = log.subscribe("stays", 8);
    let mut notifier = notifier(&log);
    for (at, id) in &ids {
        let request = log.request(*id, &format!("c{at}"), 0);
        notifier.handle_reconnect(&log.outbox, &request, Tick::new(0)).unwrap();
    }
    notifier.handle_reconnect(&log.outbox, &log.request(stays, "stays", 0), Tick::new(0)).unwrap();
    assert_eq!(deliveries(&mut notifier, &mut log, 0), []);
    assert_eq!(notifier.metrics(&log.outbox).connected, 3001);
    for (_, subscription) in ids {
        log.append(&Change::Unsubscribe { subscription, token: TOKEN }).unwrap();
    }
    assert_eq!(deliveries(&mut notifier, &mut log, 1), []);
    assert_eq!(notifier.metrics(&log.outbox).connected, 1);
    log.emit(stays, "x");
    assert_eq!(deliveries(&mut notifier, &mut log, 1), events(&[(1, "x")]));
}

/// After 1, 2, 4 and 8 ticks, and then every 8: all that is under way, in order. Progress starts over.
#[test]
fn what_is_not_acknowledged_is_sent_again_with_growing_delays() {
    let (mut log, id, mut notifier) = connected(2);
    let mut sent_at = Vec::new();
    for tick in 0..=40 {
        let sent = deliveries(&mut notifier, &mut log, tick);
        if !sent.is_empty() {
            assert_eq!(sent, events(&[(1, "e1"), (2, "e2")]));
            sent_at.push(tick);
        }
    }
    assert_eq!(sent_at, [0, 1, 3, 7, 15, 23, 31, 39]);
    log.ack(id, 1).unwrap();
    sent_at.clear();
    for tick in 41..=50 {
        let sent = deliveries(&mut notifier, &mut log, tick);
        if !sent.is_empty() {
            assert_eq!(sent, events(&[(2, "e2")]));
            sent_at.push(tick);
        }
    }
    assert_eq!(sent_at, [42, 44, 48]);
    assert_eq!(notifier.metrics(&log.outbox).resends, 7 * 2 + 3);
}

#[test]
fn the_next_deadline_is_never_too_late() {
    let (mut log, id, mut notifier) = connected(1);
    let mut tick = 0;
    let mut resent = 0;
    while resent < 5 {
        assert!(tick < 100, "after {resent} resends nothing is sent again");
        resent += deliveries(&mut notifier, &mut log, tick).len();
        tick = notifier.next_deadline().unwrap().get();
        assert!(deliveries(&mut notifier, &mut log, tick - 1).is_empty(), "something was due before {tick}");
    }
    log.ack(id, 1).unwrap();
    assert_eq!(deliveries(&mut notifier, &mut log, tick), []);
    assert_eq!(notifier.next_deadline(), None);
}

/// A deadline behind the last tick there is never comes, rather than at once and for ever.
#[test]
fn time_may_end() {
    let mut log = Log::new();
    let id = log.subscribe("c", 7);
    log.emit(id, "a");
    let options = NotifierOptions { stall_ticks: Some(5), ..options() };
    let mut notifier = Notifier::new(Term::new(1), options).unwrap();
    let last = Tick::new(u64::MAX);
    notifier.handle_reconnect(&log.outbox, &log.request(id, "c", 0), last).unwrap();
    assert_eq!(deliveries(&mut notifier, &mut log, last.get()), events(&[(1, "a")]));
    assert_eq!(notifier.next_deadline(), None);
}

#[test]
fn a_failed_send_is_tried_again_later_and_in_order() {
    let (mut log, id, mut notifier) = connected(3);
    let Some(Output::Deliver(first)) = notifier.poll(&mut log.outbox, Tick::new(0)) else {
        panic!("nothing to send")
    };
    assert_eq!(first.seq, Seq::new(1));
    notifier.handle_unsent(id, Seq::new(1), Tick::new(0));
    assert_eq!(deliveries(&mut notifier, &mut log, 0), []);
    assert_eq!(deliveries(&mut notifier, &mut log, 1), events(&[(1, "e1"), (2, "e2"), (3, "e3")]));
    let metrics = notifier.metrics(&log.outbox);
    // What never left is no resend.
    assert_eq!((metrics.unsent, metrics.sends, metrics.resends), (1, 4, 0));
}

#[test]
fn failures_in_a_row_wait_longer_each_time() {
    let (mut log, id, mut notifier) = connected(1);
    let mut tried_at = Vec::new();
    for tick in 0..=20 {
        while let Some(output) = notifier.poll(&mut log.outbox, Tick::new(tick)) {
            assert!(matches!(output, Output::Deliver(_)));
            tried_at.push(tick);
            notifier.handle_unsent(id, Seq::new(1), Tick::new(tick));
        }
    }
    assert_eq!(tried_at, [0, 1, 3, 7, 15]);
}

#[test]
fn clients_take_turns() {
    let mut log = Log::new();
    let ids = [log.subscribe("a", 7), log.subscribe("b", 7)];
    for payload in ["x", "y"] {
        log.publish(7, payload).unwrap();
    }
    let mut notifier = notifier(&log);
    for (id, client) in ids.into_iter().zip(["a", "b"]) {
        notifier.handle_reconnect(&log.outbox, &log.request(id, client, 0), Tick::new(0)).unwrap();
    }
    assert_eq!(deliveries(&mut notifier, &mut log, 0), events(&[(1, "x"), (1, "x"), (2, "y"), (2, "y")]));
}

#[test]
fn only_the_leader_of_the_current_epoch_hands_out() {
    let (mut log, id, mut old) = connected(1);
    // Elected, but its epoch is not applied yet.
    let mut new = Notifier::new(Term::new(2), options()).unwrap();
    let refused = NotLeading { own: Term::new(2), current: Term::new(1) };
    assert_eq!(new.handle_reconnect(&log.outbox, &log.request(id, "c", 0), Tick::new(0)), Err(refused));
    assert_eq!(new.handle_ack(&log.outbox, id, Seq::new(1)), Err(AckError::NotLeading(refused)));
    log.start_epoch(2);
    assert!(new.leads(&log.outbox) && !old.leads(&log.outbox));
    assert_eq!(deliveries(&mut old, &mut log, 0), []);
    new.handle_reconnect(&log.outbox, &log.request(id, "c", 0), Tick::new(0)).unwrap();
    assert_eq!(deliveries(&mut new, &mut log, 0), events(&[(1, "e1")]));
}

#[test]
fn acknowledgements_become_records_if_they_can_be_right() {
    let (log, id, mut notifier) = connected(2);
    let mut ack = |through| notifier.handle_ack(&log.outbox, id, Seq::new(through));
    let record = Change::Acknowledge { subscription: id, through: Seq::new(2) };
    assert_eq!(ack(2), Ok(Some(record)));
    for through in [0, 3] {
        assert!(matches!(ack(through), Err(AckError::Refused(Refused::NotEmitted { .. }))));
    }
    let mut log = log;
    log.ack(id, 2).unwrap();
    assert_eq!(notifier.handle_ack(&log.outbox, id, Seq::new(2)), Ok(None));
    let metrics = notifier.metrics(&log.outbox);
    assert_eq!((metrics.stale_acks, metrics.refused_acks), (1, 2));
}

#[test]
fn a_connected_client_gets_the_snapshot_that_overtook_it() {
    let mut log = Log::new();
    let id = log.subscribe("c", 7);
    log.emit_many(id, 4);
    let mut notifier = notifier(&log);
    notifier.handle_reconnect(&log.outbox, &log.request(id, "c", 0), Tick::new(0)).unwrap();
    log.compact(id, 3, "S").unwrap();
    assert_eq!(deliveries(&mut notifier, &mut log, 0), events(&[(3, "*S"), (4, "x")]));
}

#[test]
fn a_connected_client_is_told_when_events_it_never_got_are_gone() {
    let mut log = Log::new();
    let id = log.subscribe("c", 7);
    log.emit_many(id, 4);
    let mut notifier = notifier(&log);
    notifier.handle_reconnect(&log.outbox, &log.request(id, "c", 0), Tick::new(0)).unwrap();
    log.evict(id, 3).unwrap();
    assert_eq!(notifier.poll(&mut log.outbox, Tick::new(0)), Some(Output::Overtaken { subscription: id }));
    assert_eq!(notifier.poll(&mut log.outbox, Tick::new(99)), None);
    let metrics = notifier.metrics(&log.outbox);
    assert_eq!((metrics.overtaken, metrics.connected), (1, 0));
}

#[test]
fn a_subscription_without_progress_is_reported() {
    let mut log = Log::new();
    let (slow, gone) = (log.subscribe("slow", 7), log.subscribe("gone", 7));
    let idle = log.subscribe("idle", 8);
    log.publish(7, "x").unwrap();
    let options =
        NotifierOptions { stall_ticks: Some(10), resend_ticks_min: 100, resend_ticks_max: 100, ..options() };
    let mut notifier = Notifier::new(Term::new(1), options).unwrap();
    notifier.handle_reconnect(&log.outbox, &log.request(slow, "slow", 0), Tick::new(0)).unwrap();
    notifier.handle_reconnect(&log.outbox, &log.request(idle, "idle", 0), Tick::new(0)).unwrap();
    let mut stalled = Vec::new();
    for tick in 0..=25 {
        if tick == 5 {
            log.ack(slow, 1).unwrap();
            log.emit(slow, "y");
        }
        while let Some(output) = notifier.poll(&mut log.outbox, Tick::new(tick)) {
            if let Output::Stalled { subscription, through } = output {
                stalled.push((tick, subscription, through.get()));
            }
        }
    }
    assert_eq!(stalled, [(10, gone, 1), (15, slow, 2), (20, gone, 1), (25, slow, 2)]);
}

#[test]
fn the_end_of_a_subscription_ends_its_stream() {
    let (mut log, id, mut notifier) = connected(1);
    assert_eq!(deliveries(&mut notifier, &mut log, 0).len(), 1);
    log.append(&Change::Unsubscribe { subscription: id, token: TOKEN }).unwrap();
    assert_eq!(deliveries(&mut notifier, &mut log, 50), []);
    assert_eq!(notifier.metrics(&log.outbox).connected, 0);
    assert_eq!(
        notifier.handle_reconnect(&log.outbox, &log.request(id, "c", 0), Tick::new(51)),
        Ok(Answer::NotFound)
    );
}

#[test]
fn latencies_count_from_the_application_to_the_first_send() {
    let (mut log, id, mut notifier) = connected(0);
    assert_eq!(deliveries(&mut notifier, &mut log, 3), []);
    notifier.handle_disconnect(id);
    log.emit(id, "x");
    assert_eq!(deliveries(&mut notifier, &mut log, 5), []);
    notifier.handle_reconnect(&log.outbox, &log.request(id, "c", 0), Tick::new(12)).unwrap();
    assert_eq!(deliveries(&mut notifier, &mut log, 12).len(), 1);
    let metrics = notifier.metrics(&log.outbox);
    let latency = metrics.commit_to_send_ticks;
    assert_eq!((latency.count(), latency.sum()), (1, 7));
    assert_eq!((metrics.reconnects.ok, metrics.subscriptions, metrics.pending_entries), (2, 1, 1));
}

#[test]
fn options_are_checked() {
    let good = options();
    let cases = [
        ("window_entries", NotifierOptions { window_entries: 0, ..good }),
        ("resend_ticks_min", NotifierOptions { resend_ticks_min: 0, ..good }),
        ("resend_ticks_max", NotifierOptions { resend_ticks_max: 0, ..good }),
        ("stall_ticks", NotifierOptions { stall_ticks: Some(0), ..good }),
    ];
    for (name, options) in cases {
        assert_eq!(Notifier::new(Term::new(1), options).unwrap_err().name, name);
    }
}

/// What a tick costs does not depend on how many subscriptions are idle: nothing is queued for them.
#[test]
fn idle_subscriptions_have_no_deadline() {
    let mut log = Log::new();
    let ids: Vec<_> =
        (0..500).map(|at| log.subscribe_as(&format!("c{at}"), 7, StallPolicy::Suspend)).collect();
    let mut notifier = notifier(&log);
    for (at, &id) in ids.iter().enumerate() {
        let request = log.request(id, &format!("c{at}"), 0);
        notifier.handle_reconnect(&log.outbox, &request, Tick::new(0)).unwrap();
    }
    assert_eq!(deliveries(&mut notifier, &mut log, 1), []);
    assert_eq!(notifier.next_deadline(), None);
}
