//! A world in memory whose every operation takes a random time, and in which three defects can be planted.
//!
//! An operation that was begun is a task of its own: it owns its buffer, and goes on when the future that began it
//! is dropped, as one on a ring does. Operations end in any order.

mod storage;
mod tcp;
mod udp;
mod wait;
mod writes;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use samestep_memory_providers::{
    MemoryJoinHandle, MemoryProviders, MemoryRandomProvider, MemoryTaskProvider, MemoryTimeProvider,
    MemoryWorld,
};
use samestep_provider_traits::contract::{Harness, Outcome};
use samestep_provider_traits::{NetworkProvider, Providers, RandomProvider, TaskProvider, TimeProvider};

use storage::DeferredStorage;
use tcp::{DeferredListener, DeferredStream};
use udp::DeferredSocket;

/// A way to break the contract on purpose, to see that the suites notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// None: the contract is kept.
    None,
    /// A receive whose future was dropped throws away what it received.
    ByteLostOnDroppedReceive,
    /// A sync is over before the writes it covers are, and makes nothing durable.
    SyncBeforeData,
    /// A write whose future was dropped goes on reading memory that is somebody else's by then.
    BufferReusedInFlight,
}

/// Makes a fresh world for each case, with one defect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeferredHarness {
    /// Where latencies come from.
    pub(crate) seed: u64,
    /// What is broken.
    pub(crate) defect: Defect,
}

impl Harness for DeferredHarness {
    type Providers = DeferredProviders;

    fn run<Fut: Future<Output = ()> + 'static>(&self, test: impl FnOnce(DeferredProviders) -> Fut) {
        MemoryWorld::new(self.seed).block_on(|world| test(DeferredProviders::new(world, self.defect)));
    }

    fn run_across_power_cut<Before, After>(
        &self,
        before: impl FnOnce(DeferredProviders) -> Before,
        after: impl FnOnce(DeferredProviders) -> After,
    ) -> Outcome
    where
        Before: Future<Output = ()> + 'static,
        After: Future<Output = ()> + 'static,
    {
        let world = MemoryWorld::new(self.seed);
        world.block_on(|world| before(DeferredProviders::new(world, self.defect)));
        world.power_cut().block_on(|world| after(DeferredProviders::new(world, self.defect)));
        Outcome::Held
    }
}

/// All a program may ask of a deferred world.
#[derive(Clone, Debug)]
pub(crate) struct DeferredProviders {
    inner: MemoryProviders,
    network: DeferredNetwork,
    storage: DeferredStorage,
}

impl DeferredProviders {
    /// `inner`, deferred and with `defect`.
    pub(crate) fn new(inner: MemoryProviders, defect: Defect) -> Self {
        let deferral = Deferral {
            time: inner.time().clone(),
            task: inner.task().clone(),
            latencies: inner.random().fork("latencies"),
            defect,
        };
        let network = DeferredNetwork { inner: inner.clone(), deferral: deferral.clone() };
        let storage = DeferredStorage::new(inner.storage().clone(), deferral);
        Self { inner, network, storage }
    }
}

impl Providers for DeferredProviders {
    type Time = MemoryTimeProvider;
    type Task = MemoryTaskProvider;
    type Random = MemoryRandomProvider;
    type Network = DeferredNetwork;
    type Storage = DeferredStorage;

    fn time(&self) -> &Self::Time {
        self.inner.time()
    }

    fn task(&self) -> &Self::Task {
        self.inner.task()
    }

    fn random(&self) -> &Self::Random {
        self.inner.random()
    }

    fn network(&self) -> &Self::Network {
        &self.network
    }

    fn storage(&self) -> &Self::Storage {
        &self.storage
    }
}

/// Starts operations as tasks that take a random time.
#[derive(Clone, Debug)]
struct Deferral {
    time: MemoryTimeProvider,
    task: MemoryTaskProvider,
    latencies: MemoryRandomProvider,
    defect: Defect,
}

impl Deferral {
    /// Begins `operation`, which goes on whether or not somebody waits for it.
    fn begin<F: Future + 'static>(&self, operation: F) -> MemoryJoinHandle<F::Output> {
        let latency = self.time.sleep(Duration::from_micros(self.latencies.random_range(0..2000)));
        self.task.spawn("operation", async move {
            latency.await;
            operation.await
        })
    }

    /// A future that begins `operation` when it is first polled, and waits for it.
    fn defer<F: Future + 'static>(&self, operation: F) -> impl Future<Output = F::Output> + use<F> {
        let deferral = self.clone();
        async move { deferral.begin(operation).await.expect("operations do not panic") }
    }
}

/// The network of a deferred world.
#[derive(Clone, Debug)]
pub(crate) struct DeferredNetwork {
    inner: MemoryProviders,
    deferral: Deferral,
}

impl NetworkProvider for DeferredNetwork {
    type TcpStream = DeferredStream;
    type TcpListener = DeferredListener;
    type UdpSocket = DeferredSocket;

    fn bind(&self, address: SocketAddr) -> impl Future<Output = io::Result<DeferredListener>> + use<> {
        let (bound, deferral) = (self.inner.network().bind(address), self.deferral.clone());
        async move { Ok(DeferredListener::new(bound.await?, deferral)) }
    }

    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<DeferredStream>> + use<> {
        let (connected, deferral) =
            (self.deferral.defer(self.inner.network().connect(address)), self.deferral.clone());
        async move { Ok(DeferredStream::new(connected.await?, deferral)) }
    }

    fn bind_udp(&self, address: SocketAddr) -> impl Future<Output = io::Result<DeferredSocket>> + use<> {
        let (bound, deferral) = (self.inner.network().bind_udp(address), self.deferral.clone());
        async move { Ok(DeferredSocket::new(bound.await?, deferral)) }
    }

    fn lookup(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + use<> {
        self.deferral.defer(self.inner.network().lookup(host, port))
    }
}
