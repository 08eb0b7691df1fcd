//! Tasks: one allocation each, which holds the future, then its output, and counts who knows of it.
//!
//! A task belongs to the thread that spawned it: there its future is polled and dropped, and its output taken.
//! Wakers may be anywhere and outlive everything; the memory is freed by whoever lets go last. Locally a wake is a
//! few loads and a push; from elsewhere it goes through the shard's [`Remote`] queue.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use samestep_provider_traits::JoinError;

use super::flags::{Flags, Run};
use super::remote::Remote;
use super::stack::Node;
use crate::queues::RunQueues;
use crate::slots::Key;
use crate::waits::WaitsOn;

/// A counted reference to a task. Stays on the task's thread.
pub(crate) struct TaskRef {
    header: NonNull<Header>,
    on_one_thread: PhantomData<*const ()>,
}

/// What every task begins with, whatever its future.
pub(crate) struct Header {
    refs: AtomicUsize,
    flags: Flags,
    /// The task queue. Used on the task's thread only, as is what follows up to `home`.
    queue: u32,
    key: Cell<Option<Key>>,
    polls: Cell<u32>,
    /// What it waited for when it was last polled, in the lower eight bits, and the lower bits of `polls` then.
    note: Cell<u32>,
    name: Name,
    joiner: UnsafeCell<Option<Waker>>,
    home: Arc<Remote>,
    /// The task behind this one in the queue of remote wakes, while it is in there.
    next_remote: AtomicPtr<Header>,
    table: &'static Table,
}

/// A name of at most 23 bytes, in place.
#[derive(Clone, Copy)]
struct Name {
    bytes: [u8; NAME_BYTES_MAX],
    len: u8,
}

/// A task, whole.
#[repr(C)]
struct Task<F: Future> {
    header: Header,
    body: UnsafeCell<Body<F>>,
}

enum Body<F: Future> {
    Future(F),
    Output(Result<F::Output, JoinError>),
    Empty,
}

/// What must be known of a task's type.
struct Table {
    /// Polls the future. Tells whether it is over.
    poll: unsafe fn(NonNull<Header>, &mut Context<'_>) -> Poll<()>,
    /// Drops the future, unless it is over, with this as its output.
    end: unsafe fn(NonNull<Header>, JoinError),
    /// Moves the output out, into an `Option<Result<T, JoinError>>` at the address.
    take: unsafe fn(NonNull<Header>, *mut ()),
    /// Drops the output.
    discard: unsafe fn(NonNull<Header>),
    free: unsafe fn(NonNull<Header>),
}

/// Makes a task of `future`, for the thread of `home`. It is in no queue yet.
pub(crate) fn new_task<F>(
    future: F,
    name: &str,
    queue: u32,
    home: &Arc<Remote>,
) -> (TaskRef, JoinRef<F::Output>)
where
    F: Future + 'static,
    F::Output: 'static,
{
    let header = Header {
        refs: AtomicUsize::new(2),
        flags: Flags::scheduled(),
        queue,
        key: Cell::new(None),
        polls: Cell::new(0),
        note: Cell::new(0),
        name: Name::new(name),
        joiner: UnsafeCell::new(None),
        home: Arc::clone(home),
        next_remote: AtomicPtr::new(ptr::null_mut()),
        table: const {
            &Table { poll: poll::<F>, end: end::<F>, take: take::<F>, discard: discard::<F>, free: free::<F> }
        },
    };
    let task = Box::new(Task { header, body: UnsafeCell::new(Body::Future(future)) });
    let header = NonNull::from(Box::leak(task)).cast();
    let of = || TaskRef { header, on_one_thread: PhantomData };
    (of(), JoinRef { task: of(), output: PhantomData })
}

impl TaskRef {
    /// Polls the task once, unless it is over. Tells whether it is over now.
    pub(crate) fn run(&self) -> Poll<()> {
        let header = self.header();
        // From here on a wake schedules it again. What wakers wrote before they set the flag is seen.
        match header.flags.begin_run() {
            Run::Over => return Poll::Ready(()),
            Run::Abort => {
                self.end(JoinError::Cancelled);
                return Poll::Ready(());
            }
            Run::Poll => {}
        }
        header.polls.set(header.polls.get().wrapping_add(1));
        // SAFETY: the waker borrows the reference that `self` is, and is not dropped.
        let waker = ManuallyDrop::new(unsafe { Waker::from_raw(raw_waker(self.header)) });
        // SAFETY: the table is that of the task's type, this is its thread, and it is not over.
        let polled = unsafe { (header.table.poll)(self.header, &mut Context::from_waker(&waker)) };
        if polled.is_ready() {
            self.finish();
        }
        polled
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

    /// The output is there: tells whoever joins.
    fn finish(&self) {
        let header = self.header();
        if !header.flags.finish() {
            // SAFETY: the table is that of the task's type, and this is its thread. Nobody takes the output.
            unsafe { (header.table.discard)(self.header) };
        }
        // SAFETY: this is the task's thread, and no other borrow exists: those in `JoinRef` end at once.
        let joiner = unsafe { (*header.joiner.get()).take() };
        if let Some(joiner) = joiner {
            joiner.wake();
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.header().flags.is_done()
    }

    pub(crate) fn is_scheduled(&self) -> bool {
        self.header().flags.is_scheduled()
    }

    pub(crate) fn queue(&self) -> u32 {
        self.header().queue
    }

    /// Where it is, which is nobody else's as long as the reference lives.
    pub(crate) fn address(&self) -> usize {
        self.header.as_ptr().addr()
    }

    pub(crate) fn key(&self) -> Option<Key> {
        self.header().key.get()
    }

    pub(crate) fn set_key(&self, key: Key) {
        self.header().key.set(Some(key));
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
        let raw = raw_waker(self.clone().into_raw());
        // SAFETY: the reference that was cloned is the waker's.
        unsafe { Waker::from_raw(raw) }
    }

    /// What it waits for, if somebody left a note when it was last polled.
    pub(crate) fn waits_on(&self) -> WaitsOn {
        let note = self.header().note.get();
        let is_of_last_poll = note >> 8 == self.polls() & NOTED_POLLS;
        if is_of_last_poll { WaitsOn::of_number((note & 0xff) as u8) } else { WaitsOn::Untold }
    }

    /// Shows who waits for its end, if somebody does.
    pub(crate) fn with_joiner(&self, show: impl FnOnce(&Waker)) {
        // SAFETY: this is the task's thread; the other borrows end at once, and what is shown to does not join.
        let joiner = unsafe { &*self.header().joiner.get() };
        if let Some(joiner) = joiner {
            show(joiner);
        }
    }

    fn header(&self) -> &Header {
        // SAFETY: the reference is counted, so the task's memory is there; a header is changed through cells only.
        unsafe { self.header.as_ref() }
    }

    /// Gives up the reference without letting go of the task.
    pub(super) fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).header
    }

    /// # Safety
    ///
    /// `header` came from [`Self::into_raw`], once, and this is the task's thread.
    pub(super) unsafe fn from_raw(header: NonNull<Header>) -> Self {
        Self { header, on_one_thread: PhantomData }
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
        // SAFETY: the reference is counted.
        unsafe { retain(self.header) };
        Self { header: self.header, on_one_thread: PhantomData }
    }
}

impl Drop for TaskRef {
    fn drop(&mut self) {
        // SAFETY: this is the one reference that is let go.
        unsafe { release(self.header) };
    }
}

/// Where a task's output comes out. Stays on the task's thread. Dropping it detaches the task.
pub(crate) struct JoinRef<T> {
    task: TaskRef,
    output: PhantomData<T>,
}

impl<T> JoinRef<T> {
    /// The output, once; else `cx` is woken when it is there.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let header = self.task.header();
        if !self.task.is_over() {
            // SAFETY: this is the task's thread, and no other borrow exists: that in `finish` has ended.
            let joiner = unsafe { &mut *header.joiner.get() };
            if !joiner.as_ref().is_some_and(|joiner| joiner.will_wake(cx.waker())) {
                let before = joiner.replace(cx.waker().clone());
                // Dropped when nothing is borrowed any more: it may be of any kind.
                drop(before);
            }
            return Poll::Pending;
        }
        let mut output: Option<Result<T, JoinError>> = None;
        // SAFETY: the table is that of the task's type, whose output is a `T`; this is its thread, it is over, and
        // the address is that of such an option.
        unsafe { (header.table.take)(self.task.header, (&raw mut output).cast()) };
        output.map_or(Poll::Pending, Poll::Ready)
    }

    /// Has the task's future dropped at its next turn.
    pub(crate) fn abort(&self) {
        self.task.header().flags.abort();
        // SAFETY: the reference is counted.
        unsafe { schedule(self.task.header) };
    }

    pub(crate) fn is_over(&self) -> bool {
        self.task.is_over()
    }
}

impl<T> Drop for JoinRef<T> {
    fn drop(&mut self) {
        let header = self.task.header();
        if header.flags.detach() {
            // SAFETY: the table is that of the task's type, and this is its thread. Nobody takes the output any
            // more.
            unsafe { (header.table.discard)(self.task.header) };
        }
        // SAFETY: this is the task's thread, and no other borrow exists.
        drop(unsafe { (*header.joiner.get()).take() });
    }
}

/// The future or output of a task.
///
/// # Safety
///
/// `header` is of a `Task<F>` to which the caller has a reference, on its thread, and outside of this call's caller
/// nobody refers to the body: a task that is polled is in no queue, `end` is not called while one is polled, and its
/// output is moved out before it is dropped.
unsafe fn body_of<'a, F: Future + 'a>(header: NonNull<Header>) -> &'a mut Body<F> {
    // SAFETY: the caller's promise.
    let task = unsafe { header.cast::<Task<F>>().as_ref() };
    // SAFETY: the caller's promise.
    unsafe { &mut *task.body.get() }
}

/// # Safety
///
/// `header` is of a `Task<F>` that is not over, on its thread.
unsafe fn poll<F: Future>(header: NonNull<Header>, cx: &mut Context<'_>) -> Poll<()> {
    // SAFETY: the caller's promise.
    let body = unsafe { body_of::<F>(header) };
    let Body::Future(future) = body else { unreachable!("a task that is not over has a future") };
    // SAFETY: the future stays where it was allocated until it is dropped there, by the assignments below.
    let future = unsafe { Pin::new_unchecked(future) };
    let output = match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
        Ok(Poll::Pending) => return Poll::Pending,
        Ok(Poll::Ready(output)) => Ok(output),
        Err(payload) => Err(panicked(payload)),
    };
    replace_future(body, output);
    Poll::Ready(())
}

/// # Safety
///
/// As for [`poll`].
unsafe fn end<F: Future>(header: NonNull<Header>, error: JoinError) {
    // SAFETY: the caller's promise.
    let body = unsafe { body_of::<F>(header) };
    replace_future(body, Err(error));
}

/// Drops the future in place, and puts the output there; or the panic that dropping caused.
fn replace_future<F: Future>(body: &mut Body<F>, output: Result<F::Output, JoinError>) {
    // A panic in the middle leaves the body empty, and what was left of the future dropped as far as possible.
    let output = match catch_unwind(AssertUnwindSafe(|| *body = Body::Empty)) {
        Ok(()) => output,
        Err(payload) => Err(panicked(payload)),
    };
    *body = Body::Output(output);
}

fn panicked(payload: Box<dyn Any + Send>) -> JoinError {
    let error = JoinError::from_panic(&*payload);
    // Dropping what was thrown may throw again.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(payload);
    }
    error
}

/// # Safety
///
/// `header` is of a `Task<F>` that is over, on its thread; `to` points at an `Option` of its output.
unsafe fn take<F: Future>(header: NonNull<Header>, to: *mut ()) {
    // SAFETY: the caller's promise.
    let body = unsafe { body_of::<F>(header) };
    if let Body::Output(output) = std::mem::replace(body, Body::Empty) {
        // SAFETY: the caller's promise.
        unsafe { *to.cast::<Option<Result<F::Output, JoinError>>>() = Some(output) };
    }
}

/// # Safety
///
/// `header` is of a `Task<F>` that is over, on its thread.
unsafe fn discard<F: Future>(header: NonNull<Header>) {
    // SAFETY: the caller's promise.
    let body = unsafe { body_of::<F>(header) };
    let output = std::mem::replace(body, Body::Empty);
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(output))) {
        drop(panicked(payload));
    }
}

/// # Safety
///
/// `header` is of a `Task<F>` to which no reference is left.
unsafe fn free<F: Future>(header: NonNull<Header>) {
    // SAFETY: it was a box of this type, and nobody has it. On the task's thread the body was emptied, or holds an
    // output whose handle is gone; elsewhere it is empty: see `finish` and the drop of `JoinRef`.
    drop(unsafe { Box::from_raw(header.cast::<Task<F>>().as_ptr()) });
}

/// The address of the task that `waker` wakes, if it wakes one of this crate's directly.
pub(crate) fn woken_by(waker: &Waker) -> Option<usize> {
    ptr::eq(waker.vtable(), &raw const VTABLE).then(|| waker.data().addr())
}

/// Leaves a note at the task that `waker` wakes, if it is one of this thread's, until it is polled again.
pub(crate) fn note_wait(waker: &Waker, number: u8) {
    if !ptr::eq(waker.vtable(), &raw const VTABLE) {
        return;
    }
    // SAFETY: the waker has a reference.
    let header = unsafe { header_of(waker.data()).as_ref() };
    // Elsewhere it is not to be touched.
    if CURRENT.get().home == Arc::as_ptr(&header.home) {
        header.note.set((header.polls.get() & NOTED_POLLS) << 8 | u32::from(number));
    }
}

/// Puts a task into its queue, unless it is there or over.
///
/// # Safety
///
/// The caller has a reference to the task, which may be a waker's.
unsafe fn schedule(task: NonNull<Header>) {
    // SAFETY: the caller's promise.
    let header = unsafe { task.as_ref() };
    let here = CURRENT.get();
    if here.home == Arc::as_ptr(&header.home) {
        if header.flags.is_wake_vain() || !header.flags.wake() {
            return;
        }
        // SAFETY: the reference becomes the queue's.
        unsafe { retain(task) };
        // SAFETY: the reference was just counted, and this is the task's thread, as its home is current here.
        let task = unsafe { TaskRef::from_raw(task) };
        // SAFETY: the queues live while they are current, see `CurrentGuard`.
        unsafe { &*here.queues }.push(task);
        return;
    }
    if !header.flags.wake() {
        return;
    }
    // SAFETY: the reference becomes the remote queue's.
    unsafe { retain(task) };
    // The task may end, and its memory go, as soon as it is in the queue.
    let home = Arc::clone(&header.home);
    // SAFETY: the reference was just counted; the flag that was just set is cleared after it was taken out, so it is in
    // no stack.
    unsafe { home.push(task) };
}

/// # Safety
///
/// A reference to the task is counted.
unsafe fn retain(task: NonNull<Header>) {
    // SAFETY: the caller's promise.
    let before = unsafe { task.as_ref() }.refs.fetch_add(1, Ordering::Relaxed);
    if before > isize::MAX.cast_unsigned() {
        // As `Arc` does: references were forgotten until the count ran over, and going on would free too early.
        std::process::abort();
    }
}

/// # Safety
///
/// One counted reference to the task is not used after this.
pub(super) unsafe fn release(task: NonNull<Header>) {
    // SAFETY: the caller's promise.
    let header = unsafe { task.as_ref() };
    if header.refs.fetch_sub(1, Ordering::Release) == 1 {
        // What others did before they let go is seen before the memory is freed. Not a fence, which ThreadSanitizer
        // does not know.
        header.refs.load(Ordering::Acquire);
        let free = header.table.free;
        // SAFETY: that was the last reference.
        unsafe { free(task) };
    }
}

fn raw_waker(task: NonNull<Header>) -> RawWaker {
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
    home: *const Remote,
    queues: *const RunQueues,
}

/// Makes queues current on this thread; what was so before is again when it is dropped.
pub(crate) struct CurrentGuard<'a> {
    before: Current,
    queues: PhantomData<&'a RunQueues>,
}

impl<'a> CurrentGuard<'a> {
    /// Wakes of tasks of `home` go to `queues` while the guard lives.
    pub(crate) fn new(home: &'a Arc<Remote>, queues: &'a RunQueues) -> Self {
        let current = Current { home: Arc::as_ptr(home), queues };
        Self { before: CURRENT.replace(current), queues: PhantomData }
    }
}

impl Drop for CurrentGuard<'_> {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

impl Name {
    fn new(name: &str) -> Self {
        let len = name.floor_char_boundary_at(NAME_BYTES_MAX);
        let mut bytes = [0; NAME_BYTES_MAX];
        bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
        Self { bytes, len: u8::try_from(len).expect("names are short") }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).expect("cut between characters")
    }
}

/// Where a text may be cut.
trait FloorCharBoundary {
    /// The last boundary of characters that is not behind `at`.
    fn floor_char_boundary_at(&self, at: usize) -> usize;
}

impl FloorCharBoundary for str {
    fn floor_char_boundary_at(&self, at: usize) -> usize {
        if self.len() <= at {
            return self.len();
        }
        (0..=at).rev().find(|at| self.is_char_boundary(*at)).unwrap_or(0)
    }
}

thread_local! {
    static CURRENT: Cell<Current> = const { Cell::new(Current { home: ptr::null(), queues: ptr::null() }) };
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(waker_clone, waker_wake, waker_wake_by_ref, waker_drop);

const NAME_BYTES_MAX: usize = 23;
/// So many bits of the number of polls are in a note.
const NOTED_POLLS: u32 = 0x00ff_ffff;
