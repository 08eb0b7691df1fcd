//! What a stream and a listener do when nothing goes wrong.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use samestep_provider_traits::{NetworkProvider, TaskProvider, TcpListener, TcpStream, TimeProvider};
use samestep_sim::{NetworkLimits, SimTcpStream, WorldConfig};

use super::{address, on, pair, read_to_end, within, world_of, write_all};

#[test]
fn a_write_of_a_mebibyte_completes() {
    let bytes: Vec<u8> = (0..=250).cycle().take(1 << 20).collect();
    for window_bytes in [1000, 64 * 1024, 4 << 20] {
        let limits = NetworkLimits { window_bytes, ..NetworkLimits::default() };
        let (world, nodes) = world_of(WorldConfig::new(1).network_limits(limits), 2);
        let (near, far, _listener) = pair(&world, &nodes);
        let mut reading = world.spawn(Some(nodes[1]), "reader", async move { read_to_end(&far).await });
        let sent = bytes.clone();
        on(&world, nodes[0], async move {
            let (count, sent) = near.write(sent).await;
            let count = count.unwrap();
            assert_eq!(count, window_bytes.min(1 << 20), "a write takes what there is room for");
            write_all(&near, sent[count..].to_vec()).await;
        });
        let (received, end) = world.block_on(&mut reading).unwrap().unwrap();
        end.unwrap();
        assert!(received == bytes, "other bytes came than were sent, by a window of {window_bytes}");
    }
}

#[test]
fn no_more_is_sent_than_the_window_has_room_for() {
    let limits = NetworkLimits { window_bytes: 5000, ..NetworkLimits::default() };
    let (world, nodes) = world_of(WorldConfig::new(2).network_limits(limits), 2);
    let (near, far, _listener) = pair(&world, &nodes);
    let providers = world.providers(nodes[0]);
    on(&world, nodes[0], async move {
        let patience = Duration::from_secs(5);
        assert_eq!(near.write(vec![1; 3000]).await.0.unwrap(), 3000);
        assert_eq!(near.write(vec![1; 3000]).await.0.unwrap(), 2000);
        assert!(
            within(&providers, patience, near.write(vec![1; 3000])).await.is_none(),
            "the window was full"
        );
        // The reader makes room, and the writer hears of it.
        let writer = near.clone();
        let writing = providers.task().spawn("writer", async move { writer.write(vec![2; 3000]).await.0 });
        providers.time().sleep(Duration::from_millis(10)).await;
        assert_eq!(far.read(vec![0; 1200]).await.0.unwrap(), 1200);
        assert_eq!(writing.await.unwrap().unwrap(), 1200);
    });
}

#[test]
fn the_end_of_a_stream_is_behind_its_bytes() {
    for seed in 0..20 {
        let (world, nodes) = world_of(WorldConfig::new(seed), 2);
        let (near, far, _listener) = pair(&world, &nodes);
        on(&world, nodes[0], async move {
            for number in 0..50_u8 {
                write_all(&near, vec![number; 100]).await;
            }
        });
        let (received, end) = on(&world, nodes[1], async move { read_to_end(&far).await });
        end.unwrap();
        assert_eq!(received, (0..50).flat_map(|number| [number; 100]).collect::<Vec<u8>>());
    }
}

#[test]
fn who_leaves_with_bytes_unread_resets_its_peer() {
    let (world, nodes) = world_of(WorldConfig::new(3), 2);
    let (near, far, _listener) = pair(&world, &nodes);
    let providers = world.providers(nodes[0]);
    on(&world, nodes[0], async move {
        write_all(&near, "unread").await;
        providers.time().sleep(Duration::from_millis(5)).await;
        drop(far);
        assert_eq!(near.read(vec![0; 8]).await.0.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(near.write("more").await.0.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn an_abort_resets_at_once() {
    let (world, nodes) = world_of(WorldConfig::new(4), 2);
    let (near, far, _listener) = pair(&world, &nodes);
    on(&world, nodes[0], async move {
        near.abort();
        assert_eq!(far.read(vec![0; 8]).await.0.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(near.read(vec![0; 8]).await.0.unwrap_err().kind(), ErrorKind::NotConnected);
    });
}

#[test]
fn what_comes_to_a_closed_end_is_answered_by_a_reset() {
    let (world, nodes) = world_of(WorldConfig::new(5), 2);
    let (near, far, _listener) = pair(&world, &nodes);
    let providers = world.providers(nodes[0]);
    on(&world, nodes[0], async move {
        far.close().await.unwrap();
        assert_eq!(near.read(vec![0; 8]).await.0.unwrap(), 0, "the end came first");
        near.write("unasked").await.0.unwrap();
        providers.time().sleep(Duration::from_millis(5)).await;
        assert_eq!(near.write("more").await.0.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_full_backlog_refuses_and_keeps_what_it_has() {
    let (world, nodes) = world_of(WorldConfig::new(6), 2);
    let (client, server) = (world.providers(nodes[0]), world.providers(nodes[1]));
    let listener = on(&world, nodes[1], async move { server.network().bind(address(1, 80)).await.unwrap() });
    on(&world, nodes[0], async move {
        let mut streams = Vec::new();
        for _ in 0..128 {
            streams.push(client.network().connect(address(1, 80)).await.unwrap());
        }
        let refused = client.network().connect(address(1, 80)).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        for stream in &streams {
            let (far, peer) = listener.accept().await.unwrap();
            assert_eq!(peer, stream.local_addr().unwrap());
            write_all(stream, "hello").await;
            assert_eq!(far.read_exact(vec![0; 5]).await.1, b"hello");
        }
        client.network().connect(address(1, 80)).await.expect("there is room again");
    });
}

#[test]
fn connections_that_nobody_accepted_are_reset() {
    let (world, nodes) = world_of(WorldConfig::new(7), 2);
    let (client, server) = (world.providers(nodes[0]), world.providers(nodes[1]));
    let listener = on(&world, nodes[1], async move { server.network().bind(address(1, 80)).await.unwrap() });
    on(&world, nodes[0], async move {
        let stream = client.network().connect(address(1, 80)).await.unwrap();
        drop(listener);
        assert_eq!(stream.read(vec![0; 8]).await.0.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn an_attempt_that_was_dropped_ends_at_the_peer() {
    let mut seen = 0;
    for seed in 0..30 {
        let (world, nodes) = world_of(WorldConfig::new(seed), 2);
        let (client, server) = (world.providers(nodes[0]), world.providers(nodes[1]));
        let bound = on(&world, nodes[1], async move { server.network().bind(address(1, 80)).await.unwrap() });
        let connecting = client.clone();
        on(&world, nodes[0], async move {
            let attempt = connecting.network().connect(address(1, 80));
            let patience = Duration::from_micros(500 * (1 + seed));
            assert!(within(&connecting, patience, attempt).await.is_none_or(|end| end.is_ok()));
        });
        let accepted = on(&world, nodes[1], async move {
            let accepted = within(&client, Duration::from_secs(1), bound.accept()).await;
            match accepted {
                Some(Ok((stream, _))) => Some(read_to_end(&stream).await.0),
                _ => None,
            }
        });
        assert!(accepted.as_ref().is_none_or(Vec::is_empty));
        seen += usize::from(accepted.is_some());
    }
    assert!(seen > 0, "no attempt was dropped on its way");
}

#[test]
fn addresses_are_those_of_the_node() {
    let (world, nodes) = world_of(WorldConfig::new(8), 2);
    let (one, two) = (world.providers(nodes[0]), world.providers(nodes[1]));
    let loopback = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80);
    on(&world, nodes[0], async move {
        let strange = one.network().bind(address(1, 80)).await;
        assert_eq!(strange.unwrap_err().kind(), ErrorKind::AddrNotAvailable);
        let nowhere = one.network().connect(address(77, 80)).await;
        assert_eq!(nowhere.unwrap_err().kind(), ErrorKind::HostUnreachable);
        // Each node has a loopback address of its own.
        let own = one.network().bind(loopback).await.unwrap();
        let other = two.network().bind(loopback).await.unwrap();
        let near = one.network().connect(loopback).await.unwrap();
        assert_eq!(own.accept().await.unwrap().1, near.local_addr().unwrap());
        assert!(within(&one, Duration::from_secs(1), other.accept()).await.is_none());
        // Who listens at no address in particular listens at all of them.
        let all = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 81);
        let listener = two.network().bind(all).await.unwrap();
        for (from, to) in [(&one, address(1, 81)), (&two, SocketAddr::new(loopback.ip(), 81))] {
            let near = from.network().connect(to).await.unwrap();
            let (far, _) = listener.accept().await.unwrap();
            assert_eq!(near.peer_addr().unwrap(), to);
            assert_eq!(far.local_addr().unwrap(), to);
        }
    });
}

#[test]
fn a_close_wakes_whoever_waits_on_another_handle() {
    let (world, nodes) = world_of(WorldConfig::new(9), 2);
    let (near, _far, _listener) = pair(&world, &nodes);
    let providers = world.providers(nodes[0]);
    let reader: SimTcpStream = near.clone();
    let mut reading = world.spawn(Some(nodes[0]), "reader", async move { reader.read(vec![0; 8]).await.0 });
    on(&world, nodes[0], async move {
        providers.time().sleep(Duration::from_millis(1)).await;
        near.close().await.unwrap();
    });
    let read = world.block_on(&mut reading).expect("the reader was woken").unwrap();
    assert_eq!(read.unwrap_err().kind(), ErrorKind::NotConnected);
}
