//! When faults come: at a mean rate per simulated second, with exponential gaps, by integers alone.

use crate::choice::{Chance, ChoiceFamily, Choices};
use crate::time::SimTime;

/// The arrivals of one kind of fault at one place. What is asked for later than it arrived is given then: a fault
/// waits for something to act on, and the next one is counted from there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrivals {
    /// 0: they never come.
    mean_gap_nanos: u64,
    next: SimTime,
}

impl Arrivals {
    /// Arrivals from `now` on, `per_second` of them in the mean; none if it is 0, less, or not a number.
    pub(crate) fn new(
        per_second: f64,
        now: SimTime,
        choices: &mut Choices,
        family: ChoiceFamily,
        place: u32,
    ) -> Self {
        let mean_gap_nanos = mean_gap_nanos(per_second);
        let mut arrivals = Self { mean_gap_nanos, next: SimTime::ZERO };
        if mean_gap_nanos > 0 {
            arrivals.draw_next(now, choices, family, place);
        }
        arrivals
    }

    /// Whether a fault has arrived by `now` and acts: that it acts is a choice, when it comes is the seed's.
    pub(crate) fn take(
        &mut self,
        now: SimTime,
        choices: &mut Choices,
        family: ChoiceFamily,
        place: u32,
    ) -> bool {
        if self.mean_gap_nanos == 0 || now < self.next {
            return false;
        }
        self.draw_next(now, choices, family, place);
        choices.happens(family, place, Chance::ALWAYS)
    }

    fn draw_next(&mut self, now: SimTime, choices: &mut Choices, family: ChoiceFamily, place: u32) {
        let gap = exponential(choices.seeded(family, place, 0..u64::MAX), self.mean_gap_nanos);
        self.next = now.after_nanos(gap.max(1));
    }
}

/// The mean gap between events that come `per_second`; 0 if they never do.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive; casts of floats saturate"
)]
fn mean_gap_nanos(per_second: f64) -> u64 {
    if per_second > 0.0 { ((1e9 / per_second).round() as u64).max(1) } else { 0 }
}

/// The exponentially distributed number of mean `mean` that `value`, uniform over all of its type, stands for.
///
/// `-ln(u) * mean` with `u` the share of `value` in 2^64. The logarithm is taken to base 2, a bit at a time: a
/// number between 1 and 2 is squared, and the bit is whether the square is 2 or more. Then it is scaled.
fn exponential(value: u64, mean: u64) -> u64 {
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

/// Bits behind the point of a logarithm.
const LOG_BITS: u32 = 32;
/// The natural logarithm of 2, 0.693147180559945..., with 32 bits behind the point.
const LN_2: u128 = 2_977_044_472;

#[cfg(test)]
mod tests {
    use super::{Arrivals, exponential};
    use crate::choice::{ChoiceFamily, Choices, Tape};
    use crate::time::SimTime;

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

    #[test]
    fn rates_are_kept() {
        let (family, place) = (ChoiceFamily::Disk, 3);
        let mut choices = Choices::drawn(7);
        let mut arrivals = Arrivals::new(20.0, SimTime::ZERO, &mut choices, family, place);
        // A thousand seconds of something that asks every millisecond.
        let taken = (0..1_000_000)
            .filter(|ms| arrivals.take(SimTime::from_nanos(ms * 1_000_000), &mut choices, family, place))
            .count();
        // 20 000 less what comes while the last was not yet taken (half a millisecond in fifty); six deviations.
        assert!((18_900..=20_650).contains(&taken), "{taken}");
    }

    #[test]
    fn what_is_off_never_comes_and_an_empty_tape_takes_none() {
        let (family, place) = (ChoiceFamily::Disk, 0);
        for rate in [0.0, -1.0, f64::NAN] {
            let mut choices = Choices::drawn(1);
            let mut arrivals = Arrivals::new(rate, SimTime::ZERO, &mut choices, family, place);
            assert!(!arrivals.take(SimTime::MAX, &mut choices, family, place));
        }
        let mut choices = Choices::taped(1, Tape::new());
        let mut arrivals = Arrivals::new(1e6, SimTime::ZERO, &mut choices, family, place);
        assert!(!arrivals.take(SimTime::MAX, &mut choices, family, place));
    }
}
