//! Runs tasks. No user code runs while the world is borrowed.

use std::any::Any;
use std::future::Future;
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll};

use samestep_provider_traits::JoinError;

use crate::time::SimTime;
use crate::trace::{TaskId, Traced};
use crate::world::due::Due;
use crate::world::events::Event;
use crate::world::nodes::NodeState;
use crate::world::ready::Ready;
use crate::world::registry::{Home, make_current};
use crate::world::tasks::{Joint, SimJoinHandle, SlowTurn, Task, TaskFuture, panic_message};
use crate::world::waker::TaskRef;
use crate::world::{Core, Shared, foreign, registry};

impl Shared {
    /// Starts a task, unless its home is no more: then it is cancelled at once.
    #[track_caller]
    pub(crate) fn spawn<F>(&self, home: Home, name: &str, future: F) -> SimJoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let joint = Rc::new(Joint::new());
        let body: TaskFuture = {
            let joint = Rc::clone(&joint);
            Box::pin(async move {
                let output = future.await;
                joint.end(Ok(output));
            })
        };
        let spawned_at = Location::caller();
        let mut core = self.core.borrow_mut();
        if !core.is_there(home) {
            drop(core);
            drop(body);
            joint.end(Err(JoinError::Cancelled));
            return SimJoinHandle { joint, task: None };
        }
        let core = &mut *core;
        let id = core.tasks.next_id();
        let slot = core.tasks.add(Task {
            id,
            name: name.into(),
            node: home.node,
            spawned_at,
            polls: 0,
            waits: Vec::new(),
            priority: core.schedule.priority(&mut core.kernel.choices),
            is_aborted: false,
            turn: SlowTurn::None,
            future: Some(body),
            joint: joint.clone(),
        });
        core.kernel.record([u64::from(b'S'), id.0, 0, 0], || Traced::TaskStarted { started: id });
        let generation = self.ready.borrow_mut().open(slot);
        SimJoinHandle { joint, task: Some((TaskRef { world: self.id, slot, generation }, id)) }
    }

    /// Runs what is ready, goes to the time of the next event if that is not after `limit`, handles all that is due
    /// then, and runs what is ready. Tells whether it got that far.
    pub(crate) fn step(&self, limit: SimTime) -> bool {
        let _current = make_current(self.id);
        {
            let mut core = self.core.borrow_mut();
            let mut ready = self.ready.borrow_mut();
            if !core.kernel.is_quiet() || !ready.is_empty() || self.foreign.is_any() {
                drop((core, ready));
                if self.run_ready_and_fail() {
                    // Whoever drives the world hears of it before time goes on.
                    return true;
                }
                core = self.core.borrow_mut();
                ready = self.ready.borrow_mut();
            }
            if !core.handle_next_instant(limit, &mut ready) {
                return false;
            }
            if !core.network.has_questions() {
                drop((core, ready));
                self.take_turns();
                return true;
            }
        }
        self.judge_messages();
        self.run_ready();
        true
    }

    /// Runs what is ready, and tells whether anything failed.
    #[cold]
    fn run_ready_and_fail(&self) -> bool {
        let known = self.failure_count();
        self.run_ready();
        self.failure_count() > known
    }

    /// What a runner asks after each instant, in one look.
    pub(crate) fn pulse(&self) -> Pulse {
        let core = self.core.borrow();
        Pulse {
            now: core.kernel.now,
            events: core.kernel.trace.count(),
            has_failed: !core.panics.is_empty() || !core.failures.is_empty(),
            has_foreign_wakes: self.foreign.is_any() || !core.foreign_wakes.is_empty(),
            is_spinning: core.is_spinning,
            has_pending: !self.ready.borrow().is_empty() || !core.kernel.events.is_idle(),
        }
    }

    fn failure_count(&self) -> usize {
        let core = self.core.borrow();
        core.panics.len() + core.failures.len()
    }

    /// Drops all tasks, in the order in which they started, and those which their values start when dropped.
    pub(crate) fn end(&self) {
        let _current = make_current(self.id);
        loop {
            let slots = self.core.borrow().tasks.all();
            if slots.is_empty() {
                break;
            }
            for slot in slots {
                self.cancel(slot);
            }
        }
        self.flush_wakers();
        registry::remove(self.id);
        foreign::ignore(self.id);
    }

    /// Drops the task in `slot` at once and ends its joint. If it is being polled, its future is dropped as soon as
    /// that poll returns.
    pub(super) fn cancel(&self, slot: u32) {
        let removed = {
            let mut core = self.core.borrow_mut();
            let removed = core.tasks.remove(slot);
            if let Some(task) = &removed {
                let id = task.id.0;
                core.kernel.record([u64::from(b'E'), id, 2, 0], || Traced::TaskEnded { panicked: false });
                self.ready.borrow_mut().close(slot);
            }
            removed
        };
        if let Some(mut task) = removed {
            let future = task.future.take();
            self.drop_future(&task, future);
            task.joint.fail(JoinError::Cancelled);
        }
    }

    /// Wakes and drops the wakers that models put aside.
    pub(super) fn flush_wakers(&self) {
        loop {
            let (mut wake, mut discard) = {
                let kernel = &mut self.core.borrow_mut().kernel;
                for task in kernel.woken.drain(..) {
                    kernel.to_wake.push(task.waker());
                }
                if kernel.to_wake.is_empty() && kernel.to_drop.is_empty() {
                    return;
                }
                (mem::take(&mut kernel.to_wake), mem::take(&mut kernel.to_drop))
            };
            for waker in wake.drain(..) {
                waker.wake();
            }
            discard.clear();
            // Their room is used again, unless a waker's code put more aside.
            let kernel = &mut self.core.borrow_mut().kernel;
            if kernel.to_wake.is_empty() {
                kernel.to_wake = wake;
            }
            if kernel.to_drop.is_empty() {
                kernel.to_drop = discard;
            }
        }
    }

    /// Takes note of wakes from other threads.
    pub(super) fn note_foreign_wakes(&self) {
        for wake in self.foreign.take() {
            let mut core = self.core.borrow_mut();
            let is_it = self.ready.borrow().generation(wake.task.slot) == wake.task.generation;
            let name = core.tasks.get_mut(wake.task.slot).filter(|_| is_it).map(|task| task.name.to_string());
            core.foreign_wakes.push(name.unwrap_or_else(|| "a task that has ended".to_owned()));
        }
    }

    /// Polls tasks until none is ready.
    pub(super) fn run_ready(&self) {
        if self.foreign.is_any() {
            self.note_foreign_wakes();
        }
        self.take_turns();
    }

    fn take_turns(&self) {
        while let Some((task, mut future)) = self.next_to_poll() {
            // Dropping such a waker does nothing.
            let waker = ManuallyDrop::new(task.waker());
            let mut context = Context::from_waker(&waker);
            match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context))) {
                Ok(Poll::Pending) => {
                    if let Some(future) = self.put_back(task, future) {
                        self.end_task(task, future, None);
                    }
                }
                Ok(Poll::Ready(())) => self.end_task(task, future, None),
                Err(payload) => self.end_task(task, future, Some(payload)),
            }
        }
    }

    /// Takes the next task, unless none is ready.
    #[inline]
    fn next_to_poll(&self) -> Option<(TaskRef, TaskFuture)> {
        {
            let core = &mut *self.core.borrow_mut();
            let ready = &mut *self.ready.borrow_mut();
            if ready.is_empty() && core.kernel.to_wake.is_empty() && core.kernel.to_drop.is_empty() {
                // Most often one task was woken, or none: then there is nothing to pick.
                match core.kernel.woken[..] {
                    [] => return None,
                    [task] if task.world == self.id && core.may_poll() && core.nodes.were_all_plain() => {
                        core.kernel.woken.clear();
                        if !ready.take_woken(task.slot, task.generation) {
                            return None;
                        }
                        if let Some(future) = core.take_future(task.slot) {
                            ready.set_polled(Some(task.slot));
                            return Some((task, future));
                        }
                        // It was aborted.
                        ready.wake(task.slot, task.generation);
                    }
                    _ => {}
                }
            }
        }
        self.pick_next()
    }

    fn pick_next(&self) -> Option<(TaskRef, TaskFuture)> {
        loop {
            let turn = {
                let core = &mut *self.core.borrow_mut();
                let ready = &mut *self.ready.borrow_mut();
                self.pick(core, ready)
            };
            match turn {
                Turn::Poll(task, future) => return Some((task, future)),
                Turn::Cancel(slot) => self.cancel(slot),
                Turn::Flush => self.flush_wakers(),
                Turn::Over => return None,
            }
        }
    }

    /// Puts back the task that was polled, which has to wait; gives its future back if it was cancelled meanwhile.
    #[inline]
    fn put_back(&self, task: TaskRef, future: TaskFuture) -> Option<TaskFuture> {
        let core = &mut *self.core.borrow_mut();
        let ready = &mut *self.ready.borrow_mut();
        ready.set_polled(None);
        if ready.generation(task.slot) != task.generation {
            return Some(future);
        }
        let behind = core.schedule.polled(ready.woke_itself(task.slot));
        core.kernel.node = None;
        core.kernel.task = None;
        if let Some(found) = core.tasks.get_mut(task.slot) {
            mem::swap(&mut found.waits, &mut core.kernel.waits);
            found.future = Some(future);
            if let Some(priority) = behind {
                found.priority = priority;
            }
        }
        None
    }

    /// Makes ready the tasks that models woke. Those of other worlds are woken when nothing is borrowed.
    fn note_woken(&self, core: &mut Core, ready: &mut Ready) {
        for task in core.kernel.woken.drain(..) {
            if task.world == self.id {
                ready.wake(task.slot, task.generation);
            } else {
                core.kernel.to_wake.push(task.waker());
            }
        }
    }

    fn pick(&self, core: &mut Core, ready: &mut Ready) -> Turn {
        self.note_woken(core, ready);
        if !(core.kernel.to_wake.is_empty() && core.kernel.to_drop.is_empty()) {
            return Turn::Flush;
        }
        if !core.may_poll() {
            core.is_spinning |= !ready.is_empty();
            return Turn::Over;
        }
        while let Some(slot) = core.schedule.pick(ready, &core.tasks, &mut core.kernel.choices) {
            if let Some(turn) = self.begin_turn(core, ready, slot) {
                return turn;
            }
        }
        Turn::Over
    }

    /// What becomes of the task in `slot`, which was picked; nothing if it may not run now.
    fn begin_turn(&self, core: &mut Core, ready: &mut Ready, slot: u32) -> Option<Turn> {
        if core.tasks.get_mut(slot)?.is_aborted {
            return Some(Turn::Cancel(slot));
        }
        let task = TaskRef { world: self.id, slot, generation: ready.generation(slot) };
        if !core.nodes.were_all_plain() && !core.runs_now(task) {
            return None;
        }
        let future = core.take_future(slot)?;
        ready.set_polled(Some(slot));
        Some(Turn::Poll(task, future))
    }

    /// Ends the task that was polled: its output is there, it panicked, or it was cancelled while it ran.
    #[cold]
    fn end_task(&self, task: TaskRef, future: TaskFuture, panic: Option<Box<dyn Any + Send>>) {
        let removed = {
            let core = &mut *self.core.borrow_mut();
            let ready = &mut *self.ready.borrow_mut();
            ready.set_polled(None);
            let is_there = ready.generation(task.slot) == task.generation;
            core.schedule.polled(false);
            let removed = if is_there { core.tasks.remove(task.slot) } else { None };
            if let Some(task_that_ended) = &removed {
                ready.close(task.slot);
                let panicked = panic.is_some();
                let words = [u64::from(b'E'), task_that_ended.id.0, u64::from(panicked), 0];
                core.kernel.record(words, || Traced::TaskEnded { panicked });
                if let Some(payload) = &panic {
                    core.panics.push(task_that_ended.panic(panic_message(&**payload)));
                }
            }
            removed
        };
        let message = panic.map(|payload| {
            let message = panic_message(&*payload);
            drop(catch_unwind(AssertUnwindSafe(|| drop(payload))));
            message
        });
        match &removed {
            Some(task) => self.drop_future(task, Some(future)),
            None => drop(catch_unwind(AssertUnwindSafe(|| drop(future)))),
        }
        if let (Some(task), Some(message)) = (&removed, message) {
            task.joint.fail(JoinError::Panicked { message });
        }
        let kernel = &mut self.core.borrow_mut().kernel;
        kernel.node = None;
        kernel.task = None;
    }

    /// Drops the future of a task that has ended; a panic of one of its values is noted as the task's.
    fn drop_future(&self, task: &Task, future: Option<TaskFuture>) {
        let Some(future) = future else { return };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(future))) {
            let panic = task.panic(panic_message(&*payload));
            self.core.borrow_mut().panics.push(panic);
        }
    }
}

impl Core {
    /// Whether more tasks may be polled at this instant.
    #[inline]
    const fn may_poll(&self) -> bool {
        self.polls - self.polls_before_instant < self.polls_per_instant_max
    }

    /// Whether a task that was picked is polled now, and not only when its node goes on, or gets to it.
    #[cold]
    fn runs_now(&mut self, reference: TaskRef) -> bool {
        let Some(task) = self.tasks.get_mut(reference.slot) else { return false };
        let Some(node) = task.node else { return true };
        let node = self.nodes.get_mut(node);
        if node.state == NodeState::Paused {
            node.held.push(reference.slot);
            return false;
        }
        if node.poll_nanos > 0 && task.turn == SlowTurn::None {
            let start = node.busy_until.max(self.kernel.now);
            node.busy_until = start.after_nanos(node.poll_nanos);
            self.kernel.events.put(node.busy_until, Due::Turn(reference));
            task.turn = SlowTurn::Waits;
        }
        if task.turn == SlowTurn::Waits {
            return false;
        }
        task.turn = SlowTurn::None;
        true
    }

    /// Takes a task's future to be polled, unless it was aborted.
    #[inline]
    fn take_future(&mut self, slot: u32) -> Option<TaskFuture> {
        let task = self.tasks.get_mut(slot)?;
        if task.is_aborted {
            return None;
        }
        let future = task.future.take()?;
        task.polls += 1;
        self.polls += 1;
        self.kernel.node = task.node;
        self.kernel.task = Some(task.id);
        self.kernel.waits.clear();
        if self.polled.is_some() {
            self.note_polled(slot);
        }
        self.kernel.record([u64::from(b'P'), 0, 0, 0], || Traced::TaskPolled);
        Some(future)
    }

    #[cold]
    fn note_polled(&mut self, slot: u32) {
        let task = self.tasks.id(slot);
        self.polled.get_or_insert_default().extend(task);
    }

    /// Whether handles of `home` may do anything: its node is up, and has not rebooted since.
    pub(crate) fn is_there(&self, home: Home) -> bool {
        home.node.is_none_or(|node| self.nodes.is_booted(node, home.boot))
    }

    /// Goes to the time of the next event, if that is not after `limit`, and handles all that is due then. Tells
    /// whether there was one.
    #[inline]
    fn handle_next_instant(&mut self, limit: SimTime, ready: &mut Ready) -> bool {
        if self.is_spinning {
            return false;
        }
        let fence = self.kernel.events.fence();
        let Some((time, first)) = self.kernel.events.take_due_before(limit, fence) else { return false };
        if time > self.kernel.now {
            self.kernel.now = time;
            self.polls_before_instant = self.polls;
        }
        self.handle(first, ready);
        while let Some((_, due)) = self.kernel.events.take_due_before(time, fence) {
            self.handle(due, ready);
        }
        self.kernel.node = None;
        self.kernel.task = None;
        true
    }

    /// Gives an event to the model that it is of.
    fn handle(&mut self, due: Due, ready: &mut Ready) {
        match due {
            Due::Timer(timer) => {
                self.kernel.node = timer.node;
                self.kernel.task = timer.task;
                self.kernel.record([u64::from(b'T'), 0, 0, 0], || Traced::TimerFired);
                self.kernel.wake(Some(timer.waker));
            }
            Due::Turn(task) => {
                if ready.generation(task.slot) == task.generation
                    && let Some(found) = self.tasks.get_mut(task.slot)
                {
                    found.turn = SlowTurn::Comes;
                    ready.wake(task.slot, task.generation);
                }
            }
            Due::Net(due) => {
                self.kernel.node = None;
                self.kernel.task = None;
                self.network.handle_due(&mut self.kernel, due);
            }
            Due::Disk(due) => self.disks.handle_due(&mut self.kernel, due),
            Due::Put(event) => {
                self.handle_put(&event, ready);
                self.last_event = Some(*event);
            }
        }
    }
}

impl Core {
    /// An event that the test put in.
    #[cold]
    fn handle_put(&mut self, event: &Event, ready: &mut Ready) {
        let digest = xxhash_rust::xxh3::xxh3_64(format!("{event:?}").as_bytes());
        let note = || Traced::Note { name: "event".to_owned(), value: format!("{event:?}") };
        self.kernel.record([u64::from(b'e'), digest, 0, 0], note);
        let wanted = match event {
            Event::Timer { task_id } => Some(TaskId(*task_id)),
            Event::Shutdown => None,
            Event::Network { connection_id, operation } => {
                return self.network.operate(&mut self.kernel, *connection_id, operation);
            }
            Event::Connection { id, state } => {
                return self.network.change_state(&mut self.kernel, *id, *state);
            }
        };
        for slot in self.tasks.all() {
            if wanted.is_none() || self.tasks.id(slot) == wanted {
                let generation = ready.generation(slot);
                ready.wake(slot, generation);
            }
        }
    }
}

/// How a world stands after an instant.
#[expect(clippy::struct_excessive_bools, reason = "questions that do not depend on each other")]
pub(crate) struct Pulse {
    pub(crate) now: SimTime,
    pub(crate) events: u64,
    pub(crate) has_failed: bool,
    pub(crate) has_foreign_wakes: bool,
    pub(crate) is_spinning: bool,
    pub(crate) has_pending: bool,
}

/// What the executor does next.
enum Turn {
    /// A task is to be polled.
    Poll(TaskRef, TaskFuture),
    /// A task was aborted.
    Cancel(u32),
    /// Models put wakers aside that are not ours.
    Flush,
    Over,
}
