//! A lane made of a name and a function.

use std::fmt::Display;

use samestep_replay_traits::{Event, Lane, LaneContext, LaneError, Seeding, Transcript};

/// A scenario that is nothing but a function.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&LaneContext, &mut Transcript) -> Result<(), LaneError>,
}

impl Lane for Scenario {
    fn name(&self) -> &str {
        self.name
    }

    fn about(&self) -> &str {
        self.about
    }

    fn run(&self, context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
        (self.run)(context, transcript)
    }
}

/// A scenario that does something else with every seed.
pub(crate) struct Random(pub(crate) Scenario);

impl Lane for Random {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn about(&self) -> &str {
        self.0.about()
    }

    fn run(&self, context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
        self.0.run(context, transcript)
    }

    fn seeding(&self) -> Seeding {
        Seeding::Random
    }
}

/// Writes how often faults of each family acted: a runner that draws seeds sums that up.
pub(crate) fn tell_faults<F: Display>(
    transcript: &mut Transcript,
    acted: impl IntoIterator<Item = (F, u64)>,
) {
    for (family, times) in acted {
        transcript.event(&Event::new("fault").field("family", family).field("times", times));
    }
}
