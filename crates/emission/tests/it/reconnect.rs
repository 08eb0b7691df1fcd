//! The decision table, and what a receiver makes of it.

use samestep_emission::{
    Answer, ClientId, Delivery, DeliveryKind, Epoch, Position, Receiver, Reconnect, Restart, Resumption, Seq,
    Term, Tick, Verdict,
};

use crate::log::{Log, deliveries, events, notifier};

/// Of events of the first epoch.
const WANTED: Restart = Restart::Wanted { epoch: Epoch::new(1) };

const fn ok(next: u64) -> Answer {
    Answer::Ok { next: Seq::new(next) }
}

const fn stale(next: u64, restart: Restart) -> Answer {
    Answer::Stale { next: Seq::new(next), restart }
}

const fn invalid(next: u64, restart: Restart) -> Answer {
    Answer::Invalid { next: Seq::new(next), restart }
}

/// Answers to positions 0.. in a log that `build` makes.
fn answers(count: u64, build: impl Fn(&mut Log, samestep_emission::SubscriptionId)) -> Vec<Answer> {
    let mut log = Log::new();
    let id = log.subscribe("c", 7);
    build(&mut log, id);
    (0..count).map(|seq| log.outbox.reconnect(&log.request(id, "c", seq))).collect()
}

#[test]
fn everything_emitted_and_not_gone_is_ok() {
    let all = answers(5, |log, id| log.emit_many(id, 3));
    assert_eq!(all, [ok(1), ok(2), ok(3), ok(4), invalid(1, Restart::Beginning)]);
}

/// Acknowledged up to 2, emitted up to 4: a client that processed 4 and whose acknowledgements were lost goes on at 5.
#[test]
fn lost_acknowledgements_are_no_error() {
    let all = answers(6, |log, id| {
        log.emit_many(id, 4);
        log.ack(id, 2).unwrap();
    });
    let wanted = WANTED;
    assert_eq!(all, [stale(3, wanted), stale(3, wanted), ok(3), ok(4), ok(5), invalid(3, wanted)]);
}

#[test]
fn behind_a_snapshot_is_stale_and_starts_with_it() {
    let all = answers(6, |log, id| {
        log.emit_many(id, 4);
        log.compact(id, 2, "S").unwrap();
    });
    let snapshot = Restart::Snapshot;
    assert_eq!(all, [stale(2, snapshot), stale(2, snapshot), ok(3), ok(4), ok(5), invalid(2, snapshot)]);
}

#[test]
fn positions_near_the_end_of_numbers_are_from_the_future() {
    let mut log = Log::new();
    let id = log.subscribe("c", 7);
    log.emit(id, "x");
    for seq in [2, u64::MAX - 1, u64::MAX] {
        assert_eq!(log.outbox.reconnect(&log.request(id, "c", seq)), invalid(1, Restart::Beginning));
    }
}

#[test]
fn an_epoch_that_is_not_the_events_own_is_invalid() {
    let mut log = Log::new();
    let id = log.subscribe("c", 7);
    log.emit(id, "x");
    log.start_epoch(2);
    log.emit(id, "y");
    log.ack(id, 1).unwrap();
    let answer = |epoch, seq| {
        let position = Position { epoch: Epoch::new(epoch), seq: Seq::new(seq) };
        log.outbox.reconnect(&Reconnect { subscription: id, client: ClientId::new("c").unwrap(), position })
    };
    assert_eq!([answer(1, 1), answer(2, 2)], [ok(2), ok(3)]);
    let invalid = invalid(2, WANTED);
    // Another event at the same position; an epoch that has not begun.
    assert_eq!([answer(2, 1), answer(1, 2), answer(3, 1), answer(3, 0)], [invalid; 4]);
}

/// Found by a property: the table admits an epoch that has begun beside position 0, and the receiver saw a gap then,
/// whenever it reconnected.
#[test]
fn whoever_has_no_event_takes_one_of_any_epoch() {
    let mut log = Log::new();
    let id = log.subscribe("c", 7);
    log.emit(id, "x");
    log.start_epoch(2);
    let client = ClientId::new("c").unwrap();
    let mut receiver = Receiver::new(id, client, Position { epoch: Epoch::new(2), seq: Seq::default() });
    let mut notifier = notifier(&log);
    let answer = notifier.handle_reconnect(&log.outbox, &receiver.request(), Tick::new(0)).unwrap();
    assert_eq!(answer, ok(1));
    assert_eq!(receiver.handle_answer(answer, Term::new(2)), Resumption::Continue);
    let Some(samestep_emission::Output::Deliver(first)) = notifier.poll(&mut log.outbox, Tick::new(0)) else {
        panic!("nothing to send")
    };
    assert_eq!((first.epoch, receiver.handle_delivery(&first)), (Epoch::new(1), Verdict::Process));
}

#[test]
fn another_clients_subscription_is_not_found() {
    let mut log = Log::new();
    let id = log.subscribe("c", 7);
    assert_eq!(log.outbox.reconnect(&log.request(id, "d", 0)), Answer::NotFound);
    let unknown = samestep_emission::SubscriptionId::new(2);
    assert_eq!(log.outbox.reconnect(&log.request(unknown, "c", 0)), Answer::NotFound);
    log.rebind(id, "c", "d").unwrap();
    assert_eq!(log.outbox.reconnect(&log.request(id, "c", 0)), Answer::NotFound);
    assert_eq!(log.outbox.reconnect(&log.request(id, "d", 0)), ok(1));
}

fn receiver(log: &Log, id: samestep_emission::SubscriptionId, seq: u64) -> Receiver {
    let request = log.request(id, "c", seq);
    Receiver::new(id, request.client, request.position)
}

fn event(id: samestep_emission::SubscriptionId, term: u64, seq: u64) -> Delivery<'static> {
    let mut log = Log::new();
    let subscription = log.subscribe("c", 7);
    log.emit(subscription, "x");
    let mut notifier = notifier(&log);
    notifier.handle_reconnect(&log.outbox, &log.request(subscription, "c", 0), Tick::new(0)).unwrap();
    let Some(samestep_emission::Output::Deliver(one)) = notifier.poll(&mut log.outbox, Tick::new(0)) else {
        panic!("nothing to send")
    };
    Delivery { subscription: id, term: Term::new(term), seq: Seq::new(seq), payload: b"x", ..one }
}

#[test]
fn a_receiver_processes_each_event_once_and_in_order() {
    let log = Log::new();
    let id = samestep_emission::SubscriptionId::new(1);
    let mut receiver = receiver(&log, id, 0);
    assert!(receiver.needs_reconnect());
    assert_eq!(receiver.handle_delivery(&event(id, 1, 1)), Verdict::Unexpected);
    assert_eq!(receiver.handle_answer(ok(1), Term::new(1)), Resumption::Continue);
    assert_eq!(receiver.poll_ack(), None);
    for seq in 1..=2 {
        assert_eq!(receiver.handle_delivery(&event(id, 1, seq)), Verdict::Process);
        // Not confirmed: it may come again, and is still to be processed.
        assert_eq!(receiver.handle_delivery(&event(id, 1, seq)), Verdict::Process);
        receiver.confirm(&event(id, 1, seq));
        assert_eq!(receiver.handle_delivery(&event(id, 1, seq)), Verdict::Duplicate);
    }
    assert_eq!(receiver.poll_ack(), Some(Seq::new(2)));
    assert_eq!(receiver.poll_ack(), None);
    // Sent again, so the acknowledgement was lost.
    assert_eq!(receiver.handle_delivery(&event(id, 1, 1)), Verdict::Duplicate);
    assert_eq!(receiver.poll_ack(), Some(Seq::new(2)));
    let other = samestep_emission::SubscriptionId::new(2);
    assert_eq!(receiver.handle_delivery(&event(other, 1, 3)), Verdict::Foreign);
    assert_eq!(receiver.handle_delivery(&event(id, 1, 4)), Verdict::Gap);
    assert!(receiver.needs_reconnect());
    assert_eq!(receiver.position(), Position { epoch: Epoch::new(1), seq: Seq::new(2) });
    // After a reconnect what was acknowledged is acknowledged again: it may have been lost.
    assert_eq!(receiver.handle_answer(ok(3), Term::new(1)), Resumption::Continue);
    assert_eq!(receiver.poll_ack(), Some(Seq::new(2)));
}

#[test]
fn a_receiver_listens_to_no_leader_that_was_deposed() {
    let log = Log::new();
    let id = samestep_emission::SubscriptionId::new(1);
    let mut receiver = receiver(&log, id, 0);
    receiver.handle_answer(ok(1), Term::new(3));
    assert_eq!(receiver.handle_delivery(&event(id, 2, 1)), Verdict::Fenced);
    assert_eq!(receiver.handle_delivery(&event(id, 3, 1)), Verdict::Process);
    assert_eq!(receiver.handle_answer(ok(1), Term::new(2)), Resumption::Mismatch);
}

#[test]
fn a_receiver_that_was_overtaken_needs_the_snapshot_first() {
    let log = Log::new();
    let id = samestep_emission::SubscriptionId::new(1);
    let mut receiver = receiver(&log, id, 1);
    assert_eq!(receiver.handle_answer(stale(4, Restart::Snapshot), Term::new(1)), Resumption::Replace);
    assert_eq!(receiver.handle_delivery(&event(id, 1, 5)), Verdict::Gap);
    receiver.handle_answer(stale(4, Restart::Snapshot), Term::new(1));
    let snapshot = Delivery { kind: DeliveryKind::Snapshot, ..event(id, 1, 4) };
    assert_eq!(receiver.handle_delivery(&snapshot), Verdict::Replace);
    receiver.confirm(&snapshot);
    assert_eq!(receiver.handle_delivery(&snapshot), Verdict::Duplicate);
    assert_eq!(receiver.handle_delivery(&event(id, 1, 5)), Verdict::Process);
}

#[test]
fn losses_and_divergence_are_the_clients_decision() {
    let log = Log::new();
    let id = samestep_emission::SubscriptionId::new(1);
    let mut receiver = receiver(&log, id, 1);
    let lost = Resumption::Lost { first: Seq::new(2), next: Seq::new(4) };
    assert_eq!(receiver.handle_answer(stale(4, WANTED), Term::new(1)), lost);
    assert_eq!(receiver.handle_delivery(&event(id, 1, 4)), Verdict::Unexpected);
    receiver.restart();
    assert_eq!(receiver.position(), Position { epoch: Epoch::new(1), seq: Seq::new(3) });
    assert_eq!(receiver.handle_delivery(&event(id, 1, 4)), Verdict::Process);
    assert_eq!(
        receiver.handle_answer(invalid(2, WANTED), Term::new(1)),
        Resumption::Diverged { next: Seq::new(2) }
    );
    // From a snapshot, whatever it had counts for nothing.
    let diverged = Resumption::Diverged { next: Seq::new(1) };
    assert_eq!(receiver.handle_answer(invalid(1, Restart::Snapshot), Term::new(1)), diverged);
    receiver.restart();
    assert_eq!(receiver.handle_delivery(&event(id, 1, 2)), Verdict::Gap);
    receiver.handle_answer(invalid(1, Restart::Snapshot), Term::new(1));
    receiver.restart();
    let snapshot = Delivery { kind: DeliveryKind::Snapshot, ..event(id, 1, 1) };
    assert_eq!(receiver.handle_delivery(&snapshot), Verdict::Replace);
    assert_eq!(receiver.handle_answer(Answer::NotFound, Term::new(1)), Resumption::Gone);
    receiver.handle_disconnect();
    assert!(!receiver.needs_reconnect());
}

#[test]
#[should_panic(expected = "only what is to be processed can be confirmed")]
fn what_was_not_offered_cannot_be_confirmed() {
    let log = Log::new();
    let id = samestep_emission::SubscriptionId::new(1);
    let mut receiver = receiver(&log, id, 0);
    receiver.handle_answer(ok(1), Term::new(1));
    receiver.confirm(&event(id, 1, 2));
}

/// A client that asks for a snapshot gets one after it was proposed, by reconnecting.
#[test]
fn a_wanted_snapshot_is_given_after_a_compaction() {
    let mut log = Log::new();
    let id = log.subscribe("c", 7);
    log.emit_many(id, 3);
    log.evict(id, 3).unwrap();
    let mut notifier = notifier(&log);
    let request = log.request(id, "c", 1);
    assert_eq!(notifier.handle_reconnect(&log.outbox, &request, Tick::new(0)), Ok(stale(4, WANTED)));
    log.compact(id, 3, "S").unwrap();
    assert_eq!(deliveries(&mut notifier, &mut log, 0), []);
    assert_eq!(
        notifier.handle_reconnect(&log.outbox, &request, Tick::new(0)),
        Ok(stale(3, Restart::Snapshot))
    );
    assert_eq!(deliveries(&mut notifier, &mut log, 0), events(&[(3, "*S")]));
}
