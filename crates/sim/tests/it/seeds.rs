//! How many seeds tests try, numbers of their own, and nodes.

use std::net::{IpAddr, Ipv4Addr};

use samestep_sim::{NodeId, SimWorld};

/// A new node, at an address of its own.
pub(crate) fn node_of(world: &SimWorld, name: &str) -> NodeId {
    let number = u8::try_from(world.nodes().len() + 1).unwrap();
    world.add_node(name, IpAddr::V4(Ipv4Addr::new(10, 0, 0, number)))
}

/// As many seeds as `SIM_SEEDS` says, else `default`: a few hundred in a usual run, 10 000 in a long one.
#[expect(clippy::disallowed_methods, reason = "how long a test takes is for who runs it to say")]
pub(crate) fn count(default: u64) -> u64 {
    std::env::var("SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(default)
}

/// SplitMix64: numbers for the test itself, apart from those of the world.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % bound
    }
}
