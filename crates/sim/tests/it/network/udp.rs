//! Datagrams.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use samestep_provider_traits::{NetworkProvider, TimeProvider, UdpSocket};
use samestep_sim::{
    ChaosConfiguration, FaultFamily, NetworkConfiguration, NetworkLimits, Partition, SimWorld, WorldConfig,
};

use super::{address, on, within, world_of};

/// Numbers of the datagrams that came, of `count` sent 50 µs apart, and the world.
fn exchange(chaos: ChaosConfiguration, limits: NetworkLimits, count: u8) -> (Vec<u8>, SimWorld) {
    let network = NetworkConfiguration { chaos, ..NetworkConfiguration::default() };
    let (world, nodes) = world_of(WorldConfig::new(1).network(network).network_limits(limits), 2);
    let (one, two) = (world.providers(nodes[0]), world.providers(nodes[1]));
    let came = on(&world, nodes[0], async move {
        let from = one.network().bind_udp(address(0, 53)).await.unwrap();
        let to = two.network().bind_udp(address(1, 53)).await.unwrap();
        for number in 0..count {
            assert_eq!(from.send_to(vec![number; 2], address(1, 53)).await.0.unwrap(), 2);
            one.time().sleep(Duration::from_micros(50)).await;
        }
        one.time().sleep(Duration::from_millis(50)).await;
        let mut came = Vec::new();
        while let Some((received, buf)) =
            within(&one, Duration::from_millis(1), to.recv_from(vec![0; 8])).await
        {
            assert_eq!(received.unwrap(), (2, address(0, 53)));
            came.push(buf[0]);
        }
        came
    });
    (came, world)
}

#[test]
fn without_faults_datagrams_come_once_and_in_order() {
    let (came, _) = exchange(ChaosConfiguration::disabled(), NetworkLimits::default(), 200);
    assert_eq!(came, (0..200).collect::<Vec<u8>>());
}

#[test]
fn datagrams_are_lost() {
    let chaos = ChaosConfiguration { packet_loss_probability: 0.25, ..ChaosConfiguration::disabled() };
    let (came, world) = exchange(chaos, NetworkLimits::default(), 200);
    // 50 expected, with a standard deviation of 6.
    assert!((150 - 40..=150 + 40).contains(&came.len()), "{}", came.len());
    assert!(came.is_sorted());
    assert_eq!(world.faults().count(FaultFamily::DatagramLoss), 200 - came.len() as u64);
}

#[test]
fn datagrams_come_twice() {
    let chaos = ChaosConfiguration { packet_duplicate_probability: 1.0, ..ChaosConfiguration::disabled() };
    let (mut came, world) = exchange(chaos, NetworkLimits::default(), 100);
    came.sort_unstable();
    assert_eq!(came, (0..100).flat_map(|number| [number; 2]).collect::<Vec<u8>>());
    assert_eq!(world.faults().count(FaultFamily::DatagramDuplicate), 100);
}

#[test]
fn datagrams_overtake_each_other() {
    let chaos = ChaosConfiguration { packet_reorder_probability: 0.2, ..ChaosConfiguration::disabled() };
    let (mut came, world) = exchange(chaos, NetworkLimits::default(), 200);
    // Those that come behind a later one.
    let behind = (1..came.len()).filter(|place| came[..*place].iter().any(|other| *other > came[*place]));
    assert_eq!(world.faults().count(FaultFamily::DatagramReorder), behind.count() as u64);
    assert!(!came.is_sorted());
    came.sort_unstable();
    assert_eq!(came, (0..200).collect::<Vec<u8>>());
}

#[test]
fn a_full_mailbox_loses_what_comes() {
    let limits = NetworkLimits { mailbox: 10, ..NetworkLimits::default() };
    let (came, _) = exchange(ChaosConfiguration::disabled(), limits, 30);
    assert_eq!(came, (0..10).collect::<Vec<u8>>());
}

#[test]
fn a_partition_loses_datagrams() {
    let (world, nodes) = world_of(WorldConfig::new(1), 2);
    let (one, two) = (world.providers(nodes[0]), world.providers(nodes[1]));
    let network = world.network();
    on(&world, nodes[0], async move {
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 53);
        let from = one.network().bind_udp(any).await.unwrap();
        let to = two.network().bind_udp(any).await.unwrap();
        let partition = network.partition(&Partition::OneWay { from: nodes[0], to: nodes[1] });
        from.send_to("lost", address(1, 53)).await.0.unwrap();
        to.send_to("back", address(0, 53)).await.0.unwrap();
        let (received, _) = from.recv_from(vec![0; 8]).await;
        assert_eq!(received.unwrap(), (4, address(1, 53)), "the other way is open");
        one.time().sleep(Duration::from_millis(10)).await;
        network.heal(partition);
        from.send_to("comes", address(1, 53)).await.0.unwrap();
        let (received, buf) = to.recv_from(vec![0; 8]).await;
        assert_eq!((received.unwrap(), &buf[..5]), ((5, address(0, 53)), &b"comes"[..]));
    });
    assert_eq!(world.faults().count(FaultFamily::Partition), 1);
}

#[test]
fn a_datagram_that_is_too_long_is_refused() {
    let (world, nodes) = world_of(WorldConfig::new(1), 1);
    let providers = world.providers(nodes[0]);
    on(&world, nodes[0], async move {
        let socket = providers.network().bind_udp(address(0, 53)).await.unwrap();
        let (sent, buf) = socket.send_to(vec![1; 65_508], address(0, 53)).await;
        assert_eq!((sent.unwrap_err().kind(), buf.len()), (ErrorKind::InvalidInput, 65_508));
        assert_eq!(socket.send_to(vec![1; 65_507], address(0, 53)).await.0.unwrap(), 65_507);
        assert_eq!(socket.recv_from(vec![0; 70_000]).await.0.unwrap().0, 65_507);
    });
}
