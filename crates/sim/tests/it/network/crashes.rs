//! What becomes of sockets when their node goes, and comes again.

use std::io::ErrorKind;
use std::time::Duration;

use samestep_provider_traits::{
    JoinHandle, NetworkProvider, TcpListener, TcpStream, TimeProvider, UdpSocket,
};
use samestep_sim::{Down, FaultFamily, NetworkLimits, WorldConfig};

use super::{address, on, pair, read_to_end, within, world_of, write_all};

fn config(silent_crash_probability: f64) -> WorldConfig {
    WorldConfig::new(1).network_limits(NetworkLimits {
        silent_crash_probability,
        connect_timeout: Duration::from_secs(7),
        retransmission_timeout: Duration::from_secs(5),
        keep_alive_timeout: Duration::from_secs(11),
        ..NetworkLimits::default()
    })
}

#[test]
fn a_node_that_is_shut_down_closes_its_connections() {
    for (how, silent) in [(Down::Graceful, 1.0), (Down::Crash, 0.0), (Down::CrashAndWipe, 0.0)] {
        let (world, nodes) = world_of(config(silent), 2);
        let (near, far, _listener) = pair(&world, &nodes);
        on(&world, nodes[1], async move {
            write_all(&far, "last words").await;
            std::mem::forget(far);
        });
        world.kill(nodes[1], how);
        let started = world.now();
        let (received, end) = on(&world, nodes[0], async move { read_to_end(&near).await });
        assert_eq!(received, b"last words");
        end.unwrap();
        assert!(world.now() - started < Duration::from_millis(5), "{how:?}");
        assert_eq!(world.faults().count(FaultFamily::HalfOpen), 0);
    }
}

#[test]
fn a_silent_crash_is_noticed_by_the_keep_alive() {
    let (world, nodes) = world_of(config(1.0), 2);
    let (near, far, _listener) = pair(&world, &nodes);
    world.kill(nodes[1], Down::Crash);
    // Dropped by the test after the crash: no word of it leaves the node.
    drop(far);
    let started = world.now();
    let read = on(&world, nodes[0], async move { near.read(vec![0; 8]).await.0 });
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(world.now() - started, Duration::from_secs(11));
    assert_eq!(world.faults().count(FaultFamily::HalfOpen), 1);
}

#[test]
fn bytes_for_a_node_that_is_gone_are_given_up() {
    let (world, nodes) = world_of(config(1.0), 2);
    let (near, _far, _listener) = pair(&world, &nodes);
    world.kill(nodes[1], Down::Crash);
    let started = world.now();
    let read = on(&world, nodes[0], async move {
        write_all(&near, "anybody there?").await;
        near.read(vec![0; 8]).await.0
    });
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let waited = world.now() - started;
    assert!(waited >= Duration::from_secs(5) && waited < Duration::from_millis(5_010), "{waited:?}");
}

#[test]
fn a_node_that_booted_again_resets_what_it_does_not_know() {
    let (world, nodes) = world_of(config(1.0), 2);
    let (near, far, listener) = pair(&world, &nodes);
    world.kill(nodes[1], Down::Crash);
    world.boot(nodes[1]);
    let started = world.now();
    let read = on(&world, nodes[0], async move {
        write_all(&near, "still there?").await;
        near.read(vec![0; 8]).await.0
    });
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(world.now() - started < Duration::from_millis(5));
    // Handles of the boot before are of no use, and take nothing from the one that is now.
    let providers = world.providers(nodes[1]);
    on(&world, nodes[1], async move {
        assert_eq!(far.read(vec![0; 8]).await.0.unwrap_err().kind(), ErrorKind::NotConnected);
        assert_eq!(far.write("x").await.0.unwrap_err().kind(), ErrorKind::NotConnected);
        assert_eq!(listener.accept().await.unwrap_err().kind(), ErrorKind::NotConnected);
        let bound = providers.network().bind(address(1, 80)).await.expect("the port is free after a crash");
        drop((far, listener));
        let near = providers.network().connect(address(1, 80)).await.unwrap();
        assert_eq!(bound.accept().await.unwrap().1, near.local_addr().unwrap());
    });
}

#[test]
fn bytes_that_a_dead_node_would_have_to_send_again_are_lost() {
    let (world, nodes) = world_of(config(1.0), 2);
    let (near, far, _listener) = pair(&world, &nodes);
    let network = world.network();
    on(&world, nodes[0], async move {
        write_all(&near, "arrives").await;
        std::mem::forget(near);
    });
    world.run_until_empty();
    let partition = network.partition(&samestep_sim::Partition::Pair(nodes[0], nodes[1]));
    world.kill(nodes[0], Down::Crash);
    network.heal(partition);
    let (received, end) = on(&world, nodes[1], async move { read_to_end(&far).await });
    assert_eq!(received, b"arrives");
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn connecting_to_a_node_that_is_down() {
    for (silent, expected, at_least) in
        [(0.0, ErrorKind::ConnectionRefused, 0), (1.0, ErrorKind::TimedOut, 7)]
    {
        let (world, nodes) = world_of(config(silent), 2);
        world.kill(nodes[1], Down::Crash);
        let providers = world.providers(nodes[0]);
        let connected =
            on(
                &world,
                nodes[0],
                async move { providers.network().connect(address(1, 80)).await.map(|_| ()) },
            );
        assert_eq!(connected.unwrap_err().kind(), expected);
        let waited = world.now();
        assert!(waited >= Duration::from_secs(at_least), "{waited:?}");
        assert!(waited < Duration::from_secs(at_least) + Duration::from_millis(20), "{waited:?}");
    }
}

#[test]
fn an_attempt_reaches_a_node_that_boots_in_time() {
    let (world, nodes) = world_of(config(1.0), 2);
    world.kill(nodes[1], Down::Crash);
    let client = world.providers(nodes[0]);
    let mut connecting =
        world.spawn(Some(nodes[0]), "client", async move { client.network().connect(address(1, 80)).await });
    world.run_until(samestep_sim::SimTime::from_nanos(2_000_000_000));
    assert!(!connecting.is_finished());
    world.boot(nodes[1]);
    let connected = world.block_on(&mut connecting).unwrap().unwrap();
    // Nobody listens yet: the node itself answers.
    assert_eq!(connected.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(world.now() < Duration::from_secs(3));
}

#[test]
fn half_of_all_crashes_are_silent_by_default() {
    let mut silent = 0;
    for seed in 0..200 {
        let (world, nodes) = world_of(WorldConfig::new(seed), 2);
        let (_near, _far, _listener) = pair(&world, &nodes);
        world.kill(nodes[1], Down::Crash);
        silent += world.faults().count(FaultFamily::HalfOpen);
    }
    // Standard deviation 7.
    assert!((58..=142).contains(&silent), "{silent}");
}

#[test]
fn a_crash_frees_the_ports_of_datagrams() {
    let (world, nodes) = world_of(config(0.5), 2);
    let before = world.providers(nodes[1]);
    let socket =
        on(&world, nodes[1], async move { before.network().bind_udp(address(1, 53)).await.unwrap() });
    world.kill(nodes[1], Down::Crash);
    world.boot(nodes[1]);
    let (after, sender) = (world.providers(nodes[1]), world.providers(nodes[0]));
    on(&world, nodes[1], async move {
        let again = after.network().bind_udp(address(1, 53)).await.expect("the port is free after a crash");
        drop(socket);
        let from = sender.network().bind_udp(address(0, 53)).await.unwrap();
        from.send_to("hello", address(1, 53)).await.0.unwrap();
        let received = within(&after, Duration::from_secs(1), again.recv_from(vec![0; 8])).await;
        assert_eq!(received.unwrap().0.unwrap(), (5, address(0, 53)));
        after.time().sleep(Duration::ZERO).await;
    });
}
