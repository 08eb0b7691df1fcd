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

/// The exponentially distributed number of mean `mean` that `value`, uniform over all of its type, stands for.
///
/// `-ln(u) * mean` with `u` the share of `value` in 2^64. The logarithm is taken to base 2, a bit at a time: a
/// number between 1 and 2 is squared, and the bit is whether the square is 2 or more. Then it is scaled.
pub(crate) fn exponential(value: u64, mean: u64) -> u64 {
    let value = value.max(1);
    let zeros = value.leading_zeros();
    // In 1..2, with 63 bits behind the point.
    let mut mantissa = value << zeros;
    let mut fraction: u64 = 0;
    for _ in 0..LOG_BITS {
        let square = (u128::from(mantissa) * u128::from(mantissa)) >> 63;
        let is_two = square >> 64 != 0;
        mantissa = u64::try_from(if is_two { square >> 1 } else { square }).expect("below 2 with 63 bits");
        fraction = (fraction << 1) | u64::from(is_two);
    }
    let bits = (u64::from(zeros + 1) << LOG_BITS) - fraction;
    let nats = (u128::from(bits) * LN_2) >> LOG_BITS;
    u64::try_from((nats * u128::from(mean)) >> LOG_BITS).unwrap_or(u64::MAX)
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
/// Bits behind the point of a logarithm.
const LOG_BITS: u32 = 32;
/// The natural logarithm of 2, 0.693147180559945..., with 32 bits behind the point.
const LN_2: u128 = 2_977_044_472;

#[cfg(test)]
mod tests {
    use super::{GOLDEN, Stream, exponential, mix};

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

    /// -ln(1/2) is 0.693147..., -ln(1/4) twice that, -ln(3/4) is 0.287682... .
    #[test]
    fn logarithms_are_those_of_the_table() {
        let mean = 1_000_000_000;
        for (value, expected) in [
            (1 << 63, 693_147_180),
            (1 << 62, 1_386_294_361),
            (3 << 62, 287_682_072),
            (u64::MAX, 0),
            (1, 44_361_419_555),
            (0, 44_361_419_555),
        ] {
            let found = exponential(value, mean);
            assert!(found.abs_diff(expected) <= 20, "{value}: {found} instead of {expected}");
        }
    }

    /// Against the distribution's own moments: mean 1, and exp(-3) of all values above 3.
    #[test]
    fn exponential_values_are_exponential() {
        let mut random = Stream::from_seed(4);
        let values: Vec<u64> = (0..100_000).map(|_| exponential(random.next_u64(), 1_000_000)).collect();
        let mean = values.iter().sum::<u64>() / 100_000;
        assert!((985_000..1_015_000).contains(&mean), "{mean}");
        let tail = values.iter().filter(|value| **value > 3_000_000).count();
        // 4979 expected; the standard deviation is 69.
        assert!((4_600..5_400).contains(&tail), "{tail}");
        assert!(values.iter().any(|value| *value > 9_000_000), "the tail was cut off");
    }
}
