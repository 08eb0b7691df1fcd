//! Calls that are given up, thousands of times: nothing is lost, and nothing stays behind.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use samestep_provider_traits::{
    NetworkProvider, Providers, TaskProvider, TcpListener, TcpStream, TimeProvider,
};
use samestep_uring_rt::{DriverChoice, Runtime};

use crate::machine::{ALL, Machine};

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Accepts that are given up while a client connects.
fn give_up_accepts(machine: Machine, given_up_min: usize) {
    machine.world(|world| async move {
        let listener = world.network().bind(ANY_PORT).await.unwrap();
        let address = listener.local_addr().unwrap();
        let time = world.time().clone();
        let client = {
            let world = world.clone();
            world.clone().task().spawn("client", async move {
                let mut made = 0_u64;
                // The server says when it has given up often enough.
                loop {
                    world.time().sleep(Duration::from_micros(made % 100)).await;
                    let stream = world.network().connect(address).await.unwrap();
                    made += 1;
                    let (count, buf) = stream.read(vec![0; 1]).await;
                    assert_eq!(count.unwrap(), 1, "connection {made} was never served");
                    if buf == [1] {
                        return made;
                    }
                }
            })
        };
        let (mut served, mut given_up) = (0_u64, 0);
        loop {
            match time.timeout(Duration::from_micros(20), listener.accept()).await {
                Ok(accepted) => {
                    served += 1;
                    let is_last = given_up >= given_up_min;
                    accepted.unwrap().0.write_all(vec![u8::from(is_last)]).await.0.unwrap();
                    if is_last {
                        break;
                    }
                }
                Err(_) => given_up += 1,
            }
        }
        assert_eq!(client.await.unwrap(), served, "connections served and made");
        assert!(given_up >= given_up_min);
        let none = time.timeout(Duration::from_millis(5), listener.accept()).await;
        none.expect_err("a connection was served twice");
    });
}

/// Descriptors of this process that are sockets, rings and files.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn ten_thousand_accepts_given_up_lose_no_connection_and_no_descriptor() {
    for machine in ALL {
        // Whatever the process opens once.
        give_up_accepts(machine, 10);
        let before = descriptors();
        give_up_accepts(machine, machine.repetitions());
        // Other tests of this process come and go meanwhile; a leak would be thousands.
        let after = descriptors();
        assert!(after < before + 200, "{machine:?}: {before} descriptors before, {after} after");
    }
}

#[test]
fn ten_thousand_receives_given_up_lose_no_byte_and_no_buffer() {
    for machine in ALL {
        let Some(runtime) = machine.runtime() else { return };
        let root = tempfile::tempdir().unwrap();
        let world = runtime.providers(root.path(), 1).unwrap();
        runtime.block_on(give_up_receives(world, machine.repetitions()));
        assert_eq!(runtime.stats().receive_buffers_out, 0, "buffers of the ring were lost");
        assert_eq!(runtime.stats().completions_unknown, 0);
        runtime.shutdown().unwrap();
    }
}

async fn give_up_receives(world: impl Providers, given_up_min: usize) {
    let listener = world.network().bind(ANY_PORT).await.unwrap();
    let near = world.network().connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    let done = samestep_provider_traits::workload::Shutdown::new();
    let writer = {
        let (world, done) = (world.clone(), done.clone());
        world.clone().task().spawn("writer", async move {
            let mut sent = 0_u64;
            while !done.is_requested() {
                near.write_all(sent.to_le_bytes().to_vec()).await.0.unwrap();
                sent += 1;
                world.time().sleep(Duration::from_micros(sent % 150)).await;
            }
            near.shutdown().await.unwrap();
            sent
        })
    };
    let (mut received, mut given_up) = (Vec::new(), 0);
    loop {
        match world.time().timeout(Duration::from_micros(20), far.read(Vec::with_capacity(5))).await {
            Ok((count, bytes)) => {
                count.unwrap();
                if bytes.is_empty() {
                    break;
                }
                received.extend(bytes);
            }
            Err(_) => given_up += 1,
        }
        if given_up >= given_up_min {
            done.request();
        }
    }
    let sent = writer.await.unwrap();
    let expected: Vec<u8> = (0..sent).flat_map(u64::to_le_bytes).collect();
    assert!(received == expected, "other bytes came than were sent");
    assert!(given_up >= given_up_min);
}

/// A listener whose accept was given up and that is dropped resets what nobody took.
#[test]
fn connections_that_nobody_takes_are_reset() {
    for machine in ALL {
        machine.world(|world| async move {
            let listener = world.network().bind(ANY_PORT).await.unwrap();
            let near = world.network().connect(listener.local_addr().unwrap()).await.unwrap();
            let accepted = world.time().timeout(Duration::ZERO, listener.accept()).await;
            drop(accepted);
            world.time().sleep(Duration::from_millis(5)).await;
            drop(listener);
            let read = world.time().timeout(Duration::from_secs(10), near.read(vec![0; 1])).await;
            let (outcome, _) = read.expect("the connection hangs");
            let is_gone = matches!(outcome, Ok(0)) || outcome.is_err();
            assert!(is_gone, "{outcome:?}");
        });
    }
}

/// A runtime that ends with everything under way ends soon.
#[test]
fn a_runtime_ends_soon_whatever_is_under_way() {
    for machine in ALL {
        let Some(runtime): Option<Runtime> = machine.runtime() else { return };
        let root = tempfile::tempdir().unwrap();
        let world = runtime.providers(root.path(), 1).unwrap();
        runtime.block_on(async {
            let listener = world.network().bind(ANY_PORT).await.unwrap();
            let near = world.network().connect(listener.local_addr().unwrap()).await.unwrap();
            let (far, _) = listener.accept().await.unwrap();
            for stream in [near, far] {
                drop(world.task().spawn("reader", async move { drop(stream.read(vec![0; 10]).await) }));
            }
            drop(world.task().spawn("acceptor", async move { drop(listener.accept().await) }));
            let time = world.time().clone();
            drop(world.task().spawn("sleeper", async move { time.sleep(Duration::from_secs(3600)).await }));
            world.time().sleep(Duration::from_millis(2)).await;
        });
        let start = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        runtime.shutdown().unwrap();
        let end = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        assert!(end.tv_sec - start.tv_sec < 5, "{machine:?} took {} s", end.tv_sec - start.tv_sec);
    }
}

/// A read at the end of a stream makes its buffer as long as what came, as every read does.
#[test]
fn a_read_at_the_end_leaves_nothing_in_its_buffer() {
    for machine in ALL {
        machine.world(|world| async move {
            let listener = world.network().bind(ANY_PORT).await.unwrap();
            let near = world.network().connect(listener.local_addr().unwrap()).await.unwrap();
            let (far, _) = listener.accept().await.unwrap();
            far.write_all(vec![1, 2]).await.0.unwrap();
            far.shutdown().await.unwrap();
            let (outcome, bytes) = near.read(vec![7; 5]).await;
            assert_eq!((outcome.unwrap(), &bytes[..]), (2, &[1, 2][..]));
            for _ in 0..2 {
                let (outcome, bytes) = near.read(vec![7; 5]).await;
                assert_eq!((outcome.unwrap(), &bytes[..]), (0, &[][..]), "{machine:?}");
            }
        });
    }
}

/// More comes than the ring's queue holds while a task computes: the kernel keeps the rest, and the loop has it handed
/// over also when it never sleeps.
#[test]
fn what_finds_the_queue_full_comes_all_the_same() {
    let builder = Runtime::builder().driver(DriverChoice::Ring).ring_entries(1).latency_ring(false);
    let runtime = match builder.build() {
        Ok(runtime) => runtime,
        Err(error) => return println!("skipped: {error}"),
    };
    let root = tempfile::tempdir().unwrap();
    let world = runtime.providers(root.path(), 1).unwrap();
    runtime.block_on(async {
        let listener = world.network().bind(ANY_PORT).await.unwrap();
        let address = listener.local_addr().unwrap();
        // The kernel hands connections over from here on.
        let none = world.time().timeout(Duration::from_millis(1), listener.accept()).await;
        none.expect_err("nobody has connected");
        let clients: Vec<_> = (0..60).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        let accepted = async {
            for _ in &clients {
                listener.accept().await.unwrap();
            }
        };
        let mut accepted = std::pin::pin!(accepted);
        // Always ready, so that the loop looks around and does not wait.
        for turn in 0.. {
            let polled =
                std::future::poll_fn(|cx| std::task::Poll::Ready(accepted.as_mut().poll(cx).is_ready()));
            if polled.await {
                break;
            }
            assert!(turn < 100_000, "connections wait in the kernel, and nobody has them handed over");
            world.task().yield_now().await;
        }
    });
    let stats = runtime.stats();
    assert!(stats.overflows > 0, "the queue never was full: {stats:?}");
    assert_eq!(stats.completions_unknown, 0);
    runtime.shutdown().unwrap();
}
