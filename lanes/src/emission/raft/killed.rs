//! The leader killed at every position of the log, and not at all.

use samestep_emission::{Canonicalizer, LineVersion, Numbering, Verdict};
use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};

use super::SETUP;
use super::bus::BusFaults;
use super::cluster::{Cluster, Setup};
use super::drive::{Drive, Plan};
use crate::emission::expect;
use crate::emission::sevendb::{expect_golden, tell_line};
use crate::scenario::{Random, Scenario, tell_faults};

/// SevenDB's three nodes and ten events.
pub(crate) const V1_MULTI_REPLICA_3: Scenario = Scenario {
    name: "emission/v1-multi-replica-3",
    about: "SevenDB's three replicas: 10 events by their places, through three Raft nodes",
    run: multi_replica_3,
};

/// Three and five nodes, the leader killed before it applies each entry in turn.
pub(crate) const LEADER_KILLED: Random = Random(Scenario {
    name: "emission/raft-leader-killed",
    about: "the leader of 3 and of 5 killed at every position of the log: nothing lost, nothing doubled, all agree",
    run: leader_killed,
});

fn multi_replica_3(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let seed = context.seed().fork("multi-replica");
    let faults = BusFaults { delay_ticks_max: 1, lost_one_in: 0 };
    let cluster =
        Cluster::new(Setup { nodes: 3, faults, snapshot_entries: u64::MAX >> 1, checks_quorum: true }, seed)?;
    let mut drive = Drive::new(cluster, seed, 10, Plan::Nothing)?;
    drive.lost_one_in = 0;
    let mut lines = Canonicalizer::new(LineVersion::V1, Numbering::FirstPlaces(10));
    drive.run(|delivery, _| tell_line(&mut lines, delivery, transcript))?;
    let golden: Vec<String> = (1..=10).map(|at| format!("424242|{at}|DATA|delta=val-{}", at - 1)).collect();
    let golden: Vec<&str> = golden.iter().map(String::as_str).collect();
    expect_golden(&lines, transcript, &golden, 0xe253_45c4_1184_0f6f)
}

fn leader_killed(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let mut kills = 0;
    for (nodes, events) in [(3, 6), (5, 3)] {
        let mut index = 1;
        loop {
            let seed = context.seed().fork(&format!("{nodes} nodes, killed at {index}"));
            let mut cluster = Cluster::new(Setup { nodes, ..SETUP }, seed)?;
            cluster.kill_leader_at = Some((index, 120));
            let mut drive = Drive::new(cluster, seed, events, Plan::Nothing)?;
            let mut lines = Canonicalizer::new(LineVersion::V2, Numbering::Own);
            drive.run(|delivery, verdict| {
                if verdict == Verdict::Process {
                    lines.delivery(delivery);
                }
            })?;
            let is_hit = drive.cluster.kill_leader_at.is_none();
            let event = Event::new("killed").field("nodes", nodes).field("at", index).field("hit", is_hit);
            let event = event.field("ticks", drive.cluster.tick).field("deliveries", drive.client.deliveries);
            let event = event.field("duplicates", drive.client.duplicates);
            transcript.event(&event.field("lines", format_args!("{:016x}", lines.digest())));
            if !is_hit {
                // Behind the end of the log.
                expect("every position up to the end", &(index > 2 * events), &true)?;
                break;
            }
            kills += 1;
            index += 1;
        }
    }
    tell_faults(transcript, [("leader-killed", kills)]);
    Ok(())
}
