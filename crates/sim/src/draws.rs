//! Random streams that are functions of a key and a number, so that no draw shifts another.
//!
//! SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014) over a key that is
//! itself mixed from the seed and the stream's name. Value number `n` of a stream can be had without the others.

/// A stream of random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stream {
    key: u64,
    drawn: u64,
}

impl Stream {
    /// The root stream of a seed.
    pub(crate) const fn from_seed(seed: u64) -> Self {
        Self { key: mix(seed ^ ROOT), drawn: 0 }
    }

    /// The stream called `name` below this one, whatever was drawn from this one.
    pub(crate) fn fork(self, name: &str) -> Self {
        Self { key: mix(self.key ^ xxhash_rust::xxh3::xxh3_64(name.as_bytes())), drawn: 0 }
    }

    /// The stream numbered `number` below this one, whatever was drawn from this one.
    pub(crate) const fn fork_number(self, number: u64) -> Self {
        Self { key: mix(self.key ^ mix(number.wrapping_add(GOLDEN))), drawn: 0 }
    }

    /// The next value.
    #[inline]
    pub(crate) const fn next_u64(&mut self) -> u64 {
        let value = self.nth(self.drawn);
        self.drawn += 1;
        value
    }

    /// Value number `number`, counted from 0, drawn or not.
    #[inline]
    pub(crate) const fn nth(&self, number: u64) -> u64 {
        mix(self.key.wrapping_add(number.wrapping_add(1).wrapping_mul(GOLDEN)))
    }

    /// How many values were drawn.
    pub(crate) const fn drawn(&self) -> u64 {
        self.drawn
    }
}

/// The part of `0..bound` that `value` stands for, by multiplication: uneven by less than `bound` in 2^64.
#[inline]
pub(crate) const fn scale(value: u64, bound: u64) -> u64 {
    ((value as u128 * bound as u128) >> 64) as u64
}

/// SplitMix64's finaliser: a bijection in which each bit of the input moves half of the output's.
#[inline]
const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// 2^64 divided by the golden ratio, odd: SplitMix64's step.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// Keeps the root streams of seeds apart from forks by number.
const ROOT: u64 = 0x5a6d_6573_7465_7021;

#[cfg(test)]
mod tests {
    use super::{GOLDEN, Stream, mix};

    /// The reference generator from state 0 gives these; published with Java's SplittableRandom and with xoshiro.
    #[test]
    fn values_are_those_of_splitmix64() {
        let stream = Stream { key: 0, drawn: 0 };
        assert_eq!(stream.nth(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(stream.nth(1), 0x6e78_9e6a_a1b9_65f4);
        assert_eq!(mix(GOLDEN), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn a_draw_shifts_no_fork() {
        let fresh = Stream::from_seed(7);
        let mut drawn = fresh;
        drawn.next_u64();
        assert_eq!(fresh.fork("disk"), drawn.fork("disk"));
        assert_ne!(fresh.fork("disk"), fresh.fork("net"));
        assert_ne!(fresh.fork_number(0), fresh.fork_number(1));
    }
}
