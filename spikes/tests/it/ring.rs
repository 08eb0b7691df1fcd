use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use samestep_provider_traits::contract::{self, Case, Harness};
use samestep_provider_traits::{
    File, GuardedBuf, NetworkProvider, OpenOptions, Providers, StorageProvider, TaskProvider, TcpListener,
    TcpStream, TimeProvider,
};
use samestep_spikes::ring::{RingProviders, RingWorld};

struct Ring;

impl Harness for Ring {
    type Providers = RingProviders;

    fn run<Fut: Future<Output = ()> + 'static>(&self, test: impl FnOnce(RingProviders) -> Fut) {
        let root = tempfile::tempdir().unwrap();
        RingWorld::new(root.path()).unwrap().block_on(test);
    }
}

/// Checks `cases`, unless this machine gives no ring.
fn check(cases: &[Case<Ring>]) {
    match RingWorld::new(tempfile::tempdir().unwrap().path()) {
        Ok(_) => contract::check(&Ring, cases),
        Err(error) => println!("skipped: no io_uring here: {error}"),
    }
}

#[test]
fn time_keeps_the_contract() {
    check(&contract::time::cases());
}

#[test]
fn tasks_keep_the_contract() {
    check(&contract::task::cases());
}

#[test]
fn the_network_keeps_the_contract() {
    check(&contract::network::cases());
}

#[test]
fn storage_keeps_the_contract() {
    check(&contract::storage::cases());
}

/// Runs `test` in a world of its own, unless this machine gives no ring.
fn run<Fut: Future<Output = ()> + 'static>(test: impl FnOnce(RingProviders) -> Fut) {
    let root = tempfile::tempdir().unwrap();
    match RingWorld::new(root.path()) {
        Ok(world) => world.block_on(test),
        Err(error) => println!("skipped: no io_uring here: {error}"),
    }
}

/// Each connection is served once, however often the accept that may have got it was given up.
#[test]
fn accepts_that_are_given_up_lose_no_connection() {
    const CONNECTIONS: usize = 300;
    run(|world| async move {
        let listener = world.network().bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = {
            let world = world.clone();
            world.clone().task().spawn("client", async move {
                for number in 0..CONNECTIONS {
                    world.time().sleep(Duration::from_micros(number as u64 % 100)).await;
                    let stream = world.network().connect(address).await.unwrap();
                    let (outcome, _) = stream.read(vec![0; 1]).await;
                    assert_eq!(outcome.unwrap(), 1, "a connection was never served");
                }
            })
        };
        let mut served = 0;
        let mut given_up = 0;
        while served < CONNECTIONS {
            // Short enough that many accepts are given up with a connection in hand.
            match world.time().timeout(Duration::from_micros(30), listener.accept()).await {
                Ok(accepted) => {
                    accepted.unwrap().0.write_all(b"x").await.0.unwrap();
                    served += 1;
                }
                Err(_) => given_up += 1,
            }
        }
        client.await.unwrap();
        assert!(given_up > 0, "no accept was given up, so nothing was tried");
    });
}

/// A world that is dropped frees the buffers of operations under way, after the kernel is done with them.
#[test]
fn a_dropped_world_ends_its_operations_and_frees_their_buffers() {
    let (root, freed_count) = (tempfile::tempdir().unwrap(), Rc::new(Cell::new(0)));
    let Ok(world) = RingWorld::new(root.path()) else {
        return println!("skipped: no io_uring here");
    };
    world.block_on(|world| {
        let freed_count = Rc::clone(&freed_count);
        async move {
            let path = Path::new("f");
            let file = world.storage().open(path, OpenOptions::read_write().create()).await.unwrap();
            file.allocate(32 << 20).await.unwrap();
            let listener = world.network().bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
            let near = world.network().connect(listener.local_addr().unwrap()).await.unwrap();
            let mut cx = Context::from_waker(Waker::noop());
            for number in 0..32 {
                let buf = GuardedBuf::new(1 << 20, 1, &freed_count);
                assert!(pin!(file.read_at(buf, number << 20)).poll(&mut cx).is_pending());
            }
            // Never ends by itself: nobody writes.
            assert!(pin!(near.read(GuardedBuf::new(64, 1, &freed_count))).poll(&mut cx).is_pending());
        }
    });
    assert!(freed_count.get() < 33, "every operation was over already, so nothing was tried");
    drop(world);
    assert_eq!(freed_count.get(), 33);
}
