//! The I/O scheduler of a shard: a [`Queue`] for each device whose properties are known, and what ties it to the driver.
//!
//! A read or write that may go at once is started with a [`Charge`], which the driver's record keeps until it has ended.
//! One that may not is held by the driver, which owns its buffer like that of any other, and waits in the queue under
//! its record's key; the loop starts its parts as they become due.

mod fair;
mod properties;
mod queue;
mod stats;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

pub(crate) use fair::Standing;
pub use properties::{DeviceProperties, IoProperties, PropertiesError};
pub(crate) use queue::{Cancelled, Class, Direction, Transfer, Urgency};
pub(crate) use stats::to_prometheus;
pub use stats::{IoClassStats, IoDeviceStats};

use self::queue::{Part, Queue};
use crate::clock::monotonic;
use crate::slots::Key;
use crate::sys::{Driver, Notice};

/// The scheduled devices of one shard.
#[derive(Debug, Default)]
pub(crate) struct Schedules {
    properties: IoProperties,
    known: RefCell<Vec<Rc<Schedule>>>,
    /// Something ended or was cancelled since it was last looked whether more may go.
    is_stirred: Rc<Cell<bool>>,
    /// When to look again all the same.
    due_ns: Cell<Option<u64>>,
}

/// What waits for one device.
pub(crate) struct Schedule {
    number: (u32, u32),
    queue: RefCell<Queue<Key>>,
    /// Parts that have ended, and their cost, since the queue was told.
    ended: Cell<(u64, u64)>,
    is_stirred: Rc<Cell<bool>>,
}

/// Part of a device's budget: given back when it is dropped.
pub(crate) struct Charge {
    schedule: Rc<Schedule>,
    cost_ns: u64,
}

/// The place of a request that waits, or did.
pub(crate) struct Place {
    schedule: Rc<Schedule>,
    request: Key,
}

impl Schedules {
    pub(crate) fn new(properties: IoProperties) -> Self {
        Self { properties, ..Self::default() }
    }

    /// The scheduler of a device, if its properties are known. Asked for once for each.
    pub(crate) fn add(&self, number: (u32, u32)) -> Option<Rc<Schedule>> {
        let device = Rc::new(Schedule {
            number,
            queue: RefCell::new(Queue::new(self.properties.known(number)?.clone(), REQUESTS_MAX)),
            ended: Cell::default(),
            is_stirred: Rc::clone(&self.is_stirred),
        });
        self.known.borrow_mut().push(Rc::clone(&device));
        Some(device)
    }

    /// Starts what may go now. A few loads, if there is nothing new.
    pub(crate) fn start_due(&self, driver: &RefCell<Driver>) {
        let is_due = || self.due_ns.get().is_some_and(|due_ns| due_ns <= now_ns());
        if !self.is_stirred.take() && !is_due() {
            return;
        }
        let mut next_ns = None;
        for schedule in &*self.known.borrow() {
            let mut driver = driver.borrow_mut();
            while let Some((part, charge)) = schedule.poll_part() {
                driver.start_held(part.whole, part.number, Some(charge));
            }
            next_ns = next_ns.into_iter().chain(schedule.queue.borrow().next_event()).min();
        }
        self.due_ns.set(next_ns);
    }

    /// When [`Self::start_due`] has something to do though nothing ends, on the monotonic clock.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.due_ns.get()
    }

    /// Ends all that waits, as cancelled.
    pub(crate) fn stop_waiting(&self, driver: &RefCell<Driver>, notices: &mut Vec<Notice>) {
        for schedule in &*self.known.borrow() {
            while let Some(Cancelled { whole, parts }) = schedule.take_any() {
                driver.borrow_mut().drop_held(whole, parts, notices);
            }
        }
    }

    pub(crate) fn stats(&self, name_of: impl Fn(u32) -> String) -> Vec<IoDeviceStats> {
        let known = self.known.borrow();
        let stats = |schedule: &Rc<Schedule>| {
            let mut queue = schedule.queue.borrow_mut();
            schedule.tell_ended(&mut queue);
            stats::of(schedule.number, &queue, &name_of)
        };
        known.iter().map(stats).collect()
    }
}

impl Schedule {
    /// Lets a read or write go that may go at once, in one piece.
    pub(crate) fn admit(self: &Rc<Self>, class: Class, transfer: Transfer) -> Option<Charge> {
        let mut queue = self.queue.borrow_mut();
        self.tell_ended(&mut queue);
        let cost_ns = queue.try_start(now_ns(), class, transfer)?;
        Some(Charge { schedule: Rc::clone(self), cost_ns })
    }

    /// Has one wait that the driver holds.
    ///
    /// # Panics
    ///
    /// If it [is full](Self::is_full).
    pub(crate) fn wait(
        self: &Rc<Self>,
        class: Class,
        lineage: Vec<Standing>,
        transfer: Transfer,
        part_bytes: u32,
        whole: Key,
    ) -> Place {
        let mut queue = self.queue.borrow_mut();
        let request = queue.handle_request(now_ns(), class, lineage, transfer, part_bytes, whole);
        self.is_stirred.set(true);
        Place { schedule: Rc::clone(self), request: request.expect("looked at before") }
    }

    /// Whether as many wait as may.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.borrow().waiting() >= REQUESTS_MAX
    }

    pub(crate) fn number(&self) -> (u32, u32) {
        self.number
    }

    /// See [`Queue::part_bytes`].
    pub(crate) fn part_bytes(&self, unit_bytes: u32) -> u32 {
        self.queue.borrow().part_bytes(unit_bytes)
    }

    fn poll_part(self: &Rc<Self>) -> Option<(Part<Key>, Charge)> {
        let mut queue = self.queue.borrow_mut();
        self.tell_ended(&mut queue);
        let part = queue.poll_part(now_ns())?;
        Some((part, Charge { schedule: Rc::clone(self), cost_ns: part.cost_ns }))
    }

    fn take_any(&self) -> Option<Cancelled<Key>> {
        self.queue.borrow_mut().take_any()
    }

    fn tell_ended(&self, queue: &mut Queue<Key>) {
        let (parts, cost_ns) = self.ended.take();
        if parts > 0 {
            queue.handle_ended(parts, cost_ns);
        }
    }
}

impl Place {
    /// What is left of the request, if anything.
    pub(crate) fn leave(self) -> Option<Cancelled<Key>> {
        let cancelled = self.schedule.queue.borrow_mut().handle_cancel(now_ns(), self.request);
        // It may have been the first, and another may go that is shorter, or of another class.
        self.schedule.is_stirred.set(true);
        cancelled
    }
}

impl Drop for Charge {
    /// May be under any borrow: notes it, no more.
    fn drop(&mut self) {
        let (parts, cost_ns) = self.schedule.ended.get();
        self.schedule.ended.set((parts + 1, cost_ns + self.cost_ns));
        self.schedule.is_stirred.set(true);
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule").field("number", &self.number).finish_non_exhaustive()
    }
}

/// On the clock that all shards have.
fn now_ns() -> u64 {
    u64::try_from(monotonic().as_nanos()).unwrap_or(u64::MAX)
}

/// Requests that wait for one device on one shard.
pub(crate) const REQUESTS_MAX: usize = 1 << 16;
