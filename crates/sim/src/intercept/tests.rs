//! Each call seen from a task, and from outside of worlds.

use std::time::Duration;

use samestep_provider_traits::TimeProvider;

use super::{Intercepted, InterceptedCalls};
use crate::runner::{Failure, RunPlan, run_one};
use crate::world::{SimWorld, WorldConfig};
use crate::{SimJoinHandle, SimTimeProvider};

fn in_a_world<T: 'static>(body: impl FnOnce() -> T + 'static) -> (T, Vec<InterceptedCalls>) {
    let world = SimWorld::new_with_seed(3);
    let time = SimTimeProvider::new(&world);
    let mut task: SimJoinHandle<T> = world.spawn(None, "asks", async move {
        time.sleep(Duration::from_secs(5)).await;
        body()
    });
    let value = world.block_on(&mut task).unwrap().unwrap();
    (value, world.intercepted())
}

fn one(calls: &[InterceptedCalls], what: Intercepted) -> &InterceptedCalls {
    calls.iter().find(|calls| calls.what == what).unwrap()
}

#[test]
#[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "what is to be caught")]
fn clocks_show_simulated_time_and_are_counted() {
    let read = || {
        let start = std::time::Instant::now();
        (start.elapsed(), std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap())
    };
    let ((elapsed, wall), calls) = in_a_world(read);
    assert_eq!((elapsed, wall), (Duration::ZERO, Duration::from_secs(1_735_689_605)));
    let clock = one(&calls, Intercepted::Clock);
    assert_eq!(clock.count, 3);
    assert!(clock.sites.iter().all(|site| site.contains("intercept/tests.rs")), "{clock:?}");
    assert!(read().1 > Duration::from_secs(1_735_689_605 + 3600), "outside of worlds it is the machine's");
}

#[test]
#[expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "what is to be caught")]
fn keys_of_hash_maps_are_the_seeds() {
    // A thread has its keys for good once it made a map, so each world has a thread of its own.
    let order = || {
        let thread = std::thread::spawn(|| {
            in_a_world(|| {
                let map: std::collections::HashMap<u32, u32> = (0..50).map(|key| (key, key)).collect();
                map.into_values().collect::<Vec<_>>()
            })
        });
        thread.join().unwrap()
    };
    let (first, calls) = order();
    assert_eq!(first, order().0);
    assert_eq!(one(&calls, Intercepted::RandomBytes).count, 1, "{calls:?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what is to be caught")]
fn a_thread_fails_the_run() {
    let setup = |world: &SimWorld| -> SimJoinHandle<Result<(), String>> {
        world.spawn(None, "main", async {
            std::thread::spawn(|| ()).join().unwrap();
            Ok(())
        })
    };
    let report = run_one(&RunPlan::new(WorldConfig::new(1)), setup, &mut |_| {});
    let [Failure::EscapedThread { site }] = &report.failures[..] else { panic!("{:?}", report.failures) };
    assert!(site.contains("intercept/tests.rs"), "{site}");
}
