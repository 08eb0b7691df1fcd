//! What simulated disks do when they fail, each fact by itself.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use samestep_provider_traits::{AlignedBuf, File, OpenOptions, StorageProvider, TimeProvider};
use samestep_sim::{
    CrashConfiguration, DamageExtent, DiskFault, DiskFaultRates, Down, FaultBudget, FaultFamily, NodeId,
    SimFile, SimProviders, SimWorld, StorageConfiguration, WorldConfig,
};

use crate::seeds::node_of;

fn run<T: 'static, Fut: Future<Output = T> + 'static>(
    world: &SimWorld,
    node: NodeId,
    test: impl FnOnce(SimProviders) -> Fut,
) -> T {
    let mut task = world.spawn(Some(node), "test", test(world.providers(node)));
    world.block_on(&mut task).expect("it comes to its end").unwrap()
}

fn world_with(seed: u64, storage: StorageConfiguration) -> (SimWorld, NodeId) {
    let world = SimWorld::with_config(WorldConfig::new(seed).keep_trace().storage(storage));
    let node = node_of(&world, "node");
    (world, node)
}

async fn create(providers: &SimProviders, path: &str) -> SimFile {
    providers.storage().open(Path::new(path), OpenOptions::read_write().create()).await.unwrap()
}

async fn contents(providers: SimProviders, path: &'static str) -> Vec<u8> {
    let file = providers.storage().open(Path::new(path), OpenOptions::read_only()).await.unwrap();
    let (count, bytes) = file.read_at(Vec::with_capacity(1 << 16), 0).await;
    count.unwrap();
    bytes
}

fn crash(world: &SimWorld, node: NodeId) {
    world.kill(node, Down::Crash);
    world.boot(node);
}

fn losing() -> StorageConfiguration {
    let crash = CrashConfiguration {
        clean_probability: 0.0,
        lose_all_probability: 1.0,
        ..CrashConfiguration::default()
    };
    StorageConfiguration { crash, ..StorageConfiguration::default() }
}

#[test]
fn nodes_do_not_see_each_others_files() {
    let world = SimWorld::new_with_seed(1);
    let (a, b) = (node_of(&world, "a"), node_of(&world, "b"));
    for (node, bytes) in [(a, b"of a"), (b, b"of b")] {
        run(&world, node, |providers| async move {
            create(&providers, "f").await.write_all_at(bytes, 0).await.0.unwrap();
        });
    }
    assert_eq!(run(&world, a, |providers| contents(providers, "f")), b"of a");
    assert_eq!(run(&world, b, |providers| contents(providers, "f")), b"of b");
}

/// The sync fails, what it was to write is lost, the open file is poisoned; and another that is opened then syncs
/// without a word.
#[test]
fn a_failed_sync_loses_its_bytes_and_poisons_the_open_file() {
    let failing = StorageConfiguration { sync_failure_probability: 1.0, ..losing() };
    let (world, node) = world_with(3, losing());
    run(&world, node, |providers| async move {
        let file = create(&providers, "f").await;
        file.write_all_at(vec![b'o'; 1024], 0).await.0.unwrap();
        file.sync_data().await.unwrap();
        providers.storage().sync_dir(Path::new("")).await.unwrap();
    });
    world.configure_storage(node, &failing);
    let file = run(&world, node, |providers| async move {
        let file = create(&providers, "f").await;
        file.write_all_at(vec![b'n'; 512], 512).await.0.unwrap();
        let error = file.sync_data().await.unwrap_err();
        let source = error.get_ref().unwrap().downcast_ref::<DiskFault>();
        assert_eq!(source, Some(&DiskFault::Sync));
        file
    });
    world.configure_storage(node, &losing());
    run(&world, node, |providers| async move {
        let error = file.clone().sync_all().await.unwrap_err();
        assert_eq!(error.get_ref().unwrap().downcast_ref::<DiskFault>(), Some(&DiskFault::Poisoned));
        let reopened = create(&providers, "f").await;
        reopened.write_all_at(b"k", 0).await.0.unwrap();
        reopened.sync_data().await.unwrap();
        file.sync_data().await.unwrap_err();
    });
    let details: Vec<_> = world
        .faults()
        .events()
        .iter()
        .filter(|fault| fault.family == FaultFamily::SyncFailure)
        .map(|fault| fault.detail.clone())
        .collect();
    assert_eq!(details, ["f, offset 512, 512 bytes"]);
    crash(&world, node);
    let bytes = run(&world, node, |providers| contents(providers, "f"));
    assert_eq!(
        bytes,
        [&b"k"[..], &[b'o'; 1023]].concat(),
        "the sync of the file opened later wrote nothing of it"
    );
}

/// A write that lands in a sector while it is being synced takes nothing of it out of the sync.
#[test]
fn a_sync_covers_what_was_written_before_it_though_more_comes_meanwhile() {
    for seed in 0..20 {
        let (world, node) = world_with(seed, losing());
        run(&world, node, |providers| async move {
            let file = create(&providers, "f").await;
            providers.storage().sync_dir(Path::new("")).await.unwrap();
            file.write_all_at(b"before", 0).await.0.unwrap();
            let mut sync = pin!(file.sync_data());
            assert!(poll_fn(|cx| Poll::Ready(sync.as_mut().poll(cx).is_pending())).await);
            file.write_all_at(b"meanwhile", 100).await.0.unwrap();
            sync.await.unwrap();
        });
        crash(&world, node);
        let bytes = run(&world, node, |providers| contents(providers, "f"));
        assert_eq!(bytes.get(..6), Some(&b"before"[..]), "seed {seed}");
    }
}

/// Syncs are faster than writes here, and still come after them.
#[test]
fn a_sync_waits_for_slow_writes() {
    let slow = StorageConfiguration {
        write_latency: Duration::from_millis(50)..Duration::from_millis(60),
        sync_latency: Duration::from_millis(1)..Duration::from_millis(2),
        ..losing()
    };
    let (world, node) = world_with(1, slow);
    run(&world, node, |providers| async move {
        let file = create(&providers, "f").await;
        providers.storage().sync_dir(Path::new("")).await.unwrap();
        {
            let mut dropped = pin!(file.write_at(b"slow".to_vec(), 0));
            assert!(poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx).is_pending())).await);
        }
        file.sync_data().await.unwrap();
    });
    crash(&world, node);
    assert_eq!(run(&world, node, |providers| contents(providers, "f")), b"slow");
}

#[test]
fn the_error_of_a_dropped_write_is_told_once_by_a_sync() {
    let rates = DiskFaultRates { write_errors_per_second: 1e9, ..DiskFaultRates::default() };
    let (world, node) = world_with(5, StorageConfiguration::default());
    let file = run(&world, node, |providers| async move { create(&providers, "f").await });
    world.configure_storage(node, &StorageConfiguration { rates, ..StorageConfiguration::default() });
    run(&world, node, |_| async move {
        {
            let mut dropped = pin!(file.write_at(vec![1; 100], 0));
            assert!(poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx).is_pending())).await);
        }
        let error = file.sync_data().await.unwrap_err();
        let source = error.get_ref().unwrap().downcast_ref::<DiskFault>();
        assert_eq!(source, Some(&DiskFault::Write { offset: 0, bytes: 100 }));
        file.sync_data().await.unwrap();
        file.close().await.unwrap();
    });
}

/// Of a write that fails any part may be there, from none to all; it fails for no other reason.
#[test]
fn a_failed_write_leaves_any_part_of_it() {
    let rates = DiskFaultRates { write_errors_per_second: 1e9, ..DiskFaultRates::default() };
    let mut parts = [0; 3];
    for seed in 0..60 {
        let (world, node) = world_with(seed, StorageConfiguration { rates: rates.clone(), ..losing() });
        let len = run(&world, node, |providers| async move {
            let file = create(&providers, "f").await;
            let error = file.write_at(vec![1; 3], 100).await.0.unwrap_err();
            let source = error.get_ref().unwrap().downcast_ref::<DiskFault>();
            assert_eq!(source, Some(&DiskFault::Write { offset: 100, bytes: 3 }));
            file.metadata().await.unwrap().len
        });
        assert_eq!(world.faults().count(FaultFamily::WriteError), 1);
        parts[match len {
            0 => 0,
            103 => 2,
            _ => 1,
        }] += 1;
    }
    assert!(parts.iter().all(|count| *count > 5), "none, some, all: {parts:?}");
}

#[test]
fn a_full_disk_stores_what_fits_and_recovers() {
    let (world, node) =
        world_with(1, StorageConfiguration { capacity_bytes: 10, ..StorageConfiguration::default() });
    run(&world, node, |providers| async move {
        let file = create(&providers, "f").await;
        assert_eq!(file.write_at(vec![1; 8], 0).await.0.unwrap(), 8);
        assert_eq!(file.write_at(vec![2; 8], 8).await.0.unwrap(), 2);
        assert_eq!(file.write_at(vec![2; 8], 10).await.0.unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(file.write_at(vec![3; 8], 0).await.0.unwrap(), 8, "bytes that are there need no room");
        assert_eq!(file.write_at(vec![3; 8], 5).await.0.unwrap(), 5);
        assert_eq!(file.allocate(11).await.unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(providers.storage().space().await.unwrap().available, 0);
        file.set_len(1).await.unwrap();
        assert_eq!(file.write_at(vec![4; 8], 1).await.0.unwrap(), 8);
        file.set_len(1 << 30).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len, 1 << 30, "a hole needs no room");
    });
    assert_eq!(world.faults().count(FaultFamily::NoSpace), 4);
}

#[test]
fn a_removed_file_gives_its_room_back_when_it_is_closed_and_the_removal_durable() {
    let (world, node) =
        world_with(1, StorageConfiguration { capacity_bytes: 10, ..StorageConfiguration::default() });
    run(&world, node, |providers| async move {
        let storage = providers.storage();
        let file = create(&providers, "f").await;
        file.write_all_at(vec![1; 10], 0).await.0.unwrap();
        storage.sync_dir(Path::new("")).await.unwrap();
        storage.remove(Path::new("f")).await.unwrap();
        storage.sync_dir(Path::new("")).await.unwrap();
        assert_eq!(storage.space().await.unwrap().available, 0, "it is open");
        drop(file);
        assert_eq!(storage.space().await.unwrap().available, 10);
    });
}

#[test]
fn a_direct_file_wants_whole_sectors() {
    let (world, node) =
        world_with(1, StorageConfiguration { sector_bytes: 4096, ..StorageConfiguration::default() });
    run(&world, node, |providers| async move {
        let options = OpenOptions::read_write().create().direct();
        let file = providers.storage().open(Path::new("f"), options).await.unwrap();
        let alignment = file.alignment();
        assert_eq!((alignment.memory_bytes, alignment.offset_bytes), (4096, 4096));
        let buf = |len| AlignedBuf::zeroed(len, 4096);
        assert_eq!(file.write_at(buf(8192), 0).await.0.unwrap(), 8192);
        assert_eq!(file.write_at(buf(4096), 512).await.0.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(file.write_at(buf(512), 0).await.0.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(file.read_at(buf(512), 4096).await.0.unwrap_err().kind(), ErrorKind::InvalidInput);
        let shifted = samestep_provider_traits::IoBuf::slice(buf(8192), 1..4097);
        assert_eq!(file.write_at(shifted, 0).await.0.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(file.read_at(buf(4096), 4096).await.0.unwrap(), 4096);
    });
}

#[test]
fn a_crash_frees_locks_and_closes_files() {
    let (world, node) = world_with(1, StorageConfiguration::default());
    let (lock, file) = run(&world, node, |providers| async move {
        let lock = providers.storage().lock(Path::new("LOCK")).await.unwrap();
        providers.storage().sync_dir(Path::new("")).await.unwrap();
        (lock, create(&providers, "f").await)
    });
    crash(&world, node);
    run(&world, node, |providers| async move {
        let held = providers.storage().lock(Path::new("LOCK")).await.unwrap();
        // What is left of the boot before does nothing.
        assert_eq!(file.write_at(vec![1], 0).await.0.unwrap_err().kind(), ErrorKind::NotConnected);
        drop((lock, file));
        let again = providers.storage().lock(Path::new("LOCK")).await;
        assert_eq!(again.map(drop).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(held);
    });
}

#[test]
fn a_graceful_shutdown_loses_nothing_and_a_wipe_all() {
    for seed in 0..20 {
        let (world, node) = world_with(seed, losing());
        run(&world, node, |providers| async move {
            let file = create(&providers, "f").await;
            file.write_all_at(b"unsynced", 0).await.0.unwrap();
            let mut dropped = pin!(file.write_at(b"UN".to_vec(), 0));
            assert!(poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx).is_pending())).await);
        });
        world.kill(node, Down::Graceful);
        world.boot(node);
        assert_eq!(run(&world, node, |providers| contents(providers, "f")), b"UNsynced");
        world.kill(node, Down::CrashAndWipe);
        world.boot(node);
        let names =
            run(
                &world,
                node,
                |providers| async move { providers.storage().list(Path::new("")).await.unwrap() },
            );
        assert_eq!(names, []);
    }
}

/// What a process leaves when its kernel lives is still not durable.
#[test]
fn a_clean_crash_makes_nothing_durable() {
    let clean = StorageConfiguration {
        crash: CrashConfiguration { clean_probability: 1.0, ..CrashConfiguration::default() },
        ..StorageConfiguration::default()
    };
    let (world, node) = world_with(2, clean);
    run(&world, node, |providers| async move {
        create(&providers, "f").await.write_all_at(b"unsynced", 0).await.0.unwrap();
        providers.storage().sync_dir(Path::new("")).await.unwrap();
    });
    crash(&world, node);
    assert_eq!(run(&world, node, |providers| contents(providers, "f")), b"unsynced");
    world.configure_storage(node, &losing());
    crash(&world, node);
    assert_eq!(run(&world, node, |providers| contents(providers, "f")), b"");
}

/// Each sector that a crash caught is there, is not, or is torn at the atomicity that was asked for.
#[test]
fn sectors_are_torn_at_their_atomicity() {
    let mut kinds = [0; 3];
    for seed in 0..200 {
        let storage =
            StorageConfiguration { sector_bytes: 4096, atomic_bytes: 512, ..StorageConfiguration::default() };
        let (world, node) = world_with(seed, storage);
        run(&world, node, |providers| async move {
            let file = create(&providers, "f").await;
            file.write_all_and_sync(vec![b'o'; 16_384], 0).await.0.unwrap();
            providers.storage().sync_dir(Path::new("")).await.unwrap();
            file.write_all_at(vec![b'n'; 16_384], 0).await.0.unwrap();
        });
        crash(&world, node);
        for sector in run(&world, node, |providers| contents(providers, "f")).chunks(4096) {
            let atoms: Vec<bool> = sector
                .chunks(512)
                .map(|atom| {
                    assert!(atom.iter().all(|byte| byte == &atom[0]), "seed {seed}: torn within an atom");
                    atom[0] == b'n'
                })
                .collect();
            let changes = atoms.windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert!(changes <= 1, "seed {seed}: {atoms:?}");
            kinds[if changes == 1 { 2 } else { usize::from(atoms[0]) }] += 1;
        }
    }
    println!("old, new, torn: {kinds:?}");
    assert!(kinds.iter().all(|count| *count > 20), "old, new, torn: {kinds:?}");
}

/// Three nodes rot; of the same data two clean copies stay.
#[test]
fn a_budget_keeps_enough_copies_clean() {
    let rotting = StorageConfiguration { read_fault_probability: 0.5, ..StorageConfiguration::default() };
    for (is_limited, expected) in [(true, 1..=1), (false, 3..=3)] {
        let world = SimWorld::with_config(WorldConfig::new(9).keep_trace());
        let nodes: Vec<NodeId> = ["a", "b", "c"].iter().map(|name| node_of(&world, name)).collect();
        if is_limited {
            world.set_fault_budget(FaultBudget::new(DamageExtent::Disk).replicas(&nodes, 2));
        }
        let damaged = Rc::new(RefCell::new(0));
        for node in &nodes {
            world.configure_storage(*node, &rotting);
            let damaged = Rc::clone(&damaged);
            run(&world, *node, |providers| async move {
                let file = create(&providers, "f").await;
                file.write_all_and_sync(vec![b'o'; 4096], 0).await.0.unwrap();
                let mut is_damaged = false;
                for _ in 0..50 {
                    let (_, bytes) = file.read_at(Vec::with_capacity(4096), 0).await;
                    is_damaged |= bytes != vec![b'o'; 4096];
                }
                *damaged.borrow_mut() += usize::from(is_damaged);
            });
        }
        assert!(expected.contains(&*damaged.borrow()), "{damaged:?} copies are damaged");
        let wiped = nodes.iter().filter(|node| {
            world.kill(**node, Down::CrashAndWipe);
            world.last_down(**node) == Some(Down::CrashAndWipe)
        });
        assert_eq!(wiped.count(), if is_limited { 1 } else { 3 });
    }
}

/// Files of one node share its device; those of another do not.
#[test]
fn files_share_the_device_of_their_node() {
    let slow = StorageConfiguration { iops: 100, queue_depth: 1, ..StorageConfiguration::default() };
    let world = SimWorld::with_config(WorldConfig::new(1).storage(slow));
    let (a, b) = (node_of(&world, "a"), node_of(&world, "b"));
    let work = |providers: SimProviders, path: &'static str| async move {
        let file = create(&providers, path).await;
        for round in 0..10 {
            file.write_all_at(vec![1; 100], round * 100).await.0.unwrap();
        }
        providers.time().now()
    };
    let mut tasks: Vec<_> = [(a, "x"), (a, "y"), (b, "x")]
        .into_iter()
        .map(|(node, path)| world.spawn(Some(node), "work", work(world.providers(node), path)))
        .collect();
    let ends: Vec<Duration> = tasks.iter_mut().map(|task| world.block_on(task).unwrap().unwrap()).collect();
    // 11 operations of 10 ms each and a little more; 22 where two share.
    assert!(ends[0].max(ends[1]) > Duration::from_millis(215), "{ends:?}");
    assert!(ends[2] < Duration::from_millis(125), "{ends:?}");
}

/// While wall clocks jump about, the monotonic clock does not.
#[test]
fn the_monotonic_clock_never_goes_back() {
    let world = SimWorld::new_with_seed(1);
    let (a, b) = (node_of(&world, "a"), node_of(&world, "b"));
    let second = Duration::from_secs(1);
    let clocks = |node| {
        run(&world, node, |providers| async move {
            providers.time().sleep(Duration::from_secs(1)).await;
            (providers.time().now(), providers.time().wall_clock())
        })
    };
    let (now_0, wall_0) = clocks(a);
    world.step_clock_back(a, second * 100);
    let (now_1, wall_1) = clocks(a);
    assert_eq!((now_1 - now_0, wall_0.duration_since(wall_1).unwrap()), (second, second * 99));
    world.step_clock_forward(a, second * 200);
    world.drift_clock(a, 1000);
    let (now_2, wall_2) = clocks(a);
    assert_eq!(now_2 - now_1, second);
    assert_eq!(wall_2.duration_since(wall_1).unwrap(), second * 201 + Duration::from_millis(1));
    let (now_b, wall_b) = clocks(b);
    assert_eq!(now_b - now_2, second);
    assert_eq!(wall_b.duration_since(wall_0).unwrap(), second * 3, "the clock of b is right");
    assert_eq!(world.faults().count(FaultFamily::ClockStep), 2);
    crash(&world, a);
    let (_, wall_3) = clocks(a);
    assert!(wall_3 > wall_b + second * 99, "a reboot does not mend it");
}
