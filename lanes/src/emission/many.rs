//! Many subscriptions of many clients at a time.

use samestep_emission::{
    Canonicalizer, Change, Fingerprint, LineVersion, Numbering, StallPolicy, Target, Tick,
};
use samestep_replay_traits::{LaneContext, LaneError, Transcript};

use super::client::{Client, hand_out};
use super::dice::Dice;
use super::expect;
use super::log::Log;
use super::sevendb::tell_line;
use crate::scenario::{Random, Scenario};

/// Twelve clients, four topics each, events to topics and to single subscriptions, acknowledged in no order.
pub(crate) const MANY_CLIENTS: Random = Random(Scenario {
    name: "emission/many-clients",
    about: "12 clients with 4 subscriptions each: every one gets its own sequence, whole and in order",
    run: many_clients,
});

fn many_clients(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let mut dice = Dice::new(context.seed().fork("many-clients"));
    let mut log = Log::in_memory();
    log.start_epoch(1)?;
    let mut clients = Vec::new();
    let mut expected = Vec::new();
    let mut topics = Vec::new();
    for name in 0..12 {
        for topic in 0..4 {
            let name = format!("client {name}");
            let topic = (dice.below(2) + topic * 2) % 8;
            // Two draws may give one topic: then it is one subscription.
            let id = log.subscribe(&name, topic, StallPolicy::Suspend)?;
            if clients.iter().all(|client: &Client| client.receiver.request().subscription != id) {
                clients.push(Client::new(id, &name)?);
                expected.push(Vec::new());
                topics.push(topic);
            }
        }
    }
    let mut notifier = log.notifier()?;
    for client in &mut clients {
        client.connect(&mut notifier, &log.outbox, Tick::new(0))?;
    }
    let mut lines = Canonicalizer::new(LineVersion::V2, Numbering::Own);
    for tick in 1..=60 {
        for _ in 0..dice.below(4) {
            let payload = dice.bytes(12);
            let at = usize::try_from(dice.below(clients.len() as u64))?;
            let target = if dice.one_in(3) {
                Target::Topic(Fingerprint::new(topics[at]))
            } else {
                Target::Subscription(clients[at].receiver.request().subscription)
            };
            log.append(&Change::Emit { target, origin: None, payload: &payload })?;
            for (place, events) in expected.iter_mut().enumerate() {
                let is_meant = match target {
                    Target::Topic(fingerprint) => fingerprint.get() == topics[place],
                    Target::Subscription(_) => place == at,
                };
                if is_meant {
                    events.push((events.len() as u64 + 1, payload.clone()));
                }
            }
        }
        hand_out(&mut notifier, &mut log.outbox, Tick::new(tick), |delivery| {
            tell_line(&mut lines, delivery, transcript);
            for client in &mut clients {
                client.receive(delivery);
            }
        })?;
        for client in &mut clients {
            if dice.one_in(3)
                && let Some(through) = client.receiver.poll_ack()
            {
                log.acknowledge(client.receiver.request().subscription, through.get())?;
            }
        }
    }
    for (client, expected) in clients.iter().zip(&expected) {
        expect("processed", &client.processed, expected)?;
    }
    Ok(())
}
