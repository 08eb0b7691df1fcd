//! SevenDB's emission scenarios, with the lines that its own tests give.
//!
//! The golden lines and hashes are not ours: they follow from the constants of SevenDB's tests by its format,
//! `fingerprint|position|DATA|delta=payload`, and XXH64 over the lines with their breaks.

use samestep_emission::{Answer, Canonicalizer, LineVersion, Numbering, StallPolicy, SubscriptionId, Tick};
use samestep_replay_traits::{LaneContext, LaneError, Transcript};

use super::client::{Client, hand_out};
use super::log::Log;
use super::{expect, tell_answer};
use crate::scenario::Scenario;

/// One event, and a leader that dies before it sends it.
pub(crate) const V1_CRASH_BEFORE_SEND: Scenario = Scenario {
    name: "emission/v1-crash-before-send",
    about: "SevenDB's crash before a send: nothing before it, exactly one delivery after the restart",
    run: crash_before_send,
};

/// One event, and a leader that dies after it sent it.
pub(crate) const V1_CRASH_AFTER_SEND_BEFORE_ACK: Scenario = Scenario {
    name: "emission/v1-crash-after-send-before-ack",
    about: "SevenDB's crash between send and acknowledgement: sent again after the restart",
    run: crash_after_send_before_ack,
};

/// Four events, two acknowledged, moved to another client.
pub(crate) const V1_RECONNECT_OK: Scenario = Scenario {
    name: "emission/v1-reconnect-ok",
    about: "SevenDB's reconnect: 1 to 4, acknowledged 2, rebound, OK and 3 and 4 follow",
    run: reconnect_ok,
};

/// Six events, four of them compacted, moved to another client.
pub(crate) const V1_RECONNECT_STALE: Scenario = Scenario {
    name: "emission/v1-reconnect-stale",
    about: "SevenDB's stale reconnect: compacted at 4, from 2: the snapshot, 5 and 6 follow",
    run: reconnect_stale,
};

/// Six events, five acknowledged, and a client from the future.
pub(crate) const V1_RECONNECT_INVALID: Scenario = Scenario {
    name: "emission/v1-reconnect-invalid",
    about: "SevenDB's invalid reconnect: acknowledged 5, from 10: 6 follows",
    run: reconnect_invalid,
};

/// Eight events on one node.
pub(crate) const V1_SINGLE_NODE: Scenario = Scenario {
    name: "emission/v1-single-node",
    about: "SevenDB's single-node symmetry: 8 events by their places, in three runs",
    run: single_node,
};

fn crash_before_send(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let (mut log, id) = one_event(context)?;
    let mut before = log.notifier()?;
    let mut client = Client::new(id, "c1")?;
    client.connect(&mut before, &log.outbox, Tick::new(0))?;
    // The leader dies with the event in its hands.
    drop(before);
    log = log.restart()?;
    let mut lines = Canonicalizer::new(LineVersion::V1, Numbering::Own);
    let mut after = log.notifier()?;
    client.connect(&mut after, &log.outbox, Tick::new(0))?;
    for tick in 0..200 {
        hand_out(&mut after, &mut log.outbox, Tick::new(tick), |delivery| {
            client.receive(delivery);
            tell_line(&mut lines, delivery, transcript);
        })?;
        if let Some(through) = client.receiver.poll_ack() {
            log.acknowledge(id, through.get())?;
        }
    }
    expect("processed", &client.processed, &vec![(1, b"payload-1".to_vec())])?;
    expect_golden(&lines, transcript, &["424242|1|DATA|delta=payload-1"], 0x0bec_c155_7e8c_6273)
}

fn crash_after_send_before_ack(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let (mut log, id) = one_event(context)?;
    let mut lines = Canonicalizer::new(LineVersion::V1, Numbering::FirstPlaces(2));
    for _ in 0..2 {
        let mut notifier = log.notifier()?;
        // A client that has not written down what it processed asks for everything again.
        let mut client = Client::new(id, "c1")?;
        client.connect(&mut notifier, &log.outbox, Tick::new(0))?;
        hand_out(&mut notifier, &mut log.outbox, Tick::new(0), |delivery| {
            tell_line(&mut lines, delivery, transcript);
        })?;
        drop(notifier);
        log = log.restart()?;
    }
    let golden = ["424242|1|DATA|delta=payload-1", "424242|2|DATA|delta=payload-1"];
    expect_golden(&lines, transcript, &golden, 0xe492_4cdc_74ec_ab8d)
}

fn reconnect_ok(_: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let (mut log, id) = events("old", 77, &["x1", "x2", "x3", "x4"])?;
    log.acknowledge(id, 2)?;
    rebind(&mut log, id, "old", "new")?;
    let lines = resume(&mut log, id, "new", 2, transcript)?;
    let golden = ["77|3|DATA|delta=x3", "77|4|DATA|delta=x4"];
    expect_golden(&lines, transcript, &golden, 0x9d48_7ef4_159a_efa1)
}

fn reconnect_stale(_: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let (mut log, id) = events("old", 7, &["d1", "d2", "d3", "d4", "d5", "d6"])?;
    log.compact(id, 4, b"SNAPSHOT@4")?;
    rebind(&mut log, id, "old", "cli")?;
    let lines = resume(&mut log, id, "cli", 2, transcript)?;
    let golden = ["7|4|DATA|delta=SNAPSHOT@4", "7|5|DATA|delta=d5", "7|6|DATA|delta=d6"];
    expect_golden(&lines, transcript, &golden, 0xd334_6d62_2def_07b2)
}

fn reconnect_invalid(_: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let (mut log, id) = events("old", 9, &["v1", "v2", "v3", "v4", "v5", "v6"])?;
    log.acknowledge(id, 5)?;
    rebind(&mut log, id, "old", "cli")?;
    let lines = resume(&mut log, id, "cli", 10, transcript)?;
    expect_golden(&lines, transcript, &["9|6|DATA|delta=v6"], 0x1062_16a6_4639_535a)
}

fn single_node(_: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let golden: Vec<String> = (1..=8).map(|at| format!("424242|{at}|DATA|delta=val-{}", at - 1)).collect();
    let golden: Vec<&str> = golden.iter().map(String::as_str).collect();
    for _ in 0..3 {
        let payloads: Vec<String> = (0..8).map(|at| format!("val-{at}")).collect();
        let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
        let (mut log, id) = events("c1", 424_242, &payloads)?;
        let mut lines = Canonicalizer::new(LineVersion::V1, Numbering::FirstPlaces(8));
        let mut notifier = log.notifier()?;
        let mut client = Client::new(id, "c1")?;
        client.connect(&mut notifier, &log.outbox, Tick::new(0))?;
        let mut run = Transcript::new();
        hand_out(&mut notifier, &mut log.outbox, Tick::new(0), |delivery| {
            tell_line(&mut lines, delivery, &mut run);
        })?;
        expect_golden(&lines, &run, &golden, 0xb0b0_9f07_edec_1f7e)?;
        run.lines().for_each(|line| transcript.line(line));
    }
    Ok(())
}

/// A log on real files with the event of the crash scenarios.
fn one_event(context: &LaneContext) -> Result<(Log, SubscriptionId), LaneError> {
    let mut log = Log::open(&context.scratch().join("log"))?;
    log.start_epoch(1)?;
    let id = log.subscribe("c1", 424_242, StallPolicy::Suspend)?;
    log.emit(id, b"payload-1")?;
    Ok((log, id))
}

fn events(client: &str, fingerprint: u64, payloads: &[&str]) -> Result<(Log, SubscriptionId), LaneError> {
    let mut log = Log::in_memory();
    log.start_epoch(1)?;
    let id = log.subscribe(client, fingerprint, StallPolicy::Suspend)?;
    for payload in payloads {
        log.emit(id, payload.as_bytes())?;
    }
    Ok((log, id))
}

fn rebind(log: &mut Log, subscription: SubscriptionId, from: &str, to: &str) -> Result<(), LaneError> {
    let (token, next_token) = (super::TOKEN, super::TOKEN);
    let (from, to) = (from.as_bytes(), to.as_bytes());
    log.append(&samestep_emission::Change::Rebind { subscription, from, token, to, next_token })?;
    Ok(())
}

/// A client that claims to have processed up to `seq` reconnects, and gets what follows.
fn resume(
    log: &mut Log,
    id: SubscriptionId,
    name: &str,
    seq: u64,
    transcript: &mut Transcript,
) -> Result<Canonicalizer, LaneError> {
    let mut client = Client::new(id, name)?.claiming(1, seq);
    let mut notifier = log.notifier()?;
    let (answer, _) = client.connect(&mut notifier, &log.outbox, Tick::new(0))?;
    let mut lines = Canonicalizer::new(LineVersion::V1, Numbering::Own);
    hand_out(&mut notifier, &mut log.outbox, Tick::new(0), |delivery| {
        client.receive(delivery);
        tell_line(&mut lines, delivery, transcript);
    })?;
    expect("processed", &(client.processed.len() as u64), &lines.line_count())?;
    let (Answer::Ok { next } | Answer::Stale { next, .. } | Answer::Invalid { next, .. }) = answer else {
        return Err(LaneError::failed("the subscription was not found"));
    };
    expect("first position", &client.processed.first().map(|(seq, _)| *seq), &Some(next.get()))?;
    let mut told = Transcript::new();
    tell_answer(&mut told, answer);
    Ok(lines)
}

/// Writes the line of `delivery`, unless the numbering leaves it out.
pub(super) fn tell_line(
    lines: &mut Canonicalizer,
    delivery: &samestep_emission::Delivery<'_>,
    transcript: &mut Transcript,
) {
    if let Some(line) = lines.delivery(delivery) {
        transcript.line(&String::from_utf8_lossy(line));
    }
}

/// Fails the lane unless the lines are SevenDB's, and so is their hash.
pub(super) fn expect_golden(
    lines: &Canonicalizer,
    transcript: &Transcript,
    golden: &[&str],
    digest: u64,
) -> Result<(), LaneError> {
    expect("lines", &transcript.lines().collect::<Vec<_>>(), &golden.to_vec())?;
    expect("XXH64", &lines.digest(), &digest)
}
