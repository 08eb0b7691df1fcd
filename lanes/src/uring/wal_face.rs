//! The log's asynchronous face on the ring.

use samestep_provider_traits::Providers;
use samestep_replay_traits::{LaneContext, LaneError, Transcript};
use samestep_uring_rt::DriverChoice;

use super::on_driver;
use crate::scenario::Scenario;
use crate::wal::{digest_of, expect_alike, through_async_face, through_blocking_face};

/// The history of `wal/faces`, with its transcript.
pub(crate) const WAL_FACE: Scenario = Scenario {
    name: "uring/wal-face",
    about: "the history of wal/faces through the async face on io_uring and on the threads driver, byte for byte",
    run: wal_face,
};

fn wal_face(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let blocking_dir = context.scratch().join("blocking/log");
    let blocking = through_blocking_face(&blocking_dir)?;
    for (name, driver) in [("threads", DriverChoice::Threads), ("ring", DriverChoice::Ring)] {
        let root = context.scratch().join(name);
        let face = |world: samestep_uring_rt::UringProviders| through_async_face(world.storage().clone());
        let seen = on_driver(driver, &root, context.seed().get(), face)??;
        expect_alike(name, &seen, &blocking)?;
        if digest_of(&blocking_dir)? != digest_of(&root.join("log"))? {
            return Err(LaneError::failed(format!(
                "{name}: the face wrote other bytes than the blocking one"
            )));
        }
    }
    blocking.lines().for_each(|line| transcript.line(line));
    Ok(())
}
