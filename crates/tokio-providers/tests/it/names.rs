//! The providers by the names that programs written for moonpool-sim know, each seen to act; docs/sim-seed-api.md maps
//! those names. `TokioRunner` and `TokioReport` are in `runner`.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "threads and clocks are what is looked at"
)]

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use samestep_provider_traits::{
    JoinHandle, NetworkProvider, Providers, TaskProvider, TcpListener, TcpStream, TimeProvider,
};
use samestep_tokio_providers::{TokioNetworkProvider, TokioTaskProvider, TokioTimeProvider};

use crate::world::run;

/// What one end writes the kernel's own stream gets, and the other way round.
#[test]
fn a_stream_carries_bytes_between_real_sockets() {
    run(|world| async move {
        let network: &TokioNetworkProvider = world.network();
        let listener = network.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        assert_ne!(address.port(), 0);
        let plain = tokio::net::TcpStream::connect(address).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, plain.local_addr().unwrap());
        stream.write_all("from ours").await.0.unwrap();
        let mut read = [0; 9];
        plain.readable().await.unwrap();
        assert_eq!(plain.try_read(&mut read).unwrap(), 9);
        assert_eq!(&read, b"from ours");
        plain.writable().await.unwrap();
        assert_eq!(plain.try_write(b"to ours").unwrap(), 7);
        assert_eq!(stream.read_exact(vec![0; 7]).await.1, b"to ours");
    });
}

/// A task may hold what is no other thread's, and is over before whoever joins it goes on.
#[test]
fn tasks_run_on_the_thread_that_started_them() {
    run(|world| async move {
        let tasks: &TokioTaskProvider = world.task();
        let here = std::thread::current().id();
        let done = Rc::new(Cell::new(0));
        let mut started = Vec::new();
        for number in 0..3 {
            let done = Rc::clone(&done);
            started.push(tasks.spawn("adds", async move {
                done.set(done.get() + 1);
                (number, std::thread::current().id())
            }));
        }
        assert_eq!(done.get(), 0);
        tasks.yield_now().await;
        for (number, task) in started.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), (number, here));
        }
        assert_eq!(done.get(), 3);
        let endless = tasks.spawn("endless", std::future::pending::<()>());
        endless.abort();
        assert!(endless.await.is_err());
    });
}

#[test]
fn a_sleep_takes_real_time() {
    run(|world| async move {
        let time: &TokioTimeProvider = world.time();
        let (real, provided) = (Instant::now(), time.now());
        time.sleep(Duration::from_millis(50)).await;
        let took = time.now() - provided;
        assert!(took >= Duration::from_millis(50), "{took:?}");
        assert!(real.elapsed() >= took, "{took:?} of {:?}", real.elapsed());
        let limit = Duration::from_millis(20);
        assert!(time.timeout(limit, std::future::pending::<()>()).await.is_err());
        assert_eq!(time.timeout(limit, std::future::ready(7)).await, Ok(7));
    });
}
