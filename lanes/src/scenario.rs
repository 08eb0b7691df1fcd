//! A lane made of a name and a function.

use samestep_replay_traits::{Lane, LaneContext, LaneError, Seeding, Transcript};

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
