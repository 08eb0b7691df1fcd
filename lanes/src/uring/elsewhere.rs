//! The same lanes where there is no io_uring, so that they are counted there.

use samestep_replay_traits::{LaneContext, LaneError, Transcript};

use crate::scenario::Scenario;

pub(crate) const ECHO: Scenario = Scenario { name: "uring/echo", about: ABOUT, run: skip };
pub(crate) const WAL_FACE: Scenario = Scenario { name: "uring/wal-face", about: ABOUT, run: skip };

fn skip(_: &LaneContext, _: &mut Transcript) -> Result<(), LaneError> {
    Err(LaneError::skipped("io_uring is Linux's"))
}

const ABOUT: &str = "what runs elsewhere runs on io_uring and tells the same";
