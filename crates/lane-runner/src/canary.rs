//! The built-in canary: a lane that is nondeterministic on purpose and must be caught.
#![expect(clippy::disallowed_types, reason = "the random order of a hash map is what this canary is made of")]

use std::collections::HashMap;

use samestep_replay_traits::{Event, Expectation, Lane, LaneContext, LaneError, Transcript};

/// Writes the keys of a hash map in the map's own order, which the standard library draws anew per process.
pub(crate) struct HashOrder;

impl Lane for HashOrder {
    fn name(&self) -> &str {
        "canary/hash-order"
    }

    fn about(&self) -> &str {
        "nondeterministic on purpose, by the order of a hash map: it must be caught"
    }

    fn run(&self, _: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
        let map: HashMap<u32, ()> = (0..KEY_COUNT).map(|key| (key, ())).collect();
        for key in map.keys() {
            transcript.event(&Event::new("key").field("number", key));
        }
        Ok(())
    }

    fn expectation(&self) -> Expectation {
        Expectation::Differ
    }
}

/// So many that two processes agree on an order about never.
const KEY_COUNT: u32 = 64;
