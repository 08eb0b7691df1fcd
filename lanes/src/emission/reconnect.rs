//! Reconnects that SevenDB cannot answer, or answers wrongly.

use samestep_emission::{
    Answer, Canonicalizer, Change, LineVersion, Numbering, Resumption, Seq, StallPolicy, Tick,
};
use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};

use super::client::{Client, hand_out};
use super::log::Log;
use super::sevendb::tell_line;
use super::{TOKEN, expect, tell_answer};
use crate::scenario::Scenario;

/// Subscriptions that ended, never were, or are another client's.
pub(crate) const NOT_FOUND: Scenario = Scenario {
    name: "emission/reconnect-not-found",
    about: "unsubscribed, never subscribed, another client's, rebound: NOT_FOUND, and subscribing anew begins anew",
    run: not_found,
};

/// Acknowledgements that never arrived.
pub(crate) const LOST_ACK: Scenario = Scenario {
    name: "emission/reconnect-lost-ack",
    about: "events processed whose acknowledgements were lost, at every position: OK, nothing twice, acknowledged again",
    run: lost_ack,
};

/// Positions that nobody emitted.
pub(crate) const UNKNOWN_FUTURE: Scenario = Scenario {
    name: "emission/reconnect-unknown-future",
    about: "positions and epochs from the future, with and without acknowledgements: INVALID, and nothing is hidden",
    run: unknown_future,
};

fn not_found(_: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let mut log = Log::in_memory();
    log.start_epoch(1)?;
    let gone = log.subscribe("gone", 1, StallPolicy::Suspend)?;
    let moved = log.subscribe("old", 2, StallPolicy::Suspend)?;
    let other = log.subscribe("other", 3, StallPolicy::Suspend)?;
    for id in [gone, moved, other] {
        log.emit(id, b"x")?;
    }
    log.append(&Change::Unsubscribe { subscription: gone, token: TOKEN })?;
    log.append(&Change::Rebind {
        subscription: moved,
        from: b"old",
        token: TOKEN,
        to: b"new",
        next_token: TOKEN,
    })?;
    let mut notifier = log.notifier()?;
    let never = samestep_emission::SubscriptionId::new(99);
    for (id, name) in [(gone, "gone"), (moved, "old"), (other, "nobody"), (never, "gone")] {
        for seq in [0, 1, 7] {
            let mut client = Client::new(id, name)?.claiming(u64::from(seq > 0), seq);
            let (answer, resumption) = client.connect(&mut notifier, &log.outbox, Tick::new(0))?;
            expect("answer", &answer, &Answer::NotFound)?;
            expect("resumption", &resumption, &Resumption::Gone)?;
            tell_answer(transcript, answer);
        }
    }
    expect("sent", &hand_out(&mut notifier, &mut log.outbox, Tick::new(0), |_| {})?, &0)?;
    expect("counted", &notifier.metrics(&log.outbox).reconnects.not_found, &12)?;
    let again = log.subscribe("gone", 1, StallPolicy::Suspend)?;
    log.emit(again, b"y")?;
    let mut client = Client::new(again, "gone")?;
    let (answer, _) = client.connect(&mut notifier, &log.outbox, Tick::new(1))?;
    tell_answer(transcript, answer);
    hand_out(&mut notifier, &mut log.outbox, Tick::new(1), |delivery| {
        client.receive(delivery);
    })?;
    expect("processed", &client.processed, &vec![(1, b"y".to_vec())])
}

/// Of ten events the first `acked` are acknowledged and the first `processed` processed, for all pairs.
fn lost_ack(_: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    for acked in 0..=10 {
        for processed in acked..=10 {
            let mut log = Log::in_memory();
            log.start_epoch(1)?;
            let id = log.subscribe("c", 5, StallPolicy::Suspend)?;
            for at in 1..=10 {
                log.emit(id, format!("event {at}").as_bytes())?;
            }
            if acked > 0 {
                log.acknowledge(id, acked)?;
            }
            let mut client = Client::new(id, "c")?.claiming(u64::from(processed > 0), processed);
            let mut notifier = log.notifier()?;
            let (answer, _) = client.connect(&mut notifier, &log.outbox, Tick::new(0))?;
            expect("answer", &answer, &Answer::Ok { next: Seq::new(processed + 1) })?;
            let again = client.receiver.poll_ack().map(Seq::get);
            expect("acknowledged again", &again, &Some(processed).filter(|&seq| seq > 0))?;
            hand_out(&mut notifier, &mut log.outbox, Tick::new(0), |delivery| {
                client.receive(delivery);
            })?;
            let expected: Vec<(u64, Vec<u8>)> =
                (processed + 1..=10).map(|at| (at, format!("event {at}").into_bytes())).collect();
            expect("processed", &client.processed, &expected)?;
            expect("duplicates", &client.duplicates, &0)?;
            transcript.event(
                &Event::new("lost")
                    .field("acked", acked)
                    .field("processed", processed)
                    .field("sent", expected.len()),
            );
        }
    }
    Ok(())
}

fn unknown_future(_: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    for acked in [0, 3, 6] {
        for (epoch, seq) in [(1, 7), (1, u64::MAX - 1), (1, u64::MAX), (2, 7), (9, 4), (u64::MAX, 6), (3, 0)]
        {
            let mut log = Log::in_memory();
            log.start_epoch(1)?;
            let id = log.subscribe("c", 5, StallPolicy::Suspend)?;
            for at in 1..=6 {
                log.emit(id, format!("event {at}").as_bytes())?;
            }
            if acked > 0 {
                log.acknowledge(id, acked)?;
            }
            let mut client = Client::new(id, "c")?.claiming(epoch, seq);
            let mut notifier = log.notifier()?;
            let (answer, resumption) = client.connect(&mut notifier, &log.outbox, Tick::new(0))?;
            let is_right = matches!(answer, Answer::Invalid { next, .. } if next == Seq::new(acked + 1));
            expect("INVALID", &is_right, &true)?;
            expect("resumption", &resumption, &Resumption::Diverged { next: Seq::new(acked + 1) })?;
            tell_answer(transcript, answer);
            let mut lines = Canonicalizer::new(LineVersion::V2, Numbering::Own);
            hand_out(&mut notifier, &mut log.outbox, Tick::new(0), |delivery| {
                client.receive(delivery);
                tell_line(&mut lines, delivery, transcript);
            })?;
            // All that is there reaches it, however far ahead it said it was.
            expect("processed", &(client.processed.len() as u64), &(6 - acked))?;
        }
    }
    Ok(())
}
