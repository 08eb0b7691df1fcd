//! How long things take: ranges and shapes, by integers alone.

use std::ops::Range;
use std::time::Duration;

use super::config::LatencyDistribution;
use crate::choice::{Chance, ChoiceFamily, Choices};
use crate::draws::exponential;

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
                // The plain value 0 stands for the share 1, and the least latency.
                range.start.saturating_add(exponential(!(value << 32), width / 2))
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

/// `duration` in nanoseconds, at most `u64::MAX`.
pub(crate) fn duration_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Nanos, Shape};
    use crate::choice::{Chance, Choices, Tape};
    use crate::net::config::LatencyDistribution;

    fn shape(distribution: LatencyDistribution) -> Shape {
        Shape { distribution, slow: Chance::one_in(1, 10), slow_permille: 10_000 }
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
