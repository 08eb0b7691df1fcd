//! A handle that does not keep its world.

use std::marker::PhantomData;
use std::rc::Rc;

use crate::error::{SimulationError, SimulationResult};
use crate::world::SimWorld;
use crate::world::registry::{WorldId, find};

/// A handle to a [`SimWorld`] that does not keep it: for tasks inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeakSimWorld {
    id: WorldId,
    _not_send: PhantomData<Rc<()>>,
}

impl WeakSimWorld {
    pub(super) const fn new(id: WorldId) -> Self {
        Self { id, _not_send: PhantomData }
    }

    /// The world, to be dropped soon.
    ///
    /// # Errors
    ///
    /// [`SimulationError::SimulationShutdown`] if it has ended.
    pub fn upgrade(&self) -> SimulationResult<SimWorld> {
        find(self.id).map(|shared| SimWorld { shared }).ok_or(SimulationError::SimulationShutdown)
    }
}
