//! Full, and evicted.

use samestep_emission::{
    Answer, Applied, Change, Full, Limits, Origin, ProducerId, Refused, StallPolicy, SubscriptionId, Target,
    Tick,
};
use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};

use super::client::{Client, hand_out};
use super::dice::Dice;
use super::log::Log;
use super::{expect, tell_answer};
use crate::scenario::{Random, Scenario};

/// A slow client, and a producer that tries again.
pub(crate) const BACK_PRESSURE_FULL: Random = Random(Scenario {
    name: "emission/back-pressure-full",
    about: "a producer against a slow client: refused while it is full, proposed again, nothing lost, doubled or reordered",
    run: full,
});

/// A client that is too slow, under the two policies that give up.
pub(crate) const BACK_PRESSURE_EVICTED: Scenario = Scenario {
    name: "emission/back-pressure-evicted",
    about: "a stalled client, coalesced or evicted: STALE, and it goes on from a snapshot",
    run: evicted,
};

const ENTRIES_MAX: u64 = 4;

fn log(stall: StallPolicy) -> Result<(Log, SubscriptionId), LaneError> {
    let mut log = Log::in_memory();
    log.start_epoch(1)?;
    let limits = Limits { subscription_entries_max: ENTRIES_MAX, ..Limits::default() };
    log.append(&Change::Configure(limits))?;
    let id = log.subscribe("slow", 3, stall)?;
    Ok((log, id))
}

fn full(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let mut dice = Dice::new(context.seed().fork("back-pressure"));
    let (mut log, id) = log(StallPolicy::Suspend)?;
    let mut client = Client::new(id, "slow")?;
    let mut notifier = log.notifier()?;
    client.connect(&mut notifier, &log.outbox, Tick::new(0))?;
    let (mut number, mut refusals, mut tick) = (1, 0, 0);
    while client.processed.len() < 50 {
        tick += 1;
        for _ in 0..dice.below(4) {
            let payload = format!("event {number}");
            let origin = Some(Origin { producer: ProducerId::new(1), number });
            let change =
                Change::Emit { target: Target::Subscription(id), origin, payload: payload.as_bytes() };
            match log.try_append(&change)? {
                Ok(Applied::Emitted { .. }) => {
                    // Now and then the answer is lost, and the producer proposes it again.
                    if dice.one_in(3) {
                        expect("proposed twice", &log.try_append(&change)?, &Ok(Applied::Duplicate))?;
                    }
                    number += 1;
                }
                Err(Refused::Full(Full::SubscriptionEntries { subscription })) if subscription == id => {
                    refusals += 1;
                    transcript.event(&Event::new("full").field("tick", tick).field("number", number));
                    break;
                }
                other => return Err(LaneError::failed(format!("neither accepted nor full: {other:?}"))),
            }
        }
        hand_out(&mut notifier, &mut log.outbox, Tick::new(tick), |delivery| {
            client.receive(delivery);
        })?;
        if dice.one_in(3)
            && let Some(through) = client.receiver.poll_ack()
        {
            log.acknowledge(id, through.get())?;
            transcript.event(&Event::new("ack").field("tick", tick).field("through", through));
        }
    }
    let expected: Vec<(u64, Vec<u8>)> =
        (1..=client.processed.len() as u64).map(|at| (at, format!("event {at}").into_bytes())).collect();
    expect("processed", &client.processed, &expected)?;
    expect("was full", &(refusals > 0), &true)
}

fn evicted(_: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    for stall in [StallPolicy::Coalesce, StallPolicy::Evict] {
        let (mut log, id) = log(stall)?;
        let mut client = Client::new(id, "slow")?;
        let mut notifier = log.notifier()?;
        client.connect(&mut notifier, &log.outbox, Tick::new(0))?;
        log.emit(id, b"event 1")?;
        hand_out(&mut notifier, &mut log.outbox, Tick::new(0), |delivery| {
            client.receive(delivery);
        })?;
        // From here on it neither reads nor acknowledges.
        notifier.handle_disconnect(id);
        client.receiver.handle_disconnect();
        for at in 2..=15 {
            log.emit(id, format!("event {at}").as_bytes())?;
            expect("bounded", &(log.outbox.pending_entries() <= ENTRIES_MAX), &true)?;
        }
        let answer = log.outbox.reconnect(&client.receiver.request());
        tell_answer(transcript, answer);
        expect("STALE", &matches!(answer, Answer::Stale { .. }), &true)?;
        if stall == StallPolicy::Evict {
            // Whoever has the state gives a snapshot of it.
            let emitted = log.outbox.subscription(id).map_or(0, |found| found.emitted().get());
            log.compact(id, emitted, format!("state at {emitted}").as_bytes())?;
            log.emit(id, b"event 16")?;
        }
        let (answer, _) = client.connect(&mut notifier, &log.outbox, Tick::new(1))?;
        tell_answer(transcript, answer);
        hand_out(&mut notifier, &mut log.outbox, Tick::new(1), |delivery| {
            client.receive(delivery);
        })?;
        for (seq, payload) in &client.processed {
            transcript.event(&Event::new("processed").field("seq", seq).bytes("payload", payload));
        }
        let expected: Vec<(u64, Vec<u8>)> = match stall {
            StallPolicy::Coalesce => {
                [1, 11, 12, 13, 14, 15].map(|at| (at, format!("event {at}").into_bytes())).to_vec()
            }
            _ => vec![(1, b"event 1".to_vec()), (15, b"state at 15".to_vec()), (16, b"event 16".to_vec())],
        };
        expect("processed", &client.processed, &expected)?;
    }
    Ok(())
}
