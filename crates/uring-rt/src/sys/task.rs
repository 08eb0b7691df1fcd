//! Tasks: one allocation each, which holds the future, then its output, and counts who knows of it.
//!
//! A task belongs to the thread that spawned it: there its future is polled and dropped, and its output taken.
//! Wakers may be anywhere and outlive everything; the memory is freed by whoever lets go last. References of the
//! task's thread are counted without atomic operations, and all together are one of those that threads share: a task
//! whose wakers nobody clones needs none. Locally a wake is a few loads and a push; from elsewhere it goes through the
//! shard's [`Remote`] queue.

mod blocks;
mod body;
mod lists;
mod name;
mod waker;

use std::alloc::Layout;
use std::cell::{Cell, UnsafeCell};
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicPtr;
use std::task::{Context, Poll, Waker};

use samestep_provider_traits::JoinError;

use self::blocks::Blocks;
use self::body::{Body, Table, Task};
pub(crate) use self::lists::{Queue, TaskSet};
use self::name::Name;
pub(crate) use self::waker::{CurrentGuard, Wakee, note_wait, woken_by};
use self::waker::{raw_waker, schedule};
use super::flags::Flags;
use super::refs::Refs;
use super::remote::Remote;
use super::stack::Node;
use crate::waits::WaitsOn;

/// A counted reference to a task. Stays on the task's thread.
pub(crate) struct TaskRef {
    header: NonNull<Header>,
    on_one_thread: PhantomData<*const ()>,
}

/// Where tasks are at home: how other threads reach it, and memory for tasks to come.
#[derive(Debug)]
pub(crate) struct Home {
    remote: Arc<Remote>,
    blocks: Blocks,
}

/// What every task begins with, whatever its future. The first cache line is all that a turn needs.
#[repr(C)]
pub(crate) struct Header {
    /// Wakers, references in the remote queue, and one for all of `local`. From the first waker on they keep `remote`.
    shared: Refs,
    /// References of the task's thread. Used there only, as is every cell here.
    local: Cell<u32>,
    polls: Cell<u32>,
    state: Cell<State>,
    flags: Flags,
    /// What it waited for when it was last polled, in the lower eight bits, and the lower bits of `polls` then.
    note: Cell<u32>,
    table: &'static Table,
    /// Dropped with the last of `local`.
    queue: ManuallyDrop<Rc<Queue>>,
    /// There while any of `local` is, or if `shared` keeps it.
    remote: *const Remote,
    /// The task behind this one in its [`Queue`].
    next_ready: Cell<Option<NonNull<Header>>>,
    joiner: UnsafeCell<Option<Wakee>>,
    /// The task behind this one in a [`TaskSet`], and the link that points at this one.
    next: Cell<Option<NonNull<Header>>>,
    link: Cell<Option<NonNull<lists::Link>>>,
    /// The task behind this one in the queue of remote wakes, while it is in there.
    next_remote: AtomicPtr<Header>,
    name: Name,
}

/// So much of each task is not its future or output: two cache lines.
const _: () = assert!(size_of::<Header>() <= 128);

/// How a task's turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// It waits for something.
    Waits,
    /// Its future is gone.
    Ended,
    /// Its future was gone before.
    WasOver,
}

/// What the task's thread notes of it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State(u8);

impl State {
    /// It is in its [`Queue`].
    const QUEUED: Self = Self(1);
    /// Its future is gone.
    const OVER: Self = Self(2);
    /// Its future is to be dropped.
    const ABORTED: Self = Self(4);
    /// Nobody will ask for its output.
    const DETACHED: Self = Self(8);
    /// Its output is there.
    const HAS_OUTPUT: Self = Self(16);

    const fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }

    const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl Home {
    pub(crate) fn new(remote: &Arc<Remote>) -> Rc<Self> {
        Rc::new(Self { remote: Arc::clone(remote), blocks: Blocks::new() })
    }
}

/// Makes a task of `future`, for this thread and this queue, in which it is not yet.
#[inline]
pub(crate) fn new_task<F>(future: F, name: &str, queue: &Rc<Queue>) -> (TaskRef, JoinRef<F::Output>)
where
    F: Future + 'static,
    F::Output: 'static,
{
    let name = Name::new(name);
    let home = queue.home();
    let at = home.blocks.take(Layout::new::<Task<F>>()).cast::<Task<F>>();
    let header = Header {
        shared: Refs::new(),
        local: Cell::new(2),
        polls: Cell::new(0),
        state: Cell::new(State(0)),
        flags: Flags::new(),
        note: Cell::new(0),
        table: Table::of::<F>(),
        queue: ManuallyDrop::new(Rc::clone(queue)),
        remote: Arc::as_ptr(&home.remote),
        next_ready: Cell::new(None),
        joiner: UnsafeCell::new(None),
        next: Cell::new(None),
        link: Cell::new(None),
        next_remote: AtomicPtr::new(ptr::null_mut()),
        name,
    };
    // SAFETY: the block is new, and of the layout of this type.
    unsafe { at.write(Task { header, body: Body::of(future) }) };
    let header = at.cast();
    let of = || TaskRef { header, on_one_thread: PhantomData };
    (of(), JoinRef { task: of(), output: PhantomData })
}

impl TaskRef {
    /// Polls the task once, unless it is over.
    #[inline]
    pub(crate) fn run(&self) -> Run {
        let header = self.header();
        let state = header.state.get();
        if state.has(State::OVER) {
            return Run::WasOver;
        }
        if state.has(State::ABORTED) {
            self.end(JoinError::Cancelled);
            return Run::Ended;
        }
        header.polls.set(header.polls.get().wrapping_add(1));
        // SAFETY: the table is that of the task's type, this is its thread, and it is not over.
        match unsafe { (header.table.poll)(self.header) } {
            Poll::Pending => Run::Waits,
            Poll::Ready(()) => {
                self.finish();
                Run::Ended
            }
        }
    }

    /// Drops the future where it stands, unless the task is over; joining it then gives `error`.
    pub(crate) fn end(&self, error: JoinError) {
        if self.is_over() {
            return;
        }
        // SAFETY: the table is that of the task's type, this is its thread, and it is not over. It is not being
        // polled: that is done from `run`, whose callers do not call this.
        unsafe { (self.header().table.end)(self.header, error) };
        self.finish();
    }

    /// The task is over: tells whoever joins.
    fn finish(&self) {
        let header = self.header();
        header.flags.finish();
        // SAFETY: this is the task's thread, and no other borrow exists: those in `JoinRef` end at once.
        let joiner = unsafe { (*header.joiner.get()).take() };
        if let Some(joiner) = joiner {
            joiner.wake();
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.header().state.get().has(State::OVER)
    }

    pub(crate) fn is_scheduled(&self) -> bool {
        self.header().state.get().has(State::QUEUED) || self.header().flags.is_summoned()
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.header().queue
    }

    pub(crate) fn name(&self) -> &str {
        self.header().name.as_str()
    }

    /// How often it was polled.
    pub(crate) fn polls(&self) -> u32 {
        self.header().polls.get()
    }

    /// Wakes the task.
    pub(crate) fn waker(&self) -> Waker {
        // SAFETY: the waker borrows the reference that `self` is, and is not dropped.
        let waker = ManuallyDrop::new(unsafe { Waker::from_raw(raw_waker(self.header)) });
        Waker::clone(&waker)
    }

    /// Whether `waker` wakes this task.
    pub(crate) fn is_woken_by(&self, waker: &Waker) -> bool {
        waker::task_of(waker) == Some(self.header)
    }

    pub(super) fn as_header(&self) -> *mut Header {
        self.header.as_ptr()
    }

    /// Where it is, which is nobody else's as long as the reference lives.
    pub(crate) fn address(&self) -> usize {
        self.header.as_ptr().addr()
    }

    /// What it waits for, if somebody left a note when it was last polled.
    pub(crate) fn waits_on(&self) -> WaitsOn {
        let note = self.header().note.get();
        let is_of_last_poll = note >> 8 == self.polls() & NOTED_POLLS;
        if is_of_last_poll { WaitsOn::of_number((note & 0xff) as u8) } else { WaitsOn::Untold }
    }

    /// The address of the task that waits for its end, if one does, directly.
    pub(crate) fn joiner(&self) -> Option<usize> {
        // SAFETY: this is the task's thread, and the other borrows end at once.
        unsafe { &*self.header().joiner.get() }.as_ref().and_then(Wakee::task)
    }

    /// Whether both are the same task.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.header == other.header
    }

    fn header(&self) -> &Header {
        // SAFETY: the reference is counted, so the task's memory is there; a header is changed through cells only.
        unsafe { self.header.as_ref() }
    }

    /// Gives up the reference without letting go of the task.
    fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).header
    }

    /// # Safety
    ///
    /// `header` came from [`Self::into_raw`], once, and this is the task's thread.
    unsafe fn from_raw(header: NonNull<Header>) -> Self {
        Self { header, on_one_thread: PhantomData }
    }

    /// Takes a task from the remote queue, unless it is over.
    ///
    /// # Safety
    ///
    /// `task` was in the remote queue of this thread, and was just taken out.
    pub(super) unsafe fn from_remote(task: NonNull<Header>) -> Option<Self> {
        // SAFETY: a reference of the queue's is counted.
        let header = unsafe { task.as_ref() };
        header.flags.answer();
        // One that is not over has a reference here already: whoever lets go of the last one ends it.
        let this = (!header.state.get().has(State::OVER)).then(|| {
            retain_local(header);
            Self { header: task, on_one_thread: PhantomData }
        });
        // SAFETY: that was the queue's reference, and this is the one time it is let go.
        unsafe { release(task) };
        this
    }
}

impl Header {
    /// The name, as it is in memory: nothing is looked at that others change.
    pub(super) fn name_bytes(&self) -> &[u8] {
        self.name.as_bytes()
    }

    pub(super) fn queue_index(&self) -> u32 {
        self.queue.index()
    }
}

// SAFETY: the link is a field that nothing else uses.
unsafe impl Node for Header {
    fn link(&self) -> &AtomicPtr<Self> {
        &self.next_remote
    }
}

impl std::fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TaskRef").field(&self.name()).finish()
    }
}

impl Clone for TaskRef {
    fn clone(&self) -> Self {
        retain_local(self.header());
        Self { header: self.header, on_one_thread: PhantomData }
    }
}

impl Drop for TaskRef {
    #[inline]
    fn drop(&mut self) {
        let local = &self.header().local;
        match local.get() {
            0 | 1 => self.let_go(),
            count => local.set(count.wrapping_sub(1)),
        }
    }
}

impl TaskRef {
    /// Has `waker` woken when the task is over, which it is not, and nobody else.
    fn set_joiner(&self, waker: &Waker) {
        let place = self.header().joiner.get();
        // SAFETY: this is the task's thread, and no other borrow exists: that in `finish` has ended.
        if let Some(joiner) = unsafe { &*place } {
            if joiner.will_wake(waker) {
                return;
            }
            // SAFETY: as above.
            let before = unsafe { (*place).take() };
            // Dropped when nothing is borrowed any more: it may be of any kind.
            drop(before);
        }
        let joiner = Wakee::of(waker);
        if self.is_over() {
            // By what was dropped or cloned there, which may be of any kind.
            return joiner.wake();
        }
        // SAFETY: as above. None is there: this is called for the one handle to the task.
        unsafe { place.write(Some(joiner)) };
    }

    /// This is the thread's last reference.
    #[inline(never)]
    fn let_go(&self) {
        let header = self.header();
        if !self.is_over() {
            // Nobody can wake it any more who would be heard.
            self.end(JoinError::Cancelled);
            if header.local.get() > 1 {
                // What its future did left another.
                header.local.set(header.local.get() - 1);
                return;
            }
        }
        header.local.set(0);
        // SAFETY: there is none of `local` left, so that nobody uses it again.
        let queue = ManuallyDrop::into_inner(unsafe { ptr::read(&raw const header.queue) });
        if header.shared.is_last() {
            // SAFETY: that is the last reference, which is not used again.
            unsafe { body::free(self.header, Some(&queue.home().blocks)) };
        } else {
            // SAFETY: there is none of `local` left, for which this one was.
            unsafe { release(self.header) };
        }
    }
}

/// Where a task's output comes out. Stays on the task's thread. Dropping it detaches the task.
pub(crate) struct JoinRef<T> {
    task: TaskRef,
    output: PhantomData<T>,
}

impl<T> JoinRef<T> {
    /// The output, once; else `cx` is woken when it is there.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        if !self.task.is_over() {
            self.task.set_joiner(cx.waker());
            return Poll::Pending;
        }
        // SAFETY: the task's output is a `T`, and this is its thread.
        match unsafe { body::take_output(self.task.header) } {
            Some(output) => Poll::Ready(output),
            None => Poll::Pending,
        }
    }

    /// Has the task's future dropped at its next turn.
    pub(crate) fn abort(&self) {
        if !self.is_over() {
            let state = &self.task.header().state;
            state.set(state.get().with(State::ABORTED));
            // SAFETY: the reference is counted.
            unsafe { schedule(self.task.header) };
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.task.is_over()
    }
}

impl<T> Drop for JoinRef<T> {
    #[inline]
    fn drop(&mut self) {
        let header = self.task.header();
        let state = header.state.get();
        header.state.set(state.with(State::DETACHED));
        if state.has(State::OVER) {
            // SAFETY: the task's output is a `T`, and this is its thread.
            if let Some(output) = unsafe { body::take_output::<T>(self.task.header) } {
                body::discard(output);
            }
        } else {
            // SAFETY: this is the task's thread, and no other borrow exists.
            drop(unsafe { (*header.joiner.get()).take() });
        }
    }
}

/// Counts a reference of the task's thread, which the caller is on.
fn retain_local(header: &Header) {
    match header.local.get().checked_add(1) {
        Some(count) => header.local.set(count),
        None => too_many(),
    }
}

/// As `Arc` does: references were forgotten until the count ran over, and going on would free too early.
#[cold]
fn too_many() -> ! {
    std::process::abort()
}

/// Counts a reference that may go anywhere.
///
/// # Safety
///
/// A reference to the task is counted.
unsafe fn retain(task: NonNull<Header>) {
    // SAFETY: the caller's promise.
    let header = unsafe { task.as_ref() };
    if header.shared.retain() {
        // Until here it was kept by the task's thread: without any other waker, this is called during a poll, or by a
        // holder of a reference of that thread. Another that comes at the same time is within the same poll.
        // SAFETY: it is the pointer of an `Arc`, and is still there.
        unsafe { Arc::increment_strong_count(header.remote) };
    }
}

/// # Safety
///
/// One of the references in `shared` is not used after this.
pub(super) unsafe fn release(task: NonNull<Header>) {
    // SAFETY: the caller's promise.
    if unsafe { task.as_ref() }.shared.release() {
        // SAFETY: that was the last reference.
        unsafe { body::free(task, None) };
    }
}

/// So many bits of the number of polls are in a note.
const NOTED_POLLS: u32 = 0x00ff_ffff;

#[cfg(test)]
mod tests;
