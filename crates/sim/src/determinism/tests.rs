//! Planted causes of runs that differ, each found, and a sound program in which nothing is.

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use samestep_provider_traits::{RandomProvider, TaskProvider, TimeProvider};

use super::{Divergence, Keeps, compare};
use crate::runner::{RunPlan, RunReport, run_one};
use crate::world::{SimWorld, WorldConfig};
use crate::{SimJoinHandle, SimRandomProvider, SimTaskProvider, SimTimeProvider, Traced};

fn plan(seed: u64) -> RunPlan {
    RunPlan::new(WorldConfig::new(seed).keep_tape())
}

type Main = SimJoinHandle<Result<(), String>>;

/// Runs `plan` twice, and gives the first run's report if the second is the same.
fn check_determinism(
    plan: &RunPlan,
    setup: &(impl Fn(&SimWorld) -> Main + Sync),
) -> Result<RunReport, Box<Divergence>> {
    let keeping = RunPlan { config: plan.config.clone().keep_trace(), ..plan.clone() };
    let run = |keeps| run_one(if keeps == Keeps::Events { &keeping } else { plan }, setup, &mut |_| {});
    let first = run(Keeps::AsBefore);
    compare(&first, &run).map(|()| first)
}

/// Sleeps as many microseconds as each of `numbers` says, one after the other.
fn sleeps(world: &SimWorld, numbers: impl FnOnce() -> Vec<u64> + 'static) -> Main {
    let time = SimTimeProvider::new(world);
    world.spawn(None, "main", async move {
        for number in numbers() {
            time.sleep(Duration::from_micros(1 + number % 1000)).await;
        }
        Ok(())
    })
}

/// How many of ten seeds show that `numbers` differ between runs.
fn found(numbers: fn() -> Vec<u64>) -> usize {
    (0..10)
        .filter(|seed| check_determinism(&plan(*seed), &|world: &SimWorld| sleeps(world, numbers)).is_err())
        .count()
}

#[test]
fn a_sound_program_is_its_seed() {
    let setup = |world: &SimWorld| {
        let (time, tasks, random) =
            (SimTimeProvider::new(world), SimTaskProvider::new(world), SimRandomProvider::of_world(world));
        world.spawn(None, "main", async move {
            for name in ["a", "b", "c"] {
                let random = random.fork(name);
                drop(tasks.spawn(name, async move {
                    for _ in 0..20 {
                        time.sleep(Duration::from_micros(random.random_range(1..5))).await;
                    }
                }));
            }
            time.sleep(Duration::from_millis(1)).await;
            Ok(())
        })
    };
    for seed in 0..20 {
        let report = check_determinism(&plan(seed), &setup).unwrap();
        assert!(report.failures.is_empty() && report.events > 100, "{report:?}");
    }
}

#[test]
#[expect(clippy::disallowed_types, reason = "its order is what is to be found")]
fn the_order_of_a_hash_map_is_found() {
    let keys = || {
        let map: std::collections::HashMap<u64, u64> = (0..20).map(|key| (key, key)).collect();
        map.into_values().collect()
    };
    assert_eq!(found(keys), 10);
}

#[test]
fn the_order_of_addresses_is_found() {
    let places = || {
        let values: Vec<Rc<u64>> = (0..16).map(Rc::new).collect();
        let mut by_address: Vec<_> = values.iter().collect();
        by_address.sort_by_key(|value| Rc::as_ptr(value).addr());
        by_address.into_iter().map(|value| **value).collect()
    };
    assert_eq!(found(places), 10);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what is to be found")]
fn a_clock_of_the_machine_is_found() {
    let nanos = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let nanos = u64::from(now.unwrap().subsec_nanos());
        // All of it: its last digits alone are the same now and then, as clocks go by steps.
        vec![nanos, nanos / 1_000, nanos / 1_000_000]
    };
    // Where clocks are intercepted there is nothing to find: they show the time of the world.
    let expected = if cfg!(all(feature = "intercept", target_os = "linux")) { 0 } else { 10 };
    assert_eq!(found(nanos), expected);
}

#[test]
fn a_static_of_an_earlier_run_is_found() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    assert_eq!(found(|| vec![RUNS.fetch_add(1, Ordering::Relaxed)]), 10);
}

#[test]
fn the_first_event_that_differs_is_told_with_both_sides() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let setup =
        |world: &SimWorld| sleeps(world, || vec![1, 2, 3, 4, 10 + RUNS.fetch_add(1, Ordering::Relaxed), 6]);
    let divergence = check_determinism(&plan(1), &setup).unwrap_err();
    let (first, second) = (divergence.first.clone().unwrap(), divergence.second.clone().unwrap());
    assert_eq!((&first.what, &second.what), (&Traced::TimerFired, &Traced::TimerFired));
    assert_eq!(first.number, second.number);
    let apart = second.time.as_nanos() - first.time.as_nanos();
    assert_eq!(apart, 1000, "the runs that were compared came one after the other");
    assert_eq!(divergence.common.len(), 8);
    let text = divergence.to_string();
    assert!(text.contains("two runs of seed 1 differ") && text.contains("  second  event "), "{text}");
}
