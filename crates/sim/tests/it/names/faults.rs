//! Rows of the seed's table of faults, at their defaults.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use samestep_provider_traits::{TcpListener, TcpStream};
use samestep_sim::{
    ChaosConfiguration, ConnectFailureMode, FaultFamily, NetworkConfiguration, NetworkProvider, NodeId,
    SimWorld, TimeProvider, WorldConfig,
};

const MS: Duration = Duration::from_millis(1);
const FAR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 80);

/// Two nodes, the second of which reads whatever comes; the seed's defaults, but that connections come about.
fn world(seed: u64) -> (SimWorld, NodeId) {
    let chaos = ChaosConfiguration {
        connect_failure_mode: ConnectFailureMode::Disabled,
        ..ChaosConfiguration::default()
    };
    let network = NetworkConfiguration { chaos, ..NetworkConfiguration::default() };
    let world = SimWorld::with_config(WorldConfig::new(seed).network(network));
    let [near, far] = [1, 2].map(|last| world.add_node(&format!("node-{last}"), [10, 0, 0, last].into()));
    let providers = world.providers(far);
    let weak = world.downgrade();
    drop(world.spawn(Some(far), "server", async move {
        let listener = providers.network().bind(FAR).await.unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            let world = weak.upgrade().unwrap();
            drop(world.spawn(Some(far), "reader", async move {
                while let (Ok(1..), _) = stream.read(Vec::with_capacity(8192)).await {}
            }));
        }
    }));
    world.run_until(world.time().after(10 * MS));
    (world, near)
}

#[test]
fn a_connect_takes_1_to_11_ms() {
    let mut times = Vec::new();
    for seed in 0..200 {
        let (world, node) = world(seed);
        let (network, started) = (world.providers(node), world.now());
        let connect = async move { network.network().connect(FAR).await.is_ok() };
        assert_eq!(world.block_on(&mut world.spawn(Some(node), "connect", connect)), Some(Ok(true)));
        times.push(world.now() - started);
    }
    assert!(times.iter().all(|time| (MS..11 * MS).contains(time)), "{times:?}");
    // Evenly spread: none of 200 below 2 ms, or none above 10 ms, has a chance of 0.9^200, less than 1 in 10^9.
    assert!(times.iter().any(|time| *time < 2 * MS) && times.iter().any(|time| *time > 10 * MS));
}

/// The drifting clock is up to 100 ms ahead of the time, never behind it, and never goes back.
#[test]
fn timers_drift_by_up_to_100_ms() {
    let (world, node) = world(1);
    let time = *world.providers(node).time();
    let samples = async move {
        let mut samples = Vec::new();
        for _ in 0..1_000 {
            time.sleep(MS).await;
            samples.push((time.now(), time.timer()));
        }
        samples
    };
    let samples = world.block_on(&mut world.spawn(Some(node), "clock", samples)).unwrap().unwrap();
    let ahead: Vec<Duration> = samples.iter().map(|(now, timer)| *timer - *now).collect();
    assert!(ahead.iter().all(|ahead| *ahead <= 100 * MS), "{ahead:?}");
    assert!(ahead.iter().max().unwrap() > &(50 * MS) && ahead[0] < ahead[999], "{ahead:?}");
    assert!(samples.windows(2).all(|two| two[0].1 <= two[1].1));
}

/// A quarter of sleeps is longer, by 100 ms times the 1000th power of an even draw: so long that a nanosecond shows in
/// one of 55 of them, 1 - 10^(-8/1000).
#[test]
fn sleeps_are_late_at_the_rate_of_the_table() {
    let (world, node) = world(1);
    let time = *world.providers(node).time();
    let sleeps = async move {
        let mut late = Vec::new();
        for _ in 0..20_000 {
            let due = time.now() + MS;
            time.sleep(MS).await;
            late.extend((time.now() > due).then(|| time.now() - due));
        }
        late
    };
    let late = world.block_on(&mut world.spawn(Some(node), "sleeper", sleeps)).unwrap().unwrap();
    // 91 are expected, with a standard deviation below 10.
    assert!((40..=140).contains(&late.len()), "{}", late.len());
    assert!(late.iter().all(|late| *late <= 100 * MS) && late.iter().any(|late| *late > MS), "{late:?}");
    assert_eq!(world.faults().count(FaultFamily::BuggifiedDelay), late.len() as u64);
}

#[test]
fn a_partial_write_takes_at_most_1000_bytes() {
    let mut counts = Vec::new();
    for seed in 0..40 {
        let (world, node) = world(seed);
        let providers = world.providers(node);
        let writes = async move {
            let stream = providers.network().connect(FAR).await.unwrap();
            let mut counts = Vec::new();
            for _ in 0..100 {
                counts.extend(stream.write(vec![7; 5_000]).await.0);
                providers.time().sleep(10 * MS).await;
            }
            counts
        };
        let counted = world.block_on(&mut world.spawn(Some(node), "writer", writes)).unwrap().unwrap();
        let partial = counted.iter().filter(|count| **count < 5_000).count();
        assert_eq!(world.faults().count(FaultFamily::PartialWrite), partial as u64);
        counts.extend(counted);
    }
    let partial: BTreeSet<usize> = counts.iter().copied().filter(|count| *count < 5_000).collect();
    assert!(counts.contains(&5_000) && partial.len() > 50, "{partial:?}");
    assert!(partial.iter().all(|count| (1..=1_000).contains(count)), "{partial:?}");
}
