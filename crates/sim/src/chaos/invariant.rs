//! Invariants: what must hold of the whole system, looked at from outside after each instant that changed something.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use serde_json::Value;

use crate::chaos::assertions::fail;
use crate::chaos::state::StateRegistry;
use crate::time::SimTime;
use crate::trace::TraceEvent;
use crate::world::SimWorld;
use crate::world::tasks::panic_message;

/// An invariant over JSON state, as the seed has it: given all states by key and the simulated time in milliseconds.
/// It panics if it does not hold, which fails that run alone.
pub type InvariantCheck = Box<dyn Fn(&BTreeMap<String, Value>, u64) + Send + Sync>;

/// What must hold of the whole system. It is made anew for each run.
pub trait Invariant {
    /// Its name in reports.
    fn name(&self) -> &str;

    /// Looks at what is new. The error says what does not hold, and how it is seen.
    fn observe(&mut self, view: &InvariantView<'_>) -> Result<(), String>;

    /// Whether it looks at events, which are then kept for it, and at every instant in which one happened; else it
    /// looks when the state that the program shows has changed.
    fn wants_events(&self) -> bool {
        true
    }
}

/// An invariant that is one function.
pub fn invariant_fn<F>(name: impl Into<String>, observe: F) -> impl Invariant
where
    F: FnMut(&InvariantView<'_>) -> Result<(), String>,
{
    FnInvariant { name: name.into(), observe }
}

/// What an invariant sees.
#[derive(Clone, Copy)]
pub struct InvariantView<'a> {
    pub(crate) time: SimTime,
    pub(crate) events: &'a [TraceEvent],
    pub(crate) state: &'a StateRegistry,
}

impl InvariantView<'_> {
    /// Now.
    pub fn time(&self) -> SimTime {
        self.time
    }

    /// The events that happened since it last looked, oldest first.
    pub fn new_events(&self) -> &[TraceEvent] {
        self.events
    }

    /// What the program shows of its state.
    pub fn state(&self) -> &StateRegistry {
        self.state
    }
}

impl fmt::Debug for InvariantView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvariantView").field("time", &self.time).finish_non_exhaustive()
    }
}

/// The invariants of one run.
#[derive(Default)]
pub(crate) struct Invariants {
    all: Vec<Box<dyn Invariant>>,
    /// What was shown to them: trace events, and changes of the state.
    seen: (usize, u64),
}

impl Invariants {
    pub(crate) fn new(all: Vec<Box<dyn Invariant>>) -> Self {
        Self { all, seen: (0, 0) }
    }

    /// Lets each look if anything is new. What does not hold is recorded as a failed check.
    pub(crate) fn observe(&mut self, world: &SimWorld, state: &StateRegistry) {
        if self.all.is_empty() {
            return;
        }
        let now = (world.trace_kept_count(), state.changes());
        if now == self.seen {
            return;
        }
        let events = world.trace_since(self.seen.0);
        self.look(world.time(), &events, state, now.1 != self.seen.1);
        self.seen = now;
    }

    /// Those that look at events do; the others do if the state has changed.
    pub(crate) fn look(
        &mut self,
        time: SimTime,
        events: &[TraceEvent],
        state: &StateRegistry,
        has_state_changed: bool,
    ) {
        let view = InvariantView { time, events, state };
        for invariant in &mut self.all {
            if !has_state_changed && !invariant.wants_events() {
                continue;
            }
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| invariant.observe(&view)))
                .unwrap_or_else(|payload| Err(panic_message(&*payload)));
            if let Err(detail) = outcome {
                fail(invariant.name(), detail, None);
            }
        }
    }
}

impl fmt::Debug for Invariants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all.iter().map(|invariant| invariant.name().to_owned())).finish()
    }
}

/// An invariant over JSON state as one of ours.
pub(crate) struct JsonInvariant {
    pub(crate) name: String,
    pub(crate) check: Arc<InvariantCheck>,
}

impl Invariant for JsonInvariant {
    fn name(&self) -> &str {
        &self.name
    }

    fn observe(&mut self, view: &InvariantView<'_>) -> Result<(), String> {
        (self.check)(&view.state().get_all_states(), view.time().as_nanos() / NANOS_PER_MILLISECOND);
        Ok(())
    }

    fn wants_events(&self) -> bool {
        false
    }
}

struct FnInvariant<F> {
    name: String,
    observe: F,
}

impl<F: FnMut(&InvariantView<'_>) -> Result<(), String>> Invariant for FnInvariant<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn observe(&mut self, view: &InvariantView<'_>) -> Result<(), String> {
        (self.observe)(view)
    }
}

const NANOS_PER_MILLISECOND: u64 = 1_000_000;
