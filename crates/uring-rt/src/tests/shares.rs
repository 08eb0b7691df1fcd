//! A queue whose shares are controlled, on the loop.

use std::time::Duration;

use samestep_provider_traits::{Providers, TaskProvider, TimeProvider};

use super::{loops::prompt, runtime};
use crate::{DeadlineController, DeadlineWork, Latency, Shares, TaskGroup};

/// Two queues compute for as long as they may, of which one has to do more than it can: as it falls behind it gets more
/// of the time, by the loop's own account.
#[test]
fn a_queue_that_falls_behind_gets_more_turns() {
    let root = tempfile::tempdir().unwrap();
    let (runtime, _) = runtime(prompt(), Duration::from_secs(2));
    let world = runtime.providers(root.path(), 1).unwrap();
    let (tasks, time) = (world.task().clone(), world.time().clone());
    let [urgent, bulk] = ["urgent", "bulk"]
        .map(|name| tasks.create_queue(name, TaskGroup::ROOT, Shares::new(100), Latency::NotImportant));
    let end = time.now() + Duration::from_millis(600);
    let work = DeadlineWork::new(u64::MAX);
    tasks.control_shares(urgent, DeadlineController::new(&work, Duration::from_millis(400), 10..=1000));
    // Time of the two, by name.
    let ran = || {
        let stats = runtime.stats().queues;
        ["urgent", "bulk"].map(|name| stats.iter().find(|queue| queue.name == name).unwrap().run_ns)
    };
    let mut looks = vec![ran()];
    runtime.block_on(async {
        let spinners = [urgent, bulk].map(|queue| {
            let (tasks, time) = (tasks.clone(), time.clone());
            tasks.clone().spawn_into(queue, "spinner", async move {
                while time.now() < end {
                    tasks.yield_now().await;
                }
            })
        });
        // Before it can be late, and when it is for long.
        for after in [20, 300, 550] {
            time.sleep_until(end - Duration::from_millis(600 - after)).await;
            looks.push(ran());
        }
        for spinner in spinners {
            spinner.await.unwrap();
        }
    });
    let part = |from: usize, to: usize| {
        let [urgent, bulk] = [0, 1].map(|queue| looks[to][queue] - looks[from][queue]);
        urgent * 100 / (urgent + bulk).max(1)
    };
    let (early, late) = (part(0, 1), part(2, 3));
    assert!(early < 60, "{early} of a hundred before it was late");
    // With 1000 against 100 it is ten of eleven.
    assert!(late > 75, "{late} of a hundred when it was late");
    let shares = runtime.stats().queues.iter().find(|queue| queue.name == "urgent").unwrap().shares;
    assert_eq!(shares, 1000);
}
