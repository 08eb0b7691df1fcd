//! A snapshot of the leader's outbox, installed on a follower that then leads.

use samestep_emission::{
    Canonicalizer, Index, LineVersion, Notifier, NotifierOptions, Numbering, Outbox, StallPolicy, Term, Tick,
};
use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};

use super::client::{Client, hand_out};
use super::expect;
use super::log::Log;
use super::sevendb::tell_line;
use crate::scenario::Scenario;

/// Snapshot at each place of the log, install, fail over, go on.
pub(crate) const SNAPSHOT_INSTALL: Scenario = Scenario {
    name: "emission/snapshot-install",
    about: "snapshot at every entry, installed on a follower that becomes the leader: the client misses and doubles nothing",
    run: snapshot_install,
};

fn snapshot_install(_: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    for at in 0..=12_u64 {
        let mut log = Log::in_memory();
        log.start_epoch(1)?;
        let id = log.subscribe("c", 8, StallPolicy::Suspend)?;
        let mut client = Client::new(id, "c")?;
        let mut leader = log.notifier()?;
        client.connect(&mut leader, &log.outbox, Tick::new(0))?;
        let mut snapshot = None;
        let mut lines = Canonicalizer::new(LineVersion::V2, Numbering::Own);
        for number in 0..12 {
            if number == at {
                snapshot = Some(log.outbox.snapshot());
            }
            log.emit(id, format!("event {number}").as_bytes())?;
            hand_out(&mut leader, &mut log.outbox, Tick::new(number), |delivery| {
                client.receive(delivery);
                tell_line(&mut lines, delivery, transcript);
            })?;
            if number % 3 == 2
                && let Some(through) = client.receiver.poll_ack()
            {
                log.acknowledge(id, through.get())?;
            }
        }
        let snapshot = snapshot.unwrap_or_else(|| log.outbox.snapshot());
        let mut follower = Outbox::restore(&snapshot)?;
        let from = follower.applied();
        let applied = log.replay_into(&mut follower)?;
        expect("equal", &(follower.snapshot() == log.outbox.snapshot()), &true)?;
        transcript.event(&Event::new("installed").field("at", from).field("applied", applied));
        // The leader dies, the follower leads.
        drop(leader);
        let start = samestep_emission::Change::StartEpoch {
            term: Term::new(2),
            node: samestep_emission::NodeId::new(2),
        };
        let next = Index::new(follower.applied().get() + 1);
        follower.apply(next, &start)??;
        let mut leader = Notifier::new(Term::new(2), NotifierOptions::default())?;
        client.connect(&mut leader, &follower, Tick::new(20))?;
        let emit = samestep_emission::Change::Emit {
            target: samestep_emission::Target::Subscription(id),
            origin: None,
            payload: b"after the failover",
        };
        follower.apply(Index::new(next.get() + 1), &emit)??;
        hand_out(&mut leader, &mut follower, Tick::new(20), |delivery| {
            client.receive(delivery);
            tell_line(&mut lines, delivery, transcript);
        })?;
        let seqs: Vec<u64> = client.processed.iter().map(|(seq, _)| *seq).collect();
        expect("processed", &seqs, &(1..=13).collect())?;
    }
    Ok(())
}
