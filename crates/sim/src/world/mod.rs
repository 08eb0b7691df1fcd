//! The world: all state of one run, and the loop that moves it.

mod config;
mod control;
pub(crate) mod due;
mod events;
mod executor;
mod foreign;
pub(crate) mod nodes;
mod ready;
pub(crate) mod registry;
mod schedule;
pub(crate) mod tasks;
pub(crate) mod timers;
pub(crate) mod waker;
mod weak;

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use samestep_provider_traits::{JoinError, JoinHandle, TimeProvider};

use crate::ambient::{Ambient, set_sim_seed};
use crate::choice::Tape;
use crate::clock::Clocks;
use crate::disk::{Disks, FaultBudget, StorageConfiguration};
use crate::draws::Stream;
use crate::fault::FaultLog;
use crate::kernel::{Kernel, NodeId};
use crate::net::Network;
use crate::providers::SimTimeProvider;
use crate::runner::Failure;
use crate::time::SimTime;
use crate::trace::{TaskId, TraceEvent, Traced};
use crate::world::due::Due;
use crate::world::foreign::ForeignWakes;
use crate::world::nodes::Nodes;
use crate::world::ready::Ready;
use crate::world::registry::{Home, WorldId, current};
use crate::world::schedule::Schedule;
use crate::world::tasks::Tasks;
use crate::world::timers::TimeChaos;

pub use crate::world::config::WorldConfig;
pub use crate::world::events::{ConnectionStateChange, Event, EventQueue, NetworkOperation, ScheduledEvent};
pub use crate::world::nodes::Down;
pub(crate) use crate::world::registry::{enter, try_enter};
pub use crate::world::schedule::SchedulePolicy;
pub use crate::world::tasks::{SimJoinHandle, TaskPanic};
pub use crate::world::timers::SleepFuture;
pub use crate::world::weak::WeakSimWorld;

/// A simulated world: nodes, the tasks on them, and the time, network and disks that they see.
///
/// Nothing happens by itself: a test takes [steps](Self::step). Clones are handles to the same world, which ends
/// when the last is dropped: its tasks are then dropped in the order in which they started, with the world still
/// there for what their values do when dropped. Any number of worlds may live on a thread, and none leaves it.
#[derive(Clone)]
pub struct SimWorld {
    pub(crate) shared: Rc<Shared>,
}

/// What a world's handles share.
pub(crate) struct Shared {
    pub(crate) id: WorldId,
    pub(crate) core: RefCell<Core>,
    pub(crate) ready: RefCell<Ready>,
    foreign: Arc<ForeignWakes>,
}

/// The state of a world.
pub(crate) struct Core {
    pub(crate) seed: u64,
    pub(crate) kernel: Kernel<Due>,
    pub(crate) nodes: Nodes,
    pub(crate) tasks: Tasks,
    pub(crate) network: Network,
    pub(crate) time_chaos: TimeChaos,
    pub(crate) clocks: Clocks,
    pub(crate) disks: Disks,
    pub(crate) panics: Vec<TaskPanic>,
    pub(crate) failures: Vec<Failure>,
    /// Tasks that another thread woke, by name.
    pub(crate) foreign_wakes: Vec<String>,
    pub(crate) polls_per_instant_max: u64,
    /// Whether tasks went on beyond that, in the instant that is now.
    pub(crate) is_spinning: bool,
    pub(crate) polls: u64,
    polls_before_instant: u64,
    schedule: Schedule,
    polled: Option<Vec<TaskId>>,
    /// The random numbers of the test itself.
    random: Stream,
    ambient: Ambient,
    last_event: Option<Event>,
    #[cfg(all(feature = "intercept", target_os = "linux"))]
    pub(crate) intercepted: crate::intercept::Calls,
}

impl SimWorld {
    /// A world of seed 0.
    pub fn new() -> Self {
        Self::new_with_seed(0)
    }

    /// A world of this seed, which decides all that happens in it. Also sets the seed of what the test draws outside
    /// of it, see [`set_sim_seed`].
    pub fn new_with_seed(seed: u64) -> Self {
        if current().is_none() {
            set_sim_seed(seed);
        }
        Self::with_config(WorldConfig::new(seed))
    }

    /// A world as `config` says.
    pub fn with_config(config: WorldConfig) -> Self {
        #[cfg(all(feature = "intercept", target_os = "linux"))]
        crate::intercept::link();
        let id = WorldId::next();
        let core = RefCell::new(config.into_core());
        let shared = Rc::new(Shared { id, core, ready: RefCell::default(), foreign: foreign::listen(id) });
        registry::add(Rc::clone(&shared));
        Self { shared }
    }

    /// Adds a node that is up, at an address that no other node has.
    ///
    /// # Panics
    ///
    /// If another node has that name or address.
    pub fn add_node(&self, name: &str, ip: IpAddr) -> NodeId {
        let core = &mut *self.shared.core.borrow_mut();
        let is_taken = core.nodes.iter().any(|(_, node)| node.name == name || node.ip == ip);
        assert!(!is_taken, "another node is called {name:?}, or is at {ip}");
        let seed = core.seed;
        let node = core.nodes.add(name, ip, seed);
        core.kernel.node = Some(node);
        core.clocks.node_added(&mut core.kernel, node);
        core.disks.node_added(&mut core.kernel, node);
        core.kernel.record([u64::from(b'B'), 0, 0, 0], || Traced::NodeBooted { boot: 0 });
        core.kernel.node = None;
        let Core { kernel, network, .. } = &mut *core;
        network.node_added(kernel, node, ip, name);
        node
    }

    /// Gives `node` another disk's speed, room and faults. What is on the disk stays, and so do its sectors.
    pub fn configure_storage(&self, node: NodeId, configuration: &StorageConfiguration) {
        let core = &mut *self.shared.core.borrow_mut();
        core.disks.configure(&mut core.kernel, node, configuration);
    }

    /// Limits the damage that disks do from now on, see [`FaultBudget`].
    pub fn set_fault_budget(&self, budget: FaultBudget) {
        self.shared.core.borrow_mut().disks.set_budget(budget);
    }

    /// Starts a task on `node`, or one of the test itself. If the node is down it is cancelled at once.
    #[track_caller]
    pub fn spawn<F>(&self, node: Option<NodeId>, name: &str, future: F) -> SimJoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.shared.spawn(self.home(node), name, future)
    }

    /// Takes one step: goes to the time of the next event, handles all that is due then, and runs tasks until none
    /// is ready. Tells whether more is to come; not if tasks wake each other for ever, see
    /// [`WorldConfig::polls_per_instant_max`].
    pub fn step(&self) -> bool {
        self.shared.step(SimTime::MAX);
        self.has_pending_events() && !self.is_spinning()
    }

    /// Steps until nothing is to come that does not come by itself, such as the next fault.
    pub fn run_until_empty(&self) {
        while self.step() {}
    }

    /// Steps until `time`, which it then is, if it is not later.
    pub fn run_until(&self, time: SimTime) {
        while self.shared.step(time) {}
        let mut core = self.shared.core.borrow_mut();
        core.kernel.now = core.kernel.now.max(time);
    }

    /// Steps until `is_reached`, asked before each step. Tells whether it was, before nothing more was to come.
    pub fn run_until_met(&self, mut is_reached: impl FnMut(&Self) -> bool) -> bool {
        while !is_reached(self) {
            let can_go_on = !self.is_spinning() && self.shared.step(SimTime::MAX);
            if !can_go_on {
                return is_reached(self);
            }
        }
        true
    }

    /// Steps until `task` has ended and gives its output, once; none if it waits for something that never comes.
    pub fn block_on<T: 'static>(&self, task: &mut SimJoinHandle<T>) -> Option<Result<T, JoinError>> {
        self.run_until_met(|_| task.is_finished());
        task.take()
    }

    /// Whether tasks are ready, or events are to come that do not come by themselves.
    pub fn has_pending_events(&self) -> bool {
        !self.shared.ready.borrow().is_empty() || !self.shared.core.borrow().kernel.events.is_idle()
    }

    /// How many events are to come.
    pub fn pending_event_count(&self) -> usize {
        self.shared.core.borrow().kernel.events.len()
    }

    /// Time since the world began.
    pub fn now(&self) -> Duration {
        self.time().since_start()
    }

    /// Time since the world began: as [`Self::now`].
    pub fn current_time(&self) -> Duration {
        self.now()
    }

    /// The point of time that it is.
    pub fn time(&self) -> SimTime {
        self.shared.core.borrow().kernel.now
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.shared.core.borrow().seed
    }

    /// The rolling hash over all that happened: two runs are the same if and only if theirs are.
    pub fn trace_hash(&self) -> u64 {
        self.shared.core.borrow().kernel.trace.hash()
    }

    /// How many events happened.
    pub fn trace_count(&self) -> u64 {
        self.shared.core.borrow().kernel.trace.count()
    }

    /// What happened; empty unless it is kept, see [`WorldConfig::keep_trace`].
    pub fn trace(&self) -> Vec<TraceEvent> {
        self.shared.core.borrow().kernel.trace.events().to_vec()
    }

    /// How many events are kept.
    pub(crate) fn trace_kept_count(&self) -> usize {
        self.shared.core.borrow().kernel.trace.events().len()
    }

    /// The events that are kept, but the first `from`.
    pub(crate) fn trace_since(&self, from: usize) -> Vec<TraceEvent> {
        self.shared.core.borrow().kernel.trace.events()[from..].to_vec()
    }

    /// The faults that acted.
    pub fn faults(&self) -> FaultLog {
        self.shared.core.borrow().kernel.faults.clone()
    }

    /// The decisions so far that were not plain; empty unless they are kept, see [`WorldConfig::keep_tape`].
    pub fn tape(&self) -> Tape {
        self.shared.core.borrow().kernel.choices.tape()
    }

    /// The tasks that panicked, in the order in which they did.
    pub fn panics(&self) -> Vec<TaskPanic> {
        self.shared.core.borrow().panics.clone()
    }

    /// The tasks that were polled, poll by poll; empty unless it is kept, see [`WorldConfig::keep_trace`].
    pub fn polled_tasks(&self) -> Arc<[TaskId]> {
        self.shared.core.borrow().polled.as_deref().unwrap_or_default().into()
    }

    /// Names of tasks that were woken from another thread, which makes a run none of its seed: they stay asleep.
    pub fn foreign_wakes(&self) -> Vec<String> {
        self.shared.note_foreign_wakes();
        self.shared.core.borrow().foreign_wakes.clone()
    }

    /// A handle that does not keep the world.
    pub fn downgrade(&self) -> WeakSimWorld {
        self.into()
    }

    /// Puts in an event that is due after `delay`. See [`Event`] for what each does.
    pub fn schedule_event(&self, event: Event, delay: Duration) {
        self.schedule_event_at(event, self.now().saturating_add(delay));
    }

    /// Puts in an event that is due at `time`, or at once if that has passed.
    pub fn schedule_event_at(&self, event: Event, time: Duration) {
        let kernel = &mut self.shared.core.borrow_mut().kernel;
        kernel.events.put(SimTime::ZERO.after(time).max(kernel.now), Due::Put(Box::new(event)));
    }

    /// The event of those put in by the test that came up last.
    pub fn last_processed_event(&self) -> Option<Event> {
        self.shared.core.borrow().last_event.clone()
    }

    /// Ends when `duration` has passed: a sleep of the test itself.
    pub fn sleep(&self, duration: Duration) -> SleepFuture {
        SimTimeProvider::new(self).sleep(duration)
    }

    /// The clock that drifts, as the test itself sees it: see [`SimTimeProvider::timer`].
    pub fn timer(&self) -> Duration {
        SimTimeProvider::new(self).timer()
    }

    /// Makes the run of this world a failed one. One that is driven by a runner stops at the end of the instant.
    pub fn fail(&self, failure: Failure) {
        self.shared.core.borrow_mut().fail(failure);
    }

    /// Whether a task has panicked, or something was found that must not be.
    pub fn has_failed(&self) -> bool {
        let core = self.shared.core.borrow();
        !core.panics.is_empty() || !core.failures.is_empty()
    }

    /// Whether tasks wake each other for ever at one instant, so that time cannot go on.
    pub(crate) fn is_spinning(&self) -> bool {
        self.shared.core.borrow().is_spinning
    }

    /// Handles of what belongs to the boot of `node` that is now.
    pub(crate) fn home(&self, node: Option<NodeId>) -> Home {
        let boot = node.map_or(0, |node| self.shared.core.borrow().nodes.get(node).boot);
        Home::new(self.shared.id, node, boot)
    }
}

impl Core {
    /// Makes the run a failed one.
    pub(crate) fn fail(&mut self, failure: Failure) {
        // Not what it says in full, which may name files as this machine has them.
        let kind = xxhash_rust::xxh3::xxh3_64(failure.kind().as_bytes());
        let name = || failure.kind().to_owned();
        self.kernel.record([u64::from(b'!'), kind, 0, 0], || Traced::CheckFailed { name: name() });
        self.failures.push(failure);
    }

    /// The random numbers of a boot, or of the test itself.
    pub(crate) fn random_of(&mut self, home: Home) -> &mut Stream {
        match home.node {
            Some(node) => &mut self.nodes.get_mut(node).random,
            None => &mut self.random,
        }
    }

    /// The random numbers that code without a provider draws now.
    pub(crate) fn ambient(&mut self) -> &mut Ambient {
        match self.kernel.node {
            Some(node) => &mut self.nodes.get_mut(node).ambient,
            None => &mut self.ambient,
        }
    }
}

impl Default for SimWorld {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for SimWorld {
    fn drop(&mut self) {
        // One is the list's. Who is inside the world holds a handle.
        if Rc::strong_count(&self.shared) == 2 && registry::with(self.shared.id, |_| ()).is_some() {
            self.shared.end();
        }
    }
}

impl fmt::Debug for SimWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = self.shared.core.borrow();
        f.debug_struct("SimWorld")
            .field("seed", &core.seed)
            .field("now", &core.kernel.now)
            .field("events", &core.kernel.events.len())
            .finish_non_exhaustive()
    }
}
