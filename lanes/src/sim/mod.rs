//! Lanes of the simulator, and of other crates inside it.

mod hash;
mod log;
mod register;

pub(crate) use hash::TRACE_HASH;
pub(crate) use log::WAL_UNDER_FAULTS;
pub(crate) use register::REGISTER;

use std::net::{IpAddr, Ipv4Addr};

use samestep_sim::{NodeId, SimWorld};

/// A new node, at an address of its own.
fn add_node(world: &SimWorld, name: &str) -> NodeId {
    let number = u8::try_from(world.nodes().len() + 1).expect("a handful of nodes");
    world.add_node(name, IpAddr::V4(Ipv4Addr::new(10, 0, 0, number)))
}

/// SplitMix64: what the driver of a world draws, apart from the world's own numbers.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % bound
    }
}

/// As many seeds as `SIM_SEEDS` says, else `default`.
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "how long a test takes is for who runs it to say")]
fn seed_count(default: u64) -> u64 {
    std::env::var("SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(default)
}
