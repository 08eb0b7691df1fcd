//! What partitions do to what is on its way, to handshakes, and to what is idle.

use std::io::ErrorKind;
use std::time::Duration;

use samestep_provider_traits::{
    JoinHandle, NetworkProvider, TaskProvider, TcpListener, TcpStream, TimeProvider,
};
use samestep_sim::{FaultFamily, NetworkLimits, NodeId, Partition, SimTcpStream, SimWorld, WorldConfig};

use super::{address, on, pair, read_to_end, within, world_of, write_all};

const SECOND: Duration = Duration::from_secs(1);

fn config() -> WorldConfig {
    WorldConfig::new(1).network_limits(NetworkLimits {
        window_bytes: 10_000,
        connect_timeout: 7 * SECOND,
        retransmission_timeout: 5 * SECOND,
        keep_alive_timeout: 11 * SECOND,
        ..NetworkLimits::default()
    })
}

fn there(nodes: &[NodeId]) -> Partition {
    Partition::OneWay { from: nodes[0], to: nodes[1] }
}

fn back(nodes: &[NodeId]) -> Partition {
    Partition::OneWay { from: nodes[1], to: nodes[0] }
}

fn both(nodes: &[NodeId]) -> Partition {
    Partition::Pair(nodes[0], nodes[1])
}

#[test]
fn bytes_under_way_stand_still_and_go_on() {
    for partition in [there, both] {
        let (world, nodes) = world_of(config(), 2);
        let (near, far, _listener) = pair(&world, &nodes);
        let network = world.network();
        let providers = world.providers(nodes[0]);
        on(&world, nodes[0], async move {
            // Under way when the link closes, and sent after it closed.
            write_all(&near, "one,").await;
            let closed = network.partition(&partition(&nodes));
            write_all(&near, "two,").await;
            let reading = within(&providers, 4 * SECOND, far.read(vec![0; 8]));
            assert!(reading.await.is_none(), "bytes crossed a partition");
            network.heal(closed);
            let healed = providers.time().now();
            write_all(&near, "three").await;
            assert_eq!(far.read_exact(vec![0; 13]).await.1, b"one,two,three");
            assert!(providers.time().now() - healed < Duration::from_millis(2));
        });
        assert_eq!(world.faults().count(FaultFamily::Partition), 1);
    }
}

#[test]
fn a_partition_that_stops_nothing_is_not_counted() {
    let (world, nodes) = world_of(config(), 3);
    let (near, far, _listener) = pair(&world, &nodes);
    let network = world.network();
    network.partition(&Partition::Isolate(nodes[2]));
    network.partition_for(&both(&nodes), SECOND);
    let providers = world.providers(nodes[0]);
    on(&world, nodes[0], async move {
        providers.time().sleep(2 * SECOND).await;
        write_all(&near, "x").await;
        assert_eq!(far.read(vec![0; 8]).await.0.unwrap(), 1);
    });
    assert_eq!(world.faults().count(FaultFamily::Partition), 0);
}

#[test]
fn a_link_opens_when_the_last_partition_is_healed() {
    let (world, nodes) = world_of(config(), 3);
    let network = world.network();
    let one = network.partition(&both(&nodes));
    let two = network.partition(&Partition::Isolate(nodes[1]));
    assert!(network.is_partitioned(nodes[0], nodes[1]));
    network.heal(one);
    network.heal(one);
    assert!(network.is_partitioned(nodes[0], nodes[1]));
    network.heal(two);
    assert!(!network.is_partitioned(nodes[0], nodes[1]));
    network.partition_for(&both(&nodes), SECOND);
    network.partition(&both(&nodes));
    network.heal_all();
    assert!(!network.is_partitioned(nodes[0], nodes[1]));
    // The end of the one that was for a time comes, and ends nothing.
    let later = network.partition(&both(&nodes));
    world.run_until_empty();
    assert!(network.is_partitioned(nodes[1], nodes[0]));
    network.heal(later);
}

#[test]
fn handshakes_wait_for_the_heal_and_time_out() {
    for (partition, lasts) in
        [(there as fn(&[NodeId]) -> Partition, 3), (back, 3), (both, 3), (there, 9), (back, 9)]
    {
        let (world, nodes) = world_of(config(), 2);
        let (client, server) = (world.providers(nodes[0]), world.providers(nodes[1]));
        let listener =
            on(&world, nodes[1], async move { server.network().bind(address(1, 80)).await.unwrap() });
        let started = world.now();
        world.network().partition_for(&partition(&nodes), lasts * SECOND);
        let connected =
            on(&world, nodes[0], async move { client.network().connect(address(1, 80)).await.map(|_| ()) });
        let took = world.now() - started;
        if lasts < 7 {
            connected.unwrap();
            assert!(took >= lasts * SECOND && took < lasts * SECOND + SECOND / 10, "{took:?}");
        } else {
            assert_eq!(connected.unwrap_err().kind(), ErrorKind::TimedOut);
            assert_eq!(took, 7 * SECOND);
        }
        assert!(world.faults().count(FaultFamily::Partition) > 0);
        drop(listener);
    }
}

/// How long it takes until a read fails.
fn failure(world: &SimWorld, node: NodeId, stream: SimTcpStream) -> (ErrorKind, Duration) {
    let started = world.now();
    let (_, end) = on(world, node, async move { read_to_end(&stream).await });
    (end.unwrap_err().kind(), world.now() - started)
}

#[test]
fn a_long_partition_resets_both_ends() {
    let (world, nodes) = world_of(config(), 2);
    let (near, far, _listener) = pair(&world, &nodes);
    let partition = world.network().partition(&both(&nodes));
    on(&world, nodes[0], {
        let near = near.clone();
        async move { write_all(&near, "never comes").await }
    });
    // The writer gives up; the other end hears nothing.
    let (kind, took) = failure(&world, nodes[0], near);
    assert_eq!(kind, ErrorKind::ConnectionReset);
    assert!(took >= 5 * SECOND && took < 5 * SECOND + SECOND / 100, "{took:?}");
    let (kind, took) = failure(&world, nodes[1], far);
    assert_eq!(kind, ErrorKind::ConnectionReset);
    assert!(took <= 11 * SECOND, "{took:?}");
    world.network().heal(partition);
}

#[test]
fn an_idle_connection_outlives_a_short_partition_only() {
    for (lasts, survives) in [(10, true), (12, false)] {
        let (world, nodes) = world_of(config(), 2);
        let (near, far, _listener) = pair(&world, &nodes);
        world.network().partition_for(&both(&nodes), lasts * SECOND);
        let providers = world.providers(nodes[0]);
        on(&world, nodes[0], async move {
            providers.time().sleep(15 * SECOND).await;
            for (writer, reader) in [(&near, &far), (&far, &near)] {
                let written = writer.write("still there?").await.0;
                let read = reader.read(vec![0; 16]).await.0;
                assert_eq!(written.is_ok() && matches!(read, Ok(12)), survives, "{written:?} {read:?}");
            }
        });
    }
}

/// Bytes come, and what the reader acknowledges does not: the writer stalls, and gives up.
#[test]
fn a_way_back_that_is_closed_stalls_the_writer() {
    let (world, nodes) = world_of(config(), 2);
    let (near, far, _listener) = pair(&world, &nodes);
    let network = world.network();
    let partition = network.partition(&back(&nodes));
    let providers = world.providers(nodes[0]);
    on(&world, nodes[0], async move {
        let (near_again, far_again) = (near.clone(), far.clone());
        let reader = providers.task().spawn("reader", async move { read_to_end(&far_again).await });
        let writer =
            providers.task().spawn("writer", async move { near_again.write_all(vec![1; 25_000]).await.0 });
        providers.time().sleep(4 * SECOND).await;
        assert!(!writer.is_finished(), "more than a window was sent without an acknowledgement");
        network.heal(partition);
        writer.await.unwrap().unwrap();
        near.shutdown().await.unwrap();
        assert_eq!(reader.await.unwrap().0.len(), 25_000);
        network.partition(&back(&nodes));
        let failed = near.read(vec![0; 8]);
        far.write("unheard").await.0.unwrap();
        assert_eq!(failed.await.0.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_writer_whose_acknowledgements_stay_out_gives_up() {
    let (world, nodes) = world_of(config(), 2);
    let (near, far, _listener) = pair(&world, &nodes);
    world.network().partition(&back(&nodes));
    on(&world, nodes[0], {
        let (near, far) = (near.clone(), far.clone());
        async move {
            write_all(&near, "heard").await;
            assert_eq!(far.read(vec![0; 8]).await.0.unwrap(), 5);
        }
    });
    let (kind, took) = failure(&world, nodes[0], near);
    assert_eq!(kind, ErrorKind::ConnectionReset);
    assert!(took > 4 * SECOND && took < 6 * SECOND, "{took:?}");
    drop(far);
}

#[test]
fn backlogs_keep_their_order_over_a_partition() {
    let (world, nodes) = world_of(config(), 3);
    let server = world.providers(nodes[1]);
    let listener = on(&world, nodes[1], async move { server.network().bind(address(1, 80)).await.unwrap() });
    world.network().partition_for(&both(&nodes), SECOND);
    let mut clients: Vec<_> = [0, 2]
        .into_iter()
        .map(|number| {
            let client = world.providers(nodes[number]);
            world.spawn(Some(nodes[number]), "client", async move {
                client.network().connect(address(1, 80)).await.unwrap()
            })
        })
        .collect();
    let accepted = on(&world, nodes[1], async move {
        [listener.accept().await.unwrap().1, listener.accept().await.unwrap().1]
    });
    // The one that was not held back came first.
    let locals: Vec<_> = clients
        .iter_mut()
        .map(|client| world.block_on(client).unwrap().unwrap().local_addr().unwrap())
        .collect();
    assert_eq!(accepted, [locals[1], locals[0]]);
}
