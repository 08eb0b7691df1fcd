//! A queue whose shares are controlled, on the loop.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::{Providers, TaskProvider, TimeProvider};

use super::{PATIENCE, loops::prompt, runtime};
use crate::{DeadlineController, DeadlineWork, Latency, Shares, TaskGroup};

/// Two queues compute for as long as they may. While one is ahead of its work it gets little of the time, by the loop's
/// own account; when there is more to do than it can, most of it.
#[test]
fn a_queue_that_falls_behind_gets_more_turns() {
    let root = tempfile::tempdir().unwrap();
    let (runtime, _) = runtime(prompt(), PATIENCE);
    let world = runtime.providers(root.path(), 1).unwrap();
    let tasks = world.task().clone();
    let [urgent, bulk] = ["urgent", "bulk"]
        .map(|name| tasks.create_queue(name, TaskGroup::ROOT, Shares::new(100), Latency::NotImportant));
    let work = DeadlineWork::new(0);
    tasks.control_shares(urgent, DeadlineController::new(&work, Duration::from_millis(5), 10..=1000));
    let reader = runtime.stats_reader();
    // Shares of the first, and time of the two.
    let look = move || {
        let stats = reader.read().queues;
        let [urgent, bulk] =
            ["urgent", "bulk"].map(|name| stats.iter().find(|queue| queue.name == name).unwrap());
        (urgent.shares, urgent.run_ns, bulk.run_ns)
    };
    runtime.block_on(async {
        let is_over = Rc::new(Cell::new(false));
        let spinners = [urgent, bulk].map(|queue| {
            let (tasks, is_over) = (tasks.clone(), Rc::clone(&is_over));
            tasks.clone().spawn_into(queue, "spinner", async move {
                while !is_over.get() {
                    tasks.yield_now().await;
                }
            })
        });
        // How much of the time the first gets from when it has so many shares: of a fifth of a second, or of as much more
        // as it takes to be as expected. A busy machine may take time from either, for which the queue pays at first, and
        // which is made up for later.
        let give_up = world.time().now() + Duration::from_secs(30);
        let part_with = async |shares, is_expected: fn(u64) -> bool| {
            while look().0 != shares {
                assert!(world.time().now() < give_up, "nobody changed the shares");
                tasks.yield_now().await;
            }
            let (_, urgent, bulk) = look();
            loop {
                tasks.yield_now().await;
                let now = look();
                let (urgent, bulk) = (now.1 - urgent, now.2 - bulk);
                if urgent + bulk > 200_000_000 {
                    let part = urgent * 100 / (urgent + bulk);
                    if is_expected(part) {
                        return;
                    }
                    assert!(world.time().now() < give_up, "{part} of a hundred with {shares} shares");
                }
            }
        };
        // One of eleven, and then ten of eleven.
        part_with(10, |part| part < 40).await;
        work.set_total(u64::MAX);
        part_with(1000, |part| part > 60).await;
        is_over.set(true);
        for spinner in spinners {
            spinner.await.unwrap();
        }
    });
}
