//! The leader dies around a send, and the client comes back with each possible position.

use samestep_emission::{
    Answer, Canonicalizer, Change, LineVersion, Numbering, Restart, StallPolicy, SubscriptionId, Tick,
};
use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};

use super::client::{Client, hand_out};
use super::log::Log;
use super::sevendb::tell_line;
use super::{TOKEN, expect, tell_answer};
use crate::scenario::Scenario;

/// Two crash windows, four outcomes, same leader or another.
pub(crate) const CRASH_POINTS: Scenario = Scenario {
    name: "emission/crash-points",
    about: "crash before send and before acknowledgement, crossed with OK, STALE, INVALID, NOT_FOUND and a new leader",
    run: crash_points,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Window {
    BeforeSend,
    AfterSendBeforeAck,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Ok,
    Stale,
    Invalid,
    NotFound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    SameTerm,
    NewLeader,
}

fn crash_points(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let mut number = 0;
    for window in [Window::BeforeSend, Window::AfterSendBeforeAck] {
        for outcome in [Outcome::Ok, Outcome::Stale, Outcome::Invalid, Outcome::NotFound] {
            for next in [Next::SameTerm, Next::NewLeader] {
                number += 1;
                let event = Event::new("crash").field("window", format_args!("{window:?}"));
                let event = event.field("outcome", format_args!("{outcome:?}"));
                transcript.event(&event.field("next", format_args!("{next:?}")));
                let log = Log::open(&context.scratch().join(format!("log-{number}")))?;
                crash(log, (window, outcome, next), transcript)?;
            }
        }
    }
    Ok(())
}

fn crash(
    mut log: Log,
    (window, outcome, next): (Window, Outcome, Next),
    transcript: &mut Transcript,
) -> Result<(), LaneError> {
    log.start_epoch(1)?;
    let id = log.subscribe("c", 8, StallPolicy::Suspend)?;
    let mut client = Client::new(id, "c")?;
    let mut lines = Canonicalizer::new(LineVersion::V2, Numbering::Own);
    for at in 1..=4 {
        log.emit(id, format!("event {at}").as_bytes())?;
    }
    // The first two reach the client; of the others it depends.
    let mut leader = log.notifier()?;
    client.connect(&mut leader, &log.outbox, Tick::new(0))?;
    let mut sent = 0;
    hand_out(&mut leader, &mut log.outbox, Tick::new(0), |delivery| {
        sent += 1;
        if sent <= 2 || window == Window::AfterSendBeforeAck {
            client.receive(delivery);
            tell_line(&mut lines, delivery, transcript);
        }
    })?;
    log.acknowledge(id, 1)?;
    arrange(&mut log, id, outcome)?;
    drop(leader);
    log = log.restart()?;
    if next == Next::NewLeader {
        log.start_epoch(2)?;
    }
    if outcome == Outcome::Invalid {
        // It has what the log lost, as after a restore from an old copy.
        let seq = client.receiver.position().seq.get();
        client = client.claiming(1, seq + 10);
    }
    let before = client.receiver.position().seq.get();
    let mut leader = log.notifier()?;
    let (answer, _) = client.connect(&mut leader, &log.outbox, Tick::new(1))?;
    tell_answer(transcript, answer);
    let is_right = match outcome {
        Outcome::Ok => matches!(answer, Answer::Ok { next } if next.get() == before + 1),
        Outcome::Stale => {
            matches!(answer, Answer::Stale { restart: Restart::Snapshot, next } if next.get() == 5)
        }
        Outcome::Invalid => matches!(answer, Answer::Invalid { next, .. } if next.get() == 2),
        Outcome::NotFound => answer == Answer::NotFound,
    };
    expect("the answer is right", &is_right, &true)?;
    hand_out(&mut leader, &mut log.outbox, Tick::new(1), |delivery| {
        client.receive(delivery);
        tell_line(&mut lines, delivery, transcript);
    })?;
    let seqs: Vec<u64> = client.processed.iter().map(|(seq, _)| *seq).collect();
    let expected = match (outcome, window) {
        (Outcome::Ok, _) | (Outcome::NotFound, Window::AfterSendBeforeAck) => vec![1, 2, 3, 4],
        // The snapshot at 5 stands for what was dropped.
        (Outcome::Stale, Window::BeforeSend) => vec![1, 2, 5, 6],
        (Outcome::Stale, Window::AfterSendBeforeAck) => vec![1, 2, 3, 4, 5, 6],
        (Outcome::Invalid, Window::BeforeSend) => vec![1, 2, 2, 3, 4],
        (Outcome::Invalid, Window::AfterSendBeforeAck) => vec![1, 2, 3, 4, 2, 3, 4],
        (Outcome::NotFound, Window::BeforeSend) => vec![1, 2],
    };
    expect("processed", &seqs, &expected)
}

/// What else the log says before the crash, so that the client meets `outcome`.
fn arrange(log: &mut Log, id: SubscriptionId, outcome: Outcome) -> Result<(), LaneError> {
    match outcome {
        Outcome::Ok | Outcome::Invalid => Ok(()),
        Outcome::Stale => {
            log.emit(id, b"event 5")?;
            log.emit(id, b"event 6")?;
            log.compact(id, 5, b"snapshot at 5")
        }
        Outcome::NotFound => {
            log.append(&Change::Unsubscribe { subscription: id, token: TOKEN })?;
            Ok(())
        }
    }
}
