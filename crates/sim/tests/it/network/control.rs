//! What a test sets on links, and messages under its own hand.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::{NetworkProvider, TaskProvider, TcpStream, TimeProvider, UdpSocket};
use samestep_sim::{
    ChaosConfiguration, FaultFamily, NetworkConfiguration, NetworkFaults, SimTcpStream, SimWorld, Verdict,
    WorldConfig,
};

use super::{address, on, pair, read_to_end, within, world_of, write_all};

const MILLI: Duration = Duration::from_millis(1);

/// How long `bytes` take from one end to the other.
fn transit(world: &SimWorld, from: &SimTcpStream, to: &SimTcpStream, bytes: usize) -> Duration {
    let (from, to) = (from.clone(), to.clone());
    let started = world.now();
    let node = world.nodes()[0];
    let providers = world.providers(node);
    on(world, node, async move {
        let writing = providers.task().spawn("writer", async move { write_all(&from, vec![1; bytes]).await });
        to.read_exact(vec![0; bytes]).await.0.unwrap();
        writing.await.unwrap();
    });
    world.now() - started
}

fn exactly(latency: Duration) -> Range<Duration> {
    latency..latency
}

#[test]
fn links_have_latencies_delays_and_speeds_of_their_own() {
    let (world, nodes) = world_of(WorldConfig::new(1), 3);
    let (near, far, _listener) = pair(&world, &nodes);
    let network = world.network();
    network.set_latency(nodes[0], nodes[1], &exactly(30 * MILLI));
    network.set_latency(nodes[1], nodes[0], &exactly(5 * MILLI));
    assert_eq!(transit(&world, &near, &far, 100), 30 * MILLI);
    assert_eq!(transit(&world, &far, &near, 100), 5 * MILLI);
    network.set_delay(nodes[1], nodes[0], 7 * MILLI);
    assert_eq!(transit(&world, &near, &far, 100), 30 * MILLI);
    assert_eq!(transit(&world, &far, &near, 100), 12 * MILLI);
    // The slower of two nodes counts.
    network.set_slowness(nodes[0], 3_000);
    network.set_slowness(nodes[1], 2_000);
    network.set_slowness(nodes[2], 9_000);
    assert_eq!(transit(&world, &near, &far, 100), 90 * MILLI);
    assert_eq!(transit(&world, &far, &near, 100), 36 * MILLI);
}

#[test]
fn bandwidth_is_shared_by_what_is_sent() {
    let (world, nodes) = world_of(WorldConfig::new(1), 2);
    let (near, far, _listener) = pair(&world, &nodes);
    let network = world.network();
    network.set_latency(nodes[0], nodes[1], &exactly(10 * MILLI));
    network.set_bandwidth(nodes[0], nodes[1], 1_000_000);
    assert_eq!(transit(&world, &near, &far, 50_000), 60 * MILLI);
    // Two datagrams behind each other, of one and of two milliseconds.
    let (one, two) = (world.providers(nodes[0]), world.providers(nodes[1]));
    on(&world, nodes[0], async move {
        let from = one.network().bind_udp(address(0, 53)).await.unwrap();
        let to = two.network().bind_udp(address(1, 53)).await.unwrap();
        let started = one.time().now();
        from.send_to(vec![1; 1_000], address(1, 53)).await.0.unwrap();
        from.send_to(vec![1; 2_000], address(1, 53)).await.0.unwrap();
        for expected in [11 * MILLI, 13 * MILLI] {
            to.recv_from(vec![0; 2_000]).await.0.unwrap();
            assert_eq!(one.time().now() - started, expected);
        }
    });
}

#[test]
fn stable_connections_meet_no_faults() {
    let chaos = ChaosConfiguration {
        clog_probability: 0.5,
        bit_flip_probability: 0.5,
        partial_write_probability: 0.5,
        partial_read_probability: 0.5,
        random_close_probability: 0.05,
        ..ChaosConfiguration::disabled()
    };
    let network = NetworkConfiguration { chaos, ..NetworkConfiguration::default() };
    // A connection can be marked when it is there, and so must live until then.
    for (is_link, per_second) in [(true, 50.0), (false, 3.0)] {
        let faults = NetworkFaults {
            clogs_per_second: per_second,
            closes_per_second: per_second,
            half_opens_per_second: per_second,
            swizzles_per_second: per_second,
            ..NetworkFaults::default()
        };
        let config = WorldConfig::new(1).network(network.clone()).network_faults(faults);
        let (world, nodes) = world_of(config, 2);
        if is_link {
            world.network().set_stable(nodes[0], nodes[1]);
        }
        let (near, far, _listener) = pair(&world, &nodes);
        world.network().mark_connection_stable(&near);
        let sent: Vec<u8> = (0..=250).cycle().take(500_000).collect();
        let expected = sent.clone();
        let mut reading = world.spawn(Some(nodes[1]), "reader", async move { read_to_end(&far).await });
        on(&world, nodes[0], async move {
            for chunk in sent.chunks(1_000) {
                write_all(&near, chunk.to_vec()).await;
            }
        });
        let (received, end) = world.block_on(&mut reading).unwrap().unwrap();
        end.unwrap();
        assert!(received == expected);
        for family in [
            FaultFamily::Clog,
            FaultFamily::BitFlip,
            FaultFamily::PartialRead,
            FaultFamily::PartialWrite,
            FaultFamily::RandomClose,
            FaultFamily::HalfOpen,
        ] {
            assert_eq!(world.faults().count(family), 0, "{family}");
        }
    }
}

#[test]
fn what_is_held_can_be_looked_at_and_comes_when_released() {
    let (world, nodes) = world_of(WorldConfig::new(1), 2);
    let (near, far, _listener) = pair(&world, &nodes);
    world.run_until_empty();
    let network = world.network();
    let providers = world.providers(nodes[0]);
    on(&world, nodes[0], async move {
        let socket = providers.network().bind_udp(address(0, 53)).await.unwrap();
        network.hold(nodes[0], nodes[1]);
        write_all(&near, "first").await;
        write_all(&near, "second").await;
        socket.send_to("datagram", address(1, 53)).await.0.unwrap();
        write_all(&far, "the other way").await;
        near.read_exact(vec![0; 13]).await.0.unwrap();
        // Longer than any limit: a test that holds something has its reasons.
        assert!(within(&providers, Duration::from_secs(500), far.read(vec![0; 8])).await.is_none());
        let messages = network.messages();
        let payloads: Vec<_> = messages.iter().map(|message| &message.payload[..]).collect();
        assert_eq!(payloads, [&b"first"[..], b"second", b"datagram"]);
        assert!(messages.iter().all(|message| (message.from, message.to) == (nodes[0], nodes[1])));
        assert_eq!(messages[0].connection, messages[1].connection);
        assert!(messages[0].connection.is_some() && messages[2].connection.is_none());
        network.release(nodes[0], nodes[1]);
        assert_eq!(far.read_exact(vec![0; 11]).await.1, b"firstsecond");
        assert_eq!(network.messages(), []);
    });
}

/// Datagrams 0 to 9 under a rule, and which of them came when.
fn judged(rule: impl Fn(u8) -> Verdict + 'static) -> Vec<(u8, u128)> {
    let (world, nodes) = world_of(WorldConfig::new(1), 2);
    let network = world.network();
    network.set_latency(nodes[0], nodes[1], &exactly(MILLI));
    network.set_rule(move |message| rule(message.payload[0]));
    let (one, two) = (world.providers(nodes[0]), world.providers(nodes[1]));
    on(&world, nodes[0], async move {
        let from = one.network().bind_udp(address(0, 53)).await.unwrap();
        let to = two.network().bind_udp(address(1, 53)).await.unwrap();
        let started = one.time().now();
        for number in 0..10 {
            from.send_to(vec![number], address(1, 53)).await.0.unwrap();
        }
        let mut came = Vec::new();
        while let Some((received, buf)) = within(&one, 100 * MILLI, to.recv_from(vec![0; 8])).await {
            received.unwrap();
            came.push((buf[0], (one.time().now() - started).as_millis()));
        }
        came.sort_unstable();
        came
    })
}

#[test]
fn rules_judge_datagrams() {
    assert_eq!(judged(|_| Verdict::Pass), (0..10).map(|number| (number, 1)).collect::<Vec<_>>());
    let came = judged(|number| match number {
        3 => Verdict::Drop,
        5 => Verdict::Delay(20 * MILLI),
        _ => Verdict::Pass,
    });
    assert_eq!(came, [(0, 1), (1, 1), (2, 1), (4, 1), (5, 21), (6, 1), (7, 1), (8, 1), (9, 1)]);
}

#[test]
fn rules_judge_pieces_of_streams() {
    let (world, nodes) = world_of(WorldConfig::new(1), 2);
    let (near, far, _listener) = pair(&world, &nodes);
    let network = world.network();
    network.set_latency(nodes[0], nodes[1], &exactly(MILLI));
    let judged = Rc::new(RefCell::new(Vec::new()));
    let (noted, weak) = (Rc::clone(&judged), world.downgrade());
    network.set_rule(move |message| {
        // A rule may look at the world.
        let now = weak.upgrade().unwrap().now();
        noted.borrow_mut().push((message.payload.clone(), now));
        let times = noted.borrow().iter().filter(|(payload, _)| *payload == message.payload).count();
        match &message.payload[..] {
            b"twice dropped" if times <= 2 => Verdict::Drop,
            b"delayed" => Verdict::Delay(50 * MILLI),
            _ => Verdict::Pass,
        }
    });
    let providers = world.providers(nodes[0]);
    let cleared = network.clone();
    on(&world, nodes[0], async move {
        let started = providers.time().now();
        write_all(&near, "twice dropped").await;
        write_all(&near, "delayed").await;
        write_all(&near, "and behind").await;
        assert_eq!(far.read_exact(vec![0; 13]).await.1, b"twice dropped");
        // Sent again after 200 ms, and after twice that.
        assert_eq!(providers.time().now() - started, 601 * MILLI);
        assert_eq!(far.read_exact(vec![0; 17]).await.1, b"delayedand behind");
        assert_eq!(providers.time().now() - started, 651 * MILLI);
        cleared.clear_rule();
        write_all(&near, "twice dropped").await;
        far.read_exact(vec![0; 13]).await.0.unwrap();
        assert_eq!(providers.time().now() - started, 652 * MILLI);
    });
    assert_eq!(judged.borrow().len(), 5);
}

#[test]
fn a_stream_whose_pieces_are_always_dropped_is_reset() {
    let (world, nodes) = world_of(WorldConfig::new(1), 2);
    let (near, _far, _listener) = pair(&world, &nodes);
    world.network().set_rule(|_| Verdict::Drop);
    let started = world.now();
    let read = on(&world, nodes[0], async move {
        write_all(&near, "never").await;
        near.read(vec![0; 8]).await.0
    });
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let took = world.now() - started;
    // The default's limit for what is not acknowledged.
    assert!(took >= Duration::from_secs(20) && took < Duration::from_secs(21), "{took:?}");
}

#[test]
fn a_connection_can_be_cut_for_a_time() {
    let (world, nodes) = world_of(WorldConfig::new(1), 2);
    let (near, far, _listener) = pair(&world, &nodes);
    world.network().cut_connection(&far, 300 * MILLI);
    let took = transit(&world, &near, &far, 100).max(transit(&world, &far, &near, 100));
    assert_eq!(took, 300 * MILLI);
    assert!(world.faults().count(FaultFamily::Clog) > 0);
}

#[test]
fn connections_that_are_gone_leave_nothing_to_come() {
    let (world, nodes) = world_of(WorldConfig::new(1), 2);
    let (near, far, listener) = pair(&world, &nodes);
    world.network().make_half_open(&near);
    let partition = world.network().partition_for(&samestep_sim::Partition::Isolate(nodes[0]), 900 * MILLI);
    on(&world, nodes[0], {
        let near = near.clone();
        async move { write_all(&near, "into the void").await }
    });
    world.run_until(world.time().after(10 * MILLI));
    world.network().heal(partition);
    drop((near, far, listener));
    let now = world.now();
    world.run_until_empty();
    assert!(world.now() - now < 2 * MILLI, "{:?} later", world.now() - now);
    assert_eq!(world.pending_event_count(), 0);
}

#[test]
fn a_half_open_connection_is_silent_until_its_limits() {
    let (world, nodes) = world_of(WorldConfig::new(1), 2);
    let (near, far, _listener) = pair(&world, &nodes);
    assert!(world.network().make_half_open(&near));
    let started = world.now();
    let mut reading = world.spawn(Some(nodes[1]), "reader", async move { read_to_end(&far).await });
    let read = on(&world, nodes[0], async move {
        write_all(&near, "into the void").await;
        near.read(vec![0; 8]).await.0
    });
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!((world.now() - started).as_secs() == 20, "the writer's limit");
    let (received, end) = world.block_on(&mut reading).unwrap().unwrap();
    assert_eq!((&received[..], end.unwrap_err().kind()), (&b""[..], ErrorKind::ConnectionReset));
    assert_eq!(world.now() - started, Duration::from_secs(60), "the limit of who only listens");
    assert_eq!(world.faults().count(FaultFamily::HalfOpen), 1);
}
