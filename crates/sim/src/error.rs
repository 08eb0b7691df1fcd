//! What may go wrong with a world.

/// Outcome of an operation of a simulation.
pub type SimulationResult<T> = Result<T, SimulationError>;

/// Why an operation of a simulation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// The world has ended: hold a [`SimWorld`](crate::SimWorld) for as long as its handles are used.
    #[error("the simulated world has ended")]
    SimulationShutdown,
    /// The world is not in a state in which that can be done.
    #[error("{0}")]
    InvalidState(String),
    /// An operation on the simulated network or disk failed.
    #[error("simulated i/o failed")]
    IoError(#[from] std::io::Error),
}
