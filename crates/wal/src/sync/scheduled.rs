//! The same primitives under a schedule: one thread runs at a time, and a seed says which goes on at each step.
//!
//! Threads that [`run`] started, directly or not, obey the schedule; in all others the primitives are the standard
//! library's. Waking one of several sleepers wakes any of them, a sleeper with a deadline may oversleep or not, and
//! time stands still but for such deadlines. When nobody can go on any more, or they go on for ever, [`run`]
//! panics with the seed and what each thread waits for; the threads stay asleep until the process ends.
#![expect(clippy::disallowed_methods, reason = "threads are what is tested here")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::cell::RefCell;
use std::io;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LockResult, PoisonError, TryLockError};
use std::time::Duration;

/// Runs `main` and the threads that it starts under the schedule of `seed`.
///
/// # Panics
///
/// If one of them panics, or if they cannot come to an end.
pub(crate) fn run(seed: u64, main: impl FnOnce() + Send + 'static) {
    let schedule = Arc::new(Schedule::new(seed));
    schedule.start("main", main);
    let mut state = schedule.state.lock().unwrap();
    state.choose();
    schedule.changed.notify_all();
    while state.end.is_none() {
        state = schedule.changed.wait(state).unwrap();
    }
    if let Some(Err(what)) = &state.end {
        let what = format!("seed {seed}, after {} steps: {what}\n{}", state.steps, state.describe());
        // The lock must not be poisoned for those who are on their way to sleep.
        drop(state);
        panic!("{what}");
    }
}

/// Virtual time, in a thread that obeys a schedule.
pub(crate) fn now() -> Option<Duration> {
    obeyed(|schedule, _| schedule.state.lock().unwrap().now)
}

/// Lets any other thread go on.
pub(crate) fn step() {
    obeyed(|schedule, me| schedule.pause(me, Doing::Ready));
}

struct Schedule {
    state: std::sync::Mutex<State>,
    changed: std::sync::Condvar,
}

struct State {
    threads: Vec<(String, Doing)>,
    running: usize,
    random: u64,
    /// Of 8 steps, how many on average change the thread.
    restlessness: usize,
    now: Duration,
    steps: u64,
    end: Option<Result<(), String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Ready,
    /// Asleep until somebody tells those at this address, or until a time.
    Waits {
        at: usize,
        until: Option<Duration>,
    },
    Over,
}

thread_local! {
    static ME: RefCell<Option<(Arc<Schedule>, usize)>> = const { RefCell::new(None) };
}

fn obeyed<T>(act: impl FnOnce(&Arc<Schedule>, usize) -> T) -> Option<T> {
    let me = ME.with_borrow(Clone::clone);
    me.map(|(schedule, id)| act(&schedule, id))
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let state = State {
            threads: Vec::new(),
            running: usize::MAX,
            random: seed,
            restlessness: [1, 3, 7][usize::try_from(seed % 3).unwrap()],
            now: Duration::ZERO,
            steps: 0,
            end: None,
        };
        Self { state: std::sync::Mutex::new(state), changed: std::sync::Condvar::new() }
    }

    /// Starts a thread that waits until it is chosen, and returns its number.
    fn start(self: &Arc<Self>, name: &str, run: impl FnOnce() + Send + 'static) -> usize {
        let id = {
            let mut state = self.state.lock().unwrap();
            state.threads.push((name.to_owned(), Doing::Ready));
            state.threads.len() - 1
        };
        let schedule = Arc::clone(self);
        std::thread::spawn(move || {
            ME.set(Some((Arc::clone(&schedule), id)));
            schedule.await_turn(id);
            let outcome = catch_unwind(AssertUnwindSafe(run));
            let mut state = schedule.state.lock().unwrap();
            if let Err(panic) = outcome {
                let message = panic.downcast_ref::<String>().cloned();
                let message = message.or(panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
                state.end =
                    Some(Err(format!("{} panicked: {}", state.threads[id].0, message.unwrap_or_default())));
            }
            state.threads[id].1 = Doing::Over;
            state.tell(end_of(id), usize::MAX);
            state.choose();
            schedule.changed.notify_all();
        });
        id
    }

    /// Says what thread `me` does, lets any thread go on that can, and returns when it is this one's turn.
    fn pause(&self, me: usize, doing: Doing) {
        let mut state = self.state.lock().unwrap();
        state.threads[me].1 = doing;
        state.choose();
        if state.running != me {
            drop(state);
            self.changed.notify_all();
            self.await_turn(me);
        }
    }

    fn await_turn(&self, me: usize) {
        let mut state = self.state.lock().unwrap();
        while state.running != me {
            state = self.changed.wait(state).unwrap();
        }
    }

    fn tell(&self, at: usize, count: usize) {
        self.state.lock().unwrap().tell(at, count);
    }
}

impl State {
    /// Chooses who goes on, or ends the run if nobody can.
    fn choose(&mut self) {
        self.steps += 1;
        if self.end.is_some() {
            self.running = usize::MAX;
            return;
        }
        let deadlines = self.threads.iter().filter_map(|(_, doing)| match doing {
            Doing::Waits { until, .. } => *until,
            _ => None,
        });
        let next_deadline = deadlines.min();
        let is_anyone_ready = self.threads.iter().any(|(_, doing)| *doing == Doing::Ready);
        if let Some(deadline) = next_deadline
            && (!is_anyone_ready || self.draw(16) == 0)
        {
            self.now = self.now.max(deadline);
            for (_, doing) in &mut self.threads {
                if matches!(doing, Doing::Waits { until: Some(until), .. } if *until <= self.now) {
                    *doing = Doing::Ready;
                }
            }
        }
        let ready = |(_, doing): &(String, Doing)| *doing == Doing::Ready;
        let count = self.threads.iter().filter(|thread| ready(thread)).count();
        if count == 0 {
            let are_over = self.threads.iter().all(|(_, doing)| *doing == Doing::Over);
            self.end = Some(if are_over { Ok(()) } else { Err("nobody can go on".to_owned()) });
            self.running = usize::MAX;
        } else if self.steps > STEPS_MAX {
            self.end = Some(Err("they go on for ever".to_owned()));
            self.running = usize::MAX;
        } else if !self.threads.get(self.running).is_some_and(ready) || self.draw(8) < self.restlessness {
            let nth = self.draw(count);
            let mut all = self.threads.iter().enumerate().filter(|(_, thread)| ready(thread));
            self.running = all.nth(nth).unwrap().0;
        }
    }

    /// Wakes up to `count` of those who wait at `at`, any of them.
    fn tell(&mut self, at: usize, count: usize) {
        for _ in 0..count {
            let waits = |doing: Doing| matches!(doing, Doing::Waits { at: there, .. } if there == at);
            let waiting = self.threads.iter().filter(|(_, doing)| waits(*doing)).count();
            if waiting == 0 {
                return;
            }
            let nth = self.draw(waiting);
            self.threads.iter_mut().filter(|(_, doing)| waits(*doing)).nth(nth).unwrap().1 = Doing::Ready;
        }
    }

    /// A number below `below`: the output function of SplitMix64 over a counter.
    fn draw(&mut self, below: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((bits ^ (bits >> 31)) % below as u64).unwrap()
    }

    fn describe(&self) -> String {
        let lines = self.threads.iter().map(|(name, doing)| format!("  {name}: {doing:x?}"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Where those wait who join thread `id`. No primitive is there.
fn end_of(id: usize) -> usize {
    usize::MAX - id
}

/// As [`std::sync::Mutex`].
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        step();
        loop {
            let is_obeyed = obeyed(|_, _| ()).is_some();
            let locked =
                if is_obeyed { self.0.try_lock() } else { self.0.lock().map_err(TryLockError::Poisoned) };
            match locked {
                Ok(guard) => return Ok(MutexGuard { guard: Some(guard), mutex: self }),
                Err(TryLockError::Poisoned(poisoned)) => {
                    let guard = MutexGuard { guard: Some(poisoned.into_inner()), mutex: self };
                    return Err(PoisonError::new(guard));
                }
                Err(TryLockError::WouldBlock) => {
                    obeyed(|schedule, me| {
                        schedule.pause(me, Doing::Waits { at: address(self), until: None });
                    });
                }
            }
        }
    }

    pub(crate) fn get_mut(&mut self) -> LockResult<&mut T> {
        self.0.get_mut()
    }

    pub(crate) fn clear_poison(&self) {
        self.0.clear_poison();
    }
}

/// As [`std::sync::MutexGuard`].
#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    guard: Option<std::sync::MutexGuard<'a, T>>,
    mutex: &'a Mutex<T>,
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        drop(self.guard.take());
        obeyed(|schedule, _| schedule.tell(address(self.mutex), usize::MAX));
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_ref().unwrap()
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().unwrap()
    }
}

/// As [`std::sync::Condvar`].
#[derive(Debug, Default)]
pub(crate) struct Condvar(std::sync::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(std::sync::Condvar::new())
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.sleep(guard, None)
    }

    /// Does not say whether the time is up.
    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, ())> {
        match self.sleep(guard, Some(timeout)) {
            Ok(guard) => Ok((guard, ())),
            Err(poisoned) => Err(PoisonError::new((poisoned.into_inner(), ()))),
        }
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
        obeyed(|schedule, _| schedule.tell(address(self), 1));
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
        obeyed(|schedule, _| schedule.tell(address(self), usize::MAX));
    }

    fn sleep<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Option<Duration>,
    ) -> LockResult<MutexGuard<'a, T>> {
        let mutex = guard.mutex;
        let slept = obeyed(|schedule, me| {
            let until = timeout.map(|timeout| schedule.state.lock().unwrap().now + timeout);
            drop(guard.guard.take());
            schedule.tell(address(mutex), usize::MAX);
            schedule.pause(me, Doing::Waits { at: address(self), until });
        });
        if slept.is_some() {
            return mutex.lock();
        }
        let inner = guard.guard.take().unwrap();
        let woken = match timeout {
            None => self.0.wait(inner),
            Some(timeout) => match self.0.wait_timeout(inner, timeout) {
                Ok((guard, _)) => Ok(guard),
                Err(poisoned) => Err(PoisonError::new(poisoned.into_inner().0)),
            },
        };
        match woken {
            Ok(guard) => Ok(MutexGuard { guard: Some(guard), mutex }),
            Err(poisoned) => Err(PoisonError::new(MutexGuard { guard: Some(poisoned.into_inner()), mutex })),
        }
    }
}

/// As [`std::sync::OnceLock`].
#[derive(Debug)]
pub(crate) struct OnceLock<T>(std::sync::OnceLock<T>);

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self(std::sync::OnceLock::new())
    }
}

impl<T> OnceLock<T> {
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.get()
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        step();
        let outcome = self.0.set(value);
        obeyed(|schedule, _| schedule.tell(address(self), usize::MAX));
        outcome
    }

    pub(crate) fn take(&mut self) -> Option<T> {
        self.0.take()
    }

    pub(crate) fn wait(&self) -> &T {
        step();
        while self.0.get().is_none() {
            let pause = |schedule: &Arc<Schedule>, me| {
                schedule.pause(me, Doing::Waits { at: address(self), until: None });
            };
            if obeyed(pause).is_none() {
                return self.0.wait();
            }
        }
        self.0.get().unwrap()
    }
}

/// A thread that obeys the schedule of the one that started it.
#[derive(Debug)]
pub(crate) enum Thread {
    Scheduled(usize),
    Free(std::thread::JoinHandle<()>),
}

impl Thread {
    #[expect(clippy::unnecessary_wraps, reason = "the real one can fail")]
    pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let schedule = obeyed(|schedule, _| Arc::clone(schedule));
        Ok(match schedule {
            Some(schedule) => Self::Scheduled(schedule.start(name, run)),
            None => Self::Free(std::thread::spawn(run)),
        })
    }

    pub(crate) fn join(self) {
        match self {
            Self::Free(thread) => drop(thread.join()),
            Self::Scheduled(id) => {
                let is_over =
                    |schedule: &Arc<Schedule>, _| schedule.state.lock().unwrap().threads[id].1 == Doing::Over;
                while obeyed(is_over) == Some(false) {
                    obeyed(|schedule, me| schedule.pause(me, Doing::Waits { at: end_of(id), until: None }));
                }
            }
        }
    }

    pub(crate) fn is_current(&self) -> bool {
        match self {
            Self::Free(thread) => thread.thread().id() == std::thread::current().id(),
            Self::Scheduled(id) => obeyed(|_, me| me) == Some(*id),
        }
    }
}

fn address<T>(of: &T) -> usize {
    std::ptr::from_ref(of).addr()
}

/// More than any script here needs.
const STEPS_MAX: u64 = 200_000;
