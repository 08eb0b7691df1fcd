//! Defaults, latencies, and that a seed is a run.

use std::ops::Range;
use std::time::Duration;

use samestep_provider_traits::{NetworkProvider, TcpStream, TimeProvider};
use samestep_sim::{
    ChaosConfiguration, ConnectFailureMode, FaultFamily, LatencyDistribution, NetworkConfiguration,
    NetworkFaults, PartitionStrategy, SimWorld, Tape, WorldConfig, sample_duration, set_sim_seed,
};

use super::{address, on, pair, read_to_end, serve, world_of, write_all};

fn micros(start: u64, end: u64) -> Range<Duration> {
    Duration::from_micros(start)..Duration::from_micros(end)
}

#[test]
fn the_defaults_are_those_of_the_seed() {
    let network = NetworkConfiguration::default();
    assert_eq!(network.bind_latency, micros(50, 150));
    assert_eq!(network.accept_latency, micros(1_000, 6_000));
    assert_eq!(network.connect_latency, micros(1_000, 11_000));
    assert_eq!(network.read_latency, micros(10, 60));
    assert_eq!(network.write_latency, micros(100, 600));
    let chaos = network.chaos;
    assert_eq!(chaos, ChaosConfiguration::default());
    let zero = [chaos.clog_probability, chaos.partition_probability, chaos.packet_loss_probability];
    assert!(zero.iter().all(|probability| *probability == 0.0));
    assert_eq!(chaos.clog_duration, micros(100_000, 300_000));
    assert_eq!(chaos.partition_duration, micros(200_000, 2_000_000));
    assert_eq!(chaos.partition_strategy, PartitionStrategy::Random);
    let close = |one: f64, other: f64| (one - other).abs() < 1e-12;
    assert!(close(chaos.bit_flip_probability, 1e-4));
    assert_eq!((chaos.bit_flip_min_bits, chaos.bit_flip_max_bits), (1, 32));
    assert_eq!(chaos.bit_flip_cooldown, Duration::ZERO);
    assert_eq!((chaos.partial_write_max_bytes, chaos.partial_read_max_bytes), (1_000, 1_000));
    assert!(close(chaos.random_close_probability, 1e-5));
    assert_eq!(chaos.random_close_cooldown, Duration::from_secs(5));
    assert!(close(chaos.random_close_explicit_ratio, 0.3));
    assert!(chaos.clock_drift_enabled && chaos.buggified_delay_enabled);
    assert_eq!(chaos.clock_drift_max, Duration::from_millis(100));
    assert_eq!(chaos.buggified_delay_max, Duration::from_millis(100));
    assert!(close(chaos.buggified_delay_probability, 0.25));
    assert_eq!(chaos.connect_failure_mode, ConnectFailureMode::Probabilistic);
    assert!(close(chaos.connect_failure_probability, 0.5));
    assert_eq!(chaos.max_pair_latency, Duration::ZERO);

    let fast = NetworkConfiguration::fast_local();
    assert_eq!(
        [&fast.bind_latency, &fast.read_latency, &fast.write_latency],
        [&micros(1, 1), &micros(1, 1), &micros(1, 1)]
    );
    assert_eq!([&fast.accept_latency, &fast.connect_latency], [&micros(10, 10), &micros(10, 10)]);
    assert_eq!(fast.chaos, ChaosConfiguration::disabled());
    assert_eq!(fast.chaos.connect_failure_mode, ConnectFailureMode::Disabled);
    assert!(!fast.chaos.clock_drift_enabled && !fast.chaos.buggified_delay_enabled);
}

#[test]
fn a_seed_has_one_random_configuration() {
    let drawn = |seed| {
        set_sim_seed(seed);
        NetworkConfiguration::random_for_seed()
    };
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
    set_sim_seed(3);
    let chaos = ChaosConfiguration::random_for_seed();
    assert_ne!(chaos, ChaosConfiguration::default());
}

#[test]
fn durations_are_sampled_evenly() {
    set_sim_seed(4);
    let range = micros(100, 300);
    let samples: Vec<_> = (0..10_000).map(|_| sample_duration(&range)).collect();
    assert!(samples.iter().all(|sample| range.contains(sample)));
    let mean = samples.iter().sum::<Duration>() / 10_000;
    // 200 µs, with a standard deviation of 0.6.
    assert!(micros(196, 204).contains(&mean), "{mean:?}");
    assert_eq!(sample_duration(&micros(7, 7)), Duration::from_micros(7));
}

/// Latencies of 2,000 messages from one node to another, and how long the attempt to connect took.
fn latencies(config: WorldConfig) -> (Vec<Duration>, Duration) {
    let (world, nodes) = world_of(config, 2);
    let (near, far, listener) = pair(&world, &nodes);
    drop(listener);
    let providers = world.providers(nodes[0]);
    let connected = world.now();
    let latencies = on(&world, nodes[0], async move {
        let mut latencies = Vec::new();
        for _ in 0..2_000 {
            let started = providers.time().now();
            write_all(&near, "x").await;
            far.read(vec![0; 1]).await.0.unwrap();
            latencies.push(providers.time().now() - started);
        }
        latencies
    });
    (latencies, connected)
}

fn shaped(latency_distribution: LatencyDistribution, seed: u64) -> WorldConfig {
    let chaos = ChaosConfiguration {
        latency_distribution,
        slow_latency_probability: 0.05,
        ..ChaosConfiguration::disabled()
    };
    WorldConfig::new(seed).network(NetworkConfiguration { chaos, ..NetworkConfiguration::default() })
}

#[test]
fn latencies_have_their_shapes() {
    // Writes and reads together: 110 to 660 µs.
    let range = micros(110, 660);
    let (uniform, _) = latencies(shaped(LatencyDistribution::Uniform, 1));
    assert!(uniform.iter().all(|latency| range.contains(latency)));
    assert!(uniform.iter().max().unwrap() > &Duration::from_micros(640));
    assert!(uniform.iter().min().unwrap() < &Duration::from_micros(120));
    let (bimodal, _) = latencies(shaped(LatencyDistribution::Bimodal, 1));
    let slow = bimodal.iter().filter(|latency| !range.contains(latency)).count();
    // A twentieth, each ten times as long, of which all are out of the range; the standard deviation is 10.
    assert!((50..=150).contains(&slow), "{slow}");
    let (exponential, _) = latencies(shaped(LatencyDistribution::Exponential, 1));
    let behind = exponential.iter().filter(|latency| **latency >= range.end).count();
    // e^-2 of them are more than twice the mean behind the start: 271 of 2,000, with a standard deviation of 15.
    assert!((200..=340).contains(&behind), "{behind}");
    assert!(exponential.iter().all(|latency| *latency >= range.start));
}

#[test]
fn pairs_have_latencies_of_their_own() {
    let chaos =
        ChaosConfiguration { max_pair_latency: Duration::from_millis(100), ..ChaosConfiguration::disabled() };
    let network = NetworkConfiguration { chaos, ..NetworkConfiguration::fast_local() };
    let mut seen = Vec::new();
    for seed in 0..20 {
        let (latencies, connected) = latencies(WorldConfig::new(seed).network(network.clone()));
        assert!(latencies.iter().all(|latency| *latency == latencies[0]), "it stays");
        let pair = latencies[0] - Duration::from_micros(2);
        assert!(pair < Duration::from_millis(100));
        // There and back, and what binding and connecting take besides.
        assert!((connected - 2 * pair) < Duration::from_micros(50), "{connected:?} {pair:?}");
        seen.push(pair);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 20);
}

/// All kinds of traffic under all kinds of faults.
fn chaotic(config: WorldConfig) -> SimWorld {
    let chaos = ChaosConfiguration {
        clog_probability: 0.02,
        partition_probability: 0.01,
        random_close_probability: 0.002,
        bit_flip_probability: 0.01,
        max_pair_latency: Duration::from_millis(5),
        ..ChaosConfiguration::default()
    };
    let faults = NetworkFaults {
        partitions_per_second: 2.0,
        clogs_per_second: 2.0,
        swizzles_per_second: 1.0,
        closes_per_second: 1.0,
        half_opens_per_second: 0.5,
        slow_links_per_second: 2.0,
        ..NetworkFaults::default()
    };
    let network = NetworkConfiguration { chaos, ..NetworkConfiguration::default() };
    let (world, nodes) = world_of(config.network(network).network_faults(faults), 3);
    serve(&world, nodes[0], |stream| async move {
        let (bytes, _) = read_to_end(&stream).await;
        // The client may be gone.
        let _ = stream.write_all(bytes).await;
    });
    let mut clients: Vec<_> = [1, 2]
        .map(|number| {
            let providers = world.providers(nodes[number]);
            world.spawn(Some(nodes[number]), "client", async move {
                for _ in 0..10 {
                    let connecting = providers.network().connect(address(0, 80));
                    let limit = Duration::from_millis(200);
                    let Some(Ok(stream)) = super::within(&providers, limit, connecting).await else {
                        continue;
                    };
                    let _ = stream.write_all(vec![7; 5_000]).await;
                    let _ = stream.shutdown().await;
                    let _ = read_to_end(&stream).await;
                }
            })
        })
        .into();
    for client in &mut clients {
        world.block_on(client).expect("clients end").unwrap();
    }
    world
}

#[test]
fn a_seed_is_a_run_and_its_tape_another_way_to_it() {
    for seed in 0..10 {
        let world = chaotic(WorldConfig::new(seed).keep_tape());
        let again = chaotic(WorldConfig::new(seed));
        assert_eq!(again.trace_hash(), world.trace_hash());
        let replayed = chaotic(WorldConfig::new(seed).replay(world.tape()));
        assert_eq!(replayed.trace_hash(), world.trace_hash());
        assert_ne!(chaotic(WorldConfig::new(seed + 100)).trace_hash(), world.trace_hash());
    }
}

#[test]
fn an_empty_tape_is_a_network_without_faults_and_with_the_least_latencies() {
    let world = chaotic(WorldConfig::new(1).replay(Tape::new()));
    for family in FaultFamily::ALL {
        assert_eq!(world.faults().count(family), 0, "{family}");
    }
    let (latencies, connected) =
        latencies(WorldConfig::new(1).network(NetworkConfiguration::default()).replay(Tape::new()));
    assert!(latencies.iter().all(|latency| *latency == Duration::from_micros(110)), "{:?}", &latencies[..5]);
    // The least of binding, of connecting, and of accepting, as both ends were waited for.
    assert_eq!(connected, Duration::from_micros(50 + 500 + 1_000));
}
