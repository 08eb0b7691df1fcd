//! What is the same for whoever is measured.

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

/// Tasks that sleep.
pub(crate) const TASKS: u64 = 1000;
