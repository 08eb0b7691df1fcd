//! Tasks that sleep.

use std::net::IpAddr;
use std::time::Duration;

use samestep_provider_traits::TimeProvider;
use samestep_sim::{SimWorld, WorldConfig};

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

/// Random times, the same for whoever is measured: SplitMix64.
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From a microsecond to a second.
    pub(crate) fn next_micros(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = self.0;
        let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let value = value ^ (value >> 31);
        1 + value % 1_000_000
    }
}

pub(crate) const TASKS: u64 = 1000;
