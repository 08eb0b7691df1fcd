//! What goes to a device next, and when: the scheduler of one device on one shard.
//!
//! As in Seastar's `io_queue`, a request costs some of the device's time, by its length and for itself. So much may be
//! given away as the clock allows, and so much may be under way as the device does within its latency goal; both by the
//! [`Budget`] that all shards share. Whatever does not go at once waits in its class, in order, and the classes take
//! turns by their shares.
//!
//! The order of calls: [`Queue::try_start`] for what may go at once, else [`Queue::handle_request`]; then
//! [`Queue::poll_part`] until it has nothing, and again after [`Queue::handle_ended`], [`Queue::handle_cancel`], and at
//! [`Queue::next_event`].

use std::ops::Range;
use std::sync::Arc;

use super::fair::{FairTree, Standing};
use super::properties::{DeviceProperties, Known};
use crate::slots::{Key, Slots};

/// Requests that wait for one device, each under a name `W` that is its owner's.
#[derive(Debug)]
pub(crate) struct Queue<W> {
    device: Arc<Known>,
    costs: Costs,
    /// What bulk may have under way, and what is urgent besides.
    goal_ns: u64,
    urgent_ns: u64,
    requests_max: usize,
    requests: Slots<Request<W>>,
    tree: FairTree<Key>,
    /// Of requests that were cancelled, the places in the tree that are still there, by class.
    stale: Vec<usize>,
    /// Time of the device that is this shard's, and not used yet.
    booking: Option<Booking>,
    /// What this shard has under way: how many parts, and their cost.
    in_flight: (u64, u64),
    due_ns: Option<u64>,
    counters: Vec<ClassCounters>,
}

/// Whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    /// The number of the queue of tasks.
    pub(crate) queue: u32,
    pub(crate) urgency: Urgency,
}

/// Whether the latency of a class matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// It may give the device as much again as is the goal.
    Urgent,
    Bulk,
}

/// What is to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    pub(crate) direction: Direction,
    pub(crate) bytes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// A part that is to be given to the device now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part<W> {
    pub(crate) whole: W,
    pub(crate) number: usize,
    pub(crate) cost_ns: u64,
}

/// What a cancelled request leaves: the parts that are not given to the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cancelled<W> {
    pub(crate) whole: W,
    pub(crate) parts: Range<usize>,
}

/// As many requests wait as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// What a class has done so far. Never goes back, but for what waits now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClassCounters {
    pub(crate) requests: u64,
    pub(crate) parts: u64,
    pub(crate) bytes_read: u64,
    pub(crate) bytes_written: u64,
    pub(crate) delayed: u64,
    pub(crate) delay_ns: u64,
    pub(crate) cancelled: u64,
    pub(crate) waiting: u64,
}

#[derive(Debug)]
struct Request<W> {
    class: Class,
    transfer: Transfer,
    part_bytes: u32,
    /// The next part.
    next: u32,
    whole: W,
    came_ns: u64,
}

#[derive(Clone, Copy, Debug)]
struct Booking {
    end_ns: u64,
    cost_ns: u64,
}

impl<W: Copy> Queue<W> {
    /// Of a device; at most `requests_max` wait.
    pub(crate) fn new(device: Arc<Known>, requests_max: usize) -> Self {
        let properties = &device.properties;
        let costs = Costs::of(properties);
        let goal_ns = u64::try_from(properties.latency_goal.as_nanos()).unwrap_or(u64::MAX).min(GOAL_NS_MAX);
        // A part of bulk that is longer than the goal must not hold up what is urgent.
        let part = |direction| costs.of_transfer(direction, properties.part_bytes_max);
        let part_ns = part(Direction::Read).max(part(Direction::Write)).min(GOAL_NS_MAX);
        Self {
            costs,
            goal_ns,
            urgent_ns: goal_ns + goal_ns.max(part_ns),
            device,
            requests_max,
            requests: Slots::new(),
            tree: FairTree::new(),
            stale: Vec::new(),
            booking: None,
            in_flight: (0, 0),
            due_ns: None,
            counters: Vec::new(),
        }
    }

    /// What a request costs that goes in one piece, if it may go now, ahead of nobody.
    #[must_use]
    pub(crate) fn try_start(&mut self, now_ns: u64, class: Class, transfer: Transfer) -> Option<u64> {
        if self.requests.len() > 0 {
            return None;
        }
        let cost_ns = self.costs.of_transfer(transfer.direction, transfer.bytes);
        if !self.is_time(now_ns, class.urgency, cost_ns) || !self.enter(class.urgency, cost_ns) {
            return None;
        }
        let counters = self.counters_of(class.queue);
        counters.requests += 1;
        counters.count_part(transfer.direction, transfer.bytes);
        Some(cost_ns)
    }

    /// Takes a request that is to wait for its turn, in parts of at most `part_bytes`. `lineage` is the class and its
    /// groups.
    ///
    /// # Errors
    ///
    /// [`Full`] if as many wait as may.
    pub(crate) fn handle_request(
        &mut self,
        now_ns: u64,
        class: Class,
        lineage: impl IntoIterator<Item = Standing>,
        transfer: Transfer,
        part_bytes: u32,
        whole: W,
    ) -> Result<Key, Full> {
        assert!(transfer.bytes > 0 && part_bytes > 0, "there is something to move");
        if self.requests.len() >= self.requests_max {
            return Err(Full);
        }
        let counters = self.counters_of(class.queue);
        counters.requests += 1;
        counters.waiting += 1;
        let request = Request { class, transfer, part_bytes, next: 0, whole, came_ns: now_ns };
        let key = self.requests.insert(request);
        self.tree.push(lineage, key);
        Ok(key)
    }

    /// A request is not wanted any more; `None` if all of it was given to the device.
    pub(crate) fn handle_cancel(&mut self, now_ns: u64, request: Key) -> Option<Cancelled<W>> {
        let cancelled = self.requests.remove(request)?;
        let class = cancelled.class.queue;
        let counters = self.counters_of(class);
        counters.waiting -= 1;
        counters.cancelled += 1;
        let parts = cancelled.next as usize..cancelled.parts() as usize;
        let stale = &mut self.stale[class as usize];
        *stale += 1;
        if *stale * 2 > self.tree.waiting(class) {
            *stale = 0;
            let requests = &self.requests;
            self.tree.retain(class, |key| requests.get(*key).is_some());
        }
        self.settle(now_ns);
        Some(Cancelled { whole: cancelled.whole, parts })
    }

    /// So many parts have ended, of this cost together.
    pub(crate) fn handle_ended(&mut self, parts: u64, cost_ns: u64) {
        self.in_flight.0 -= parts;
        self.in_flight.1 -= cost_ns;
        self.device.budget.leave(cost_ns);
    }

    /// Takes a request out, whatever it is.
    pub(crate) fn take_any(&mut self) -> Option<Cancelled<W>> {
        let (key, _) = self.requests.iter().next()?;
        self.handle_cancel(u64::MAX, key)
    }

    /// The next part that may go now. The caller gives it to the device, whatever happens, and tells its end.
    #[must_use]
    pub(crate) fn poll_part(&mut self, now_ns: u64) -> Option<Part<W>> {
        self.due_ns = None;
        let (class, key) = self.front()?;
        let request = self.requests.get(key).expect("looked at");
        let (urgency, next) = (request.class.urgency, request.next);
        let Transfer { direction, .. } = request.transfer;
        let bytes = request.bytes_of(next);
        let cost_ns = self.costs.of_transfer(direction, bytes);
        if !self.is_time(now_ns, urgency, cost_ns) || !self.enter(urgency, cost_ns) {
            return None;
        }
        self.tree.charge(class, cost_ns);
        let request = self.requests.get_mut(key).expect("looked at");
        request.next += 1;
        let (whole, waited_ns) = (request.whole, now_ns.saturating_sub(request.came_ns));
        let is_last = request.next == request.parts();
        let counters = self.counters_of(class);
        counters.count_part(direction, bytes);
        if is_last {
            counters.waiting -= 1;
            counters.delayed += u64::from(waited_ns > 0);
            counters.delay_ns += waited_ns;
            self.requests.remove(key);
            self.tree.pop(class);
            self.settle(now_ns);
        }
        Some(Part { whole, number: next as usize, cost_ns })
    }

    /// When [`Self::poll_part`] may have something, though nothing ended. As of its last call.
    pub(crate) fn next_event(&self) -> Option<u64> {
        self.due_ns
    }

    /// Into how long parts a request is to be divided, of a file with this alignment.
    pub(crate) fn part_bytes(&self, unit_bytes: u32) -> u32 {
        let part_bytes_max = self.device.properties.part_bytes_max;
        (part_bytes_max / unit_bytes.max(1)).max(1).saturating_mul(unit_bytes.max(1))
    }

    pub(crate) fn waiting(&self) -> usize {
        self.requests.len()
    }

    /// What each class has done so far, by the numbers of their queues.
    pub(crate) fn counters(&self) -> &[ClassCounters] {
        &self.counters
    }

    /// Parts of this shard under way.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.0
    }

    /// The device's time of what all shards have under way.
    pub(crate) fn device_in_flight_ns(&self) -> u64 {
        self.device.budget.in_flight_ns()
    }

    /// The class whose turn it is and its first request, past those that were cancelled.
    fn front(&mut self) -> Option<(u32, Key)> {
        loop {
            let (class, key) = self.tree.front()?;
            let key = *key;
            if self.requests.get(key).is_some() {
                return Some((class, key));
            }
            self.stale[class as usize] -= 1;
            self.tree.pop(class);
        }
    }

    /// Whether the clock allows to give away so much now; else when it will is known.
    fn is_time(&mut self, now_ns: u64, urgency: Urgency, cost_ns: u64) -> bool {
        // What was not used in time is lost, or idle time would be saved up.
        let booking = self.booking.filter(|booking| booking.end_ns >= now_ns);
        let have_ns = booking.map_or(0, |booking| booking.cost_ns);
        let booking = match booking {
            Some(booking) if have_ns >= cost_ns => booking,
            _ => {
                let end_ns = self.device.budget.book(now_ns, cost_ns - have_ns);
                Booking { end_ns, cost_ns }
            }
        };
        // What is longer than may be ahead goes when nothing is.
        let ahead_ns = self.limit_ns(urgency).max(cost_ns);
        let ready_ns = booking.end_ns.saturating_sub(ahead_ns);
        self.booking = Some(booking);
        if ready_ns > now_ns {
            self.due_ns = Some(ready_ns);
            return false;
        }
        true
    }

    /// Whether so much may be under way besides what is; it is then, and its time is used.
    fn enter(&mut self, urgency: Urgency, cost_ns: u64) -> bool {
        let limit_ns = self.limit_ns(urgency);
        let budget = &self.device.budget;
        if !budget.enter(cost_ns, limit_ns) {
            if self.in_flight.0 > 0 {
                // The end of that is when to try again.
                return false;
            }
            // Nobody would tell this shard when others' parts end: each may have one under way.
            budget.enter_anyway(cost_ns);
        }
        self.in_flight.0 += 1;
        self.in_flight.1 += cost_ns;
        let booking = self.booking.take().expect("it was looked at whether it is time");
        let left_ns = booking.cost_ns - cost_ns;
        self.booking = (left_ns > 0).then_some(Booking { cost_ns: left_ns, ..booking });
        true
    }

    fn limit_ns(&self, urgency: Urgency) -> u64 {
        match urgency {
            Urgency::Urgent => self.urgent_ns,
            Urgency::Bulk => self.goal_ns,
        }
    }

    /// Nobody keeps time for whom nothing waits.
    fn settle(&mut self, now_ns: u64) {
        if self.requests.len() == 0
            && let Some(Booking { end_ns, cost_ns }) = self.booking.take()
        {
            self.device.budget.unbook(now_ns, end_ns, cost_ns);
        }
    }

    fn counters_of(&mut self, class: u32) -> &mut ClassCounters {
        let len = class as usize + 1;
        if self.counters.len() < len {
            self.counters.resize(len, ClassCounters::default());
            self.stale.resize(len, 0);
        }
        &mut self.counters[class as usize]
    }
}

impl<W> Drop for Queue<W> {
    /// Others have the device to themselves.
    fn drop(&mut self) {
        self.device.budget.leave(self.in_flight.1);
    }
}

impl<W> Request<W> {
    fn parts(&self) -> u32 {
        self.transfer.bytes.div_ceil(self.part_bytes)
    }

    fn bytes_of(&self, part: u32) -> u32 {
        self.part_bytes.min(self.transfer.bytes - part * self.part_bytes)
    }
}

impl ClassCounters {
    fn count_part(&mut self, direction: Direction, bytes: u32) {
        self.parts += 1;
        match direction {
            Direction::Read => self.bytes_read += u64::from(bytes),
            Direction::Write => self.bytes_written += u64::from(bytes),
        }
    }
}

/// What reads and writes cost, by [`Direction`]: nanoseconds each, and for each byte some 2^-20 ns.
#[derive(Clone, Copy, Debug)]
struct Costs {
    each_ns: [u64; 2],
    byte_scaled: [u64; 2],
}

impl Costs {
    fn of(properties: &DeviceProperties) -> Self {
        let &DeviceProperties { read_bytes_per_s, write_bytes_per_s, reads_per_s, writes_per_s, .. } =
            properties;
        Self {
            each_ns: [reads_per_s, writes_per_s].map(|per_s| SECOND_NS / per_s.max(1)),
            byte_scaled: [read_bytes_per_s, write_bytes_per_s]
                .map(|per_s| (SECOND_NS << BYTE_SHIFT) / per_s.max(1)),
        }
    }

    fn of_transfer(&self, direction: Direction, bytes: u32) -> u64 {
        let index = direction as usize;
        let bytes_ns = u64::from(bytes).saturating_mul(self.byte_scaled[index]) >> BYTE_SHIFT;
        (self.each_ns[index] + bytes_ns).max(1)
    }
}

const SECOND_NS: u64 = 1_000_000_000;
const BYTE_SHIFT: u32 = 20;
/// An hour: sums of limits do not run over.
const GOAL_NS_MAX: u64 = 3600 * SECOND_NS;

#[cfg(test)]
mod tests;
