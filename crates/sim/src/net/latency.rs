//! How long things take: ranges and shapes, by integers alone.

use std::ops::Range;
use std::time::Duration;

use super::config::LatencyDistribution;
use crate::choice::{Chance, ChoiceFamily, Choices};

/// A range of nanoseconds; its start is plain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nanos {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Nanos {
    /// The range in nanoseconds, at most `u64::MAX` of them.
    pub(crate) fn new(range: &Range<Duration>) -> Self {
        Self { start: duration_nanos(range.start), end: duration_nanos(range.end) }
    }

    /// The least and the most of both together.
    pub(crate) fn then(self, other: Self) -> Self {
        // An end is one too many, unless the range has one value alone.
        let end = (self.end.max(self.start)).saturating_add(other.end.max(other.start));
        Self { start: self.start.saturating_add(other.start), end }
    }

    /// One of them, evenly; the start if the range is empty.
    #[inline]
    pub(crate) fn pick(self, choices: &mut Choices, family: ChoiceFamily, place: u32) -> u64 {
        if self.end <= self.start {
            return self.start;
        }
        choices.within(family, place, self.start..self.end)
    }
}

/// How the values of a range are spread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) distribution: LatencyDistribution,
    /// Of the bimodal shape: how often a value is slow, and how many thousandths of a fast one it then is.
    pub(crate) slow: Chance,
    pub(crate) slow_permille: u64,
}

impl Shape {
    /// A latency of `range` at `place`. Nothing is decided if the range is empty.
    #[inline]
    pub(crate) fn sample(&self, choices: &mut Choices, place: u32, range: Nanos) -> u64 {
        match self.distribution {
            LatencyDistribution::Uniform => range.pick(choices, ChoiceFamily::Latency, place),
            _ => self.sample_uneven(choices, place, range),
        }
    }

    #[cold]
    fn sample_uneven(&self, choices: &mut Choices, place: u32, range: Nanos) -> u64 {
        let width = range.end.saturating_sub(range.start);
        if width == 0 {
            return range.start;
        }
        match self.distribution {
            LatencyDistribution::Uniform => range.pick(choices, ChoiceFamily::Latency, place),
            LatencyDistribution::Exponential => {
                let value = choices.pick(ChoiceFamily::Latency, place, 1 << 32);
                range.start.saturating_add(exponential(value, width / 2))
            }
            LatencyDistribution::Bimodal => {
                let value = range.pick(choices, ChoiceFamily::Latency, place);
                if choices.happens(ChoiceFamily::Latency, place, self.slow) {
                    permille(value, self.slow_permille)
                } else {
                    value
                }
            }
        }
    }
}

/// `value` times `factor` thousandths.
pub(crate) fn permille(value: u64, factor: u64) -> u64 {
    let product = u128::from(value) * u128::from(factor) / 1000;
    u64::try_from(product).unwrap_or(u64::MAX)
}

/// The exponential distribution of mean `mean`, by the inverse of its function at `value` of 2^32; 0 gives 0.
///
/// 64 quantiles with straight lines between them; in the last 64th, which has no end, the distribution begins
/// anew behind the last quantile, as it has no memory. Off by less than 1 % of the mean.
pub(crate) fn exponential(value: u64, mean: u64) -> u64 {
    let mut rest = u32::try_from(value & u64::from(u32::MAX)).expect("masked to 32 bits");
    let mut units = 0;
    // 32 bits hold five of the steps of 6 bits.
    for _ in 0..5 {
        let step = (rest >> 26) as usize;
        rest <<= 6;
        if step < QUANTILES.len() - 1 {
            let (low, high) = (QUANTILES[step], QUANTILES[step + 1]);
            units += low + (((high - low) * u64::from(rest >> 16)) >> 16);
            break;
        }
        units += QUANTILES[step];
    }
    let scaled = (u128::from(units) * u128::from(mean)) >> QUANTILE_BITS;
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// `duration` in nanoseconds, at most `u64::MAX`.
pub(crate) fn duration_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Quantiles of the exponential distribution of mean 1 are in 2^-16 of it.
const QUANTILE_BITS: u32 = 16;

/// `-ln(1 - k / 64)` for k from 0.
#[rustfmt::skip]
const QUANTILES: [u64; 64] = [
    0, 1_032, 2_081, 3_146, 4_230, 5_331, 6_451, 7_591,
    8_751, 9_932, 11_135, 12_360, 13_608, 14_880, 16_178, 17_502,
    18_854, 20_233, 21_643, 23_083, 24_556, 26_063, 27_605, 29_184,
    30_802, 32_461, 34_164, 35_911, 37_707, 39_553, 41_453, 43_409,
    45_426, 47_507, 49_656, 51_877, 54_177, 56_561, 59_034, 61_604,
    64_280, 67_069, 69_982, 73_031, 76_228, 79_590, 83_133, 86_879,
    90_852, 95_082, 99_603, 104_460, 109_706, 115_408, 121_654, 128_559,
    136_278, 145_029, 155_132, 167_080, 181_704, 200_558, 227_130, 272_557,
];

#[cfg(test)]
mod tests {
    use super::{Nanos, QUANTILES, Shape, exponential};
    use crate::choice::{Chance, Choices, Tape};
    use crate::draws::Stream;
    use crate::net::config::LatencyDistribution;

    fn shape(distribution: LatencyDistribution) -> Shape {
        Shape { distribution, slow: Chance::one_in(1, 10), slow_permille: 10_000 }
    }

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "figures below 2^32")]
    fn the_table_is_the_logarithm() {
        for (step, quantile) in QUANTILES.into_iter().enumerate() {
            let expected = -(1.0 - step as f64 / 64.0).ln() * 65536.0;
            assert!((quantile as f64 - expected).abs() < 1.0, "{step}: {quantile}, not {expected}");
        }
    }

    /// Against the distribution's own moments: mean 1, and exp(-3) of all values above 3.
    #[test]
    fn exponential_values_are_exponential() {
        let mut random = Stream::from_seed(4);
        let values: Vec<u64> =
            (0..100_000).map(|_| exponential(random.next_u64() >> 32, 1_000_000)).collect();
        let mean = values.iter().sum::<u64>() / 100_000;
        assert!((985_000..1_015_000).contains(&mean), "{mean}");
        let tail = values.iter().filter(|value| **value > 3_000_000).count();
        // 4979 expected; the standard deviation is 69.
        assert!((4_600..5_400).contains(&tail), "{tail}");
        assert!(values.iter().any(|value| *value > 9_000_000), "the tail was cut off");
        assert_eq!(exponential(0, 1_000_000), 0);
    }

    #[test]
    fn each_shape_has_its_range_and_a_plain_start() {
        let range = Nanos { start: 100, end: 200 };
        let most = |distribution| {
            let mut choices = Choices::drawn(1);
            (0..10_000).map(|_| shape(distribution).sample(&mut choices, 0, range)).max().unwrap()
        };
        assert_eq!(most(LatencyDistribution::Uniform), 199);
        assert!(most(LatencyDistribution::Bimodal) > 1900);
        assert!(most(LatencyDistribution::Exponential) > 450);
        for distribution in
            [LatencyDistribution::Uniform, LatencyDistribution::Bimodal, LatencyDistribution::Exponential]
        {
            let mut plain = Choices::taped(1, Tape::new());
            assert_eq!(shape(distribution).sample(&mut plain, 0, range), 100);
        }
    }
}
