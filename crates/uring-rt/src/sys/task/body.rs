//! What differs from task to task: the future, then its output.

use std::alloc::Layout;
use std::any::Any;
use std::cell::UnsafeCell;
use std::future::Future;
use std::mem::{ManuallyDrop, needs_drop, offset_of};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use samestep_provider_traits::JoinError;

use super::blocks::{self, Blocks, Size};
use super::waker::raw_waker;
use super::{Header, State};

/// A task, whole.
#[repr(C)]
pub(super) struct Task<F: Future> {
    pub(super) header: Header,
    pub(super) body: UnsafeCell<Body<F>>,
}

/// The future until the task is over, then its output while the state says so.
#[repr(C)]
pub(super) union Body<F: Future> {
    future: ManuallyDrop<F>,
    output: ManuallyDrop<Result<F::Output, JoinError>>,
}

impl<F: Future> Body<F> {
    pub(super) fn of(future: F) -> UnsafeCell<Self> {
        UnsafeCell::new(Self { future: ManuallyDrop::new(future) })
    }
}

/// What must be known of a task's type.
pub(super) struct Table {
    /// Polls the future. Tells whether it is over.
    pub(super) poll: unsafe fn(NonNull<Header>) -> Poll<()>,
    /// Drops the future, with this as its output.
    pub(super) end: unsafe fn(NonNull<Header>, JoinError),
    /// Where the body is, in bytes from the header.
    body: usize,
    size: Size,
}

impl Table {
    pub(super) fn of<F: Future>() -> &'static Self {
        const {
            &Self {
                poll: poll::<F>,
                end: end::<F>,
                body: offset_of!(Task<F>, body),
                size: Size::of(Layout::new::<Task<F>>()),
            }
        }
    }
}

/// # Safety
///
/// `task` is a `Task<F>` that is not over, on its thread, and outside of this call's caller nobody refers to its body:
/// a task that is polled is in no queue, and `end` is not called while one is polled.
unsafe fn poll<F: Future>(task: NonNull<Header>) -> Poll<()> {
    // SAFETY: the waker borrows the caller's reference, and is not dropped.
    let waker = ManuallyDrop::new(unsafe { Waker::from_raw(raw_waker(task)) });
    // SAFETY: the caller's promise.
    let future = unsafe { &mut *future_of::<F>(task) };
    // SAFETY: the future stays where it was written until it is dropped there.
    let future = unsafe { Pin::new_unchecked(future) };
    let output = match catch_unwind(AssertUnwindSafe(|| future.poll(&mut Context::from_waker(&waker)))) {
        Ok(Poll::Pending) => return Poll::Pending,
        Ok(Poll::Ready(output)) => Ok(output),
        Err(payload) => Err(panicked(payload)),
    };
    // SAFETY: the caller's promise.
    unsafe { replace_future::<F>(task, output) };
    Poll::Ready(())
}

/// # Safety
///
/// As for [`poll`].
unsafe fn end<F: Future>(task: NonNull<Header>, error: JoinError) {
    // SAFETY: the caller's promise.
    unsafe { replace_future::<F>(task, Err(error)) };
}

/// Drops the future in place, and puts the output there; or the panic that dropping caused. From here on the task is
/// over.
///
/// # Safety
///
/// As for [`poll`].
unsafe fn replace_future<F: Future>(task: NonNull<Header>, mut output: Result<F::Output, JoinError>) {
    if needs_drop::<F>() {
        // SAFETY: the caller's promise; it is not used again, also if it panics in the middle, after which what is left
        // of it is dropped as far as possible.
        let dropped = catch_unwind(AssertUnwindSafe(|| unsafe { future_of::<F>(task).drop_in_place() }));
        if let Err(payload) = dropped {
            discard(std::mem::replace(&mut output, Err(panicked(payload))));
        }
    }
    // SAFETY: the caller has a reference.
    let state = unsafe { &task.as_ref().state };
    if state.get().has(State::DETACHED) {
        state.set(state.get().with(State::OVER));
        discard(output);
    } else {
        // SAFETY: the caller has a reference.
        let place = unsafe { output_of::<F::Output>(task) };
        // SAFETY: the future is gone, and the place is for one or the other.
        unsafe { place.write(output) };
        state.set(state.get().with(State::OVER).with(State::HAS_OUTPUT));
    }
}

/// Moves the output out, if it is there.
///
/// # Safety
///
/// The task's output is a `T`, and this is its thread.
#[inline]
pub(super) unsafe fn take_output<T>(task: NonNull<Header>) -> Option<Result<T, JoinError>> {
    // SAFETY: the caller has a reference.
    let state = unsafe { &task.as_ref().state };
    if !state.get().has(State::HAS_OUTPUT) {
        return None;
    }
    state.set(state.get().without(State::HAS_OUTPUT));
    // SAFETY: the caller has a reference.
    let place = unsafe { output_of::<T>(task) };
    // SAFETY: it was written there when the flag was set, and is read once.
    Some(unsafe { place.read() })
}

/// Drops an output that nobody wants, with whatever panic that causes.
pub(super) fn discard<T>(output: Result<T, JoinError>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(output))) {
        drop(panicked(payload));
    }
}

/// Where the future of a `Task<F>` is.
fn future_of<F: Future>(task: NonNull<Header>) -> *mut F {
    // Both are at the start of the union.
    task.as_ptr().cast::<u8>().wrapping_add(offset_of!(Task<F>, body)).cast()
}

/// Where the output of a task is.
///
/// # Safety
///
/// The caller has a reference to the task.
unsafe fn output_of<T>(task: NonNull<Header>) -> *mut Result<T, JoinError> {
    // SAFETY: the caller's promise.
    let table = unsafe { task.as_ref() }.table;
    task.as_ptr().cast::<u8>().wrapping_add(table.body).cast()
}

#[cold]
fn panicked(payload: Box<dyn Any + Send>) -> JoinError {
    let error = JoinError::from_panic(&*payload);
    // Dropping what was thrown may throw again.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(payload);
    }
    error
}

/// Frees a task, into `blocks` if it is freed on its thread.
///
/// # Safety
///
/// No reference to the task is left.
#[inline]
pub(super) unsafe fn free(task: NonNull<Header>, blocks: Option<&Blocks>) {
    // SAFETY: the memory is there, and nobody else has it.
    let header = unsafe { task.as_ref() };
    // There is nothing to drop: the last reference of its thread ended it, an output is dropped with its handle, or
    // without one at once, and who joins is forgotten with either.
    let size = &header.table.size;
    let remote = header.shared.had_wakers().then_some(header.remote);
    match blocks {
        // SAFETY: it came from blocks with the layout of this size.
        Some(blocks) => unsafe { blocks.put(task.cast(), size) },
        // SAFETY: as above.
        None => unsafe { blocks::free(task.cast(), size) },
    }
    if let Some(remote) = remote {
        // SAFETY: the count was raised when the flag was set, once, and this is the one time it is lowered.
        unsafe { Arc::decrement_strong_count(remote) };
    }
}
