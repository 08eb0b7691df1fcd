//! A handle that does not keep its world.

use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

use crate::error::{SimulationError, SimulationResult};
use crate::world::registry::{Home, WorldId, find};
use crate::world::{Event, SimWorld, SleepFuture};

/// A handle to a [`SimWorld`] that does not keep it: for tasks inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeakSimWorld {
    id: WorldId,
    _not_send: PhantomData<Rc<()>>,
}

impl WeakSimWorld {
    /// What belongs to the test itself.
    pub(crate) const fn home(self) -> Home {
        Home::new(self.id, None, 0)
    }

    /// Time since the world began.
    ///
    /// # Errors
    ///
    /// As [`Self::upgrade`].
    pub fn now(&self) -> SimulationResult<Duration> {
        Ok(self.upgrade()?.now())
    }

    /// As [`Self::now`].
    ///
    /// # Errors
    ///
    /// As [`Self::upgrade`].
    pub fn current_time(&self) -> SimulationResult<Duration> {
        self.now()
    }

    /// Puts in an event, see [`SimWorld::schedule_event`].
    ///
    /// # Errors
    ///
    /// As [`Self::upgrade`].
    pub fn schedule_event(&self, event: Event, delay: Duration) -> SimulationResult<()> {
        self.upgrade()?.schedule_event(event, delay);
        Ok(())
    }

    /// Ends when `duration` has passed.
    ///
    /// # Errors
    ///
    /// As [`Self::upgrade`].
    pub fn sleep(&self, duration: Duration) -> SimulationResult<SleepFuture> {
        Ok(self.upgrade()?.sleep(duration))
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

impl From<&SimWorld> for WeakSimWorld {
    fn from(world: &SimWorld) -> Self {
        Self { id: world.shared.id, _not_send: PhantomData }
    }
}
