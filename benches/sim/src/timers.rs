//! Tasks that sleep.

use std::net::IpAddr;
use std::time::Duration;

use samestep_provider_traits::TimeProvider;
use samestep_sim::{SimWorld, WorldConfig};

use crate::draws::{Draws, TASKS};

/// 1000 tasks on one node, each of which sleeps `each` times.
pub(crate) fn run(each: u64) -> u64 {
    let world = SimWorld::with_config(WorldConfig::new(1));
    let node = world.add_node("node", IpAddr::from([10, 0, 0, 1]));
    let time = *world.providers(node).time();
    for task in 0..TASKS {
        let sleeper = async move {
            let mut draws = Draws::new(task);
            for _ in 0..each {
                time.sleep(Duration::from_micros(draws.next_micros())).await;
            }
        };
        drop(world.spawn(Some(node), "sleeper", sleeper));
    }
    world.run_until_empty();
    assert!(world.panics().is_empty() && world.task_states().is_empty(), "every task slept to its end");
    TASKS * each
}
