//! Unix sockets: as those of TCP, on the kernel's ring and on threads.

use std::cell::Cell;
use std::io::ErrorKind;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::{Providers, TaskProvider, TcpStream, TimeProvider};
use samestep_uring_rt::{DriverChoice, Runtime};

use crate::machine::{ALL, Machine};

#[test]
fn bytes_come_in_order_and_the_end_is_told() {
    for machine in ALL {
        machine.world(|world| async move {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("s");
            let listener = world.network().bind_unix(&path).await.unwrap();
            let near = world.network().connect_unix(&path).await.unwrap();
            let far = listener.accept().await.unwrap();
            let sent: Vec<u8> = (0..=250).cycle().take(300_000).collect();
            let writer = {
                let sent = sent.clone();
                world.task().spawn("writer", async move {
                    near.write_all(sent).await.0.unwrap();
                    near.shutdown().await.unwrap();
                    near
                })
            };
            let (outcome, received) = far.read_exact(vec![0; sent.len()]).await;
            outcome.unwrap();
            assert!(received == sent, "{machine:?}");
            assert_eq!(far.read(vec![0; 1]).await.0.unwrap(), 0);
            let near = writer.await.unwrap();
            far.write_all("and back").await.0.unwrap();
            assert_eq!(near.read_exact(vec![0; 8]).await.1, b"and back");
            assert_eq!(near.local_addr().unwrap_err().kind(), ErrorKind::Unsupported);
            far.close().await.unwrap();
            assert_eq!(near.read(vec![0; 1]).await.0.unwrap(), 0);
            listener.close().await.unwrap();
            let error = world.network().connect_unix(&path).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            let error = world.network().bind_unix(&path).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrInUse);
        });
    }
}

#[test]
fn paths_that_are_none_are_refused() {
    Machine::Threads.world(|world| async move {
        let long = "x".repeat(108);
        for path in ["", &long, "a\0b"] {
            let error = world.network().connect_unix(Path::new(path)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{path:?}");
            let error = world.network().bind_unix(Path::new(path)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{path:?}");
        }
        let error = world.network().connect_unix(Path::new("/nothing/here")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

/// The kernel has no sends without a copy for these.
#[test]
fn what_tcp_sends_without_a_copy_is_copied() {
    let builder = Runtime::builder().driver(DriverChoice::RingOrThreads).zero_copy_sends(Some(1));
    let runtime = builder.build().unwrap();
    let root = tempfile::tempdir().unwrap();
    let world = runtime.providers(root.path(), 1).unwrap();
    runtime.block_on(async {
        let (one, other) = world.network().unix_pair().unwrap();
        one.write_all(vec![3; 100]).await.0.unwrap();
        assert_eq!(other.read_exact(vec![0; 100]).await.1, [3; 100]);
    });
}

/// Accepts and reads that are given up while a client connects and writes: none is lost.
#[test]
fn accepts_and_reads_given_up_lose_nothing() {
    for machine in ALL {
        let given_up_min = machine.repetitions() / 5;
        machine.world(|world| async move {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("s");
            let listener = world.network().bind_unix(&path).await.unwrap();
            let client = {
                let world = world.clone();
                world.clone().task().spawn("client", async move {
                    for made in 1_u64.. {
                        world.time().sleep(Duration::from_micros(made % 100)).await;
                        let stream = world.network().connect_unix(&path).await.unwrap();
                        stream.write_all(made.to_le_bytes().to_vec()).await.0.unwrap();
                        let (count, buf) = stream.read(vec![0; 1]).await;
                        assert_eq!(count.unwrap(), 1, "connection {made} was never served");
                        if buf == [1] {
                            return made;
                        }
                    }
                    unreachable!("the server ends it")
                })
            };
            let (mut served, mut given_up) = (0_u64, 0);
            let patience = Duration::from_micros(20);
            loop {
                let Ok(accepted) = world.time().timeout(patience, listener.accept()).await else {
                    given_up += 1;
                    continue;
                };
                let stream = accepted.unwrap();
                served += 1;
                let mut number = Vec::new();
                while number.len() < 8 {
                    match world.time().timeout(patience, stream.read(vec![0; 3])).await {
                        Ok((count, bytes)) => number.extend_from_slice(&bytes[..count.unwrap()]),
                        Err(_) => given_up += 1,
                    }
                }
                assert_eq!(number[..8], served.to_le_bytes(), "connections come in order, and whole");
                let is_last = given_up >= given_up_min;
                stream.write_all(vec![u8::from(is_last)]).await.0.unwrap();
                if is_last {
                    break;
                }
            }
            assert_eq!(client.await.unwrap(), served, "connections served and made");
            let none = world.time().timeout(Duration::from_millis(5), listener.accept()).await;
            none.expect_err("a connection was served twice");
        });
    }
}

/// Of a length of its own.
fn datagram(number: u32) -> Vec<u8> {
    number.to_le_bytes().repeat((1 + number % 100) as usize)
}

#[test]
fn datagrams_come_whole_and_in_order() {
    for machine in ALL {
        machine.world(|world| async move {
            let root = tempfile::tempdir().unwrap();
            let [one, other] = ["one", "other"].map(|name| root.path().join(name));
            let far = world.network().bind_unix_datagram(&one).unwrap();
            let near = world.network().bind_unix_datagram(&other).unwrap();
            assert_eq!(near.send(vec![1]).await.0.unwrap_err().kind(), ErrorKind::NotConnected);
            // More than the system keeps: who sends waits.
            let sends = world.task().spawn("sends", async move {
                for number in 0..1000 {
                    let bytes = datagram(number);
                    let len = bytes.len();
                    assert_eq!(near.send_to(bytes, &one).await.0.unwrap(), len);
                }
                near
            });
            for number in 0..1000 {
                let (received, bytes) = far.recv_from(Vec::with_capacity(1000)).await;
                assert_eq!(received.unwrap(), (bytes.len(), Some(other.clone())), "{machine:?}");
                assert_eq!(bytes, datagram(number));
            }
            let near = sends.await.unwrap();
            // Answered at its path; and an empty one is one.
            far.send_to(Vec::new(), &other).await.0.unwrap();
            assert_eq!(near.recv_from(vec![7; 4]).await.0.unwrap().0, 0);
            let long = near.send_to(vec![0; 4 << 20], &root.path().join("one")).await.0;
            assert_eq!(long.unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
            far.close().await.unwrap();
            let refused = near.send_to(vec![1], &root.path().join("one")).await.0.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            assert_eq!(
                near.send_to(vec![1], Path::new("")).await.0.unwrap_err().kind(),
                ErrorKind::InvalidInput
            );
        });
    }
}

#[test]
fn datagrams_know_where_they_go() {
    for machine in ALL {
        machine.world(|world| async move {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("s");
            let server = world.network().bind_unix_datagram(&path).unwrap();
            let taken = world.network().bind_unix_datagram(&path).unwrap_err();
            assert_eq!(taken.kind(), ErrorKind::AddrInUse);
            let client = world.network().unix_datagram().unwrap();
            let nobody = client.connect(&root.path().join("nobody")).unwrap_err();
            assert_eq!(nobody.kind(), ErrorKind::NotFound);
            client.connect(&path).unwrap();
            client.send("from nowhere").await.0.unwrap();
            let (received, bytes) = server.recv_from(vec![0; 12]).await;
            assert_eq!((received.unwrap(), &bytes[..]), ((12, None), &b"from nowhere"[..]));

            let (one, other) = world.network().unix_datagram_pair().unwrap();
            one.send("there").await.0.unwrap();
            other.send("and back").await.0.unwrap();
            // What does not fit is lost.
            assert_eq!(other.recv_from(vec![0; 3]).await.1, b"the");
            assert_eq!(one.recv_from(vec![0; 8]).await.1, b"and back");
            let peer = one.with_fd(|fd| Ok(rustix::net::sockopt::socket_peercred(fd)?)).unwrap();
            assert_eq!(peer.pid, rustix::process::getpid());
            drop(other);
            let gone = one.send(vec![1]).await.0.unwrap_err().kind();
            assert!([ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset].contains(&gone), "{gone}");
        });
    }
}

/// One that is longer than the system takes by default is told as lost, and the next one comes.
#[test]
fn a_datagram_that_was_cut_is_told() {
    for machine in ALL {
        machine.world(|world| async move {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("s");
            let far = world.network().bind_unix_datagram(&path).unwrap();
            let near = std::os::unix::net::UnixDatagram::unbound().unwrap();
            // The system doubles it.
            rustix::net::sockopt::set_socket_send_buffer_size(&near, 200 * 1024).unwrap();
            let longest = 256 * 1024;
            near.send_to(&vec![1; longest], &path).unwrap();
            let (received, bytes) = far.recv_from(Vec::with_capacity(300_000)).await;
            assert_eq!((received.unwrap().0, bytes.len()), (longest, longest));
            near.send_to(&vec![1; longest + 1], &path).unwrap();
            let lost = far.recv_from(vec![0; 10]).await.0.unwrap_err();
            assert_eq!(lost.kind(), ErrorKind::InvalidData);
            near.send_to(b"next", &path).unwrap();
            assert_eq!(far.recv_from(vec![0; 4]).await.1, b"next");
        });
    }
}

/// Receives that are given up while datagrams come: none is lost.
#[test]
fn receives_of_datagrams_given_up_lose_nothing() {
    for machine in ALL {
        let given_up_min = machine.repetitions() / 10;
        machine.world(|world| async move {
            let (one, other) = world.network().unix_datagram_pair().unwrap();
            let (time, is_enough) = (world.time().clone(), Rc::new(Cell::new(false)));
            let sends = world.task().spawn("sends", {
                let is_enough = Rc::clone(&is_enough);
                async move {
                    let mut sent = 0_u64;
                    while !is_enough.get() {
                        time.sleep(Duration::from_micros(sent % 100)).await;
                        other.send(sent.to_le_bytes().to_vec()).await.0.unwrap();
                        sent += 1;
                    }
                    other.send(u64::MAX.to_le_bytes().to_vec()).await.0.unwrap();
                    sent
                }
            });
            let (mut received, mut given_up, patience) = (0_u64, 0, Duration::from_micros(20));
            loop {
                match world.time().timeout(patience, one.recv_from(vec![0; 8])).await {
                    Ok((_, bytes)) if bytes == u64::MAX.to_le_bytes() => break,
                    Ok((_, bytes)) => {
                        assert_eq!(bytes, received.to_le_bytes());
                        received += 1;
                    }
                    Err(_) => given_up += 1,
                }
                is_enough.set(given_up >= given_up_min);
            }
            assert_eq!(sends.await.unwrap(), received);
        });
    }
}
