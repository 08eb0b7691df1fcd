//! What is to come: events by time, each of which can be taken back.

mod near;
mod wheel;

use crate::time::SimTime;
use near::Near;
use wheel::{Bucket, Wheel};

/// Events by the time at which they are due; those due at the same time in the order in which they were put in.
///
/// Events stand in slots and never move. The keys of those that are due before the `horizon` are near, in a sorted
/// array, which is all there is while events are few; the others are in buckets of time. When nothing near is left,
/// the first bucket becomes near, or is dealt out to finer ones if it has many. So an event costs a few steps,
/// however many there are, and nothing is left of one that was taken back.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    near: Near,
    /// Nothing in the wheel is due before this, and nothing near is due later.
    horizon: SimTime,
    wheel: Wheel,
    slots: Vec<Slot<E>>,
    /// The first of the slots that are free.
    free: u32,
    len: usize,
    next_order: u64,
    background: usize,
}

/// An event in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventId {
    slot: u32,
    order: u64,
}

/// A point in the order in which events were put in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fence(u64);

/// Time in the upper half; below it the order in which it was put in, and the slot. One comparison of integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u128);

#[derive(Debug)]
struct Slot<E> {
    time: SimTime,
    /// Of the event that is there; [`VACANT`] if none is.
    order: u64,
    /// Neighbours in the bucket; a free slot's next is free as well.
    before: u32,
    after: u32,
    /// Where it is filed, unless it is near.
    bucket: Bucket,
    is_background: bool,
    event: Option<E>,
}

impl<E> Queue<E> {
    /// No events.
    pub(crate) const fn new() -> Self {
        Self {
            near: Near::new(),
            horizon: SimTime::MAX,
            wheel: Wheel::new(),
            slots: Vec::new(),
            free: NONE,
            len: 0,
            next_order: 0,
            background: 0,
        }
    }

    /// Puts in an event that is due at `time`.
    ///
    /// # Panics
    ///
    /// If there are 2^24 of them, or there were 2^40.
    #[inline]
    pub(crate) fn put(&mut self, time: SimTime, event: E) -> EventId {
        self.put_as(time, event, false)
    }

    /// As [`Self::put`], for what comes whether or not the program does anything: see [`Self::is_idle`].
    pub(crate) fn put_background(&mut self, time: SimTime, event: E) -> EventId {
        self.background += 1;
        self.put_as(time, event, true)
    }

    /// Takes an event back, if it has not come up.
    pub(crate) fn cancel(&mut self, id: EventId) -> Option<E> {
        let slot = self.slots.get(id.slot as usize).filter(|slot| slot.order == id.order)?;
        if slot.bucket == Bucket::NONE {
            self.near.remove(Key::new(slot.time, id.order, id.slot));
        } else {
            self.wheel.take_back(&mut self.slots, id.slot);
            if self.wheel.is_empty() {
                self.horizon = SimTime::MAX;
            }
        }
        self.vacate(id.slot)
    }

    /// Takes the next event if it is due at `time` or before, and was put in before `fence`.
    #[inline]
    pub(crate) fn take_due_before(&mut self, time: SimTime, fence: Fence) -> Option<(SimTime, E)> {
        let key = match self.near.first() {
            Some(key) => key,
            None => self.come_near(time)?,
        };
        if key.time() > time || key.order() >= fence.0 {
            return None;
        }
        self.near.pop();
        Some((key.time(), self.vacate(key.slot())?))
    }

    /// Tells what is put in from now on from what is there.
    pub(crate) const fn fence(&self) -> Fence {
        Fence(self.next_order)
    }

    /// An event that has not come up.
    pub(crate) fn get_mut(&mut self, id: EventId) -> Option<&mut E> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.order == id.order { slot.event.as_mut() } else { None }
    }

    /// Whether nothing is to come but background: a program that waits now waits for ever.
    pub(crate) const fn is_idle(&self) -> bool {
        self.len == self.background
    }

    /// How many events there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn put_as(&mut self, time: SimTime, event: E, is_background: bool) -> EventId {
        let order = self.next_order;
        self.next_order += 1;
        self.len += 1;
        let mut number = self.free;
        if let Some(slot) = self.slots.get_mut(number as usize) {
            self.free = slot.after;
            slot.time = time;
            slot.order = order;
            slot.is_background = is_background;
            debug_assert!(slot.event.is_none(), "a free slot is empty");
            slot.event = Some(event);
        } else {
            number = self.add_slot(time, order, is_background, event);
        }
        assert!(order < ORDERS_MAX, "an event too many: 2^40 in all");
        // If nothing is far, nothing has to be.
        if time < self.horizon || self.wheel.is_empty() {
            self.near.insert(Key::new(time, order, number));
            if self.near.len() > NEAR_MAX {
                self.move_away();
            }
        } else {
            self.wheel.file(&mut self.slots, number);
        }
        EventId { slot: number, order }
    }

    #[cold]
    fn add_slot(&mut self, time: SimTime, order: u64, is_background: bool, event: E) -> u32 {
        let number = u32::try_from(self.slots.len()).unwrap_or(NONE);
        assert!(number < SLOTS_MAX, "an event too many: 2^24 at a time");
        let (before, after, bucket) = (NONE, NONE, Bucket::NONE);
        self.slots.push(Slot { time, order, before, after, bucket, is_background, event: Some(event) });
        number
    }

    #[inline]
    fn vacate(&mut self, number: u32) -> Option<E> {
        let slot = self.slots.get_mut(number as usize)?;
        slot.order = VACANT;
        slot.after = self.free;
        self.free = number;
        self.len -= 1;
        self.background -= usize::from(slot.is_background);
        slot.event.take()
    }

    /// Files the later half of what is near. What is due at the same time stays together, so that there may be
    /// nothing to file.
    #[cold]
    fn move_away(&mut self) {
        let keys = self.near.as_slice();
        let (Some(first), Some(last)) = (self.near.first(), self.near.last()) else { return };
        if first.time() == last.time() {
            return;
        }
        let middle = keys[keys.len() / 2].time();
        let mut horizon =
            if middle > first.time() { middle } else { SimTime::from_nanos(middle.as_nanos() + 1) };
        if self.wheel.is_empty() {
            self.wheel.begin_at(horizon);
        }
        horizon = horizon.max(self.wheel.now());
        let place = keys.partition_point(|key| key.time() < horizon);
        for key in &keys[place..] {
            self.wheel.file(&mut self.slots, key.slot());
        }
        if place < keys.len() {
            self.horizon = horizon;
            self.near.truncate(place);
        }
    }

    /// Brings near what is due first, unless that is after `time`, and gives its first key.
    #[cold]
    #[inline(never)]
    fn come_near(&mut self, time: SimTime) -> Option<Key> {
        loop {
            let (bucket, start) = self.wheel.first()?;
            if start > time {
                return None;
            }
            let first = self.wheel.take(bucket, start);
            let mut next = first;
            while next != NONE && (self.near.len() < NEAR_MAX || bucket.is_one_instant()) {
                let slot = &mut self.slots[next as usize];
                self.near.push_unsorted(Key::new(slot.time, slot.order, next));
                slot.bucket = Bucket::NONE;
                next = slot.after;
            }
            if next == NONE {
                self.near.sort();
                self.horizon = if self.wheel.is_empty() { SimTime::MAX } else { Wheel::end(bucket, start) };
                return self.near.first();
            }
            // Too many: to finer buckets.
            self.near.truncate(0);
            next = first;
            while next != NONE {
                let number = next;
                next = self.slots[number as usize].after;
                self.wheel.file(&mut self.slots, number);
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "each part is taken out by its bits")]
impl Key {
    const fn new(time: SimTime, order: u64, slot: u32) -> Self {
        Self(((time.as_nanos() as u128) << 64) | ((order as u128) << SLOT_BITS) | slot as u128)
    }

    const fn time(self) -> SimTime {
        SimTime::from_nanos((self.0 >> 64) as u64)
    }

    const fn order(self) -> u64 {
        (self.0 as u64) >> SLOT_BITS
    }

    const fn slot(self) -> u32 {
        self.0 as u32 & (SLOTS_MAX - 1)
    }
}

/// So many keys are near, unless more are due at the same time.
const NEAR_MAX: usize = 64;
/// No slot.
const NONE: u32 = u32::MAX;
const SLOT_BITS: u32 = 24;
const SLOTS_MAX: u32 = 1 << SLOT_BITS;
const ORDERS_MAX: u64 = 1 << (64 - SLOT_BITS);
const VACANT: u64 = u64::MAX;

#[cfg(test)]
mod tests;
