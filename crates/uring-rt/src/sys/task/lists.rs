//! Lists of tasks that need no memory beside the tasks.

use std::cell::{Cell, OnceCell};
use std::mem::ManuallyDrop;
use std::num::NonZeroU32;
use std::ptr::NonNull;
use std::rc::Rc;

use super::{Header, Home, State, TaskRef};
use crate::histogram::Histogram;
use crate::latencies::Delays;

/// The tasks of one queue that are ready, in the order in which they came.
pub(crate) struct Queue {
    index: u32,
    first: Cell<Option<NonNull<Header>>>,
    last: Cell<Option<NonNull<Header>>>,
    /// Nobody counts on it to have something to run: who puts a task in tells of it.
    is_idle: Cell<bool>,
    /// If it was asked for how long tasks wait.
    delays: OnceCell<Box<Delays>>,
    home: Rc<Home>,
}

impl Queue {
    /// A queue of tasks of `home`, with a number of its own.
    pub(crate) fn new(index: u32, home: &Rc<Home>) -> Rc<Self> {
        let home = Rc::clone(home);
        let (first, last, is_idle) = (Cell::new(None), Cell::new(None), Cell::new(true));
        Rc::new(Self { index, first, last, is_idle, delays: OnceCell::new(), home })
    }

    /// Takes the first task out.
    #[inline]
    pub(crate) fn pop(&self) -> Option<TaskRef> {
        let first = self.first.get()?;
        // SAFETY: the reference was the queue's, and this is the thread of all its tasks: neither is `Send`.
        let task = unsafe { TaskRef::from_raw(first) };
        let header = task.header();
        self.first.set(header.next_ready.take());
        header.state.set(header.state.get().without(State::QUEUED));
        if let Some(delays) = self.delays.get() {
            delays.taken(task.address());
        }
        Some(task)
    }

    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.get().is_none()
    }

    /// How many tasks are ready, which it counts.
    pub(crate) fn count(&self) -> usize {
        self.iter().count()
    }

    /// The tasks that are ready. Ends early if the task to come next is taken out meanwhile.
    pub(crate) fn iter(&self) -> impl Iterator<Item = TaskRef> {
        let mut next = self.first.get().map(task_in_list);
        std::iter::from_fn(move || {
            let task = next.take()?;
            next = task.header().next_ready.get().map(task_in_list);
            Some(task)
        })
    }

    /// Whether nobody counts on it to have something to run.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_idle.get()
    }

    pub(crate) fn set_idle(&self) {
        self.is_idle.set(true);
    }

    pub(crate) fn set_active(&self) {
        self.is_idle.set(false);
    }

    /// From here on some of its tasks are looked at for how long they wait.
    pub(crate) fn sample_delays(&self, every: NonZeroU32) {
        self.delays.get_or_init(|| Box::new(Delays::new(every)));
    }

    /// How long those waited, if any are looked at.
    pub(crate) fn delays(&self) -> Option<Histogram> {
        self.delays.get().map(|delays| delays.counted())
    }

    pub(super) fn home(&self) -> &Home {
        &self.home
    }
}

impl TaskRef {
    /// Puts the task at the end of its queue, unless it is there. Tells whether the queue was idle, so that whoever
    /// chooses among queues has to be told.
    #[expect(clippy::inline_always, reason = "a call costs as much as what it does")]
    #[inline(always)]
    #[must_use = "the queue gets no turn otherwise"]
    pub(crate) fn enqueue(self) -> bool {
        let header = self.header();
        let state = header.state.get();
        if state.has(State::QUEUED) {
            return false;
        }
        header.state.set(state.with(State::QUEUED));
        let queue = self.queue();
        if let Some(delays) = queue.delays.get() {
            note_woken(delays, &self);
        }
        let before = match queue.first.get() {
            None => queue.first.replace(Some(self.header)),
            Some(_) => queue.last.get(),
        };
        if let Some(before) = before {
            // SAFETY: what is in the queue has a reference that is the queue's.
            unsafe { before.as_ref() }.next_ready.set(Some(self.header));
        }
        queue.last.set(Some(self.header));
        let was_idle = queue.is_idle();
        let _ = self.into_raw();
        was_idle
    }
}

impl TaskRef {
    /// Whether the task is in a [`TaskSet`].
    #[inline]
    pub(crate) fn is_in_set(&self) -> bool {
        self.header().link.get().is_some()
    }

    /// Takes the task out of the set that it is in, if any, and gives the reference that the set had.
    #[inline]
    pub(crate) fn leave_set(&self) -> Option<Self> {
        let header = self.header();
        let link = header.link.take()?;
        let next = header.next.take();
        // SAFETY: it is in the set, or in a task of it, which has a reference.
        unsafe { link.as_ref() }.set(next);
        if let Some(next) = next {
            // SAFETY: it is in the set, which has a reference.
            unsafe { next.as_ref() }.link.set(Some(link));
        }
        // SAFETY: the reference was the set's, and this is the thread of all its tasks: neither is `Send`.
        Some(unsafe { Self::from_raw(self.header) })
    }
}

/// Apart, as few are asked for that.
#[cold]
fn note_woken(delays: &Delays, task: &TaskRef) {
    delays.woken(task.address());
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("index", &self.index)
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

/// Another reference to what a queue or set points at, or a task that is in there.
fn task_in_list(header: NonNull<Header>) -> TaskRef {
    // SAFETY: that is in there, too, and so has a reference, which is not dropped here: only its clone is.
    TaskRef::clone(&ManuallyDrop::new(unsafe { TaskRef::from_raw(header) }))
}

/// What points at a task of a set: the set, or the `next` of the task before it.
pub(super) type Link = Cell<Option<NonNull<Header>>>;

/// Tasks in no order, each of which can be taken out. A task is in at most one set.
pub(crate) struct TaskSet {
    /// In a place of its own, as tasks point at it.
    first: Box<Link>,
}

impl TaskSet {
    pub(crate) fn new() -> Self {
        Self { first: Box::new(Cell::new(None)) }
    }

    /// Adds a task.
    ///
    /// # Panics
    ///
    /// If it is in a set.
    pub(crate) fn insert(&self, task: TaskRef) {
        assert!(task.header().link.get().is_none(), "a task is in one set");
        let header = task.into_raw();
        let (link, next) = (NonNull::from(&*self.first), self.first.replace(Some(header)));
        // SAFETY: what is in the set has a reference that is the set's.
        let of = |header: NonNull<Header>| unsafe { &*header.as_ptr() };
        of(header).link.set(Some(link));
        of(header).next.set(next);
        if let Some(next) = next {
            of(next).link.set(Some(NonNull::from(&of(header).next)));
        }
    }

    pub(crate) fn first(&self) -> Option<TaskRef> {
        self.iter().next()
    }

    /// The tasks, the latest first. Ends early if the task to come next is taken out meanwhile.
    pub(crate) fn iter(&self) -> impl Iterator<Item = TaskRef> {
        let mut next = self.first.get().map(task_in_list);
        std::iter::from_fn(move || {
            let task = next.take()?;
            next = task.header().next.get().map(task_in_list);
            Some(task)
        })
    }
}

impl Drop for TaskSet {
    fn drop(&mut self) {
        while let Some(task) = self.first() {
            drop(task.leave_set());
        }
    }
}

impl std::fmt::Debug for TaskSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskSet").finish_non_exhaustive()
    }
}
