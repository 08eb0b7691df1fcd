//! Shards: a runtime a thread, and how they call each other.
//!
//! A call goes into the other shard's inbox as a closure and comes back as a value. Inboxes are bounded: who finds one
//! full waits for room. Calls must not go in circles that each wait for room, as with any bounded queues; calls that
//! form no cycle cannot block each other for ever.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use samestep_provider_traits::JoinError;

use crate::core::Core;
use crate::error::{ShutdownError, StartError};
use crate::machine::Machine;
use crate::runtime::RuntimeBuilder;
use crate::service::{Claim, Room, ServiceGroup};
use crate::sharded::AtHome;
use crate::task_list::TaskList;
use crate::waits::WaitsOn;

/// Runs `program` on `count` shards, each a runtime on a thread of its own, and gives what the programs gave, in the
/// order of the shards. All start, or none does.
///
/// A shard goes on serving calls of others until all programs are over. They run on processors as the
/// [placement](RuntimeBuilder::placement) of the builder says.
///
/// # Errors
///
/// The first error of starting a runtime or of ending one.
///
/// # Panics
///
/// If a program panics, with its panic, after all have ended.
pub fn run_shards<P, Fut, T>(
    count: usize,
    builder: &RuntimeBuilder,
    program: P,
) -> Result<Vec<T>, ShardsError>
where
    P: Fn(Shard) -> Fut + Send + Clone + 'static,
    Fut: Future<Output = T>,
    T: Send + 'static,
{
    let seats = builder.seats(count.max(1))?;
    let peers: Arc<[Peer]> = (0..count.max(1)).map(|_| Peer::new(INBOX_CALLS_MAX)).collect();
    let gate = Arc::new(Gate::new(peers.len()));
    let threads: Vec<_> = (0..peers.len())
        .map(|number| {
            let (peers, gate, builder, program) =
                (Arc::clone(&peers), Arc::clone(&gate), builder.clone(), program.clone());
            let seat = seats[number];
            let thread = thread::Builder::new().name(format!("shard {number}"));
            #[expect(clippy::disallowed_methods, reason = "a shard is a thread")]
            let spawned = thread.spawn(move || run_shard((number, seat), &peers, &gate, &builder, &program));
            spawned.map_err(|source| StartError::Refused { what: "make a thread", source }.into())
        })
        .collect();
    // A thread that was not made starts nothing, and so nobody does.
    for _ in threads.iter().filter(|thread| thread.is_err()) {
        gate.arrive(false);
    }
    let mut panic = None;
    let ended: Vec<Result<T, ShardsError>> = threads
        .into_iter()
        .filter_map(|thread| match thread.map(thread::JoinHandle::join) {
            Ok(Ok(ended)) => Some(ended),
            Ok(Err(payload)) => {
                panic.get_or_insert(payload);
                None
            }
            Err(error) => Some(Err(error)),
        })
        .collect();
    if let Some(payload) = panic {
        resume_unwind(payload);
    }
    let mut outputs = Vec::with_capacity(ended.len());
    let mut none_started = false;
    for ended in ended {
        match ended {
            Ok(output) => outputs.push(output),
            // The reason is another shard's to tell.
            Err(ShardsError::NotStarted) => none_started = true,
            Err(error) => return Err(error),
        }
    }
    if none_started { Err(ShardsError::NotStarted) } else { Ok(outputs) }
}

/// As [`run_shards`], on as many shards as this process may keep busy: see [`Machine::shards`].
///
/// # Errors
///
/// As [`run_shards`], and if the system does not tell where this process may run.
pub fn run_on_all<P, Fut, T>(builder: &RuntimeBuilder, program: P) -> Result<Vec<T>, ShardsError>
where
    P: Fn(Shard) -> Fut + Send + Clone + 'static,
    Fut: Future<Output = T>,
    T: Send + 'static,
{
    let refused = |source| StartError::Refused { what: "ask which processors there are", source };
    run_shards(Machine::here().map_err(refused)?.shards(), builder, program)
}

fn run_shard<Fut: Future<Output = T>, T>(
    (number, seat): (usize, Option<u32>),
    peers: &Arc<[Peer]>,
    gate: &Gate,
    builder: &RuntimeBuilder,
    program: &impl Fn(Shard) -> Fut,
) -> Result<T, ShardsError> {
    // However this is left, the others are told.
    let _left = Leaving { gate, peers, number };
    let runtime = builder.clone().build_on(seat);
    if !gate.arrive(runtime.is_ok()) {
        return Err(runtime.map_or_else(ShardsError::from, |_| ShardsError::NotStarted));
    }
    let runtime = runtime?;
    let shard = Shard { core: Rc::clone(runtime.core()), number, peers: Arc::clone(peers) };
    let output = runtime.block_on(async {
        let serving = Serving(shard.core.spawn("inbox", crate::queues::DEFAULT_QUEUE, serve(shard.clone())));
        let output = program(shard.clone()).await;
        gate.leave(number, peers);
        poll_fn(|cx| peers[number].poll_all_left(gate, cx)).await;
        drop(serving);
        output
    });
    peers[number].close();
    runtime.shutdown()?;
    Ok(output)
}

/// Does what the inbox says, as tasks.
async fn serve(shard: Shard) {
    let core = Rc::clone(&shard.core);
    loop {
        let Envelope { call, room } = poll_fn(|cx| shard.peers[shard.number].poll_call(cx)).await;
        call(&core, room);
    }
}

/// One of several shards, from within.
#[derive(Clone)]
pub struct Shard {
    core: Rc<Core>,
    number: usize,
    peers: Arc<[Peer]>,
}

impl Shard {
    /// Its number, from zero.
    pub fn number(&self) -> usize {
        self.number
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.peers.len()
    }

    /// The bundle for programs written against the provider traits, see [`Runtime::providers`](crate::Runtime::providers).
    ///
    /// # Errors
    ///
    /// If `root` is no folder that can be opened.
    pub fn providers(
        &self,
        root: impl AsRef<std::path::Path>,
        seed: u64,
    ) -> std::io::Result<crate::UringProviders> {
        crate::UringProviders::new(&self.core, root.as_ref(), seed)
    }

    /// What the shard has done so far.
    pub fn stats(&self) -> crate::ShardStats {
        crate::ShardStats::of(&self.core)
    }

    /// The tasks that are there now, and what they wait for.
    pub fn tasks(&self) -> TaskList {
        TaskList::of(&self.core)
    }

    /// A handle to all shards for other threads.
    pub fn caller(&self) -> Caller {
        Caller { peers: Arc::clone(&self.peers) }
    }

    /// Runs what `call` makes on shard `target`, as a task, and gives its output; see [`Caller::submit_to`].
    pub fn submit_to<C, Fut, T>(&self, target: usize, call: C) -> Submitted<T>
    where
        C: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = T> + 'static,
        T: Send + 'static,
    {
        self.caller().submit_to(target, call)
    }

    /// Keeps a value here, with a handle that may be sent anywhere.
    pub fn keep<T: 'static>(&self, value: T) -> AtHome<T> {
        AtHome::new(self, value)
    }

    pub(crate) fn core(&self) -> &Rc<Core> {
        &self.core
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard")
            .field("number", &self.number)
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

/// Calls shards, from any thread.
#[derive(Clone, Debug)]
pub struct Caller {
    peers: Arc<[Peer]>,
}

impl Caller {
    /// Runs what `call` makes on shard `target`, as a task, and gives its output.
    ///
    /// The call is sent when this is first polled, or once the inbox has room. Dropping it before sends nothing;
    /// dropping it afterwards leaves the task alone, whose output is then dropped on its shard.
    ///
    /// # Errors
    ///
    /// [`CallError`] if there is no such shard, if it has ended, or if the task panicked.
    pub fn submit_to<C, Fut, T>(&self, target: usize, call: C) -> Submitted<T>
    where
        C: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = T> + 'static,
        T: Send + 'static,
    {
        self.submit_within(target, move |_| call())
    }

    /// As [`Self::submit_to`], once the group has room on that shard.
    pub fn submit_in<C, Fut, T>(&self, group: &ServiceGroup, target: usize, call: C) -> Submitted<T>
    where
        C: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = T> + 'static,
        T: Send + 'static,
    {
        let mut submitted = self.submit_to(target, call);
        submitted.claim = group.claim(target);
        submitted
    }

    /// A group of calls, of which at most `calls_max` are under way on each shard at a time, at least one.
    pub fn service_group(&self, name: &str, calls_max: usize) -> ServiceGroup {
        ServiceGroup::new(name, self.count(), calls_max)
    }

    /// How many shards there are, or were.
    pub fn count(&self) -> usize {
        self.peers.len()
    }

    /// What shard `target` has done so far; see [`Self::submit_to`].
    pub fn stats_of(&self, target: usize) -> Submitted<crate::ShardStats> {
        self.submit_within(target, |shard| async move { shard.stats() })
    }

    /// The tasks of shard `target` and what they wait for; see [`Self::submit_to`].
    pub fn tasks_of(&self, target: usize) -> Submitted<TaskList> {
        self.submit_within(target, |shard| async move { shard.tasks() })
    }

    /// As [`Self::submit_to`], with the shard that the call runs on.
    pub(crate) fn submit_within<C, Fut, T>(&self, target: usize, call: C) -> Submitted<T>
    where
        C: FnOnce(Shard) -> Fut + Send + 'static,
        Fut: Future<Output = T> + 'static,
        T: Send + 'static,
    {
        let desk = Arc::new(Mutex::new(Desk { outcome: None, waker: None }));
        let mut reply = Reply { desk: Some(Arc::clone(&desk)), shard: target };
        let peers = Arc::clone(&self.peers);
        let call: Call = Box::new(move |core, room| {
            let shard = Shard { core: Rc::clone(core), number: target, peers };
            let mut task = core.spawn("call", core.queue_now(), call(shard));
            let answer = async move {
                let outcome = poll_fn(|cx| task.poll(cx)).await;
                // Room for the next, before the caller hears of it and may come again.
                drop(room);
                reply.give(outcome.map_err(|error| match error {
                    JoinError::Panicked { message } => CallError::Panicked { message },
                    JoinError::Cancelled => CallError::Ended { shard: target },
                }));
            };
            drop(core.spawn("answer", core.queue_now(), answer));
        });
        let peers = Arc::clone(&self.peers);
        Submitted { peers, target, call: Some(call), desk, place: None, claim: None, room: None }
    }

    /// Runs `call` on a shard without waiting for room, if it has not ended.
    pub(crate) fn post(&self, target: usize, call: impl FnOnce(&Rc<Core>) + Send + 'static) {
        self.peers[target].post(Box::new(move |core, _| call(core)));
    }
}

/// A call of another shard. Ends with what it gave.
#[must_use = "a call is sent when it is first polled"]
pub struct Submitted<T> {
    peers: Arc<[Peer]>,
    target: usize,
    /// Until it is sent.
    call: Option<Call>,
    desk: Arc<Mutex<Desk<T>>>,
    /// In the line of those who wait for room in the inbox.
    place: Option<u64>,
    /// Of a service group, until it has room.
    claim: Option<Claim>,
    /// Until the call is sent, with which it goes.
    room: Option<Room>,
}

impl<T> Submitted<T> {
    /// Waits on a thread that is no shard, which sleeps meanwhile. A shard that did so would serve nobody, and wait for
    /// ever if it called itself: there the call is awaited.
    ///
    /// # Errors
    ///
    /// As of the call.
    pub fn wait(mut self) -> Result<T, CallError> {
        #[expect(clippy::disallowed_methods, reason = "this thread is to be woken")]
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            if let Poll::Ready(outcome) = Pin::new(&mut self).poll(&mut Context::from_waker(&waker)) {
                return outcome;
            }
            thread::park();
        }
    }
}

/// A thread that sleeps until it is woken.
struct Unpark(thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl<T> Future for Submitted<T> {
    type Output = Result<T, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(peer) = this.peers.get(this.target) else {
            return Poll::Ready(Err(CallError::NoSuchShard { shard: this.target, count: this.peers.len() }));
        };
        if let Some(claim) = &mut this.claim {
            this.room = Some(std::task::ready!(claim.poll(cx.waker())));
            this.claim = None;
        }
        let before = lock(&this.desk).waker.replace(cx.waker().clone());
        drop(before);
        if let Some(call) = this.call.take() {
            match peer.send(Envelope { call, room: this.room.take() }, &mut this.place, cx.waker()) {
                Sent::Yes => {}
                Sent::Full(Envelope { call, room }) => {
                    (this.call, this.room) = (Some(call), room);
                    return Poll::Pending;
                }
                Sent::Ended(envelope) => {
                    drop(envelope);
                    return Poll::Ready(Err(CallError::Ended { shard: this.target }));
                }
            }
        }
        if let Some(outcome) = lock(&this.desk).outcome.take() {
            return Poll::Ready(outcome);
        }
        WaitsOn::Call.note(cx.waker());
        Poll::Pending
    }
}

// What was promised is not in here.
impl<T> Unpin for Submitted<T> {}

impl<T> Drop for Submitted<T> {
    fn drop(&mut self) {
        if let (Some(place), Some(peer)) = (self.place, self.peers.get(self.target)) {
            peer.leave_line(place);
        }
    }
}

impl<T> fmt::Debug for Submitted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submitted").field("target", &self.target).finish_non_exhaustive()
    }
}

/// Why a call gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// There are not so many shards.
    #[error("there is no shard {shard}: there are {count}")]
    NoSuchShard {
        /// The one that was called.
        shard: usize,
        /// How many there are.
        count: usize,
    },
    /// The shard ended before the call did.
    #[error("shard {shard} has ended")]
    Ended {
        /// The one that was called.
        shard: usize,
    },
    /// The value that the call was for was stopped there.
    #[error("the value on shard {shard} was stopped")]
    Stopped {
        /// The one that was called.
        shard: usize,
    },
    /// The call panicked; its shard goes on.
    #[error("the call panicked: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
}

/// Why shards did not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShardsError {
    /// A runtime could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A runtime did not end as it should; its program did.
    #[error(transparent)]
    Shutdown(#[from] ShutdownError),
    /// Another shard did not start, so none did.
    #[error("another shard did not start")]
    NotStarted,
}

type Call = Box<dyn FnOnce(&Rc<Core>, Option<Room>) + Send>;

/// A call, with the room in its group that it has until it is answered.
struct Envelope {
    call: Call,
    room: Option<Room>,
}

/// A shard as others know it.
#[derive(Debug)]
struct Peer {
    inbox: Mutex<Inbox>,
}

struct Inbox {
    calls: VecDeque<Envelope>,
    calls_max: usize,
    /// The task that serves.
    server: Option<Waker>,
    /// The program's end, which waits for the others'.
    leaver: Option<Waker>,
    /// Who waits for room, in order.
    line: VecDeque<(u64, Waker)>,
    next_place: u64,
    has_ended: bool,
}

enum Sent {
    Yes,
    Full(Envelope),
    Ended(Envelope),
}

impl Peer {
    fn new(calls_max: usize) -> Self {
        let inbox = Inbox {
            calls: VecDeque::new(),
            calls_max,
            server: None,
            leaver: None,
            line: VecDeque::new(),
            next_place: 0,
            has_ended: false,
        };
        Self { inbox: Mutex::new(inbox) }
    }

    fn send(&self, call: Envelope, place: &mut Option<u64>, waker: &Waker) -> Sent {
        let server = {
            let mut inbox = lock(&self.inbox);
            if inbox.has_ended {
                return Sent::Ended(call);
            }
            if inbox.calls.len() >= inbox.calls_max {
                let number = *place.get_or_insert(inbox.next_place);
                inbox.next_place = inbox.next_place.max(number + 1);
                inbox.line.retain(|(other, _)| *other != number);
                inbox.line.push_back((number, waker.clone()));
                return Sent::Full(call);
            }
            inbox.calls.push_back(call);
            inbox.server.take()
        };
        // Outside of the lock: waking takes a path of its own.
        server.into_iter().for_each(Waker::wake);
        Sent::Yes
    }

    /// Sends a call that cannot wait for room. What bounds the number of such calls is for who makes them to know.
    fn post(&self, call: Call) {
        let (refused, server) = {
            let mut inbox = lock(&self.inbox);
            if inbox.has_ended {
                (Some(call), None)
            } else {
                inbox.calls.push_back(Envelope { call, room: None });
                (None, inbox.server.take())
            }
        };
        drop(refused);
        server.into_iter().for_each(Waker::wake);
    }

    fn poll_call(&self, cx: &mut Context<'_>) -> Poll<Envelope> {
        let (call, next) = {
            let mut inbox = lock(&self.inbox);
            let Some(call) = inbox.calls.pop_front() else {
                inbox.server = Some(cx.waker().clone());
                WaitsOn::Calls.note(cx.waker());
                return Poll::Pending;
            };
            (call, inbox.line.pop_front())
        };
        if let Some((_, waker)) = next {
            waker.wake();
        }
        Poll::Ready(call)
    }

    fn leave_line(&self, place: u64) {
        let next = {
            let mut inbox = lock(&self.inbox);
            let before = inbox.line.len();
            inbox.line.retain(|(other, _)| *other != place);
            // Its turn may have come already: then it is the next one's.
            if inbox.line.len() == before { inbox.line.pop_front() } else { None }
        };
        if let Some((_, waker)) = next {
            waker.wake();
        }
    }

    fn poll_all_left(&self, gate: &Gate, cx: &mut Context<'_>) -> Poll<()> {
        lock(&self.inbox).leaver = Some(cx.waker().clone());
        if gate.have_all_left() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn wake_leaver(&self) {
        let leaver = lock(&self.inbox).leaver.take();
        leaver.into_iter().for_each(Waker::wake);
    }

    /// Takes no more calls; those that nobody served tell their callers so as they are dropped.
    fn close(&self) {
        let (calls, line) = {
            let mut inbox = lock(&self.inbox);
            inbox.has_ended = true;
            (std::mem::take(&mut inbox.calls), std::mem::take(&mut inbox.line))
        };
        drop(calls);
        for (_, waker) in line {
            waker.wake();
        }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("calls", &self.calls.len()).finish_non_exhaustive()
    }
}

/// Where a call's outcome is left.
struct Desk<T> {
    outcome: Option<Result<T, CallError>>,
    waker: Option<Waker>,
}

/// Held by a call: leaves its outcome, or that there is none.
struct Reply<T> {
    /// Until it was given.
    desk: Option<Arc<Mutex<Desk<T>>>>,
    shard: usize,
}

impl<T> Reply<T> {
    fn give(&mut self, outcome: Result<T, CallError>) {
        let Some(desk) = self.desk.take() else { return };
        let waker = {
            let mut desk = lock(&desk);
            desk.outcome = Some(outcome);
            desk.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        self.give(Err(CallError::Ended { shard: self.shard }));
    }
}

/// All start, or none; all leave, and only then does any stop serving.
#[derive(Debug)]
struct Gate {
    state: Mutex<GateState>,
    has_opened: std::sync::Condvar,
}

#[derive(Debug)]
struct GateState {
    expected: usize,
    arrived: usize,
    is_refused: bool,
    left: Vec<bool>,
}

impl Gate {
    fn new(expected: usize) -> Self {
        let state = GateState { expected, arrived: 0, is_refused: false, left: vec![false; expected] };
        Self { state: Mutex::new(state), has_opened: std::sync::Condvar::new() }
    }

    /// Waits for all to arrive; tells whether all can start.
    fn arrive(&self, can_start: bool) -> bool {
        let mut state = lock(&self.state);
        state.arrived += 1;
        state.is_refused |= !can_start;
        self.has_opened.notify_all();
        while state.arrived < state.expected && !state.is_refused {
            state = self.has_opened.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.is_refused
    }

    fn leave(&self, number: usize, peers: &[Peer]) {
        lock(&self.state).left[number] = true;
        peers.iter().for_each(Peer::wake_leaver);
    }

    fn have_all_left(&self) -> bool {
        lock(&self.state).left.iter().all(|left| *left)
    }
}

/// Tells the others that a shard is gone, by a panic too.
struct Leaving<'a> {
    gate: &'a Gate,
    peers: &'a [Peer],
    number: usize,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.peers[self.number].close();
        self.gate.leave(self.number, self.peers);
    }
}

/// The task that serves, while the program runs.
struct Serving(crate::sys::JoinRef<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls that wait on one shard before callers have to.
const INBOX_CALLS_MAX: usize = 1024;
