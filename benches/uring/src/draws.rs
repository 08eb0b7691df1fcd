//! Random numbers, the same for whoever is measured.

/// SplitMix64, of Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Below `end`, which is small beside 2^32.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = self.0;
        let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((value ^ (value >> 31)) >> 32) * end) >> 32
    }
}
