//! Lanes of the runtime on io_uring: what ran elsewhere runs on it and tells the same.

mod echo;
mod wal_face;

pub(crate) use echo::ECHO;
pub(crate) use wal_face::WAL_FACE;

use std::path::Path;

use samestep_replay_traits::LaneError;
use samestep_uring_rt::{DriverChoice, Runtime, StartError, UringProviders};

/// Runs `program` on one driver, with files below `root`, and ends the runtime.
fn on_driver<Fut: Future>(
    driver: DriverChoice,
    root: &Path,
    seed: u64,
    program: impl FnOnce(UringProviders) -> Fut,
) -> Result<Fut::Output, LaneError> {
    std::fs::create_dir(root)?;
    let runtime = match Runtime::builder().driver(driver).build() {
        Ok(runtime) => runtime,
        Err(error) => return Err(refused(&error)),
    };
    let world = runtime.providers(root, seed)?;
    let output = runtime.block_on(program(world));
    runtime.shutdown()?;
    Ok(output)
}

/// A machine without io_uring is no defect of ours, but nothing was shown on it either.
fn refused(error: &StartError) -> LaneError {
    LaneError::skipped(error.to_string())
}
