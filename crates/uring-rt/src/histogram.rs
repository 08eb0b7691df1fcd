//! Durations counted in buckets whose width grows with them.

use std::fmt;

/// How many durations were how long, to a sixteenth of each.
///
/// Log-linear, as in HdrHistogram (G. Tene): each power of two is cut into 16 buckets of one width, so that a bucket is
/// at most a sixteenth as wide as the least that is in it; below 16 ns each nanosecond has a bucket. What lasts longer
/// than 2^36 - 1 ns, about 69 s, is in the last bucket. The size is fixed, 528 counts in 4 KiB: recording allocates
/// nothing and takes the same few instructions for any duration.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    count: u64,
    sum_ns: u64,
    max_ns: u64,
}

impl Histogram {
    /// With nothing in it.
    pub fn new() -> Self {
        Self { counts: Box::new([0; BUCKETS]), count: 0, sum_ns: 0, max_ns: 0 }
    }

    /// Counts a duration.
    pub fn record(&mut self, ns: u64) {
        self.counts[bucket_of(ns)] += 1;
        self.count += 1;
        self.sum_ns = self.sum_ns.saturating_add(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds all that is in another.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts.iter()) {
            *count += more;
        }
        self.count += other.count;
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// How many durations are in it.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum in nanoseconds; at most `u64::MAX`, which is 584 years.
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// The longest, exactly; zero if there is none.
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The least bound of a bucket such that at least `part` of all durations, of 1, are not above it: the duration of
    /// that rank, or at most a sixteenth more, and never more than the longest. Zero if there is none.
    pub fn quantile_ns(&self, part: f64) -> u64 {
        let wanted = rank(part, self.count);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= wanted {
                return last_of(bucket).min(self.max_ns);
            }
        }
        0
    }

    /// How many durations are at most 2^`bits` - 1 ns, exactly; `bits` from 4 to 36.
    pub(crate) fn below_power(&self, bits: u32) -> u64 {
        self.counts[..=bucket_of((1_u64 << bits) - 1)].iter().sum()
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count)
            .field("median_ns", &self.quantile_ns(0.5))
            .field("p99_ns", &self.quantile_ns(0.99))
            .field("max_ns", &self.max_ns)
            .finish_non_exhaustive()
    }
}

/// The number, from one, of the duration that `part` of so many are not above.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank among more than 2^53 may be off by one; it is neither negative nor above the count"
)]
fn rank(part: f64, count: u64) -> u64 {
    let part = if part.is_nan() { 0.0 } else { part.clamp(0.0, 1.0) };
    ((part * count as f64).ceil() as u64).clamp(1, count.max(1))
}

fn bucket_of(ns: u64) -> usize {
    let ns = ns.min((1 << POWERS_END) - 1);
    let index = if ns < SUB_BUCKETS {
        ns
    } else {
        let power = ns.ilog2();
        let power_buckets = u64::from(power - SUB_BITS + 1) << SUB_BITS;
        power_buckets + ((ns >> (power - SUB_BITS)) & (SUB_BUCKETS - 1))
    };
    usize::try_from(index).expect("there are few")
}

/// The longest that is counted there.
fn last_of(bucket: usize) -> u64 {
    let index = bucket as u64;
    if index < SUB_BUCKETS {
        return index;
    }
    let width_bits = (index >> SUB_BITS) - 1;
    let first = (SUB_BUCKETS + (index & (SUB_BUCKETS - 1))) << width_bits;
    first + (1 << width_bits) - 1
}

const SUB_BITS: u32 = 4;
/// Buckets of each power of two.
const SUB_BUCKETS: u64 = 1 << SUB_BITS;
/// Of what is at least two to this nanoseconds there is no telling.
const POWERS_END: u32 = 36;
const BUCKETS: usize = ((POWERS_END - SUB_BITS + 1) << SUB_BITS) as usize;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BUCKETS, Histogram, POWERS_END, bucket_of, last_of};

    /// Buckets follow each other without gap or overlap, to the end of the range.
    #[test]
    fn buckets_meet() {
        let mut first = 0;
        for bucket in 0..BUCKETS {
            let last = last_of(bucket);
            assert_eq!((bucket_of(first), bucket_of(last)), (bucket, bucket), "from {first} to {last}");
            assert!(last - first <= first / 16, "{first} to {last} is too wide");
            first = last + 1;
        }
        assert_eq!(first, 1 << POWERS_END);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn nothing_has_no_quantiles() {
        let none = Histogram::new();
        assert_eq!([none.count(), none.sum_ns(), none.max_ns(), none.quantile_ns(0.5)], [0; 4]);
        assert_eq!(none.below_power(36), 0);
    }

    #[test]
    fn one_is_every_quantile() {
        let mut one = Histogram::new();
        one.record(1_000_003);
        for part in [0.0, 0.5, 1.0, f64::NAN, -1.0, 7.0] {
            assert_eq!(one.quantile_ns(part), 1_000_003, "the longest is exact");
        }
    }

    #[test]
    fn what_is_too_long_is_in_the_last_bucket_and_its_length_is_kept() {
        let mut long = Histogram::new();
        long.record(u64::MAX);
        long.record(u64::MAX);
        assert_eq!((long.max_ns(), long.sum_ns(), long.below_power(35)), (u64::MAX, u64::MAX, 0));
        assert_eq!(long.below_power(36), 2);
    }

    proptest! {
        /// Against the sorted durations: of the rank's duration, or above it by less than a sixteenth.
        #[test]
        fn quantiles_are_those_of_a_sorted_list(
            mut all in prop::collection::vec((0..36_u32, any::<u64>()), 1..200), part in 0.0..=1.0_f64,
        ) {
            let mut sorted: Vec<u64> = all.drain(..).map(|(bits, any)| any & ((1 << bits) - 1)).collect();
            let (front, back) = sorted.split_at(sorted.len() / 2);
            let of = |durations: &[u64]| {
                let mut histogram = Histogram::new();
                for ns in durations {
                    histogram.record(*ns);
                }
                histogram
            };
            let mut merged = of(front);
            merged.merge(&of(back));
            prop_assert_eq!(&merged, &of(&sorted), "merged is as if all had been recorded in one");
            sorted.sort_unstable();
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss,
                reason = "few")]
            let rank = ((part * sorted.len() as f64).ceil() as usize).max(1);
            let (exact, told) = (sorted[rank - 1], merged.quantile_ns(part));
            prop_assert!(told >= exact && told - exact <= exact / 16, "{told} for {exact}");
            for bits in 4..=36 {
                let below = sorted.iter().filter(|ns| **ns < 1 << bits).count() as u64;
                prop_assert_eq!(merged.below_power(bits), below);
            }
        }
    }
}
