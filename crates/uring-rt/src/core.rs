//! The shard: its rings, tasks and timers, and the loop that turns them.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::{Future, pending};
use std::io;
use std::ops::ControlFlow;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use samestep_provider_traits::JoinError;

use crate::attention::{Attention, Reason};
use crate::blocking::BlockingPool;
use crate::clock::monotonic;
use crate::dma::Dma;
use crate::error::ShutdownError;
use crate::info::RuntimeInfo;
use crate::queues::{DEFAULT_QUEUE, RunQueues};
use crate::residents::Residents;
use crate::shares::Controllers;
use crate::spin::Spin;
use crate::storage::Devices;
use crate::sys::{
    Attendance, Completion, CurrentGuard, Driver, ForkMark, Home, JoinRef, Notice, Owner, Prepared, Pulse,
    Queue, Remote, RingId, Run, TaskRef, TaskSet, Wait, new_task,
};
use crate::wheel::Wheel;

/// What all handles of one shard share.
pub(crate) struct Core {
    pub(crate) driver: RefCell<Driver>,
    pub(crate) timers: RefCell<Wheel<Option<Waker>>>,
    pub(crate) queues: RunQueues,
    pub(crate) remote: Arc<Remote>,
    /// Those that have been polled and are not over. Those that have not been polled are in their queues.
    tasks: TaskSet,
    pub(crate) residents: Residents,
    pub(crate) pool: BlockingPool,
    pub(crate) info: RuntimeInfo,
    pub(crate) devices: Devices,
    pub(crate) dma: Dma,
    /// Sends of so many bytes are not copied, if any.
    pub(crate) zero_copy_bytes: Option<usize>,
    spin: Spin,
    fork_mark: ForkMark,
    pub(crate) counters: Counters,
    /// Who says what shares queues have.
    pub(crate) controllers: Controllers,
    /// If somebody watches for stalls.
    pub(crate) pulse: OnceCell<Arc<Pulse>>,
    start: Duration,
    /// The queue whose task is being polled.
    queue_now: RefCell<Rc<Queue>>,
    attention: Rc<Attention>,
    is_preempt_timer_set: Cell<bool>,
    is_bell_read: Cell<bool>,
    is_closed: Cell<bool>,
    is_turning: Cell<bool>,
    fired: RefCell<Vec<Option<Waker>>>,
    notices: RefCell<Vec<Notice>>,
    this: Weak<Core>,
}

/// What the loop has done so far. Never goes back.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) turns: Cell<u64>,
    pub(crate) parks: Cell<u64>,
    pub(crate) parks_spared: Cell<u64>,
    pub(crate) polls: Cell<u64>,
    pub(crate) spawned: Cell<u64>,
    pub(crate) ended: Cell<u64>,
    pub(crate) preemptions: Cell<u64>,
    pub(crate) timers_fired: Cell<u64>,
    pub(crate) reads_shared: Cell<u64>,
}

impl Counters {
    pub(crate) fn count(counter: &Cell<u64>, by: u64) {
        // In a few centuries.
        counter.set(counter.get().wrapping_add(by));
    }
}

impl Core {
    pub(crate) fn new(
        driver: Driver,
        remote: Arc<Remote>,
        info: RuntimeInfo,
        devices: Devices,
        dma: Dma,
        zero_copy_bytes: Option<usize>,
        spin: Duration,
    ) -> io::Result<Rc<Self>> {
        let fork_mark = ForkMark::new()?;
        let attention = driver.attention();
        let queues = RunQueues::new(&Home::new(&remote), Rc::clone(&attention));
        Ok(Rc::new_cyclic(|this| Self {
            attention,
            driver: RefCell::new(driver),
            timers: RefCell::new(Wheel::new()),
            queue_now: RefCell::new(queues.queue(DEFAULT_QUEUE)),
            queues,
            remote,
            tasks: TaskSet::new(),
            residents: Residents::default(),
            pool: BlockingPool::new(),
            info,
            devices,
            dma,
            zero_copy_bytes,
            spin: Spin::new(u64::try_from(spin.as_nanos()).unwrap_or(u64::MAX)),
            fork_mark,
            counters: Counters::default(),
            controllers: Controllers::default(),
            pulse: OnceCell::new(),
            start: monotonic(),
            is_preempt_timer_set: Cell::new(false),
            is_bell_read: Cell::new(false),
            is_closed: Cell::new(false),
            is_turning: Cell::new(false),
            fired: RefCell::default(),
            notices: RefCell::default(),
            this: Weak::clone(this),
        }))
    }

    /// Runs everything until `program` is over.
    ///
    /// # Panics
    ///
    /// If the shard runs already, further up on this stack, or was shut down, or if this process was forked off since it
    /// was made.
    pub(crate) fn block_on<F: Future>(&self, program: F) -> F::Output {
        assert!(!self.is_closed.get(), "the runtime was shut down");
        assert!(!self.fork_mark.is_forked(), "the runtime is that of the process that forked this one off");
        assert!(!self.is_turning.replace(true), "the runtime runs already: block_on does not nest");
        let _running = Running(self);
        let _current = CurrentGuard::new(&self.queues);
        // The program may borrow and so is no task, but it is woken like one: by a task that is never polled.
        let (stand_in, _joiner) = new_task(pending::<()>(), "program", &self.queues.queue(DEFAULT_QUEUE));
        let stand_in = EndOnDrop(stand_in);
        // It is not among the tasks that others see.
        let apart = TaskSet::new();
        apart.insert(stand_in.0.clone());
        // Gone before what it may show.
        let _attended = self.pulse.get().map(|pulse| pulse.attend());
        let waker = stand_in.0.waker();
        let mut program = pin!(program);
        let mut poll_program = || match program.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => ControlFlow::Break(output),
            Poll::Pending => ControlFlow::Continue(()),
        };
        self.queues.push(stand_in.0.clone());
        loop {
            if let ControlFlow::Break(output) = self.run_tasks(&stand_in.0, &mut poll_program) {
                return output;
            }
            self.turn();
        }
    }

    /// Polls tasks, and the program when it is the turn of what stands in for it, queue by queue, until it is time to
    /// look around or there is nothing to do. Breaks with what the program gave.
    fn run_tasks<T>(
        &self,
        stand_in: &TaskRef,
        mut poll_program: impl FnMut() -> ControlFlow<T>,
    ) -> ControlFlow<T> {
        let mut left = POLLS_MAX;
        let mut flow = ControlFlow::Continue(());
        let mut is_enough = false;
        while !is_enough && let Some(queue) = self.queues.next_queue() {
            let ready = self.queues.queue(queue);
            self.queue_now.replace(Rc::clone(&ready));
            let began = self.begin_slice(queue);
            let (left_before, mut polls_of_program) = (left, 0);
            let pulse = self.pulse.get();
            while left > 0
                && let Some(task) = ready.pop()
            {
                left -= 1;
                if let Some(pulse) = pulse {
                    pulse.run(&task);
                }
                if task.is(stand_in) {
                    polls_of_program += 1;
                    flow = poll_program();
                } else {
                    self.run_task(&task);
                }
                if let Some(pulse) = pulse {
                    pulse.rest();
                }
                if flow.is_break() || self.is_asked_to_stop(&ready) {
                    is_enough = true;
                    break;
                }
            }
            is_enough |= left == 0;
            let polls = left_before - left - polls_of_program;
            self.end_slice(queue, began, polls);
            Counters::count(&self.counters.polls, u64::from(polls));
            // What it waits for does not wait for the turns of others.
            is_enough |= self.queues.latency(queue).is_some() && self.driver.borrow().has_submissions();
        }
        flow
    }

    #[inline]
    fn run_task(&self, task: &TaskRef) {
        match task.run() {
            Run::Waits => {
                if !task.is_in_set() {
                    self.tasks.insert(task.clone());
                }
            }
            Run::Ended => {
                Counters::count(&self.counters.ended, 1);
                drop(task.leave_set());
            }
            Run::WasOver => {}
        }
    }

    /// A queue's turn begins. Time is taken only if others wait for theirs: alone a queue owes nobody.
    fn begin_slice(&self, queue: u32) -> Option<u64> {
        if !self.queues.has_others(queue) {
            return None;
        }
        self.set_preempt_timer(queue);
        Some(self.now_ns())
    }

    /// And ends, after so many polls of its tasks.
    fn end_slice(&self, queue: u32, began: Option<u64>, polls: u32) {
        // Who had the time alone owes none: if others came meanwhile, they are there when its next turn begins.
        if let Some(began) = began {
            self.queues.charge(queue, self.now_ns().saturating_sub(began));
        }
        self.queues.settle(queue, polls);
    }

    /// Looks at everything outside: tasks woken from elsewhere, timers, rings. Waits if there is nothing to do.
    fn turn(&self) {
        Counters::count(&self.counters.turns, 1);
        let pulse = self.pulse.get();
        if let Some(pulse) = pulse {
            pulse.beat();
        }
        if self.controllers.is_any() {
            self.controllers.adjust(&self.queues, self.now());
        }
        if self.attention.take(Reason::Preempted) {
            Counters::count(&self.counters.preemptions, 1);
        }
        self.remote.take_woken(|task| self.queues.push(task));
        self.fire_timers();
        self.devices.start_due(&self.driver);
        let mut wait = Wait::No;
        let mut idle_since_ns = None;
        if self.queues.is_empty() && !self.driver.borrow().is_polling() {
            // What there is to submit is submitted before anybody looks around.
            let may_spin = self.spin.is_wanted();
            if may_spin && !self.driver.borrow().has_work() {
                idle_since_ns = self.look_around();
                if idle_since_ns.is_none() {
                    self.remote.take_woken(|task| self.queues.push(task));
                    self.fire_timers();
                }
            }
            if !may_spin || idle_since_ns.is_some() {
                wait = self.prepare_to_wait();
            }
        }
        if wait != Wait::No || self.driver.borrow().has_work() {
            let mut notices = self.notices.take();
            let sleeps = pulse.filter(|_| wait != Wait::No);
            if let Some(pulse) = sleeps {
                pulse.park();
            }
            let turned = self.driver.borrow_mut().turn(wait, &mut notices);
            if let Some(pulse) = sleeps {
                pulse.unpark();
            }
            if wait != Wait::No {
                self.remote.awake();
                self.driver.borrow_mut().signal_events(false);
            }
            Self::give(&mut notices);
            self.notices.replace(notices);
            turned.expect("the ring takes what it is given");
            self.remote.take_woken(|task| self.queues.push(task));
            if wait != Wait::No {
                self.fire_timers();
            }
            // What ended made room on its device.
            self.devices.start_due(&self.driver);
        }
        if let Some(since_ns) = idle_since_ns {
            self.spin.note(self.now_ns().saturating_sub(since_ns));
        }
    }

    /// Looks around for a while, if that is worth it. Tells since when, if nothing came.
    fn look_around(&self) -> Option<u64> {
        let Some(lasts_ns) = self.spin.lasts_ns() else { return Some(self.now_ns()) };
        let due_ns = self.next_event().unwrap_or(u64::MAX);
        // What comes at once is not worth a look at the clock, which takes as long as it does.
        let mut since_ns = None;
        loop {
            for look in 0..LOOKS_A_CLOCK {
                let has_work = || look % LOOKS_A_RING == 0 && self.driver.borrow().has_work();
                if self.remote.has_woken() || has_work() {
                    self.spin.note(since_ns.map_or(0, |since_ns| self.now_ns().saturating_sub(since_ns)));
                    Counters::count(&self.counters.parks_spared, 1);
                    return None;
                }
                std::hint::spin_loop();
            }
            let now_ns = self.now_ns();
            let since_ns = *since_ns.get_or_insert(now_ns);
            if now_ns >= due_ns {
                self.spin.note(now_ns.saturating_sub(since_ns));
                Counters::count(&self.counters.parks_spared, 1);
                return None;
            }
            if now_ns >= since_ns.saturating_add(lasts_ns) {
                return Some(since_ns);
            }
        }
    }

    /// Announces sleep, and tells for how long: not at all if something came up.
    fn prepare_to_wait(&self) -> Wait {
        if !self.is_bell_read.replace(true) {
            let bell: Rc<dyn Owner> = Rc::new(Bell(Weak::clone(&self.this)));
            let read = Prepared::read_event(&*self.remote);
            let started =
                self.driver.borrow_mut().start(RingId::Main, read, Some(bell), 0, Attendance::Detached);
            started.expect("the driver is open while the shard runs");
        }
        let until = self.next_event();
        self.remote.fall_asleep();
        self.driver.borrow_mut().signal_events(true);
        // What was published before that is seen here; what comes later rings the bell.
        if self.remote.has_woken() || self.driver.borrow().has_urgent_events() {
            self.remote.awake();
            self.driver.borrow_mut().signal_events(false);
            return Wait::No;
        }
        Counters::count(&self.counters.parks, 1);
        Wait::AtMost(until.map(|until| Duration::from_nanos(until.saturating_sub(self.now_ns()))))
    }

    /// When there is something to do though nothing comes, since the shard's start.
    fn next_event(&self) -> Option<u64> {
        let start_ns = u64::try_from(self.start.as_nanos()).unwrap_or(u64::MAX);
        let due_ns = self.devices.next_due().map(|due_ns| due_ns.saturating_sub(start_ns));
        self.timers.borrow().next_event().into_iter().chain(due_ns).min()
    }

    /// Tells owners and wakes futures, outside of any borrow.
    pub(crate) fn give(notices: &mut Vec<Notice>) {
        for notice in notices.drain(..) {
            match notice {
                Notice::Wake(wakee) => wakee.wake(),
                Notice::Tell(owner, completion) => owner.completed(completion),
                Notice::Drop(owned) => drop(owned),
            }
        }
    }

    fn fire_timers(&self) {
        if self.timers.borrow().len() == 0 {
            return;
        }
        let mut fired = self.fired.take();
        self.timers.borrow_mut().fire(self.now_ns(), &mut fired);
        Counters::count(&self.counters.timers_fired, fired.len() as u64);
        fired.drain(..).flatten().for_each(Waker::wake);
        self.fired.replace(fired);
    }

    /// While a queue waits that is to run soon, a timer on the latency ring asks the others to yield.
    fn set_preempt_timer(&self, queue: u32) {
        let Some(period) = self.queues.most_urgent(queue) else { return };
        if !self.driver.borrow().has_latency_ring() || self.is_preempt_timer_set.replace(true) {
            return;
        }
        let owner: Rc<dyn Owner> = Rc::new(PreemptTimer(Weak::clone(&self.this)));
        let timer = Prepared::timeout(period);
        let mut driver = self.driver.borrow_mut();
        let started = driver.start(RingId::Latency, timer, Some(owner), 0, Attendance::Detached);
        started.expect("the driver is open while the shard runs");
        let mut notices = self.notices.take();
        // The timer runs from when the kernel knows of it.
        let turned = driver.turn(Wait::No, &mut notices);
        drop(driver);
        if notices.is_empty() {
            self.attention.clear(Reason::Preempted);
        } else {
            self.attention.set(Reason::Preempted);
        }
        Self::give(&mut notices);
        self.notices.replace(notices);
        turned.expect("the ring takes what it is given");
    }

    /// Whether the running task should yield: an event on the latency ring, or its time is over. A few loads, and no
    /// system call but when the task has woken one whose latency matters: from then on its time is measured.
    #[inline]
    pub(crate) fn needs_preempt(&self) -> bool {
        if self.attention.is_idle() {
            return false;
        }
        if self.attention.take(Reason::UrgentNews) {
            self.set_preempt_timer(self.queue_now());
        }
        self.has_preempting_event()
    }

    /// The same, asked by the loop between two tasks of a queue.
    #[inline]
    fn is_asked_to_stop(&self, queue: &Queue) -> bool {
        if self.attention.is_idle() {
            return false;
        }
        // If it has no more to run, nobody is to be asked.
        if self.attention.take(Reason::UrgentNews) && !queue.is_empty() {
            self.set_preempt_timer(queue.index());
        }
        self.has_preempting_event()
    }

    fn has_preempting_event(&self) -> bool {
        self.attention.has(Reason::Preempted)
            || self.attention.has(Reason::UrgentUnderWay)
                && self.driver.try_borrow().is_ok_and(|driver| driver.has_urgent_events())
    }

    /// The ring on which the running task's operations go.
    pub(crate) fn ring_now(&self) -> RingId {
        match self.queues.latency(self.queue_now()) {
            Some(_) => RingId::Latency,
            None => RingId::Main,
        }
    }

    /// The queue of the running task.
    pub(crate) fn queue_now(&self) -> u32 {
        self.queue_now.borrow().index()
    }

    /// All tasks that are not over.
    pub(crate) fn all_tasks(&self) -> impl Iterator<Item = TaskRef> {
        let new = self.queues.tasks().into_iter().filter(|task| !task.is_in_set() && !task.is_over());
        self.tasks.iter().chain(new)
    }

    /// How many tasks are not over.
    pub(crate) fn tasks_now(&self) -> usize {
        usize::try_from(self.counters.spawned.get() - self.counters.ended.get()).expect("they are in memory")
    }

    /// As [`Self::spawn`], into the queue of the running task.
    pub(crate) fn spawn_here<F>(&self, name: &str, future: F) -> JoinRef<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.spawn_into(name, &self.queue_now.borrow(), future)
    }

    pub(crate) fn spawn<F>(&self, name: &str, queue: u32, future: F) -> JoinRef<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.spawn_into(name, &self.queues.queue(queue), future)
    }

    #[inline]
    fn spawn_into<F>(&self, name: &str, queue: &Rc<Queue>, future: F) -> JoinRef<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let (task, join) = new_task(future, name, queue);
        if self.is_closed.get() {
            task.end(JoinError::Cancelled);
            return join;
        }
        Counters::count(&self.counters.spawned, 1);
        if task.enqueue() {
            self.queues.activate(queue);
        }
        join
    }

    /// From here on `pulse` tells what the shard does.
    pub(crate) fn watch(&self, pulse: &Arc<Pulse>) {
        let pulse = self.pulse.get_or_init(|| Arc::clone(pulse));
        for queue in 0..self.queues.count() {
            pulse.name_queue(queue, &self.queues.name(queue));
        }
    }

    /// Adds a queue or group below a group.
    pub(crate) fn add_queue(&self, name: &str, parent: u32, shares: u32, latency: Option<Duration>) -> u32 {
        let queue = self.queues.add(name, parent, shares, latency);
        if let Some(pulse) = self.pulse.get() {
            pulse.name_queue(queue, name);
        }
        queue
    }

    /// Time since the shard's start.
    pub(crate) fn now(&self) -> Duration {
        monotonic().saturating_sub(self.start)
    }

    pub(crate) fn now_ns(&self) -> u64 {
        u64::try_from(self.now().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Stops intake, drops all tasks, cancels and drains all operations, and frees what they owned; see
    /// [`Driver::drain`]. Once; later calls do nothing.
    pub(crate) fn shut_down(&self, patience: Duration) -> Result<(), ShutdownError> {
        assert!(!self.is_turning.get(), "a runtime is not shut down from one of its own tasks");
        if self.is_closed.replace(true) {
            return Ok(());
        }
        if self.fork_mark.is_forked() {
            // The rings are not mapped here, and all that is under way is the other process' to end.
            self.driver.borrow_mut().leak();
            return Err(ShutdownError::Forked);
        }
        let _current = CurrentGuard::new(&self.queues);
        loop {
            // One by one and outside of any borrow: what a future drops may end, wake and cancel others.
            let Some(task) = self.tasks.first().or_else(|| self.queues.take_any()) else { break };
            drop(task.leave_set());
            if !task.is_over() {
                Counters::count(&self.counters.ended, 1);
                task.end(JoinError::Cancelled);
            }
        }
        self.residents.clear();
        drop(self.queues.take_all());
        self.remote.close();
        let mut notices = Vec::new();
        self.devices.stop_waiting(&self.driver, &mut notices);
        let drained = self.driver.borrow_mut().drain(patience, &mut notices);
        Self::give(&mut notices);
        drop(self.queues.take_all());
        self.pool.close();
        drained.map_err(|operations| ShutdownError::StillInFlight { operations, waited: patience })
    }
}

/// The counter that other threads raise, as an operation under way.
struct Bell(Weak<Core>);

impl Owner for Bell {
    fn completed(self: Rc<Self>, _: Completion) {
        if let Some(core) = self.0.upgrade() {
            core.is_bell_read.set(false);
        }
    }
}

/// The timer that asks a running task to yield.
struct PreemptTimer(Weak<Core>);

impl Owner for PreemptTimer {
    fn completed(self: Rc<Self>, _: Completion) {
        if let Some(core) = self.0.upgrade() {
            core.is_preempt_timer_set.set(false);
            core.attention.set(Reason::Preempted);
        }
    }
}

/// Notes that the loop was left, however.
struct Running<'a>(&'a Core);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.is_turning.set(false);
    }
}

/// Ends a task that is in no list.
struct EndOnDrop(TaskRef);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end(JoinError::Cancelled);
    }
}

/// How often a shard that looks around does so before it asks for the time, and before it looks at its rings.
const LOOKS_A_CLOCK: u32 = 32;
const LOOKS_A_RING: u32 = 8;
/// So many polls, and the loop looks around.
const POLLS_MAX: u32 = 64;
