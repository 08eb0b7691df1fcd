//! SevenDB tests on our outbox.
//!
//! Scenario constants are those of the SevenDB test that each is named after; docs/emission-parity.md has the table.

use samestep_emission::{
    Answer, Applied, Canonicalizer, LineVersion, Notifier, Numbering, Output, Receiver, Refused, Restart,
    Seq, StallPolicy, SubscriptionId, Term, Tick, Verdict,
};

use crate::log::{Log, deliveries, events, notifier, options};

fn connect(notifier: &mut Notifier, log: &Log, id: SubscriptionId, client: &str, seq: u64) -> Answer {
    notifier.handle_reconnect(&log.outbox, &log.request(id, client, seq), Tick::new(0)).unwrap()
}

fn emit_all(log: &mut Log, id: SubscriptionId, prefix: &str, count: u64) {
    for at in 1..=count {
        assert_eq!(log.emit(id, &format!("{prefix}{at}")), at);
    }
}

/// OutboxSendAndAck.
#[test]
fn outbox_send_and_ack() {
    let mut log = Log::new();
    let id = log.subscribe("c1", 1);
    emit_all(&mut log, id, "d", 2);
    let mut notifier = notifier(&log);
    connect(&mut notifier, &log, id, "c1", 0);
    assert_eq!(deliveries(&mut notifier, &mut log, 0), events(&[(1, "d1"), (2, "d2")]));
    log.ack(id, 1).unwrap();
    assert_eq!(log.pending(id), events(&[(2, "d2")]));
    log.ack(id, 2).unwrap();
    assert_eq!(log.pending(id), []);
}

/// ReconnectSemantics: compacted 5; from 3 STALE 5, from 10 OK 11. SevenDB sets an acknowledgement of 10 beside the
/// compaction by hand and keeps the entries; here an acknowledgement frees them, so that its STALE has nothing to send.
#[test]
fn reconnect_semantics() {
    let mut log = Log::new();
    let id = log.subscribe("c1", 1);
    emit_all(&mut log, id, "d", 10);
    log.compact(id, 5, "S").unwrap();
    let stale = Answer::Stale { next: Seq::new(5), restart: Restart::Snapshot };
    assert_eq!(log.outbox.reconnect(&log.request(id, "c1", 3)), stale);
    assert_eq!(log.outbox.reconnect(&log.request(id, "c1", 10)), Answer::Ok { next: Seq::new(11) });
    log.ack(id, 10).unwrap();
    assert_eq!(log.outbox.reconnect(&log.request(id, "c1", 10)), Answer::Ok { next: Seq::new(11) });
    let gone = Answer::Stale {
        next: Seq::new(11),
        restart: Restart::Wanted { epoch: samestep_emission::Epoch::new(1) },
    };
    assert_eq!(log.outbox.reconnect(&log.request(id, "c1", 3)), gone);
}

/// Notifier_NoResendBeforeAck: two ticks, one send; the acknowledgement empties the outbox.
#[test]
fn no_resend_before_ack() {
    let mut log = Log::new();
    let id = log.subscribe("c1", 1);
    emit_all(&mut log, id, "d", 1);
    let mut notifier = Notifier::new(Term::new(1), samestep_emission::NotifierOptions::default()).unwrap();
    connect(&mut notifier, &log, id, "c1", 0);
    assert_eq!(deliveries(&mut notifier, &mut log, 0), events(&[(1, "d1")]));
    assert_eq!(deliveries(&mut notifier, &mut log, 1), []);
    log.ack(id, 1).unwrap();
    assert_eq!(log.outbox.pending_entries(), 0);
}

/// Notifier_DefersOnTransientErrorsThenRetries: position 5 fails once and is delivered on the second tick.
#[test]
fn defers_on_transient_errors_then_retries() {
    let mut log = Log::new();
    let id = log.subscribe("c1", 1);
    emit_all(&mut log, id, "d", 5);
    log.ack(id, 4).unwrap();
    let mut notifier = notifier(&log);
    connect(&mut notifier, &log, id, "c1", 4);
    assert!(matches!(notifier.poll(&mut log.outbox, Tick::new(0)), Some(Output::Deliver(_))));
    notifier.handle_unsent(id, Seq::new(5), Tick::new(0));
    assert_eq!(deliveries(&mut notifier, &mut log, 0), []);
    assert_eq!(deliveries(&mut notifier, &mut log, 1), events(&[(5, "d5")]));
}

/// Notifier_ResumeFromSkipsOlderEntries: entries 1 and 2, resumed behind 1: the first delivered is 2.
#[test]
fn resume_from_skips_older_entries() {
    let mut log = Log::new();
    let id = log.subscribe("c1", 1);
    emit_all(&mut log, id, "d", 2);
    let mut notifier = notifier(&log);
    connect(&mut notifier, &log, id, "c1", 1);
    assert_eq!(deliveries(&mut notifier, &mut log, 0), events(&[(2, "d2")]));
}

/// RebindByFingerprint_MovesEntriesAndWatermarks: compacted 7, pending up to 11, fingerprint 42; from 10 OK 11, from 6
/// STALE 7. By the old owner, with its token, and logged.
#[test]
fn rebind_moves_entries_and_watermarks() {
    let mut log = Log::new();
    let id = log.subscribe("old", 42);
    emit_all(&mut log, id, "d", 11);
    log.compact(id, 7, "S").unwrap();
    assert_eq!(log.rebind(id, "old", "new"), Ok(Applied::Rebound));
    assert_eq!(log.pending(id), events(&[(8, "d8"), (9, "d9"), (10, "d10"), (11, "d11")]));
    assert_eq!(log.outbox.reconnect(&log.request(id, "new", 10)), Answer::Ok { next: Seq::new(11) });
    let stale = Answer::Stale { next: Seq::new(7), restart: Restart::Snapshot };
    assert_eq!(log.outbox.reconnect(&log.request(id, "new", 6)), stale);
    assert_eq!(log.outbox.reconnect(&log.request(id, "old", 10)), Answer::NotFound);
    log.ack(id, 9).unwrap();
    assert_eq!(log.pending(id), events(&[(10, "d10"), (11, "d11")]));
}

/// Reconnect_OK_ResumesFromNextIndex: entries 1 to 5, acknowledged 3: OK 4, and exactly 4 and 5.
#[test]
fn reconnect_ok_resumes_from_next_index() {
    let mut log = Log::new();
    let id = log.subscribe("c1", 1);
    emit_all(&mut log, id, "d", 5);
    log.ack(id, 3).unwrap();
    let mut notifier = notifier(&log);
    assert_eq!(connect(&mut notifier, &log, id, "c1", 3), Answer::Ok { next: Seq::new(4) });
    assert_eq!(deliveries(&mut notifier, &mut log, 0), events(&[(4, "d4"), (5, "d5")]));
}

/// Reconnect_OK_TimelineStable: two runs, one hash.
#[test]
fn reconnect_ok_timeline_stable() {
    let run = || {
        let mut log = Log::new();
        let id = log.subscribe("c1", 77);
        emit_all(&mut log, id, "x", 4);
        log.ack(id, 2).unwrap();
        let mut notifier = notifier(&log);
        connect(&mut notifier, &log, id, "c1", 2);
        let mut lines = Canonicalizer::new(LineVersion::V1, Numbering::Own);
        while let Some(Output::Deliver(delivery)) = notifier.poll(&mut log.outbox, Tick::new(0)) {
            lines.delivery(&delivery);
        }
        lines.digest()
    };
    assert_eq!(run(), 0x9d48_7ef4_159a_efa1);
    assert_eq!(run(), run());
}

/// Reconnect_Stale_ResumesFromCompactedIndex: the first payload is the snapshot.
#[test]
fn reconnect_stale_resumes_from_compacted_index() {
    let mut log = Log::new();
    let id = log.subscribe("c1", 7);
    emit_all(&mut log, id, "d", 6);
    log.compact(id, 4, "SNAPSHOT@4").unwrap();
    let mut notifier = notifier(&log);
    let stale = Answer::Stale { next: Seq::new(4), restart: Restart::Snapshot };
    assert_eq!(connect(&mut notifier, &log, id, "c1", 2), stale);
    assert_eq!(deliveries(&mut notifier, &mut log, 0), events(&[(4, "*SNAPSHOT@4"), (5, "d5"), (6, "d6")]));
}

/// Reconnect_InvalidSequence_Future: acknowledged 5, from 10: INVALID 6.
#[test]
fn reconnect_invalid_sequence_future() {
    let mut log = Log::new();
    let id = log.subscribe("c1", 9);
    emit_all(&mut log, id, "v", 6);
    log.ack(id, 5).unwrap();
    let mut notifier = notifier(&log);
    let invalid = Answer::Invalid {
        next: Seq::new(6),
        restart: Restart::Wanted { epoch: samestep_emission::Epoch::new(1) },
    };
    assert_eq!(connect(&mut notifier, &log, id, "c1", 10), invalid);
    assert_eq!(deliveries(&mut notifier, &mut log, 0), events(&[(6, "v6")]));
}

/// CrashBeforeSend_ExactlyOnce: nothing before the crash, exactly one after.
#[test]
fn crash_before_send_exactly_once() {
    let mut log = Log::new();
    let id = log.subscribe("c1", 424_242);
    emit_all(&mut log, id, "payload-", 1);
    let mut before = notifier(&log);
    connect(&mut before, &log, id, "c1", 0);
    drop(before);
    let mut after = notifier(&log);
    connect(&mut after, &log, id, "c1", 0);
    let mut sent = 0;
    for tick in 0..200 {
        sent += deliveries(&mut after, &mut log, tick).len();
        if sent > 0 {
            log.ack(id, 1).unwrap();
        }
    }
    assert_eq!(sent, 1);
}

/// CrashAfterSendBeforeAck_AtLeastOnceWithDedupe: two deliveries, one processed.
#[test]
fn crash_after_send_before_ack_is_deduped() {
    let mut log = Log::new();
    let id = log.subscribe("c1", 424_242);
    emit_all(&mut log, id, "payload-", 1);
    let request = log.request(id, "c1", 0);
    let mut receiver = Receiver::new(id, request.client, request.position);
    let (mut raw, mut processed) = (0, 0);
    for life in 0..2 {
        let mut notifier = notifier(&log);
        // The second leader is told what was processed when the first one's connection was made.
        let request = log.request(id, "c1", 0);
        let answer = notifier.handle_reconnect(&log.outbox, &request, Tick::new(0)).unwrap();
        if life == 0 {
            receiver.handle_answer(answer, Term::new(1));
        }
        while let Some(Output::Deliver(delivery)) = notifier.poll(&mut log.outbox, Tick::new(0)) {
            raw += 1;
            if receiver.handle_delivery(&delivery) == Verdict::Process {
                processed += 1;
                receiver.confirm(&delivery);
            }
        }
    }
    assert_eq!((raw, processed), (2, 1));
}

/// Applier_DataEventAndAckFlow: an event gives pending position 1, an acknowledgement of 1 empties it, of epoch and
/// position 0 is refused.
#[test]
fn data_event_and_ack_flow() {
    let mut log = Log::new();
    let id = log.subscribe("c1", 1);
    emit_all(&mut log, id, "d", 1);
    assert_eq!(log.pending(id), events(&[(1, "d1")]));
    assert!(matches!(log.ack(id, 0), Err(Refused::NotEmitted { .. })));
    assert_eq!(log.ack(id, 1), Ok(Applied::Acknowledged { freed: 1 }));
    assert_eq!(log.pending(id), []);
}

/// TwoClients_SameKey_IdenticalSequence: two clients of one topic see one sequence.
#[test]
fn two_clients_of_one_topic_see_one_sequence() {
    let mut log = Log::new();
    let ids = [log.subscribe("a", 5), log.subscribe("b", 5)];
    for payload in ["1", "2", "3"] {
        log.publish(5, payload).unwrap();
    }
    let mut notifier = notifier(&log);
    let mut seen = [Vec::new(), Vec::new()];
    for (id, client) in ids.into_iter().zip(["a", "b"]) {
        connect(&mut notifier, &log, id, client, 0);
    }
    while let Some(Output::Deliver(delivery)) = notifier.poll(&mut log.outbox, Tick::new(0)) {
        let at = usize::from(delivery.subscription == ids[1]);
        seen[at].push(crate::log::told(&delivery));
    }
    assert_eq!(seen[0], events(&[(1, "1"), (2, "2"), (3, "3")]));
    assert_eq!(seen[0], seen[1]);
}

/// The watch and replay tests (1000 subscriptions; subscribe, unsubscribe, subscribe): what was subscribed is there
/// after the log is replayed, and what was not is not.
#[test]
fn subscriptions_survive_a_replay() {
    let mut log = Log::new();
    let ids: Vec<_> =
        (0..1000).map(|at| log.subscribe_as(&format!("c{at}"), at % 10, StallPolicy::Suspend)).collect();
    for &id in ids.iter().step_by(3) {
        log.append(&samestep_emission::Change::Unsubscribe { subscription: id, token: crate::log::TOKEN })
            .unwrap();
    }
    let again = log.subscribe("c0", 0);
    let mut replayed = samestep_emission::Outbox::new();
    for (index, entry) in (1..).zip(&log.entries) {
        let _answer = replayed.apply_entry(samestep_emission::Index::new(index), entry).unwrap();
    }
    assert_eq!(replayed, log.outbox);
    assert_eq!(replayed.subscriptions().len(), 1000 - 334 + 1);
    assert!(replayed.subscription(again).is_some() && replayed.subscription(ids[0]).is_none());
}

/// The options that SevenDB's tests rely on: ticks, not milliseconds.
#[test]
fn delays_are_ticks() {
    assert_eq!(options().resend_ticks_min, 1);
}
