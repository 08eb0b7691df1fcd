//! Each family of faults, switched on alone, is seen to change traffic, and is counted; switched off it is neither.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::{NetworkProvider, TcpStream, TimeProvider, UdpSocket};
use samestep_sim::{
    ChaosConfiguration, ConnectFailureMode, FaultFamily, NetworkConfiguration, NetworkFaults, NetworkLimits,
    PartitionStrategy, SimWorld, WorldConfig,
};

use super::{address, read_to_end, serve, within, world_of};

/// A way to switch a family on, from a network without faults.
type Switch = fn(&mut ChaosConfiguration, &mut NetworkFaults);

#[test]
fn each_family_acts_alone_and_is_counted() {
    for (family, switch) in SWITCHES {
        let (mut counts, mut acted_in, mut changed_in) = (0, 0, 0);
        for seed in 0..SEEDS {
            let plain = observe(seed, |_, _| {});
            assert_eq!(plain.counts, [], "seed {seed}: faults without any switched on");
            let faulty = observe(seed, switch);
            let strangers: Vec<_> = faulty.counts.iter().filter(|(other, _)| *other != family).collect();
            assert!(strangers.is_empty(), "{family}, seed {seed}: {strangers:?} acted as well");
            let count = faulty.counts.first().map_or(0, |(_, count)| *count);
            if count == 0 {
                assert_eq!(faulty.seen, plain.seen, "{family}, seed {seed}: changed and not counted");
            }
            acted_in += u64::from(count > 0);
            changed_in += u64::from(faulty.seen != plain.seen);
            counts += count;
        }
        // One that acts on what nobody looks at any more changes nothing.
        assert!(
            acted_in * 2 >= SEEDS && changed_in * 3 >= acted_in * 2,
            "{family}: {counts} times in {acted_in} of {SEEDS} seeds, seen in {changed_in}"
        );
    }
}

#[test]
fn the_defaults_act() {
    let mut total = [0; FaultFamily::ALL.len()];
    for seed in 0..60 {
        let (world, _) = traffic(WorldConfig::new(seed).network(NetworkConfiguration::default()));
        for (family, count) in FaultFamily::ALL.into_iter().zip(&mut total) {
            *count += world.faults().count(family);
        }
    }
    for family in [
        FaultFamily::ConnectRefused,
        FaultFamily::ConnectHang,
        FaultFamily::PartialWrite,
        FaultFamily::PartialRead,
        FaultFamily::BuggifiedDelay,
    ] {
        assert!(total[family as usize] > 0, "{family} never acted");
    }
    for family in [FaultFamily::DatagramLoss, FaultFamily::Partition, FaultFamily::Clog] {
        assert_eq!(total[family as usize], 0, "{family} is off by default");
    }
    // Half of all attempts fail, and half of these hang.
    let (refused, hung) =
        (total[FaultFamily::ConnectRefused as usize], total[FaultFamily::ConnectHang as usize]);
    let attempts = 60 * ATTEMPTS;
    // 1200 attempts: 600 expected to fail, with a standard deviation of 17; six of them.
    assert!((attempts / 2).abs_diff(refused + hung) < 105, "{refused} and {hung} of {attempts}");
    assert!(refused.abs_diff(hung) < 150, "{refused} and {hung}");
}

/// An operation in a hundred thousand closes its connection, and a delivery in ten thousand has flipped bits.
#[test]
fn rare_defaults_act_at_their_rates() {
    let chaos = ChaosConfiguration {
        connect_failure_mode: ConnectFailureMode::Disabled,
        random_close_cooldown: Duration::ZERO,
        partial_read_probability: 0.0,
        partial_write_probability: 0.0,
        ..ChaosConfiguration::default()
    };
    let network = NetworkConfiguration { chaos, ..NetworkConfiguration::fast_local() };
    let (mut closes, mut operations, mut pieces_flipped) = (0, 0, 0);
    for seed in 0..8 {
        let (world, nodes) = world_of(WorldConfig::new(seed).network(network.clone()).keep_trace(), 2);
        serve(&world, nodes[1], |stream| async move {
            loop {
                let (count, buf) = stream.read(vec![0; 8]).await;
                if !matches!(count, Ok(1..)) || stream.write_all(buf).await.0.is_err() {
                    break;
                }
            }
        });
        let client = world.providers(nodes[0]);
        let rounds = super::on(&world, nodes[0], async move {
            let mut rounds = 0_u64;
            client.time().sleep(Duration::from_millis(1)).await;
            while rounds < 12_500 {
                let Ok(stream) = client.network().connect(address(1, 80)).await else { continue };
                while rounds < 12_500 {
                    let sent = stream.write_all(vec![7; 8]).await.0;
                    let answer = within(&client, Duration::from_secs(1), stream.read_exact(vec![0; 8])).await;
                    rounds += 1;
                    if sent.is_err() || !matches!(answer, Some((Ok(()), _))) {
                        break;
                    }
                }
            }
            rounds
        });
        // Two reads and two writes a round.
        operations += 4 * rounds;
        closes += world.faults().count(FaultFamily::RandomClose);
        let faults = world.faults();
        let flips = faults.events().iter().filter(|event| event.family == FaultFamily::BitFlip);
        let mut times: Vec<_> = flips.map(|event| event.time).collect();
        times.dedup();
        pieces_flipped += times.len();
    }
    // 400,000 operations: four closes expected, and none with a chance of 2 %.
    assert!((1..=14).contains(&closes), "{closes} in {operations}");
    // 200,000 deliveries: twenty expected, with a standard deviation of 4.5.
    assert!((5..=40).contains(&pieces_flipped), "{pieces_flipped} in {} pieces", operations / 2);
}

const SWITCHES: [(FaultFamily, Switch); 21] = [
    (FaultFamily::RandomClose, |chaos, _| chaos.random_close_probability = 0.02),
    (FaultFamily::RandomClose, |_, faults| faults.closes_per_second = 10.0),
    (FaultFamily::BitFlip, |chaos, _| chaos.bit_flip_probability = 0.05),
    (FaultFamily::ConnectRefused, |chaos, _| chaos.connect_failure_mode = ConnectFailureMode::AlwaysFail),
    (FaultFamily::PartialWrite, |chaos, _| chaos.partial_write_probability = 0.25),
    (FaultFamily::PartialRead, |chaos, _| chaos.partial_read_probability = 0.25),
    (FaultFamily::Clog, |chaos, _| chaos.clog_probability = 0.02),
    (FaultFamily::Clog, |_, faults| faults.clogs_per_second = 20.0),
    (FaultFamily::Clog, |_, faults| faults.cuts_per_second = 20.0),
    (FaultFamily::Clog, |_, faults| faults.swizzles_per_second = 10.0),
    (FaultFamily::Partition, |chaos, _| chaos.partition_probability = 0.05),
    (FaultFamily::Partition, |chaos, _| {
        chaos.partition_probability = 0.05;
        chaos.partition_strategy = PartitionStrategy::UniformSize;
    }),
    (FaultFamily::Partition, |chaos, _| {
        chaos.partition_probability = 0.05;
        chaos.partition_strategy = PartitionStrategy::IsolateSingle;
    }),
    (FaultFamily::Partition, |_, faults| faults.partitions_per_second = 10.0),
    (FaultFamily::Partition, |_, faults| {
        faults.partitions_per_second = 10.0;
        faults.partition_strategies = vec![PartitionStrategy::OneWay];
    }),
    (FaultFamily::HalfOpen, |_, faults| faults.half_opens_per_second = 10.0),
    (FaultFamily::SlowLink, |_, faults| faults.slow_links_per_second = 20.0),
    (FaultFamily::DatagramLoss, |chaos, _| chaos.packet_loss_probability = 0.05),
    (FaultFamily::DatagramDuplicate, |chaos, _| chaos.packet_duplicate_probability = 0.05),
    (FaultFamily::DatagramReorder, |chaos, _| chaos.packet_reorder_probability = 0.3),
    (FaultFamily::LookupFailure, |chaos, _| chaos.lookup_failure_probability = 0.2),
];

/// What programs saw of a run, and which faults of the network acted in it.
struct Observation {
    seen: Vec<String>,
    counts: Vec<(FaultFamily, u64)>,
}

fn observe(seed: u64, switch: impl FnOnce(&mut ChaosConfiguration, &mut NetworkFaults)) -> Observation {
    let (mut chaos, mut faults) = (ChaosConfiguration::disabled(), NetworkFaults::default());
    switch(&mut chaos, &mut faults);
    let network = NetworkConfiguration { chaos, ..NetworkConfiguration::default() };
    let (world, what) = traffic(WorldConfig::new(seed).network(network).network_faults(faults));
    let faults = world.faults();
    let counts = FaultFamily::ALL.into_iter().map(|family| (family, faults.count(family)));
    Observation { seen: what, counts: counts.filter(|(_, count)| *count > 0).collect() }
}

/// Attempts to connect, streams, datagrams and names between three nodes, and what each of them came to and when.
fn traffic(config: WorldConfig) -> (SimWorld, Vec<String>) {
    let limits = NetworkLimits {
        connect_timeout: Duration::from_millis(800),
        retransmission_timeout: Duration::from_millis(500),
        keep_alive_timeout: Duration::from_secs(1),
        ..NetworkLimits::default()
    };
    let (world, nodes) = world_of(config.network_limits(limits), 3);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let note = {
        let (seen, world) = (Rc::clone(&seen), world.downgrade());
        move |what: String| {
            let now = world.upgrade().unwrap().now();
            seen.borrow_mut().push(format!("{now:?} {what}"));
        }
    };
    for node in &nodes[..2] {
        let note = note.clone();
        serve(&world, *node, move |stream| {
            let note = note.clone();
            async move {
                let (bytes, end) = read_to_end(&stream).await;
                let written = stream.write_all(bytes.clone()).await.0;
                note(format!("served {} {end:?} {written:?}", digest(&bytes)));
            }
        });
    }
    let mut clients = Vec::new();
    for number in [0, 1] {
        let (client, note) = (world.providers(nodes[2]), note.clone());
        clients.push(world.spawn(Some(nodes[2]), "client", async move {
            client.time().sleep(Duration::from_millis(1)).await;
            for attempt in 0..ATTEMPTS / 2 {
                let connecting = client.network().connect(address(number, 80));
                let stream = match within(&client, Duration::from_secs(1), connecting).await {
                    Some(Ok(stream)) => stream,
                    other => {
                        note(format!("connect {:?}", other.map(|end| end.map(|_| ()))));
                        continue;
                    }
                };
                for chunk in 0..4 {
                    let (written, _) = stream.write(vec![chunk; 3_000]).await;
                    note(format!("{attempt} wrote {written:?}"));
                    client.time().sleep(Duration::from_millis(3)).await;
                }
                let ended = stream.shutdown().await;
                loop {
                    let (count, buf) = stream.read(Vec::with_capacity(4096)).await;
                    note(format!("{attempt} {ended:?} read {count:?} {}", digest(&buf)));
                    if !matches!(count, Ok(1..)) {
                        break;
                    }
                }
            }
        }));
    }
    let (sender, receiver) = (world.providers(nodes[0]), world.providers(nodes[1]));
    clients.push(world.spawn(Some(nodes[0]), "sender", async move {
        let socket = sender.network().bind_udp(address(0, 53)).await.unwrap();
        for number in 0..100_u8 {
            socket.send_to(vec![number; 3], address(1, 53)).await.0.unwrap();
            sender.time().sleep(Duration::from_micros(300)).await;
        }
    }));
    let noted = note.clone();
    clients.push(world.spawn(Some(nodes[1]), "receiver", async move {
        let socket = receiver.network().bind_udp(address(1, 53)).await.unwrap();
        while let Some((received, buf)) =
            within(&receiver, Duration::from_secs(2), socket.recv_from(vec![0; 3])).await
        {
            noted(format!("datagram {received:?} {buf:?}"));
        }
    }));
    let asker = world.providers(nodes[2]);
    clients.push(world.spawn(Some(nodes[2]), "asker", async move {
        for _ in 0..20 {
            let found = asker.network().lookup("node-1", 80).await;
            note(format!("looked up {found:?}"));
        }
    }));
    for client in &mut clients {
        world.block_on(client).expect("clients end").unwrap();
    }
    world.run_until_empty();
    let seen = seen.take();
    (world, seen)
}

fn digest(bytes: &[u8]) -> String {
    let sum = bytes.iter().zip(1_u64..).fold(0, |sum, (byte, place)| sum + u64::from(*byte) * place);
    format!("{} bytes ({sum})", bytes.len())
}

const SEEDS: u64 = 6;
const ATTEMPTS: u64 = 20;
