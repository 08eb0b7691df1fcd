//! Who wakes tasks, and how: on their thread by a push, from elsewhere through the remote queue.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::{Header, NOTED_POLLS, State, TaskRef, release, retain, retain_local};
use crate::queues::RunQueues;
use crate::sys::remote::Remote;

/// Whom to wake: a task of this thread, of which a reference costs no atomic operation; or anybody.
pub(crate) enum Wakee {
    Local(TaskRef),
    Any(Waker),
}

impl Wakee {
    /// Wakes whom `waker` wakes.
    #[inline]
    pub(crate) fn of(waker: &Waker) -> Self {
        if let Some(task) = task_of(waker) {
            // SAFETY: the waker has a reference.
            let header = unsafe { task.as_ref() };
            // One that is over may have no reference of its thread any more, and none may be made.
            if is_here(header) && !header.state.get().has(State::OVER) {
                retain_local(header);
                // SAFETY: the reference was just counted, and this is the task's thread.
                return Self::Local(unsafe { TaskRef::from_raw(task) });
            }
        }
        Self::Any(waker.clone())
    }

    pub(crate) fn will_wake(&self, waker: &Waker) -> bool {
        match self {
            Self::Local(task) => task.is_woken_by(waker),
            Self::Any(own) => own.will_wake(waker),
        }
    }

    /// The address of the task that is woken, if it is one of any shard.
    pub(crate) fn task(&self) -> Option<usize> {
        match self {
            Self::Local(task) => Some(task.address()),
            Self::Any(waker) => woken_by(waker),
        }
    }

    #[inline]
    pub(crate) fn wake(self) {
        match self {
            Self::Local(task) => {
                if task.header().state.get().has(VAIN) {
                    return;
                }
                let here = CURRENT.get();
                if here.remote == task.header().remote {
                    enqueue(task, here);
                } else {
                    // SAFETY: the reference is counted.
                    unsafe { schedule(task.header) };
                }
            }
            Self::Any(waker) => waker.wake(),
        }
    }
}

/// The task that `waker` wakes, if it wakes one of any shard.
pub(super) fn task_of(waker: &Waker) -> Option<NonNull<Header>> {
    ptr::eq(waker.vtable(), &raw const VTABLE).then(|| header_of(waker.data()))
}

/// The address of the task that `waker` wakes, if it wakes one of this crate's directly.
pub(crate) fn woken_by(waker: &Waker) -> Option<usize> {
    task_of(waker).map(|task| task.as_ptr().addr())
}

/// Leaves a note at the task that `waker` wakes, if it is one of this thread's, until it is polled again.
pub(crate) fn note_wait(waker: &Waker, number: u8) {
    let Some(task) = task_of(waker) else { return };
    // SAFETY: the waker has a reference.
    let header = unsafe { task.as_ref() };
    // Elsewhere it is not to be touched.
    if is_here(header) {
        header.note.set((header.polls.get() & NOTED_POLLS) << 8 | u32::from(number));
    }
}

/// Whether this is the task's thread, and runs its tasks.
fn is_here(header: &Header) -> bool {
    CURRENT.get().remote == header.remote
}

/// Puts a task into its queue, unless it is there or over.
///
/// # Safety
///
/// The caller has a reference to the task, which may be a waker's, and keeps it until this returns.
pub(super) unsafe fn schedule(task: NonNull<Header>) {
    // SAFETY: the caller's promise.
    let header = unsafe { task.as_ref() };
    let here = CURRENT.get();
    if here.remote == header.remote {
        if header.state.get().has(VAIN) {
            return;
        }
        retain_local(header);
        // SAFETY: the reference was just counted, and this is the task's thread, as its home is current here.
        enqueue(unsafe { TaskRef::from_raw(task) }, here);
        return;
    }
    // SAFETY: the caller's promise.
    unsafe { summon(task) };
}

/// Puts a task of this thread into its queue.
#[inline]
fn enqueue(task: TaskRef, here: Current) {
    let queue = Rc::as_ptr(&task.header().queue);
    if task.enqueue() {
        // SAFETY: the task that was just put in keeps it.
        let queue = unsafe { &*queue };
        // SAFETY: the queues live while they are current, see `CurrentGuard`.
        unsafe { &*here.queues }.activate(queue);
    }
}

/// Puts a task into the remote queue, unless it is there or over.
///
/// # Safety
///
/// As for [`schedule`].
#[cold]
unsafe fn summon(task: NonNull<Header>) {
    // SAFETY: the caller's promise.
    let header = unsafe { task.as_ref() };
    if !header.flags.summon() {
        return;
    }
    // SAFETY: the reference becomes the remote queue's, and keeps the queue.
    unsafe { retain(task) };
    // SAFETY: the task keeps it, and the caller's reference the task, also if that ends meanwhile.
    let remote = unsafe { &*header.remote };
    // SAFETY: the reference was just counted; the flag that was just set is cleared after it was taken out, so it is in
    // no stack.
    unsafe { remote.push(task) };
}

#[inline]
pub(super) fn raw_waker(task: NonNull<Header>) -> RawWaker {
    RawWaker::new(task.as_ptr().cast_const().cast(), &VTABLE)
}

fn header_of(data: *const ()) -> NonNull<Header> {
    NonNull::new(data.cast_mut().cast()).expect("a waker points at its task")
}

/// # Safety
///
/// As the contract of `RawWakerVTable`, for data of `raw_waker`; so for those below.
unsafe fn waker_clone(data: *const ()) -> RawWaker {
    // SAFETY: the waker has a reference.
    unsafe { retain(header_of(data)) };
    RawWaker::new(data, &VTABLE)
}

unsafe fn waker_wake(data: *const ()) {
    // SAFETY: the waker has a reference.
    unsafe { schedule(header_of(data)) };
    // SAFETY: the waker is consumed.
    unsafe { release(header_of(data)) };
}

unsafe fn waker_wake_by_ref(data: *const ()) {
    // SAFETY: the waker has a reference.
    unsafe { schedule(header_of(data)) };
}

unsafe fn waker_drop(data: *const ()) {
    // SAFETY: the waker is consumed.
    unsafe { release(header_of(data)) };
}

/// Whose tasks are run on this thread.
#[derive(Clone, Copy)]
struct Current {
    remote: *const Remote,
    queues: *const RunQueues,
}

/// Makes queues current on this thread; what was so before is again when it is dropped.
pub(crate) struct CurrentGuard<'a> {
    before: Current,
    queues: PhantomData<&'a RunQueues>,
}

impl<'a> CurrentGuard<'a> {
    /// Wakes of tasks of the home of `queues` go there while the guard lives.
    pub(crate) fn new(queues: &'a RunQueues) -> Self {
        let current = Current { remote: Arc::as_ptr(&queues.home().remote), queues };
        Self { before: CURRENT.replace(current), queues: PhantomData }
    }
}

impl Drop for CurrentGuard<'_> {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

thread_local! {
    static CURRENT: Cell<Current> = const { Cell::new(Current { remote: ptr::null(), queues: ptr::null() }) };
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(waker_clone, waker_wake, waker_wake_by_ref, waker_drop);

/// A wake changes nothing of a task that is queued or over.
const VAIN: State = State::QUEUED.with(State::OVER);
