//! What the suites do not ask of the sockets.

use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::pin::{Pin, pin};
use std::task::Poll;

use samestep_provider_traits::{
    JoinHandle, NetworkProvider, Providers, TaskProvider, TcpListener, TcpStream, UdpSocket,
};
use samestep_tokio_providers::{TokioProviders, TokioTcpStream};

use crate::world::run;

async fn is_pending<F: Future>(mut future: Pin<&mut F>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

async fn pair(world: &TokioProviders) -> (TokioTcpStream, TokioTcpStream) {
    let listener = world.network().bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let near = world.network().connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

#[test]
fn a_close_ends_reads_and_writes_that_wait() {
    run(|world| async move {
        let (near, _far) = pair(&world).await;
        let reader = world.task().spawn("reader", near.read(vec![0; 8]));
        let writer = world.task().spawn("writer", near.write_all(vec![0; 64 << 20]));
        world.task().yield_now().await;
        near.close().await.unwrap();
        assert_eq!(reader.await.unwrap().0.unwrap_err().kind(), ErrorKind::NotConnected);
        assert_eq!(writer.await.unwrap().0.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_close_frees_the_port_although_an_accept_waits() {
    run(|world| async move {
        let listener = world.network().bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut accept = pin!(listener.accept());
        assert!(is_pending(accept.as_mut()).await);
        listener.close().await.unwrap();
        let again = world.network().bind(address).await.unwrap();
        let refused = accept.await.map(|_| ()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotConnected);

        let mut accept = pin!(again.accept());
        assert!(is_pending(accept.as_mut()).await);
        drop(again);
        world.network().bind(address).await.unwrap();
    });
}

/// Each connection and datagram wakes one of those who wait; none is forgotten.
#[test]
fn several_may_wait_for_connections_and_datagrams() {
    run(|world| async move {
        let listener = world.network().bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let accepts: Vec<_> = (0..4).map(|_| world.task().spawn("accept", listener.accept())).collect();
        world.task().yield_now().await;
        let mut near = Vec::new();
        for _ in 0..4 {
            near.push(world.network().connect(listener.local_addr().unwrap()).await.unwrap());
        }
        for accept in accepts {
            accept.await.unwrap().unwrap();
        }

        let socket = world.network().bind_udp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let receives: Vec<_> =
            (0..4).map(|_| world.task().spawn("receive", socket.recv_from(vec![0; 8]))).collect();
        world.task().yield_now().await;
        for _ in 0..4 {
            socket.send_to("datagram", socket.local_addr().unwrap()).await.0.unwrap();
        }
        for receive in receives {
            assert_eq!(receive.await.unwrap().0.unwrap().0, 8);
        }
    });
}

#[test]
fn a_malformed_name_is_invalid_input() {
    run(|world| async move {
        for host in ["", "two words", "a..b"] {
            let error = world.network().lookup(host, 80).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    });
}

/// Reads that never wait let others run, too.
#[test]
fn a_busy_reader_lets_others_run() {
    run(|world| async move {
        let (near, far) = pair(&world).await;
        let writer = near.clone();
        near.write_all(vec![7; 100_000]).await.0.unwrap();
        let other = world.task().spawn("other", async {});
        let reader = world.task().spawn("reader", async move {
            let mut turns = 0;
            while !other.is_finished() {
                far.read(vec![0; 1]).await.0.unwrap();
                turns += 1;
            }
            turns
        });
        assert!(reader.await.unwrap() < 100_000);
        drop(writer);
    });
}
