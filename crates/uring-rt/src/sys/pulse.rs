//! What a shard shows to who watches it: that its loop turns, and when asked by a signal, what it is doing.
//!
//! The signal's handler does what may be done in one, and no more: it reads the interrupted registers and the thread's
//! own stack, within its bounds, and writes to memory that is there from the start.

use std::cell::{Cell, UnsafeCell};
use std::collections::BTreeMap;
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use super::sync::{Mutex, lock};
use super::task::{Header, TaskRef};
use crate::frames::{FRAMES_MAX, Registers, walk};

/// The part of a shard that its watcher looks at.
pub(crate) struct Pulse {
    turns: AtomicU64,
    /// The loop runs, and does not sleep.
    is_awake: AtomicBool,
    /// The task that is polled now. Written by the shard, read by it in the handler.
    running: AtomicPtr<Header>,
    thread: AtomicI32,
    stack: Range<usize>,
    stalls: AtomicU64,
    queues: Mutex<BTreeMap<u32, String>>,
    asked: AtomicU32,
    taken: UnsafeCell<Taken>,
}

// SAFETY: all but `taken` is shared as its types allow. That is written by the handler between `ASKED` and `TAKEN`, and
// read by the one watcher after `TAKEN` and before it asks again.
unsafe impl Sync for Pulse {}
// SAFETY: the pointer in it is used on the shard's thread only, and only while a task runs there.
unsafe impl Send for Pulse {}

/// What the handler found.
struct Taken {
    frames: [usize; FRAMES_MAX],
    frames_len: usize,
    task: Option<([u8; NAME_BYTES_MAX], usize, u32)>,
}

/// What a shard was doing when it was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Name of the task that ran, and its queue.
    pub(crate) task: Option<(String, String)>,
    /// Where, innermost first.
    pub(crate) frames: Vec<usize>,
}

impl Pulse {
    /// Of this thread. From here on the process handles `signal` by telling what watched threads do.
    ///
    /// # Errors
    ///
    /// If the system tells no bounds of the stack, or if somebody else handles the signal.
    pub(crate) fn new(signal: i32) -> io::Result<Arc<Self>> {
        let stack = stack_of_this_thread()?;
        handle(signal)?;
        // Once, so that the handler finds it made.
        WATCHED.set(ptr::null());
        let taken = Taken { frames: [0; FRAMES_MAX], frames_len: 0, task: None };
        Ok(Arc::new(Self {
            turns: AtomicU64::new(0),
            is_awake: AtomicBool::new(false),
            running: AtomicPtr::new(ptr::null_mut()),
            thread: AtomicI32::new(0),
            stack,
            stalls: AtomicU64::new(0),
            queues: Mutex::default(),
            asked: AtomicU32::new(IDLE),
            taken: UnsafeCell::new(taken),
        }))
    }

    /// The loop runs on this thread while the guard lives.
    pub(crate) fn attend(&self) -> Attended<'_> {
        self.thread.store(rustix::thread::gettid().as_raw_nonzero().get(), Ordering::Relaxed);
        let before = WATCHED.replace(ptr::from_ref(self));
        self.beat();
        self.is_awake.store(true, Ordering::Release);
        Attended { pulse: self, before, on_one_thread: PhantomData }
    }

    /// The loop has turned.
    pub(crate) fn beat(&self) {
        // Nobody else writes.
        self.turns.store(self.turns.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// The loop goes to sleep.
    pub(crate) fn park(&self) {
        self.is_awake.store(false, Ordering::Relaxed);
    }

    /// And is awake again.
    pub(crate) fn unpark(&self) {
        self.beat();
        self.is_awake.store(true, Ordering::Release);
    }

    /// A task is polled from here on.
    pub(crate) fn run(&self, task: &TaskRef) {
        self.running.store(task.as_header(), Ordering::Relaxed);
    }

    /// And no more. To be told before the task may go.
    pub(crate) fn rest(&self) {
        self.running.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// What a queue is called.
    pub(crate) fn name_queue(&self, index: u32, name: &str) {
        lock(&self.queues).insert(index, name.to_owned());
    }

    /// How often the loop has turned, if it is awake.
    pub(crate) fn turns(&self) -> Option<u64> {
        self.is_awake.load(Ordering::Acquire).then(|| self.turns.load(Ordering::Relaxed))
    }

    /// Stalls that were noticed.
    pub(crate) fn stalls(&self) -> u64 {
        self.stalls.load(Ordering::Relaxed)
    }

    pub(crate) fn count_stall(&self) {
        self.stalls.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks the shard what it is doing. For its one watcher.
    pub(crate) fn ask(&self, signal: i32) {
        // One that was asked before and has not answered is still asked.
        if self.asked.load(Ordering::Acquire) != ASKED {
            self.asked.store(ASKED, Ordering::Release);
        }
        let (process, thread) =
            (rustix::process::getpid().as_raw_nonzero().get(), self.thread.load(Ordering::Relaxed));
        // SAFETY: numbers in, a number out. If the thread is gone the call says so; another that has its number by now
        // handles the signal, too, and finds itself not asked.
        let _ = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal) };
    }

    /// What it said, once it has.
    pub(crate) fn answer(&self) -> Option<Moment> {
        if self.asked.load(Ordering::Acquire) != TAKEN {
            return None;
        }
        // SAFETY: the handler writes only when it is asked, which this is the only one to do, see `ask`.
        let taken = unsafe { &*self.taken.get() };
        let task = taken.task.as_ref().map(|(name, len, queue)| {
            let name = String::from_utf8_lossy(&name[..(*len).min(NAME_BYTES_MAX)]).into_owned();
            (name, lock(&self.queues).get(queue).cloned().unwrap_or_default())
        });
        let moment = Moment { task, frames: taken.frames[..taken.frames_len.min(FRAMES_MAX)].to_vec() };
        self.asked.store(IDLE, Ordering::Release);
        Some(moment)
    }
}

impl std::fmt::Debug for Pulse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pulse").field("turns", &self.turns()).finish_non_exhaustive()
    }
}

/// While this lives, the thread tells what it does; what was told before is told again when it is dropped.
pub(crate) struct Attended<'a> {
    pulse: &'a Pulse,
    before: *const Pulse,
    on_one_thread: PhantomData<*const ()>,
}

impl Drop for Attended<'_> {
    fn drop(&mut self) {
        // A panic may have left a task.
        self.pulse.rest();
        self.pulse.is_awake.store(false, Ordering::Relaxed);
        WATCHED.set(self.before);
    }
}

/// In the middle of anything.
extern "C" fn on_signal(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: what is watched lives until it is so no more, see `Attended`; both are done by this thread.
    let Some(pulse) = (unsafe { WATCHED.get().as_ref() }) else { return };
    let asked = pulse.asked.compare_exchange(ASKED, TAKING, Ordering::Acquire, Ordering::Relaxed);
    if asked.is_err() {
        return;
    }
    // SAFETY: this thread alone is in here until it stores `TAKEN`: the one that asked waits for that.
    let taken = unsafe { &mut *pulse.taken.get() };
    // SAFETY: what runs is not freed before `rest` was called on this thread.
    let task = unsafe { pulse.running.load(Ordering::Relaxed).as_ref() };
    taken.task = task.map(|task| {
        let name = task.name_bytes();
        let mut copy = [0; NAME_BYTES_MAX];
        let len = name.len().min(NAME_BYTES_MAX);
        copy[..len].copy_from_slice(&name[..len]);
        (copy, len, task.queue_index())
    });
    // SAFETY: the kernel gives handlers that are installed with `SA_SIGINFO` the context that they interrupt.
    let registers = unsafe { context.cast::<libc::ucontext_t>().as_ref() }.and_then(registers_of);
    taken.frames_len = registers.map_or(0, |registers| {
        let read = |at: usize| {
            // SAFETY: `walk` asks for aligned words between the stack's pointer and its end only, which are mapped and
            // this thread's, which does nothing else meanwhile.
            unsafe { ptr::with_exposed_provenance::<usize>(at).read_volatile() }
        };
        walk(registers, &pulse.stack, read, &mut taken.frames)
    });
    pulse.asked.store(TAKEN, Ordering::Release);
}

#[cfg(target_arch = "x86_64")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "registers are words")]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere they are not known")]
fn registers_of(context: &libc::ucontext_t) -> Option<Registers> {
    let word = |register: libc::c_int| context.uc_mcontext.gregs[register as usize] as usize;
    Some(Registers { counter: word(libc::REG_RIP), frame: word(libc::REG_RBP), stack: word(libc::REG_RSP) })
}

#[cfg(target_arch = "aarch64")]
#[expect(clippy::cast_possible_truncation, reason = "registers are words")]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere they are not known")]
fn registers_of(context: &libc::ucontext_t) -> Option<Registers> {
    let machine = &context.uc_mcontext;
    let (counter, frame, stack) = (machine.pc as usize, machine.regs[29] as usize, machine.sp as usize);
    Some(Registers { counter, frame, stack })
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn registers_of(_: &libc::ucontext_t) -> Option<Registers> {
    None
}

/// The default signal: a real-time one, to which no program gives a meaning of its own by default.
pub(crate) fn default_signal() -> i32 {
    libc::SIGRTMIN() + 10
}

fn handle(signal: i32) -> io::Result<()> {
    // SAFETY: the type consists of integers, for which zero is a value.
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the address is that of such a value, which is written.
    if unsafe { libc::sigaction(signal, ptr::null(), &raw mut now) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let ours = on_signal as *const () as usize;
    if now.sa_sigaction == ours {
        return Ok(());
    }
    if now.sa_sigaction != libc::SIG_DFL {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("signal {signal} has a handler already"),
        ));
    }
    now.sa_sigaction = ours;
    now.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: the address is that of such a value; the handler does only what a handler may.
    if unsafe { libc::sigaction(signal, &raw const now, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn stack_of_this_thread() -> io::Result<Range<usize>> {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: it is always there.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: the thread is this one, and the address that of such a value, which is written.
    let failed = unsafe { libc::pthread_getattr_np(this, attributes.as_mut_ptr()) };
    if failed != 0 {
        return Err(io::Error::from_raw_os_error(failed));
    }
    let (mut start, mut bytes) = (ptr::null_mut(), 0);
    // SAFETY: it was written by the call above, and the other two addresses are those of such values.
    let failed = unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut bytes) };
    // SAFETY: it was written by the call above, and is used no more.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    if failed != 0 {
        return Err(io::Error::from_raw_os_error(failed));
    }
    let start = start.expose_provenance();
    Ok(start..start + bytes)
}

thread_local! {
    static WATCHED: Cell<*const Pulse> = const { Cell::new(ptr::null()) };
}

const IDLE: u32 = 0;
const ASKED: u32 = 1;
const TAKING: u32 = 2;
const TAKEN: u32 = 3;
/// As many as a task keeps of its name.
const NAME_BYTES_MAX: usize = 23;
