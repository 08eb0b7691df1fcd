//! What is to come: events by time, each of which can be taken back.

use crate::time::SimTime;

/// Events by the time at which they are due; those due at the same time in the order in which they were put in.
///
/// A 4-ary implicit heap of small keys over a slab of events, which never move. Taking an event back empties its
/// slot at once. Its key goes with it if there are few; otherwise it stays until it comes up, or until half of all
/// keys are such, when they are swept out.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    heap: Vec<Key>,
    slots: Vec<Slot<E>>,
    free: Vec<u32>,
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
    /// Of the event that is there; [`VACANT`] if none is.
    order: u64,
    is_background: bool,
    event: Option<E>,
}

impl<E> Queue<E> {
    /// No events.
    pub(crate) const fn new() -> Self {
        Self { heap: Vec::new(), slots: Vec::new(), free: Vec::new(), next_order: 0, background: 0 }
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
        let event = self.vacate(id)?;
        if self.heap.len() <= FEW_KEYS {
            let key = (id.order, id.slot);
            if let Some(place) = self.heap.iter().position(|other| (other.order(), other.slot()) == key) {
                self.take_key(place);
            }
        } else if self.heap.len() > 2 * self.len() {
            self.sweep();
        }
        Some(event)
    }

    /// Takes the next event if it is due at `time` or before, and was put in before `fence`.
    #[inline]
    pub(crate) fn take_due_before(&mut self, time: SimTime, fence: Fence) -> Option<(SimTime, E)> {
        loop {
            let key = *self.heap.first()?;
            if key.time() > time || key.order() >= fence.0 {
                return None;
            }
            self.pop_key();
            if let Some(event) = self.vacate(EventId { slot: key.slot(), order: key.order() }) {
                return Some((key.time(), event));
            }
        }
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
        self.len() == self.background
    }

    /// How many events there are.
    pub(crate) const fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn put_as(&mut self, time: SimTime, event: E, is_background: bool) -> EventId {
        let order = self.next_order;
        self.next_order += 1;
        let slot = if let Some(slot) = self.free.pop() {
            let place = &mut self.slots[slot as usize];
            place.order = order;
            place.is_background = is_background;
            debug_assert!(place.event.is_none(), "a free slot is empty");
            place.event = Some(event);
            slot
        } else {
            self.slots.push(Slot { order, is_background, event: Some(event) });
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        };
        assert!(slot < SLOTS_MAX && order < ORDERS_MAX, "an event too many: 2^24 at a time, 2^40 in all");
        self.heap.push(Key::new(time, order, slot));
        self.sift_up(self.heap.len() - 1);
        EventId { slot, order }
    }

    #[inline]
    fn vacate(&mut self, id: EventId) -> Option<E> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.order != id.order {
            return None;
        }
        slot.order = VACANT;
        self.background -= usize::from(slot.is_background);
        self.free.push(id.slot);
        slot.event.take()
    }

    fn sweep(&mut self) {
        let slots = &self.slots;
        self.heap.retain(|key| slots[key.slot() as usize].order == key.order());
        // A sorted array is a heap.
        self.heap.sort_unstable();
    }

    fn pop_key(&mut self) {
        self.take_key(0);
    }

    /// Takes a key away. The hole goes down to the bottom by way of the smallest child, and the last key, which most
    /// often belongs at the bottom, goes up from there: fewer comparisons than the other way round.
    fn take_key(&mut self, mut hole: usize) {
        let Some(last) = self.heap.pop() else { return };
        let heap = &mut self.heap[..];
        if hole >= heap.len() {
            // It was the last.
            return;
        }
        if hole == 0 && heap.len() <= ARITY {
            // The first key's children are all there are.
            let (mut smallest, mut place) = (last, 0);
            for (child, key) in heap.iter().enumerate().skip(1) {
                if *key < smallest {
                    (smallest, place) = (*key, child);
                }
            }
            heap[place] = last;
            heap[0] = smallest;
            return;
        }
        loop {
            let first = (hole << 2) | 1;
            let Some(children) = heap.get(first..).and_then(|rest| rest.first_chunk::<ARITY>()) else {
                break;
            };
            let left = usize::from(children[1] < children[0]);
            let right = 2 + usize::from(children[3] < children[2]);
            let smallest = if children[right] < children[left] { right } else { left };
            heap[hole] = children[smallest];
            hole = first + smallest;
        }
        // Fewer children than there may be: only once, at the bottom.
        let first = (hole << 2) | 1;
        if let Some((&key, rest)) = heap.get(first..).and_then(<[Key]>::split_first) {
            let (mut smallest, mut offset) = (key, 0);
            for (place, key) in rest.iter().enumerate() {
                if *key < smallest {
                    (smallest, offset) = (*key, place + 1);
                }
            }
            heap[hole] = smallest;
            hole = first + offset;
        }
        heap[hole] = last;
        self.sift_up(hole);
    }

    fn sift_up(&mut self, mut at: usize) {
        let heap = &mut self.heap[..];
        let key = heap[at];
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if heap[parent] <= key {
                break;
            }
            heap[at] = heap[parent];
            at = parent;
        }
        heap[at] = key;
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

/// Children of a heap's node: four keys are a cache line.
const ARITY: usize = 4;
/// Of so many keys, that of an event taken back is looked for: it would cost each event that comes up before it.
const FEW_KEYS: usize = 16;
const SLOT_BITS: u32 = 24;
const SLOTS_MAX: u32 = 1 << SLOT_BITS;
const ORDERS_MAX: u64 = 1 << (64 - SLOT_BITS);
const VACANT: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::{EventId, FEW_KEYS, Queue};
    use crate::draws::{Stream, scale};
    use crate::time::SimTime;

    /// Against a sorted list, over a hundred thousand random steps of which a third take back.
    #[test]
    fn it_is_a_sorted_list() {
        let mut random = Stream::from_seed(1);
        let mut queue = Queue::new();
        let mut list: Vec<(SimTime, u64, EventId)> = Vec::new();
        for number in 0..100_000 {
            match scale(random.next_u64(), 6) {
                0..3 => {
                    let time = SimTime::from_nanos(scale(random.next_u64(), 500));
                    let id = queue.put(time, number);
                    let place = list.partition_point(|(other, ..)| *other <= time);
                    list.insert(place, (time, number, id));
                }
                3..5 if !list.is_empty() => {
                    let place = usize::try_from(scale(random.next_u64(), list.len() as u64)).unwrap();
                    let (_, number, id) = list.remove(place);
                    assert_eq!(queue.cancel(id), Some(number));
                    assert_eq!(queue.cancel(id), None);
                }
                _ => {
                    let fence = queue.fence();
                    if let Some(before) = list.first().and_then(|(time, ..)| time.as_nanos().checked_sub(1)) {
                        assert_eq!(queue.take_due_before(SimTime::from_nanos(before), fence), None);
                    }
                    let expected = (!list.is_empty()).then(|| list.remove(0)).map(|(time, n, _)| (time, n));
                    assert_eq!(queue.take_due_before(SimTime::MAX, fence), expected);
                }
            }
            assert_eq!(queue.len(), list.len());
        }
        assert!(queue.heap.len() <= 2 * queue.len().max(FEW_KEYS), "{} keys", queue.heap.len());
    }

    #[test]
    fn background_is_nothing_to_wait_for() {
        let mut queue = Queue::new();
        let background = queue.put_background(SimTime::ZERO, 1);
        assert!(queue.is_idle());
        let timer = queue.put(SimTime::ZERO, 2);
        assert!(!queue.is_idle());
        assert_eq!(queue.cancel(timer), Some(2));
        assert_eq!(queue.cancel(background), Some(1));
        queue.put(SimTime::ZERO, 3);
        assert!(!queue.is_idle(), "a slot that was used for background");
    }

    #[test]
    fn a_fence_keeps_out_what_comes_after_it() {
        let mut queue = Queue::new();
        queue.put(SimTime::ZERO, 1);
        let fence = queue.fence();
        queue.put(SimTime::ZERO, 2);
        assert_eq!(queue.take_due_before(SimTime::ZERO, fence), Some((SimTime::ZERO, 1)));
        assert_eq!(queue.take_due_before(SimTime::ZERO, fence), None);
        let fence = queue.fence();
        assert_eq!(queue.take_due_before(SimTime::ZERO, fence), Some((SimTime::ZERO, 2)));
    }
}
