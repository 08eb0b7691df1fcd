//! Random streams.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use samestep_provider_traits::RandomProvider;

/// A random stream of a [`MemoryWorld`](crate::MemoryWorld): SplitMix64 (Steele, Lea and Flood, "Fast splittable
/// pseudorandom number generators", 2014).
#[derive(Clone)]
pub struct MemoryRandomProvider {
    seed: u64,
    state: Rc<Cell<u64>>,
}

impl MemoryRandomProvider {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, state: Rc::new(Cell::new(seed)) }
    }
}

impl RandomProvider for MemoryRandomProvider {
    fn next_u64(&self) -> u64 {
        let state = self.state.get().wrapping_add(GOLDEN_GAMMA);
        self.state.set(state);
        mix(state)
    }

    fn fork(&self, name: &str) -> Self {
        // FNV-1a over the name, then mixed with the seed, so that neither can cancel the other.
        let hash =
            name.bytes().fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
        Self::new(mix(mix(self.seed ^ GOLDEN_GAMMA).wrapping_add(hash)))
    }
}

impl fmt::Debug for MemoryRandomProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRandomProvider").field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// The finalizer of SplitMix64.
fn mix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// 2^64 divided by the golden ratio, made odd.
const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;
const FNV_OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01B3;

#[cfg(test)]
mod tests {
    use samestep_provider_traits::RandomProvider;

    use super::MemoryRandomProvider;

    /// The first numbers for seed 1234567 as published with the generator.
    #[test]
    fn draws_are_those_of_splitmix64() {
        let random = MemoryRandomProvider::new(1_234_567);
        let draws: Vec<u64> = (0..5).map(|_| random.next_u64()).collect();
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(draws, published);
    }
}
