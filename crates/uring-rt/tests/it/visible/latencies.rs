//! How long things take, as it is counted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use samestep_provider_traits::{
    File, NetworkProvider, OpenOptions, Providers, StorageProvider, TaskProvider, TcpListener, TcpStream,
    TimeProvider,
};
use samestep_uring_rt::{
    Histogram, Latency, OperationKind, Runtime, ShardStats, Shares, TaskGroup, UringProviders,
    prometheus_page,
};

use super::exposition::read;
use crate::shards::builders;

fn latency(stats: &ShardStats, kind: OperationKind) -> &Histogram {
    &stats.latencies.iter().find(|of| of.kind == kind).unwrap().latency
}

/// Runs `test` on each driver, and gives the stats afterwards.
fn sampled<Fut: Future<Output = ()>>(every: u32, test: impl Fn(UringProviders) -> Fut) -> Vec<ShardStats> {
    let run = |builder: samestep_uring_rt::RuntimeBuilder| {
        let root = tempfile::tempdir().unwrap();
        let runtime: Runtime = builder.latency_sampling(NonZeroU32::new(every)).build().unwrap();
        runtime.block_on(test(runtime.providers(root.path(), 1).unwrap()));
        runtime.stats()
    };
    builders().into_iter().map(run).collect()
}

async fn reads(world: UringProviders, count: usize) {
    let file = world.storage().open("f".as_ref(), OpenOptions::read_write().create_new()).await.unwrap();
    file.write_all_at(vec![1; 4096], 0).await.0.unwrap();
    let mut buf = vec![0; 512];
    for _ in 0..count {
        let outcome;
        (outcome, buf) = file.read_at(buf, 0).await;
        outcome.unwrap();
    }
    file.sync_all().await.unwrap();
}

#[test]
fn every_operation_is_counted_under_its_kind() {
    for stats in sampled(1, |world| reads(world, 50)) {
        let [read, write, sync, metadata] =
            [OperationKind::Read, OperationKind::Write, OperationKind::Sync, OperationKind::Metadata]
                .map(|kind| latency(&stats, kind));
        assert_eq!((read.count(), write.count(), sync.count()), (50, 1, 1));
        assert!(metadata.count() > 0, "a file was opened");
        assert!(read.quantile_ns(0.5) > 0 && read.quantile_ns(0.5) <= read.max_ns());
        let none =
            [OperationKind::Accept, OperationKind::Connect, OperationKind::Send, OperationKind::Receive];
        assert!(none.iter().all(|kind| latency(&stats, *kind).count() == 0));
    }
}

#[test]
fn of_every_tenth_a_tenth_is_counted() {
    for stats in sampled(10, |world| reads(world, 500)) {
        let counted: u64 = stats.latencies.iter().map(|of| of.latency.count()).sum();
        // Of operations of all kinds, those of the runtime's own included, which are drawn and not counted.
        assert!((50..=stats.operations.div_ceil(10)).contains(&counted), "{counted} of {}", stats.operations);
    }
}

#[test]
fn nothing_is_counted_unless_asked_for() {
    for stats in sampled(0, |world| reads(world, 5)) {
        assert!(stats.latencies.is_empty());
        assert!(stats.queues.iter().all(|queue| queue.delay.is_none()));
    }
}

/// What is counted is the time: of a receive, from when it began to when the peer wrote.
#[test]
fn a_receive_lasts_until_the_peer_writes() {
    const SILENCE: Duration = Duration::from_millis(20);
    let all = sampled(1, |world| async move {
        let listener =
            world.network().bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).await.unwrap();
        let here = world.network().connect(listener.local_addr().unwrap()).await.unwrap();
        let (there, _) = listener.accept().await.unwrap();
        let reader = world.task().spawn("reader", async move { here.read_exact(vec![0; 1]).await.0 });
        world.task().yield_now().await;
        world.time().sleep(SILENCE).await;
        there.write_all("x").await.0.unwrap();
        reader.await.unwrap().unwrap();
    });
    for stats in all {
        let [receive, accept, connect, send] =
            [OperationKind::Receive, OperationKind::Accept, OperationKind::Connect, OperationKind::Send]
                .map(|kind| latency(&stats, kind));
        assert_eq!((receive.count(), accept.count(), connect.count(), send.count()), (1, 1, 1, 1));
        assert!(receive.max_ns() >= 20_000_000, "{receive:?}");
        let page = prometheus_page([("0", &stats)]);
        let samples = read(&page).unwrap_or_else(|wrong| panic!("{wrong}\n{page}"));
        let count = |bound: &str| {
            let labels = [("shard", "0"), ("kind", "receive"), ("le", bound)];
            let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
            samples[&("samestep_uring_operation_duration_seconds_bucket".to_owned(), labels)].clone()
        };
        assert_eq!([count("0.016777215"), count("+Inf")], ["0", "1"], "it lasted longer than 16 ms");
    }
}

/// A task that is ready while another runs waits as long as that, and it is its queue's delay.
#[test]
fn a_delay_is_from_being_woken_to_being_polled() {
    let all = sampled(1, |world| async move {
        let tasks = world.task().clone();
        let [late, other] = ["late", "other"]
            .map(|name| tasks.create_queue(name, TaskGroup::ROOT, Shares::default(), Latency::NotImportant));
        let waits = tasks.spawn_into(late, "waits", async {});
        let start = world.time().now();
        while world.time().now() < start + Duration::from_millis(5) {}
        waits.await.unwrap();
        let _ = other;
    });
    for stats in all {
        let delay = |name: &str| {
            stats
                .queues
                .iter()
                .find(|queue| queue.name == name)
                .and_then(|queue| queue.delay.clone())
                .unwrap()
        };
        assert_eq!((delay("late").count(), delay("other").count()), (1, 0));
        assert!(delay("late").max_ns() >= 5_000_000, "{:?}", delay("late"));
    }
}

/// Submissions and completions are counted where they happen, and the sums are those of all rings.
#[test]
fn rings_are_counted_apart() {
    for stats in sampled(0, |world| async move {
        let tasks = world.task().clone();
        let matters = Latency::Matters(Duration::from_secs(1));
        let urgent = tasks.create_queue("urgent", TaskGroup::ROOT, Shares::default(), matters);
        reads(world.clone(), 10).await;
        let (network, inner) = (world.network().clone(), world.clone());
        let listener = network.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepts = tasks.spawn_into(urgent, "accepts", async move { listener.accept().await.is_ok() });
        inner.network().connect(address).await.unwrap();
        assert!(accepts.await.unwrap());
    }) {
        let sum = |read: fn(&samestep_uring_rt::RingStats) -> u64| stats.rings.iter().map(read).sum::<u64>();
        assert_eq!(
            (sum(|ring| ring.enters), sum(|ring| ring.completions)),
            (stats.enters, stats.completions)
        );
        assert!(sum(|ring| ring.submissions) >= stats.operations, "{stats:?}");
        let names: Vec<&str> = stats.rings.iter().map(|ring| ring.name).collect();
        if names == ["main", "latency"] {
            assert!(stats.rings[0].completions >= 10, "reads of a queue that does not matter: {stats:?}");
            assert!(stats.rings[1].completions >= 1, "an accept of one that does: {stats:?}");
        } else {
            assert_eq!(names, ["main"]);
        }
    }
}

/// Counters outlive what they count.
#[test]
fn counters_do_not_go_back_when_the_runtime_ends() {
    for builder in builders() {
        let root = tempfile::tempdir().unwrap();
        let runtime = builder.build().unwrap();
        let (world, reader) = (runtime.providers(root.path(), 1).unwrap(), runtime.stats_reader());
        runtime.block_on(reads(world, 10));
        let before = reader.read();
        runtime.shutdown().unwrap();
        let after = reader.read();
        assert!(before.enters > 0 && after.enters >= before.enters, "{before:?}, then {after:?}");
        assert!(before.completions > 0 && after.completions >= before.completions);
    }
}
