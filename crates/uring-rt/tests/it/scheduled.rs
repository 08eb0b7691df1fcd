//! Devices that are scheduled, on the kernel's ring and on threads.

use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use samestep_provider_traits::{
    AlignedBuf, File, OpenOptions, Providers, StorageProvider, TaskProvider, TimeProvider,
};
use samestep_uring_rt::{
    DeviceProperties, DriverChoice, IoProperties, Runtime, UringFile, UringProviders, run_shards,
};

/// A read each five milliseconds, one at a time.
const SLOW: DeviceProperties = DeviceProperties {
    read_bytes_per_s: u64::MAX,
    write_bytes_per_s: u64::MAX,
    reads_per_s: 200,
    writes_per_s: 1_000_000,
    latency_goal: Duration::from_millis(5),
    part_bytes_max: 64 * 1024,
};

fn now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap()
}

/// A direct file of a page, or `None` where there is no direct I/O.
async fn file(world: &UringProviders, name: &str) -> Option<UringFile> {
    let options = OpenOptions::read_write().create().direct();
    let file = match world.storage().open(Path::new(name), options).await {
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
            println!("skipped: {error}");
            return None;
        }
        file => file.unwrap(),
    };
    file.write_all_at(AlignedBuf::zeroed(4096, 4096), 0).await.0.unwrap();
    Some(file)
}

/// A shard that sleeps wakes up when a turn comes, though nothing has ended: there is nothing else here that would
/// wake it.
#[test]
fn turns_come_by_the_clock() {
    for driver in [DriverChoice::RingOrThreads, DriverChoice::Threads] {
        let root = tempfile::tempdir().unwrap();
        let known = IoProperties::new().folder(root.path(), SLOW).unwrap();
        let runtime = Runtime::builder().driver(driver).io_properties(known).build().unwrap();
        let world = runtime.providers(root.path(), 1).unwrap();
        runtime.block_on(async {
            let Some(file) = file(&world, "f").await else { return };
            let begin = now();
            let reads: Vec<_> = (0..6)
                .map(|_| {
                    let file = file.clone();
                    world.task().spawn("read", async move {
                        file.read_exact_at(AlignedBuf::zeroed(4096, 4096), 0).await.0
                    })
                })
                .collect();
            // One timer for all: it is the only other thing that would wake the shard.
            let all = async {
                for read in reads {
                    read.await.unwrap().unwrap();
                }
            };
            world.time().timeout(Duration::from_secs(20), all).await.expect("turns never came");
            let lasted = now() - begin;
            assert!(lasted >= Duration::from_millis(25), "six reads within {lasted:?}");
            let class = &runtime.stats().io_devices[0].classes[0];
            assert_eq!((class.requests, class.delayed, class.waiting), (7, 5, 0));
            assert!(class.delay_ns >= 5 * 5_000_000, "{class:?}");
        });
        runtime.shutdown().unwrap();
    }
}

/// Two shards have a device together: both cannot do more than one could.
#[test]
fn shards_have_a_device_together() {
    const READS: u32 = 6;
    let root = tempfile::tempdir().unwrap();
    let known = IoProperties::new().folder(root.path(), SLOW).unwrap();
    let builder = Runtime::builder().driver(DriverChoice::RingOrThreads).io_properties(known);
    let folder = root.path().to_owned();
    let begin = now();
    let done = run_shards(2, &builder, move |shard| {
        let folder = folder.clone();
        async move {
            let world = shard.providers(folder, 1).unwrap();
            let Some(file) = file(&world, &shard.number().to_string()).await else { return 0 };
            for _ in 0..READS {
                file.read_exact_at(AlignedBuf::zeroed(4096, 4096), 0).await.0.unwrap();
            }
            READS
        }
    });
    let (done, lasted): (u32, _) = (done.unwrap().into_iter().sum(), now() - begin);
    // One at the first moment, and one each five milliseconds from then on.
    assert!(lasted >= Duration::from_millis(5) * done.saturating_sub(1), "{done} reads within {lasted:?}");
}
