//! What every [`NetworkProvider`] must keep, its streams, listeners and sockets included.

use std::cell::Cell;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use super::{Case, Harness, Outcome, case, poll_once, settle, soon};
use crate::{
    GuardedBuf, IoBuf, NetworkProvider, Providers, TaskProvider, TcpListener, TcpStream, TimeProvider,
    UdpSocket,
};

/// The cases, in the order of this file.
pub fn cases<H: Harness>() -> Vec<Case<H>> {
    vec![
        case!(both_ends_know_their_addresses),
        case!(bytes_arrive_in_order_both_ways_at_once),
        case!(a_shutdown_ends_one_direction),
        case!(a_dropped_stream_ends_at_its_peer),
        case!(a_closed_stream_ends_at_its_peer),
        case!(writes_after_a_shutdown_fail_and_give_the_buffer_back),
        case!(writes_to_a_closed_peer_fail_in_the_end),
        case!(a_read_into_no_room_reads_nothing),
        case!(a_read_of_too_little_tells_so),
        case!(nobody_listening_refuses),
        case!(a_taken_port_is_in_use_until_it_is_closed),
        case!(connections_wait_to_be_accepted),
        case!(a_dropped_accept_loses_no_connection),
        case!(a_dropped_read_loses_no_byte),
        case!(a_dropped_read_with_bytes_under_way_loses_no_byte),
        case!(a_dropped_write_sends_a_prefix_of_its_own_bytes),
        case!(a_written_buffer_is_left_alone),
        case!(names_are_looked_up),
        case!(datagrams_keep_their_bounds_and_senders),
        case!(a_long_datagram_is_cut),
        case!(a_dropped_receive_loses_no_datagram),
    ]
}

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

type Listener<P> = <<P as Providers>::Network as NetworkProvider>::TcpListener;
type Stream<P> = <<P as Providers>::Network as NetworkProvider>::TcpStream;

async fn listen<P: Providers>(world: &P) -> (Listener<P>, SocketAddr) {
    let listener = soon(world, "bind", world.network().bind(ANY_PORT)).await.unwrap();
    let address = listener.local_addr().unwrap();
    assert_ne!(address.port(), 0, "port 0 takes a free one");
    (listener, address)
}

async fn connect<P: Providers>(world: &P, address: SocketAddr) -> Stream<P> {
    soon(world, "connect", world.network().connect(address)).await.unwrap()
}

/// The connecting and the accepted end of one connection.
async fn pair<P: Providers>(world: &P) -> (Stream<P>, Stream<P>) {
    let (listener, address) = listen(world).await;
    let near = connect(world, address).await;
    let (far, _) = soon(world, "accept", listener.accept()).await.unwrap();
    (near, far)
}

async fn write<P: Providers>(world: &P, stream: &Stream<P>, bytes: &[u8]) {
    let (outcome, buf) = soon(world, "write", stream.write_all(bytes.to_vec())).await;
    outcome.unwrap();
    assert_eq!(buf, bytes, "a write changed its buffer");
}

async fn read_exact<P: Providers>(world: &P, stream: &Stream<P>, len: usize) -> Vec<u8> {
    let (outcome, buf) = soon(world, "read", stream.read_exact(vec![0; len].into_boxed_slice())).await;
    outcome.unwrap();
    buf.into_vec()
}

/// What the stream still gives before its end.
async fn read_to_end<P: Providers>(world: &P, stream: &Stream<P>) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let (count, buf) = soon(world, "read", stream.read(Vec::with_capacity(4096))).await;
        assert_eq!(count.as_ref().ok(), Some(&buf.len()));
        if buf.is_empty() {
            return all;
        }
        all.extend(buf);
    }
}

async fn both_ends_know_their_addresses<P: Providers>(world: P) {
    let (listener, address) = listen(&world).await;
    let near = connect(&world, address).await;
    let (far, peer) = soon(&world, "accept", listener.accept()).await.unwrap();
    assert_eq!(near.peer_addr().unwrap(), address);
    assert_eq!(far.local_addr().unwrap(), address);
    assert_eq!(near.local_addr().unwrap(), peer);
    assert_eq!(far.peer_addr().unwrap(), peer);
}

async fn bytes_arrive_in_order_both_ways_at_once<P: Providers>(world: P) {
    const LEN: usize = 1 << 20;
    let (near, far) = pair(&world).await;
    let pattern = |step: usize| -> Vec<u8> { (0..=250).cycle().step_by(step).take(LEN).collect() };
    let tasks: Vec<_> = [(near, pattern(7), pattern(5)), (far, pattern(5), pattern(7))]
        .into_iter()
        .flat_map(|(stream, sent, expected)| {
            let (reader, worlds) = (stream.clone(), (world.clone(), world.clone()));
            [
                world.task().spawn("writer", async move {
                    for chunk in sent.chunks(100_000) {
                        write(&worlds.0, &stream, chunk).await;
                    }
                    stream.shutdown().await.unwrap();
                    true
                }),
                world.task().spawn("reader", async move {
                    let received = read_to_end(&worlds.1, &reader).await;
                    received == expected
                }),
            ]
        })
        .collect();
    for task in tasks {
        assert!(soon(&world, "a transfer", task).await.unwrap(), "other bytes arrived than were sent");
    }
}

async fn a_shutdown_ends_one_direction<P: Providers>(world: P) {
    let (near, far) = pair(&world).await;
    write(&world, &near, b"last words").await;
    near.shutdown().await.unwrap();
    assert_eq!(read_to_end(&world, &far).await, b"last words");
    write(&world, &far, b"an answer").await;
    far.shutdown().await.unwrap();
    assert_eq!(read_to_end(&world, &near).await, b"an answer");
    assert_eq!(read_to_end(&world, &near).await, b"", "the end stays");
}

async fn a_dropped_stream_ends_at_its_peer<P: Providers>(world: P) {
    let (near, far) = pair(&world).await;
    write(&world, &near, b"sent").await;
    let clone = near.clone();
    drop(near);
    write(&world, &clone, b", and more").await;
    drop(clone);
    assert_eq!(read_to_end(&world, &far).await, b"sent, and more");
}

async fn a_closed_stream_ends_at_its_peer<P: Providers>(world: P) {
    let (near, far) = pair(&world).await;
    write(&world, &near, b"sent").await;
    let clone = near.clone();
    soon(&world, "close", near.close()).await.unwrap();
    assert_eq!(read_to_end(&world, &far).await, b"sent");
    let (outcome, _) = soon(&world, "write", clone.write(vec![1])).await;
    outcome.expect_err("a handle to a closed stream still writes");
}

async fn writes_after_a_shutdown_fail_and_give_the_buffer_back<P: Providers>(world: P) {
    let (near, _far) = pair(&world).await;
    near.shutdown().await.unwrap();
    let (outcome, buf) = soon(&world, "write", near.write(b"kept".to_vec())).await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(buf, b"kept");
}

async fn writes_to_a_closed_peer_fail_in_the_end<P: Providers>(world: P) {
    let (near, far) = pair(&world).await;
    drop(far);
    for _ in 0..1000 {
        let (outcome, _) = soon(&world, "write", near.write(vec![0; 1024])).await;
        if let Err(error) = outcome {
            let expected = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset, ErrorKind::ConnectionAborted];
            assert!(expected.contains(&error.kind()), "{error}");
            return;
        }
        settle(&world).await;
    }
    panic!("a thousand writes to a closed peer succeeded");
}

async fn a_read_into_no_room_reads_nothing<P: Providers>(world: P) {
    let (near, far) = pair(&world).await;
    write(&world, &near, b"x").await;
    let (count, _) = soon(&world, "read", far.read(Vec::new())).await;
    assert_eq!(count.unwrap(), 0);
    assert_eq!(read_exact(&world, &far, 1).await, b"x");
    let (count, _) = soon(&world, "write", far.write(Vec::new())).await;
    assert_eq!(count.unwrap(), 0);
}

async fn a_read_of_too_little_tells_so<P: Providers>(world: P) {
    let (near, far) = pair(&world).await;
    write(&world, &near, b"abc").await;
    near.shutdown().await.unwrap();
    let (outcome, buf) = soon(&world, "read", far.read_exact(vec![0; 5])).await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(&buf[..3], b"abc");
}

async fn nobody_listening_refuses<P: Providers>(world: P) {
    let (listener, address) = listen(&world).await;
    soon(&world, "close", listener.close()).await.unwrap();
    let refused = soon(&world, "connect", world.network().connect(address)).await;
    assert_eq!(refused.map(|_| ()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

async fn a_taken_port_is_in_use_until_it_is_closed<P: Providers>(world: P) {
    let (listener, address) = listen(&world).await;
    let again = soon(&world, "bind", world.network().bind(address)).await;
    assert_eq!(again.map(|_| ()).unwrap_err().kind(), ErrorKind::AddrInUse);
    soon(&world, "close", listener.close()).await.unwrap();
    let again = soon(&world, "bind", world.network().bind(address)).await.unwrap();
    assert_eq!(again.local_addr().unwrap(), address);

    let socket = soon(&world, "bind_udp", world.network().bind_udp(ANY_PORT)).await.unwrap();
    let address = socket.local_addr().unwrap();
    let again = soon(&world, "bind_udp", world.network().bind_udp(address)).await;
    assert_eq!(again.map(|_| ()).unwrap_err().kind(), ErrorKind::AddrInUse);
    soon(&world, "close", socket.close()).await.unwrap();
    soon(&world, "bind_udp", world.network().bind_udp(address)).await.unwrap();
}

async fn connections_wait_to_be_accepted<P: Providers>(world: P) {
    let (listener, address) = listen(&world).await;
    let mut near = Vec::new();
    for number in 0..100_u8 {
        let stream = connect(&world, address).await;
        write(&world, &stream, &[number]).await;
        near.push(stream);
    }
    for (number, near) in (0..100).zip(&near) {
        let (far, peer) = soon(&world, "accept", listener.accept()).await.unwrap();
        assert_eq!(peer, near.local_addr().unwrap(), "accepted in another order than connected");
        assert_eq!(read_exact(&world, &far, 1).await, [number]);
    }
}

async fn a_dropped_accept_loses_no_connection<P: Providers>(world: P) {
    let (listener, address) = listen(&world).await;
    for number in 0..20_u8 {
        let mut dropped = Box::pin(listener.accept());
        assert!(poll_once(dropped.as_mut()).await.is_pending(), "nobody connected");
        let connecting = {
            let world = world.clone();
            world.clone().task().spawn("connecting", async move { connect(&world, address).await })
        };
        if number % 2 == 0 {
            drop(dropped);
            settle(&world).await;
        } else {
            // The connection arrives while the call is still there, which then goes without being asked.
            settle(&world).await;
            drop(dropped);
        }
        let (far, _) = soon(&world, "accept", listener.accept()).await.unwrap();
        let near = soon(&world, "connect", connecting).await.unwrap();
        write(&world, &near, &[number]).await;
        assert_eq!(read_exact(&world, &far, 1).await, [number]);
    }
}

async fn a_dropped_read_loses_no_byte<P: Providers>(world: P) {
    let (near, far) = pair(&world).await;
    let mut received = Vec::new();
    for number in 0..20_u8 {
        {
            let mut dropped = Box::pin(far.read(vec![0; 64]));
            assert!(poll_once(dropped.as_mut()).await.is_pending(), "nothing was sent");
        }
        write(&world, &near, &[number; 3]).await;
        received.extend(read_exact(&world, &far, 3).await);
    }
    assert_eq!(received, (0..20).flat_map(|number| [number; 3]).collect::<Vec<u8>>());
}

async fn a_dropped_read_with_bytes_under_way_loses_no_byte<P: Providers>(world: P) {
    let (near, far) = pair(&world).await;
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    for number in 0..20_u8 {
        let mut dropped = Box::pin(far.read(vec![0; 64]));
        assert!(poll_once(dropped.as_mut()).await.is_pending(), "nothing was sent");
        // The bytes arrive while the call is still there, which then goes without being asked.
        write(&world, &near, &[number; 5]).await;
        sent.extend([number; 5]);
        settle(&world).await;
        drop(dropped);
        // Less room than what may have been received already.
        let (count, buf) = soon(&world, "read", far.read(Vec::with_capacity(2))).await;
        assert_eq!(count.unwrap(), buf.len());
        received.extend(&buf);
        received.extend(read_exact(&world, &far, sent.len() - received.len()).await);
        assert_eq!(received, sent);
    }
    near.shutdown().await.unwrap();
    assert_eq!(read_to_end(&world, &far).await, b"");
}

async fn a_dropped_write_sends_a_prefix_of_its_own_bytes<P: Providers>(world: P) {
    const LEN: usize = 64 * 1024;
    let (near, far) = pair(&world).await;
    let freed_count = Rc::new(Cell::new(0));
    let reader = {
        let world = world.clone();
        world.clone().task().spawn("reader", async move { read_to_end(&world, &far).await })
    };
    for number in 1..=40_u8 {
        let mut dropped = Box::pin(near.write(GuardedBuf::new(LEN, number, &freed_count)));
        let _ = poll_once(dropped.as_mut()).await;
        drop(dropped);
        world.task().yield_now().await;
    }
    soon(&world, "shutdown", near.shutdown()).await.unwrap();
    let received = soon(&world, "the reader", reader).await.unwrap();
    assert!(received.is_sorted(), "the writes were mixed");
    assert!(!received.contains(&GuardedBuf::POISON), "a buffer was freed before its write was over");
    let most = received.chunk_by(|one, other| one == other).map(<[u8]>::len).max().unwrap_or(0);
    assert!(most <= LEN, "one write of {LEN} bytes sent {most}");
    drop(near);
    settle(&world).await;
    assert_eq!(freed_count.get(), 40, "a buffer was never freed");
}

async fn a_written_buffer_is_left_alone<P: Providers>(world: P) {
    let (near, far) = pair(&world).await;
    let reader = {
        let world = world.clone();
        world.clone().task().spawn("reader", async move { read_exact(&world, &far, 100_000).await })
    };
    let mut buf = vec![1; 10_000];
    for number in 1..=10 {
        assert!(buf.as_bytes().iter().all(|byte| *byte == number), "a write changed its buffer");
        let outcome;
        (outcome, buf) = soon(&world, "write", near.write_all(buf)).await;
        outcome.unwrap();
        buf.fill(number + 1);
    }
    let received = soon(&world, "the reader", reader).await.unwrap();
    for (number, chunk) in (1..=10).zip(received.chunks(10_000)) {
        assert!(
            chunk.iter().all(|byte| *byte == number),
            "write {number} was still read after its buffer came back"
        );
    }
}

async fn names_are_looked_up<P: Providers>(world: P) {
    let network = world.network();
    for (host, port) in [("127.0.0.1", 80), ("::1", 443), ("10.1.2.3", 0)] {
        let found = soon(&world, "lookup", network.lookup(host, port)).await.unwrap();
        assert_eq!(found, [SocketAddr::new(host.parse().unwrap(), port)]);
    }
    let found = soon(&world, "lookup", network.lookup("localhost", 7)).await.unwrap();
    assert!(!found.is_empty());
    assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 7), "{found:?}");
    for host in ["", "two words", "a\0b"] {
        assert!(soon(&world, "lookup", network.lookup(host, 80)).await.is_err(), "{host:?} was found");
    }
}

async fn datagrams_keep_their_bounds_and_senders<P: Providers>(world: P) {
    let one = world.network().bind_udp(ANY_PORT).await.unwrap();
    let two = world.network().bind_udp(ANY_PORT).await.unwrap();
    let (from, to) = (one.local_addr().unwrap(), two.local_addr().unwrap());
    for datagram in [&b"a"[..], b"", b"three"] {
        let (count, buf) = soon(&world, "send", one.send_to(datagram.to_vec(), to)).await;
        assert_eq!((count.unwrap(), &*buf), (datagram.len(), datagram));
    }
    for datagram in [&b"a"[..], b"", b"three"] {
        let (outcome, buf) = soon(&world, "receive", two.recv_from(Vec::with_capacity(64))).await;
        assert_eq!((outcome.unwrap(), &*buf), ((datagram.len(), from), datagram));
    }
}

async fn a_long_datagram_is_cut<P: Providers>(world: P) {
    let socket = world.network().bind_udp(ANY_PORT).await.unwrap();
    let address = socket.local_addr().unwrap();
    for datagram in ["a long one", "next"] {
        socket.send_to(datagram, address).await.0.unwrap();
    }
    let (outcome, buf) = soon(&world, "receive", socket.recv_from(vec![0; 6].into_boxed_slice())).await;
    assert_eq!((outcome.unwrap().0, &*buf), (6, &b"a long"[..]));
    let (outcome, buf) = soon(&world, "receive", socket.recv_from(vec![0; 6].into_boxed_slice())).await;
    let count = outcome.unwrap().0;
    assert_eq!(&buf[..count], b"next", "the rest of a datagram was received as one of its own");
}

async fn a_dropped_receive_loses_no_datagram<P: Providers>(world: P) {
    let one = world.network().bind_udp(ANY_PORT).await.unwrap();
    let two = world.network().bind_udp(ANY_PORT).await.unwrap();
    let to = two.local_addr().unwrap();
    for number in 0..20_u8 {
        let mut dropped = Box::pin(two.recv_from(vec![0; 64]));
        assert!(poll_once(dropped.as_mut()).await.is_pending(), "nothing was sent");
        if number % 2 == 0 {
            drop(dropped);
            one.send_to(vec![number], to).await.0.unwrap();
        } else {
            one.send_to(vec![number], to).await.0.unwrap();
            settle(&world).await;
            drop(dropped);
        }
        let (outcome, buf) = soon(&world, "receive", two.recv_from(Vec::with_capacity(64))).await;
        assert_eq!((outcome.unwrap().0, buf), (1, vec![number]));
    }
    let idle = world.time().timeout(Duration::from_millis(2), two.recv_from(vec![0; 64])).await;
    idle.expect_err("a datagram was received twice");
}
