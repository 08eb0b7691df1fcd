//! A leader that does not know that it was replaced, and a follower that leads from a snapshot.

use samestep_emission::{Canonicalizer, LineVersion, Numbering, Verdict};
use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};

use super::SETUP;
use super::cluster::{Cluster, Setup};
use super::drive::{Drive, Fault, Plan};
use crate::emission::expect;
use crate::scenario::Scenario;

/// Two nodes that both think they lead, and both send.
pub(crate) const PARTITIONED_LEADER: Scenario = Scenario {
    name: "emission/raft-partitioned-leader",
    about: "a leader cut off goes on sending beside its successor: the client listens to one, and gets each event once",
    run: partitioned_leader,
};

/// A node that was away so long that the log is gone.
pub(crate) const SNAPSHOT_FAILOVER: Scenario = Scenario {
    name: "emission/raft-snapshot-failover",
    about: "a follower away for longer than the log, a snapshot installed on it, and then it leads",
    run: snapshot_failover,
};

fn partitioned_leader(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let mut fenced = 0;
    for number in 0..6 {
        let seed = context.seed().fork("partition").fork(&number.to_string());
        // It never finds out by itself.
        let mut drive = Drive::new(
            Cluster::new(Setup { checks_quorum: false, ..SETUP }, seed)?,
            seed,
            12,
            Plan::Nothing,
        )?;
        let mut lines = Canonicalizer::new(LineVersion::V2, Numbering::Own);
        let mut tell = |delivery: &samestep_emission::Delivery<'_>, verdict| {
            if verdict == Verdict::Process {
                lines.delivery(delivery);
            }
        };
        // Events are under way, sent and not acknowledged.
        while drive.client.processed.len() < 3 + number {
            drive.step(&mut tell)?;
        }
        let old = drive.cluster.leader().ok_or_else(|| LaneError::failed("nobody leads"))?;
        let epoch_before = drive.cluster.outbox(old).map(|outbox| outbox.reign().epoch);
        drive.befall(old, Fault::Partition);
        let mut both = 0;
        for _ in 0..100 {
            drive.step(&mut tell)?;
            let serving = drive
                .cluster
                .ids()
                .into_iter()
                .filter(|&id| drive.cluster.node(id).is_some_and(|node| node.serves()));
            both += u64::from(serving.count() == 2);
        }
        expect("two thought that they lead", &(both > 0), &true)?;
        let epoch = drive.cluster.outbox(old).map(|outbox| outbox.reign().epoch);
        expect("the old leader's epoch", &epoch, &epoch_before)?;
        drive.run(&mut tell)?;
        fenced += drive.client.fenced;
        let event =
            Event::new("partition").field("old", old).field("both", both).field("ticks", drive.cluster.tick);
        let event =
            event.field("deliveries", drive.client.deliveries).field("duplicates", drive.client.duplicates);
        let event = event.field("fenced", drive.client.fenced);
        transcript.event(&event.field("lines", format_args!("{:016x}", lines.digest())));
    }
    expect("a deposed leader was not listened to", &(fenced > 0), &true)
}

fn snapshot_failover(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let mut led_from_snapshot = 0;
    for number in 0..6 {
        let seed = context.seed().fork("install").fork(&number.to_string());
        let mut drive = Drive::new(Cluster::new(SETUP, seed)?, seed, 40, Plan::Nothing)?;
        let mut ignore = |_: &samestep_emission::Delivery<'_>, _| {};
        while drive.client.processed.len() < 3 {
            drive.step(&mut ignore)?;
        }
        // Node 1 waits the shortest for elections: it leads first, and again when it can.
        let away = 1;
        let before = drive.cluster.node(away).map_or(0, |node| node.snapshot_index());
        drive.cluster.kill(away, 300);
        while drive.cluster.node(away).is_none() {
            drive.step(&mut ignore)?;
        }
        let kept = drive
            .cluster
            .ids()
            .into_iter()
            .map(|id| drive.cluster.node(id).map_or(0, |node| node.snapshot_index()));
        let gone = kept.max().unwrap_or(0);
        // What it lacks is in no log any more.
        let lacks = drive.cluster.outbox(away).map_or(0, |outbox| outbox.applied().get());
        expect("the log is gone", &(lacks < gone), &true)?;
        while drive.cluster.outbox(away).is_none_or(|outbox| outbox.applied().get() < gone) {
            drive.step(&mut ignore)?;
        }
        let installed = drive.cluster.node(away).map_or(0, |node| node.snapshot_index());
        expect("it took a snapshot", &(installed >= gone), &true)?;
        if let Some(leader) = drive.cluster.leader().filter(|&leader| leader != away) {
            drive.cluster.kill(leader, 200);
        }
        let leader = loop {
            drive.step(&mut ignore)?;
            if let Some(leader) = drive.cluster.leader() {
                break leader;
            }
        };
        led_from_snapshot += u64::from(leader == away);
        drive.run(&mut ignore)?;
        let event = Event::new("install").field("before", before).field("installed", installed);
        let event = event.field("leader", leader).field("ticks", drive.cluster.tick);
        transcript.event(&event.field("duplicates", drive.client.duplicates));
    }
    expect("it led", &(led_from_snapshot > 0), &true)
}
