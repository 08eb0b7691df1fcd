//! The tasks of a world, and what their handles share with them.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use samestep_provider_traits::{JoinError, JoinHandle};

use crate::kernel::{NodeId, Wait};
use crate::runner::take_location;
use crate::trace::TaskId;
use crate::world::registry::{find, try_enter};
use crate::world::waker::TaskRef;

/// What a task does. Its output is in the joint when it is ready.
pub(crate) type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;

/// One task.
pub(crate) struct Task {
    pub(crate) id: TaskId,
    pub(crate) name: Rc<str>,
    pub(crate) node: Option<NodeId>,
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) polls: u64,
    pub(crate) waits: Vec<Wait>,
    pub(super) priority: u64,
    pub(super) is_aborted: bool,
    pub(super) turn: SlowTurn,
    /// None while it is polled.
    pub(super) future: Option<TaskFuture>,
    pub(super) joint: Rc<dyn AnyJoint>,
}

impl Task {
    /// That it panicked just now.
    pub(super) fn panic(&self, message: String) -> TaskPanic {
        let name = self.name.to_string();
        TaskPanic { task: self.id, name, node: self.node, message, location: take_location() }
    }
}

/// Whether a task of a slow node may be polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlowTurn {
    /// Its node has not heard of it.
    None,
    /// An event will tell when.
    Waits,
    /// Now.
    Comes,
}

/// The tasks that have not ended.
#[derive(Default)]
pub(crate) struct Tasks {
    slots: Vec<Option<Task>>,
    free: Vec<u32>,
    started: u64,
}

impl Tasks {
    /// The number of the next task.
    pub(super) fn next_id(&mut self) -> TaskId {
        let id = TaskId(self.started);
        self.started += 1;
        id
    }

    /// Adds a task and returns its slot.
    ///
    /// # Panics
    ///
    /// If there are 2^20 tasks.
    pub(super) fn add(&mut self, task: Task) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        assert!(slot < TaskRef::SLOTS_MAX, "a world has at most {} tasks at a time", TaskRef::SLOTS_MAX);
        self.slots[slot as usize] = Some(task);
        slot
    }

    pub(super) fn remove(&mut self, slot: u32) -> Option<Task> {
        let task = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(task)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Task> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// Slots of the tasks of `node`, in the order in which the tasks started.
    pub(super) fn of_node(&self, node: NodeId) -> Vec<u32> {
        self.slots_where(|task| task.node == Some(node))
    }

    /// Slots of all tasks, in the order in which the tasks started.
    pub(super) fn all(&self) -> Vec<u32> {
        self.slots_where(|_| true)
    }

    /// The tasks that have not ended, in the order in which they started.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Task> {
        self.all().into_iter().filter_map(|slot| self.slots[slot as usize].as_ref())
    }

    pub(super) fn priority(&self, slot: u32) -> u64 {
        self.slots[slot as usize].as_ref().map_or(u64::MAX, |task| task.priority)
    }

    pub(super) fn id(&self, slot: u32) -> Option<TaskId> {
        self.slots[slot as usize].as_ref().map(|task| task.id)
    }

    fn slots_where(&self, wanted: impl Fn(&Task) -> bool) -> Vec<u32> {
        let tasks = self.slots.iter().enumerate().filter_map(|(slot, task)| Some((slot, task.as_ref()?)));
        let mut found: Vec<_> = tasks
            .filter(|(_, task)| wanted(task))
            .map(|(slot, task)| (task.id, u32::try_from(slot).unwrap_or(u32::MAX)))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, slot)| slot).collect()
    }
}

/// A task that panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskPanic {
    /// Which.
    pub task: TaskId,
    /// What it was called.
    pub name: String,
    /// Its node, if it had one.
    pub node: Option<NodeId>,
    /// The panic's message.
    pub message: String,
    /// Where it happened (file, line and column), if the world was driven by one of this crate's runners.
    pub location: Option<String>,
}

/// Handle to a task of a simulated world. Dropping it detaches the task.
pub struct SimJoinHandle<T> {
    pub(super) joint: Rc<Joint<T>>,
    pub(super) task: Option<(TaskRef, TaskId)>,
}

impl<T: 'static> JoinHandle<T> for SimJoinHandle<T> {
    fn abort(&self) {
        let Some((task, id)) = self.task else { return };
        let Some(shared) = find(task.world) else { return };
        let is_there = {
            let mut core = shared.core.borrow_mut();
            let found = core.tasks.get_mut(task.slot).filter(|found| found.id == id);
            found.map(|found| found.is_aborted = true).is_some()
        };
        if is_there {
            shared.ready.borrow_mut().wake(task.slot, task.generation);
        }
    }

    fn is_finished(&self) -> bool {
        self.joint.state.borrow().has_ended
    }
}

impl<T> SimJoinHandle<T> {
    /// The task's number; none if it was cancelled before it began, because its node was down.
    pub fn id(&self) -> Option<TaskId> {
        self.task.map(|(_, id)| id)
    }

    /// The output, if the task has ended and it was not taken.
    pub(crate) fn take(&mut self) -> Option<Result<T, JoinError>> {
        self.joint.state.borrow_mut().result.take()
    }
}

impl<T> Future for SimJoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Made before the borrow and dropped after it: a waker is the user's.
        let waker = cx.waker().clone();
        let old = {
            let mut state = self.joint.state.borrow_mut();
            if let Some(result) = state.result.take() {
                return Poll::Ready(result);
            }
            state.joiner.replace(waker)
        };
        drop(old);
        if let Some((task, id)) = self.task {
            try_enter(task.world, |core| core.kernel.wait(Wait::Join { task: id }));
        }
        Poll::Pending
    }
}

impl<T> fmt::Debug for SimJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimJoinHandle").field("task", &self.task.map(|(_, id)| id)).finish_non_exhaustive()
    }
}

/// What a task and its handle share.
pub(super) struct Joint<T> {
    state: RefCell<JointState<T>>,
}

struct JointState<T> {
    result: Option<Result<T, JoinError>>,
    has_ended: bool,
    joiner: Option<Waker>,
}

impl<T> Joint<T> {
    pub(super) fn new() -> Self {
        Self { state: RefCell::new(JointState { result: None, has_ended: false, joiner: None }) }
    }

    /// Ends the task, unless it has ended, and wakes who joins it.
    pub(super) fn end(&self, result: Result<T, JoinError>) {
        let joiner = {
            let mut state = self.state.borrow_mut();
            if state.has_ended {
                return;
            }
            state.has_ended = true;
            state.result = Some(result);
            state.joiner.take()
        };
        if let Some(joiner) = joiner {
            joiner.wake();
        }
    }
}

/// A joint of whatever output.
pub(super) trait AnyJoint {
    /// Ends the task without an output, unless it has ended.
    fn fail(&self, error: JoinError);
}

impl<T> AnyJoint for Joint<T> {
    fn fail(&self, error: JoinError) {
        self.end(Err(error));
    }
}

/// The message of a panic.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    match JoinError::from_panic(payload) {
        JoinError::Panicked { message } => message,
        JoinError::Cancelled => "cancelled".to_owned(),
    }
}
