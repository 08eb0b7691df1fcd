//! When faults come: at a mean rate per simulated second, with exponential gaps, by integers alone.

use crate::choice::{Chance, ChoiceFamily, Choices};
use crate::draws::exponential;
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

#[cfg(test)]
mod tests {
    use super::Arrivals;
    use crate::choice::{ChoiceFamily, Choices, Tape};
    use crate::time::SimTime;

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
