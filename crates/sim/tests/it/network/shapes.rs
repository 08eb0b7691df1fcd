//! Which links a partition closes, and when partitions come by themselves.

use std::collections::BTreeSet;
use std::time::Duration;

use samestep_sim::{
    NetworkFaults, NodeId, Partition, PartitionStrategy, SimNetwork, SimTime, SimWorld, WorldConfig,
};

use super::world_of;

/// The links of five nodes that are closed, by number.
fn closed(network: &SimNetwork, nodes: &[NodeId]) -> BTreeSet<(usize, usize)> {
    let pairs = (0..nodes.len()).flat_map(|from| (0..nodes.len()).map(move |to| (from, to)));
    pairs.filter(|(from, to)| network.is_partitioned(nodes[*from], nodes[*to])).collect()
}

fn both_ways(pairs: &[(usize, usize)]) -> BTreeSet<(usize, usize)> {
    pairs.iter().flat_map(|(one, other)| [(*one, *other), (*other, *one)]).collect()
}

#[test]
fn each_partition_closes_its_links() {
    let (world, n) = world_of(WorldConfig::new(1), 5);
    let side = [(0, 1), (0, 2), (0, 3), (4, 1), (4, 2), (4, 3)];
    for (partition, expected) in [
        (Partition::Pair(n[1], n[3]), both_ways(&[(1, 3)])),
        (Partition::OneWay { from: n[1], to: n[3] }, [(1, 3)].into()),
        (Partition::Isolate(n[2]), both_ways(&[(2, 0), (2, 1), (2, 3), (2, 4)])),
        (Partition::SendFrom(n[2]), [(2, 0), (2, 1), (2, 3), (2, 4)].into()),
        (Partition::ReceiveTo(n[2]), [(0, 2), (1, 2), (3, 2), (4, 2)].into()),
        (Partition::Side(vec![n[0], n[4]]), both_ways(&side)),
        (
            Partition::Between(vec![n[0], n[1]], vec![n[3], n[4]]),
            both_ways(&[(0, 3), (0, 4), (1, 3), (1, 4)]),
        ),
        (Partition::Ring(n.clone()), both_ways(&[(0, 2), (0, 3), (1, 3), (1, 4), (2, 4)])),
    ] {
        let id = world.network().partition(&partition);
        assert_eq!(closed(&world.network(), &n), expected, "{partition:?}");
        world.network().heal(id);
        assert!(closed(&world.network(), &n).is_empty());
    }
}

/// What partitions of a strategy that come by themselves close, over many of them.
fn drawn(strategy: PartitionStrategy) -> Vec<BTreeSet<(usize, usize)>> {
    let mut seen = Vec::new();
    for seed in 0..20 {
        let faults = NetworkFaults {
            partitions_per_second: 5.0,
            partition_strategies: vec![strategy],
            ..NetworkFaults::default()
        };
        let (world, nodes) = world_of(WorldConfig::new(seed).network_faults(faults), 5);
        world.network().set_groups(vec![vec![nodes[0], nodes[1]], vec![nodes[2], nodes[3], nodes[4]]]);
        let mut before = BTreeSet::new();
        // None lasts less than 200 ms.
        for step in 0..100 {
            world.run_until(SimTime::from_nanos(step * 100_000_000));
            let now = closed(&world.network(), &nodes);
            if now != before && !now.is_empty() {
                seen.push(now.clone());
            }
            before = now;
        }
    }
    assert!(seen.len() > 60, "{strategy:?} came {} times", seen.len());
    seen
}

/// How many others each node reaches, and is reached by.
fn reach(closed: &BTreeSet<(usize, usize)>) -> Vec<usize> {
    (0..5).map(|node| (0..5).filter(|to| *to != node && !closed.contains(&(node, *to))).count()).collect()
}

#[test]
fn strategies_part_the_nodes_as_they_say() {
    let count_of =
        |sets: &[BTreeSet<(usize, usize)>]| sets.iter().map(BTreeSet::len).collect::<BTreeSet<_>>();
    // Sides of 1 and 4 nodes have 4 pairs, those of 2 and 3 have 6.
    assert_eq!(count_of(&drawn(PartitionStrategy::Random)), [8, 12].into());
    assert_eq!(count_of(&drawn(PartitionStrategy::UniformSize)), [8, 12].into());
    assert_eq!(count_of(&drawn(PartitionStrategy::IsolateSingle)), [8].into());
    assert_eq!(count_of(&drawn(PartitionStrategy::MajorityMinority)), [12].into());
    assert_eq!(count_of(&drawn(PartitionStrategy::Pair)), [2].into());
    assert_eq!(count_of(&drawn(PartitionStrategy::OneWay)), [1].into());
    let groups = drawn(PartitionStrategy::Group);
    let expected = both_ways(&[(0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4)]);
    assert!(groups.iter().all(|closed| *closed == expected));
    for closed in drawn(PartitionStrategy::Bridge) {
        let mut reach = reach(&closed);
        reach.sort_unstable();
        assert_eq!(reach, [2, 2, 2, 2, 4], "two pairs, and one that sees all");
    }
    for strategy in [PartitionStrategy::Ring, PartitionStrategy::MajorityRing] {
        for closed in drawn(strategy) {
            // With itself each sees three of five, a majority.
            assert_eq!(reach(&closed), [2; 5], "{closed:?}");
            let seen: BTreeSet<Vec<usize>> =
                (0..5).map(|node| (0..5).filter(|to| !closed.contains(&(node, *to))).collect()).collect();
            assert_eq!(seen.len(), 5, "two nodes see the same majority");
        }
    }
}

/// Times at which there was a partition, and at which there was none, in a row.
fn phases(world: &SimWorld, nodes: &[NodeId], millis: u64) -> Vec<(bool, u64)> {
    let mut phases: Vec<(bool, u64)> = Vec::new();
    for millisecond in 0..millis {
        world.run_until(SimTime::from_nanos(millisecond * 1_000_000));
        let is_closed = !closed(&world.network(), nodes).is_empty();
        match phases.last_mut() {
            Some((before, length)) if *before == is_closed => *length += 1,
            _ => phases.push((is_closed, 1)),
        }
    }
    phases
}

#[test]
fn partitions_last_and_pause_as_long_as_they_should() {
    let faults = NetworkFaults {
        partitions_per_second: 50.0,
        partition_duration: Duration::from_millis(300)..Duration::from_millis(400),
        partition_pause: Duration::from_millis(150)..Duration::from_millis(200),
        partition_strategies: vec![PartitionStrategy::IsolateSingle],
        ..NetworkFaults::default()
    };
    let (world, nodes) = world_of(WorldConfig::new(5).network_faults(faults), 3);
    let phases = phases(&world, &nodes, 30_000);
    assert!(phases.len() > 75, "{phases:?}");
    for (is_closed, millis) in &phases[1..phases.len() - 1] {
        let expected = if *is_closed { 298..402 } else { 148..500 };
        assert!(expected.contains(millis), "{is_closed} for {millis} ms");
    }
}

#[test]
fn rates_are_those_of_simulated_time() {
    let faults = NetworkFaults {
        partitions_per_second: 2.0,
        partition_duration: Duration::from_millis(2)..Duration::from_millis(3),
        partition_pause: Duration::ZERO..Duration::ZERO,
        partition_strategies: vec![PartitionStrategy::IsolateSingle],
        ..NetworkFaults::default()
    };
    let (world, nodes) = world_of(WorldConfig::new(5).network_faults(faults), 3);
    let count = phases(&world, &nodes, 50_000).iter().filter(|(is_closed, _)| *is_closed).count();
    // 100 expected, with a standard deviation of 10, and a few that came while there was one.
    assert!((60..=140).contains(&count), "{count}");
}

#[test]
fn the_end_of_faults_ends_them() {
    let faults = NetworkFaults { partitions_per_second: 50.0, ..NetworkFaults::default() };
    let (world, nodes) = world_of(WorldConfig::new(5).network_faults(faults), 3);
    world.run_until(SimTime::from_nanos(1_000_000_000));
    world.network().end_faults();
    assert_eq!(world.pending_event_count() > 0, world.has_pending_events(), "an arrival is left");
    for millisecond in 1_000..5_000 {
        world.run_until(SimTime::from_nanos(millisecond * 1_000_000));
        assert!(closed(&world.network(), &nodes).is_empty());
    }
}
