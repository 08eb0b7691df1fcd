//! Planted causes of runs that differ, each found, and a sound program in which nothing is.

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use samestep_provider_traits::{RandomProvider, TaskProvider, TimeProvider};

use super::{Divergence, EVENTS_KEPT_MAX, Witness, compare, compare_with_process};
use crate::runner::{RunPlan, RunReport, run_one};
use crate::trace::Keep;
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
    let run = |keep| {
        let plan = RunPlan { config: plan.config.clone().keep(keep), ..plan.clone() };
        run_one(&plan, setup, &mut |_| {})
    };
    let first = run(Keep::Hash);
    compare(&Witness::of(&first, 0), &|keep| Witness::of(&run(keep), 0)).map(|()| first)
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

/// A run of so many sleeps that its events are not kept; the sleep with this number differs each time.
#[test]
fn the_first_event_that_differs_in_a_long_run_is_found_between_two_hashes() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    const SLEEPS: u64 = 40_000;
    const DIFFERS: u64 = 31_234;
    /// Those whose events are compared came after so many.
    const RUNS_BEFORE: u64 = 4;
    let setup = |world: &SimWorld| {
        sleeps(world, || {
            let mut numbers: Vec<u64> = (0..SLEEPS).map(|number| number % 500).collect();
            numbers[usize::try_from(DIFFERS).unwrap()] = 500 + RUNS.fetch_add(1, Ordering::Relaxed);
            numbers
        })
    };
    let divergence = check_determinism(&plan(1), &setup).unwrap_err();
    // Two runs show that they differ, two more where, and two around there; none kept more.
    assert_eq!(RUNS.load(Ordering::Relaxed), 6);
    let (first, second) = (divergence.first.clone().unwrap(), divergence.second.clone().unwrap());
    assert!(first.number > EVENTS_KEPT_MAX && first.number == second.number, "{first:?}");
    assert_eq!(second.time.as_nanos() - first.time.as_nanos(), 1000);
    // Each number slept its own time and a microsecond more: the sum until then is when it differs.
    let until: u64 = (0..DIFFERS).map(|number| number % 500 + 1).sum();
    assert_eq!(first.time.as_nanos() / 1000, until + 501 + RUNS_BEFORE);
    assert_eq!((&first.what, divergence.common.len()), (&Traced::TimerFired, 8));
}

/// One run goes on where the other, just as long until then, is over.
#[test]
fn a_long_run_that_ends_early_differs_where_it_ends() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let setup = |world: &SimWorld| {
        sleeps(world, || {
            let sleeps = 40_000 + (RUNS.fetch_add(1, Ordering::Relaxed) % 2) * 10_000;
            vec![1; usize::try_from(sleeps).unwrap()]
        })
    };
    let divergence = check_determinism(&plan(1), &setup).unwrap_err();
    let (first, second) = (divergence.first.clone().unwrap(), divergence.second.clone().unwrap());
    assert_eq!((first.what, second.what), (Traced::TaskEnded { panicked: false }, Traced::TimerFired));
    assert!(divergence.note.contains("passed at 0.080000000s"), "{}", divergence.note);
}

/// What differs by chance is at another place in each run, and is told as well as it can be.
#[test]
fn what_differs_elsewhere_each_time_is_still_told() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let setup = |world: &SimWorld| {
        sleeps(world, || {
            let run = RUNS.fetch_add(1, Ordering::Relaxed);
            let mut numbers = vec![1; 40_000];
            numbers[usize::try_from(run * 3_000 % 39_000).unwrap()] = 7;
            numbers
        })
    };
    let divergence = check_determinism(&plan(1), &setup).unwrap_err();
    assert_eq!((divergence.first.clone(), divergence.second.clone()), (None, None));
    assert!(divergence.to_string().contains("where they part differs from run to run"), "{divergence}");
}

#[test]
fn tables_that_differ_are_a_difference_though_no_event_is() {
    let setup = |world: &SimWorld| sleeps(world, || vec![1, 2, 3]);
    let report = check_determinism(&plan(1), &setup).unwrap();
    let divergence = compare(&Witness::of(&report, 1), &|_| Witness::of(&report, 2)).unwrap_err();
    assert!(divergence.to_string().contains("no event differs, but what checks counted"), "{divergence}");
}

#[test]
fn a_run_from_a_process_is_compared_and_its_lack_is_an_error() {
    let setup = |world: &SimWorld| sleeps(world, || vec![1, 2, 3]);
    let report = check_determinism(&plan(1), &setup).unwrap();
    let (same, other) = (Witness::of(&report, 0), Witness { polls: 99, ..Witness::of(&report, 0) });
    let run = |_| Witness::of(&report, 0);
    assert_eq!(compare_with_process::<()>(&same, &run, &|_| Ok(same.clone())), Ok(None));
    let found = compare_with_process::<()>(&same, &run, &|_| Ok(other.clone())).unwrap().unwrap();
    assert!(found.note.contains("in a process of its own"), "{}", found.note);
    assert_eq!(compare_with_process(&same, &run, &|_| Err("gone")), Err("gone"));
}
