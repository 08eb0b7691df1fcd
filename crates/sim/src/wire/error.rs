//! Errors of the simulation itself, as distinct from those that it injects.

use std::io;

/// Outcome of an operation on a simulation.
pub type SimulationResult<T> = Result<T, SimulationError>;

/// Why an operation on a simulation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// The world is no more, or is being torn down: end.
    #[error("the simulated world has ended")]
    SimulationShutdown,
    /// The operation does not fit the state of the world; the text says which operation would.
    #[error("invalid state of the simulated world: {0}")]
    InvalidState(String),
    /// An operation of the simulated world failed.
    #[error("input or output failed")]
    IoError(#[from] io::Error),
    /// The system did not come to rest in the time that it had after its faults were healed.
    #[error("not at rest {limit_ns} ns after all faults were healed")]
    SettleTimeout {
        /// The time that it had, in simulated nanoseconds.
        limit_ns: u64,
    },
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::io;

    use super::{SimulationError, SimulationResult};

    #[test]
    fn the_cause_is_kept() {
        let fail = || -> SimulationResult<()> { Err(io::Error::from(io::ErrorKind::ConnectionRefused))? };
        let error = fail().unwrap_err();
        assert_eq!(error.source().unwrap().to_string(), "connection refused");
    }

    #[test]
    fn each_says_what_it_is() {
        let texts = [
            SimulationError::SimulationShutdown.to_string(),
            SimulationError::InvalidState("step from outside".into()).to_string(),
            SimulationError::SettleTimeout { limit_ns: 5 }.to_string(),
        ];
        let expected = [
            "the simulated world has ended",
            "invalid state of the simulated world: step from outside",
            "not at rest 5 ns after all faults were healed",
        ];
        assert_eq!(texts, expected);
    }
}
