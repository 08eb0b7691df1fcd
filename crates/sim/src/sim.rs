//! The engine: worlds, the events and the time in them, and what is recorded.

pub use crate::ambient::{
    current_sim_seed, get_current_sim_seed, reset_sim_rng, set_sim_seed, sim_random, sim_random_range,
    sim_random_range_or_default,
};
pub use crate::choice::{Chance, ChoiceFamily, ChoiceKey, Tape};
pub use crate::clock::ClockConfiguration;
#[cfg(all(feature = "intercept", target_os = "linux"))]
pub use crate::intercept::{Intercepted, InterceptedCalls};
pub use crate::kernel::NodeId;
pub use crate::time::SimTime;
pub use crate::trace::{DiskOperation, TaskId, TraceEvent, Traced};
pub use crate::world::{
    ConnectionStateChange, Down, Event, EventQueue, NetworkOperation, SchedulePolicy, ScheduledEvent,
    SimJoinHandle, SimWorld, SleepFuture, TaskPanic, WeakSimWorld, WorldConfig,
};
