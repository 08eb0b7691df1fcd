//! A ring made of plain system calls: sockets when they are ready, files on a few threads.
//!
//! For machines on which io_uring is blocked. Everything above it is the same, the rules of ownership included:
//! threads write to buffers as the kernel does, at any time until the completion.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, epoll, eventfd, poll};

use super::arena::Arena;
use super::perform::{perform, receive};
use super::ring::{Cqe, FLAG_BUFFER, FLAG_MORE, Full, Ring, Wait};
use super::sqe::{Op, Sqe};

/// The ring.
pub(crate) struct ThreadsRing {
    queued: VecDeque<Sqe>,
    /// What waits for a socket, in order.
    waiting: BTreeMap<RawFd, Vec<Sqe>>,
    done: Vec<Cqe>,
    /// Addresses and lengths of buffers to pick.
    buffers: VecDeque<(u16, usize, u32)>,
    epoll: OwnedFd,
    pool: Arc<Pool>,
    /// Chains on the pool.
    running: BTreeSet<u64>,
}

impl ThreadsRing {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let news = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &news, epoll::EventData::new_u64(NEWS), epoll::EventFlags::IN)?;
        Ok(Self {
            queued: VecDeque::new(),
            waiting: BTreeMap::new(),
            done: Vec::new(),
            buffers: VecDeque::new(),
            epoll,
            pool: Arc::new(Pool { state: Mutex::default(), has_jobs: Condvar::new(), news }),
            running: BTreeSet::new(),
        })
    }

    fn dispatch(&mut self) -> io::Result<()> {
        while let Some(sqe) = self.queued.pop_front() {
            match sqe.op {
                Op::Cancel { user_data } => {
                    self.cancel(|queued| queued == user_data);
                    self.done.push(completion(&sqe, 0));
                }
                Op::CancelAll => {
                    self.cancel(|_| true);
                    self.done.push(completion(&sqe, 0));
                }
                _ if waits_for_peer(&sqe.op) => self.try_socket(sqe)?,
                _ => {
                    let mut chain = vec![sqe];
                    while chain.last().is_some_and(|last| last.is_linked) {
                        chain.extend(self.queued.pop_front());
                    }
                    self.running.extend(chain.iter().map(|sqe| sqe.user_data));
                    Pool::submit(&self.pool, Chain(chain))?;
                }
            }
        }
        Ok(())
    }

    /// Does what a socket is ready for, or has it wait.
    fn try_socket(&mut self, sqe: Sqe) -> io::Result<()> {
        let fd = sqe.op.fd().expect("it works on a socket");
        if !self.waiting.contains_key(&fd) {
            if self.attempt(&sqe) {
                return Ok(());
            }
            // SAFETY: the owner of the operation's record keeps the descriptor open until its completion.
            let socket = unsafe { BorrowedFd::borrow_raw(fd) };
            epoll::add(&self.epoll, socket, event_data(fd), interest(&[sqe]))?;
            self.waiting.insert(fd, vec![sqe]);
            return Ok(());
        }
        let is_over = self.attempt(&sqe);
        let list = self.waiting.get_mut(&fd).expect("looked at above");
        if !is_over {
            list.push(sqe);
        }
        let flags = interest(list);
        // SAFETY: as above.
        let socket = unsafe { BorrowedFd::borrow_raw(fd) };
        Ok(epoll::modify(&self.epoll, socket, event_data(fd), flags)?)
    }

    /// Does what can be done of one operation; tells whether that was all of it.
    fn attempt(&mut self, sqe: &Sqe) -> bool {
        loop {
            let (result, flags) = match sqe.op {
                Op::RecvMulti { fd, .. } => {
                    let Some((buffer, at, len)) = self.buffers.pop_front() else {
                        self.done.push(completion(sqe, -libc::ENOBUFS));
                        return true;
                    };
                    // SAFETY: the buffer is the ring's until a completion names it.
                    let result = unsafe { receive(fd, std::ptr::with_exposed_provenance_mut(at), len) };
                    let Some(result) = result else {
                        self.buffers.push_front((buffer, at, len));
                        return false;
                    };
                    if result <= 0 {
                        self.buffers.push_front((buffer, at, len));
                        (result, 0)
                    } else {
                        (result, FLAG_BUFFER | FLAG_MORE | u32::from(buffer) << 16)
                    }
                }
                op => {
                    // SAFETY: promised to `push`.
                    let Some(result) = (unsafe { perform(&op) }) else { return false };
                    let has_more = matches!(op, Op::AcceptMulti { .. }) && result >= 0;
                    (result, if has_more { FLAG_MORE } else { 0 })
                }
            };
            self.done.push(Cqe { user_data: sqe.user_data, result, flags });
            if flags & FLAG_MORE == 0 {
                return true;
            }
        }
    }

    fn cancel(&mut self, is_meant: impl Fn(u64) -> bool) {
        let fds: Vec<RawFd> = self.waiting.keys().copied().collect();
        for fd in fds {
            let list = self.waiting.get_mut(&fd).expect("a key of the map");
            let cancelled = list.extract_if(.., |sqe| is_meant(sqe.user_data));
            self.done.extend(cancelled.map(|sqe| completion(&sqe, -libc::ECANCELED)));
            self.rearm(fd);
        }
        let mut state = self.pool.lock();
        let (cancelled, left) = state
            .jobs
            .drain(..)
            .partition::<VecDeque<_>, _>(|chain: &Chain| chain.0.iter().any(|sqe| is_meant(sqe.user_data)));
        state.jobs = left;
        drop(state);
        for sqe in cancelled.into_iter().flat_map(|chain| chain.0) {
            self.running.remove(&sqe.user_data);
            self.done.push(completion(&sqe, -libc::ECANCELED));
        }
    }

    /// Has the epoll instance look for what the waiting operations of a socket need.
    fn rearm(&mut self, fd: RawFd) {
        let Some(list) = self.waiting.get(&fd) else { return };
        // SAFETY: operations wait or waited until now, so the owner of their records has the descriptor open.
        let socket = unsafe { BorrowedFd::borrow_raw(fd) };
        let rearmed = if list.is_empty() {
            self.waiting.remove(&fd);
            epoll::delete(&self.epoll, socket)
        } else {
            epoll::modify(&self.epoll, socket, event_data(fd), interest(list))
        };
        rearmed.expect("the socket was added before");
    }

    fn wait(&mut self, patience: Option<Duration>) -> io::Result<()> {
        if patience != Some(Duration::ZERO) {
            let patience = patience.map(|patience| Timespec {
                tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(patience.subsec_nanos()),
            });
            // To the nanosecond, which waiting on the instance itself is only since Linux 5.11.
            let mut instance = [PollFd::new(&self.epoll, PollFlags::IN)];
            poll(&mut instance, patience.as_ref())?;
        }
        let mut events = Vec::with_capacity(EVENTS_MAX);
        epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&Timespec::default()))?;
        for event in events {
            let Ok(fd) = RawFd::try_from(event.data.u64()) else {
                self.pool.take_news();
                continue;
            };
            let Some(list) = self.waiting.remove(&fd) else { continue };
            let left: Vec<Sqe> = list.into_iter().filter(|sqe| !self.attempt(sqe)).collect();
            self.waiting.insert(fd, left);
            self.rearm(fd);
        }
        Ok(())
    }

    fn collect(&mut self) {
        let done = std::mem::take(&mut self.pool.lock().done);
        self.running.retain(|running| done.iter().all(|cqe| cqe.user_data != *running));
        self.done.extend(done);
    }
}

impl Ring for ThreadsRing {
    unsafe fn push(&mut self, sqe: Sqe) -> Result<(), Full> {
        self.queued.push_back(sqe);
        Ok(())
    }

    fn room(&self) -> usize {
        usize::MAX
    }

    fn pending(&self) -> usize {
        self.queued.len()
    }

    fn enter(&mut self, wait: Wait) -> io::Result<()> {
        self.dispatch()?;
        self.collect();
        match wait {
            Wait::AtMost(patience) if self.done.is_empty() => self.wait(patience)?,
            // What is ready meanwhile is looked for all the same.
            _ => self.wait(Some(Duration::ZERO))?,
        }
        self.collect();
        Ok(())
    }

    fn reap(&mut self, into: &mut Vec<Cqe>) {
        into.append(&mut self.done);
    }

    fn has_events(&self) -> bool {
        !self.done.is_empty() || !self.pool.lock().done.is_empty()
    }

    fn completions_max(&self) -> usize {
        usize::MAX
    }

    unsafe fn give_arena(&mut self, arena: &Arena) -> io::Result<()> {
        for buffer in 0..arena.count() {
            // SAFETY: the caller's promise.
            unsafe { self.give_buffer(arena, buffer) };
        }
        Ok(())
    }

    unsafe fn give_buffer(&mut self, arena: &Arena, buffer: u16) {
        let len = u32::try_from(arena.buffer_bytes()).expect("buffers are small");
        self.buffers.push_back((buffer, arena.address(buffer).expose_provenance(), len));
    }

    fn signal_events(&mut self, _: bool) {}
}

impl Drop for ThreadsRing {
    fn drop(&mut self) {
        self.pool.lock().is_closed = true;
        self.pool.has_jobs.notify_all();
    }
}

/// Threads that do what would block.
struct Pool {
    state: Mutex<State>,
    has_jobs: Condvar,
    /// Counts when something was done.
    news: OwnedFd,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Chain>,
    done: Vec<Cqe>,
    threads: usize,
    idle: usize,
    is_closed: bool,
}

/// Operations that are done one after the other, each only if the one before succeeded in full.
struct Chain(Vec<Sqe>);

// SAFETY: an operation holds addresses of what is valid until its completion, whichever thread does it, as it is for
// the kernel; the threads of the pool are the kernel here.
unsafe impl Send for Chain {}

impl Pool {
    fn submit(this: &Arc<Self>, chain: Chain) -> io::Result<()> {
        let mut state = this.lock();
        state.jobs.push_back(chain);
        if state.idle < state.jobs.len() && state.threads < THREADS_MAX {
            state.threads += 1;
            drop(state);
            let pool = Arc::clone(this);
            let thread = thread::Builder::new().name("uring-rt files".into());
            #[expect(clippy::disallowed_methods, reason = "what would block needs a thread that may")]
            thread.spawn(move || pool.work())?;
        } else {
            drop(state);
            this.has_jobs.notify_one();
        }
        Ok(())
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            let Some(chain) = state.jobs.pop_front() else {
                if state.is_closed {
                    return;
                }
                state.idle += 1;
                state = self.has_jobs.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
                continue;
            };
            drop(state);
            let done = chain.run();
            state = self.lock();
            state.done.extend(done);
            // The counter does not overflow, so this neither blocks nor fails.
            let _ = rustix::io::write(&self.news, &1_u64.to_ne_bytes());
        }
    }

    fn take_news(&self) {
        let mut count = [0; 8];
        // Nothing to read is fine, too.
        let _ = rustix::io::read(self.news.as_fd(), &mut count);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chain {
    fn run(&self) -> Vec<Cqe> {
        let mut is_broken = false;
        let run = |sqe: &Sqe| {
            // SAFETY: promised to `push`.
            let perform = || unsafe { perform(&sqe.op) }.unwrap_or(-libc::EAGAIN);
            let result = if is_broken { -libc::ECANCELED } else { perform() };
            is_broken |= !is_full_success(&sqe.op, result);
            completion(sqe, result)
        };
        self.0.iter().map(run).collect()
    }
}

/// Whether a chain goes on behind this.
pub(super) fn is_full_success(op: &Op, result: i32) -> bool {
    match op {
        Op::Read { len, .. } | Op::Write { len, .. } => u32::try_from(result) == Ok(*len),
        _ => result >= 0,
    }
}

/// Whether an operation waits for a peer rather than for a disk.
pub(super) fn waits_for_peer(op: &Op) -> bool {
    matches!(
        op,
        Op::Recv { .. }
            | Op::RecvMulti { .. }
            | Op::Send { .. }
            | Op::SendZeroCopy { .. }
            | Op::RecvMsg { .. }
            | Op::SendMsg { .. }
            | Op::AcceptMulti { .. }
            | Op::Connect { .. }
            | Op::ReadEvent { .. }
    )
}

fn completion(sqe: &Sqe, result: i32) -> Cqe {
    Cqe { user_data: sqe.user_data, result, flags: 0 }
}

fn event_data(fd: RawFd) -> epoll::EventData {
    epoll::EventData::new_u64(u64::try_from(fd).expect("a descriptor"))
}

fn interest(list: &[Sqe]) -> epoll::EventFlags {
    let one = |sqe: &Sqe| match sqe.op {
        Op::Send { .. } | Op::SendZeroCopy { .. } | Op::SendMsg { .. } | Op::Connect { .. } => {
            epoll::EventFlags::OUT
        }
        _ => epoll::EventFlags::IN,
    };
    list.iter().map(one).collect()
}

/// The event that is not a socket's.
const NEWS: u64 = u64::MAX;
const THREADS_MAX: usize = 4;
const EVENTS_MAX: usize = 256;
