//! Runs tasks. No user code runs while the world is borrowed.

use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll};

use samestep_provider_traits::JoinError;

use crate::runner::take_location;
use crate::time::SimTime;
use crate::trace::{TaskId, Traced};
use crate::world::due::Due;
use crate::world::events::Event;
use crate::world::nodes::NodeState;
use crate::world::registry::{Home, make_current};
use crate::world::tasks::{Joint, SimJoinHandle, SlowTurn, Task, TaskFuture, TaskPanic, panic_message};
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
        self.run_ready();
        if !self.handle_next_instant(limit) {
            return false;
        }
        self.run_ready();
        true
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

    fn handle_next_instant(&self, limit: SimTime) -> bool {
        let has_questions = {
            let core = &mut *self.core.borrow_mut();
            let Some(time) = core.kernel.events.next_time().filter(|time| *time <= limit) else {
                return false;
            };
            core.kernel.now = time;
            let fence = core.kernel.events.fence();
            while let Some((_, due)) = core.kernel.events.take_due_before(time, fence) {
                core.handle(due, self);
            }
            core.kernel.node = None;
            core.kernel.task = None;
            core.network.has_questions()
        };
        if has_questions {
            self.judge_messages();
        }
        self.flush_wakers();
        true
    }

    /// Polls tasks until none is ready.
    pub(super) fn run_ready(&self) {
        self.flush_wakers();
        self.note_foreign_wakes();
        let mut polls = 0;
        while let Some(turn) = self.next_turn() {
            match turn {
                Turn::Poll { slot, task, future } => self.poll(slot, task, future),
                Turn::Cancel(slot) => self.cancel(slot),
            }
            self.flush_wakers();
            polls += 1;
            let core = &mut *self.core.borrow_mut();
            if polls >= core.polls_per_instant_max {
                core.is_spinning = true;
                break;
            }
        }
    }

    fn next_turn(&self) -> Option<Turn> {
        let core = &mut *self.core.borrow_mut();
        let ready = &mut *self.ready.borrow_mut();
        loop {
            let slot = core.schedule.pick(ready, &core.tasks, &mut core.kernel.choices)?;
            let Some(task) = core.tasks.get_mut(slot) else { continue };
            if task.is_aborted {
                return Some(Turn::Cancel(slot));
            }
            let reference = TaskRef { world: self.id, slot, generation: ready.generation(slot) };
            if let Some(node) = task.node {
                let node = core.nodes.get_mut(node);
                if node.state == NodeState::Paused {
                    node.held.push(reference.slot);
                    continue;
                }
                if node.poll_nanos > 0 && task.turn == SlowTurn::None {
                    let start = node.busy_until.max(core.kernel.now);
                    node.busy_until = start.after_nanos(node.poll_nanos);
                    core.kernel.events.put(node.busy_until, Due::Turn(reference));
                    task.turn = SlowTurn::Waits;
                }
                if task.turn == SlowTurn::Waits {
                    continue;
                }
                task.turn = SlowTurn::None;
            }
            let Some(future) = task.future.take() else { continue };
            task.polls += 1;
            core.polls += 1;
            core.kernel.node = task.node;
            core.kernel.task = Some(task.id);
            core.kernel.waits.clear();
            core.kernel.record([u64::from(b'P'), 0, 0, 0], || Traced::TaskPolled);
            if let Some(polled) = &mut core.polled {
                polled.push(task.id);
            }
            ready.set_polled(Some(slot));
            return Some(Turn::Poll { slot, task: reference, future });
        }
    }

    fn poll(&self, slot: u32, task: TaskRef, mut future: TaskFuture) {
        let waker = task.waker();
        let outcome =
            catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
        let mut core = self.core.borrow_mut();
        let mut ready = self.ready.borrow_mut();
        ready.set_polled(None);
        let yielded = ready.woke_itself(slot);
        let priority = core.schedule.polled(yielded);
        let is_there = ready.generation(slot) == task.generation;
        if let (true, Ok(Poll::Pending)) = (is_there, &outcome) {
            let core = &mut *core;
            if let Some(found) = core.tasks.get_mut(slot) {
                mem::swap(&mut found.waits, &mut core.kernel.waits);
                found.priority = priority.unwrap_or(found.priority);
                found.future = Some(future);
            }
            core.kernel.node = None;
            core.kernel.task = None;
            return;
        }
        // The task has ended: by itself, by a panic, or because it was cancelled while it ran.
        let removed = if is_there { core.tasks.remove(slot) } else { None };
        let panic = outcome.as_ref().err().map(|payload| panic_message(&**payload));
        if let Some(task) = &removed {
            ready.close(slot);
            let panicked = panic.is_some();
            let words = [u64::from(b'E'), task.id.0, u64::from(panicked), 0];
            core.kernel.record(words, || Traced::TaskEnded { panicked });
            if let Some(message) = &panic {
                let (name, message) = (task.name.to_string(), message.clone());
                let (node, location) = (task.node, take_location());
                core.panics.push(TaskPanic { task: task.id, name, node, message, location });
            }
        }
        drop((core, ready));
        // Dropped as the task that it was.
        match &removed {
            Some(task) => self.drop_future(task, Some(future)),
            None => drop(catch_unwind(AssertUnwindSafe(|| drop(future)))),
        }
        drop(catch_unwind(AssertUnwindSafe(|| drop(outcome))));
        if let (Some(task), Some(message)) = (&removed, panic) {
            task.joint.fail(JoinError::Panicked { message });
        }
        let core = &mut *self.core.borrow_mut();
        core.kernel.node = None;
        core.kernel.task = None;
    }

    /// Drops the future of a task that has ended; a panic of one of its values is noted as the task's.
    fn drop_future(&self, task: &Task, future: Option<TaskFuture>) {
        let Some(future) = future else { return };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(future))) {
            let message = panic_message(&*payload);
            let (name, node) = (task.name.to_string(), task.node);
            let panic = TaskPanic { task: task.id, name, node, message, location: take_location() };
            self.core.borrow_mut().panics.push(panic);
        }
    }
}

impl Core {
    /// Whether handles of `home` may do anything: its node is up, and has not rebooted since.
    pub(crate) fn is_there(&self, home: Home) -> bool {
        home.node.is_none_or(|node| self.nodes.is_booted(node, home.boot))
    }

    /// Gives an event to the model that it is of.
    fn handle(&mut self, due: Due, shared: &Shared) {
        match due {
            Due::Timer(timer) => {
                self.kernel.node = timer.node;
                self.kernel.task = timer.task;
                self.kernel.record([u64::from(b'T'), 0, 0, 0], || Traced::TimerFired);
                self.kernel.wake(Some(timer.waker));
            }
            Due::Turn(task) => {
                let mut ready = shared.ready.borrow_mut();
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
                self.handle_put(&event, shared);
                self.last_event = Some(event);
            }
        }
    }
}

impl Core {
    /// An event that the test put in.
    fn handle_put(&mut self, event: &Event, shared: &Shared) {
        let digest = xxhash_rust::xxh3::xxh3_64(format!("{event:?}").as_bytes());
        let note = || Traced::Note { name: "event".to_owned(), value: format!("{event:?}") };
        self.kernel.record([u64::from(b'e'), digest, 0, 0], note);
        let mut ready = shared.ready.borrow_mut();
        let wanted = match event {
            Event::Timer { task_id } => Some(TaskId(*task_id)),
            Event::Shutdown => None,
            Event::Network { .. } | Event::Connection { .. } => return,
        };
        for slot in self.tasks.all() {
            if wanted.is_none() || self.tasks.id(slot) == wanted {
                let generation = ready.generation(slot);
                ready.wake(slot, generation);
            }
        }
    }
}

/// What the executor does next.
enum Turn {
    Poll { slot: u32, task: TaskRef, future: TaskFuture },
    Cancel(u32),
}
