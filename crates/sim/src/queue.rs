//! What is to come: events by time, each of which can be taken back.

use crate::time::SimTime;

/// Events by the time at which they are due; those due at the same time in the order in which they were put in.
///
/// A 4-ary implicit heap of small keys over a slab of events, which never move. Taking an event back empties its
/// slot at once; its key stays until it comes up or until half of all keys are such, when they are swept out.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    heap: Vec<Key>,
    slots: Vec<Slot<E>>,
    free: Vec<u32>,
    next_order: u64,
    live: usize,
    background: usize,
}

/// An event in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventId {
    slot: u32,
    generation: u32,
}

/// A point in the order in which events were put in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fence(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    time: SimTime,
    order: u64,
    slot: u32,
    generation: u32,
}

#[derive(Debug)]
struct Slot<E> {
    generation: u32,
    is_background: bool,
    event: Option<E>,
}

impl<E> Queue<E> {
    /// No events.
    pub(crate) const fn new() -> Self {
        Self { heap: Vec::new(), slots: Vec::new(), free: Vec::new(), next_order: 0, live: 0, background: 0 }
    }

    /// Puts in an event that is due at `time`.
    ///
    /// # Panics
    ///
    /// If there are 2^32 of them.
    pub(crate) fn put(&mut self, time: SimTime, event: E) -> EventId {
        self.put_as(time, event, false)
    }

    /// As [`Self::put`], for what comes whether or not the program does anything: see [`Self::is_idle`].
    pub(crate) fn put_background(&mut self, time: SimTime, event: E) -> EventId {
        self.background += 1;
        self.put_as(time, event, true)
    }

    fn put_as(&mut self, time: SimTime, event: E, is_background: bool) -> EventId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, is_background: false, event: None });
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 events at a time")
        });
        let place = &mut self.slots[slot as usize];
        place.event = Some(event);
        place.is_background = is_background;
        let id = EventId { slot, generation: place.generation };
        let key = Key { time, order: self.next_order, slot, generation: id.generation };
        self.next_order += 1;
        self.live += 1;
        self.heap.push(key);
        self.sift_up(self.heap.len() - 1);
        id
    }

    /// Takes an event back, if it has not come up.
    pub(crate) fn cancel(&mut self, id: EventId) -> Option<E> {
        let event = self.vacate(id)?;
        if self.heap.len() > SWEEP_KEYS_MIN && self.heap.len() > 2 * self.live {
            self.sweep();
        }
        Some(event)
    }

    /// When the next event is due.
    pub(crate) fn next_time(&mut self) -> Option<SimTime> {
        while let Some(key) = self.heap.first().copied() {
            if self.slots[key.slot as usize].generation == key.generation {
                return Some(key.time);
            }
            self.pop_key();
        }
        None
    }

    /// Takes the next event if it is due at `time` or before.
    pub(crate) fn take_due(&mut self, time: SimTime) -> Option<(SimTime, E)> {
        self.take_due_before(time, Fence(u64::MAX))
    }

    /// Takes the next event if it is due at `time` or before, and was put in before `fence`.
    pub(crate) fn take_due_before(&mut self, time: SimTime, fence: Fence) -> Option<(SimTime, E)> {
        if self.next_time()? > time || self.heap.first()?.order >= fence.0 {
            return None;
        }
        let key = self.pop_key();
        let event = self.vacate(EventId { slot: key.slot, generation: key.generation })?;
        Some((key.time, event))
    }

    /// Tells what is put in from now on from what is there.
    pub(crate) const fn fence(&self) -> Fence {
        Fence(self.next_order)
    }

    /// An event that has not come up.
    pub(crate) fn get_mut(&mut self, id: EventId) -> Option<&mut E> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation == id.generation { slot.event.as_mut() } else { None }
    }

    /// Whether nothing is to come but background: a program that waits now waits for ever.
    pub(crate) const fn is_idle(&self) -> bool {
        self.live == self.background
    }

    /// How many events there are.
    pub(crate) const fn len(&self) -> usize {
        self.live
    }

    fn vacate(&mut self, id: EventId) -> Option<E> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        let event = slot.event.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.background -= usize::from(slot.is_background);
        self.free.push(id.slot);
        self.live -= 1;
        Some(event)
    }

    fn sweep(&mut self) {
        let slots = &self.slots;
        self.heap.retain(|key| slots[key.slot as usize].generation == key.generation);
        // A sorted array is a heap.
        self.heap.sort_unstable();
    }

    fn pop_key(&mut self) -> Key {
        let key = self.heap.swap_remove(0);
        self.sift_down();
        key
    }

    fn sift_up(&mut self, mut at: usize) {
        let key = self.heap[at];
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if self.heap[parent] <= key {
                break;
            }
            self.heap[at] = self.heap[parent];
            at = parent;
        }
        self.heap[at] = key;
    }

    fn sift_down(&mut self) {
        let Some(&key) = self.heap.first() else { return };
        let mut at = 0;
        loop {
            let first = at * ARITY + 1;
            let end = (first + ARITY).min(self.heap.len());
            let Some(smallest) = (first..end).min_by_key(|&child| self.heap[child]) else { break };
            if self.heap[smallest] >= key {
                break;
            }
            self.heap[at] = self.heap[smallest];
            at = smallest;
        }
        self.heap[at] = key;
    }
}

/// Children of a heap's node: four keys are two cache lines.
const ARITY: usize = 4;
/// Below this many keys, those of events taken back are not worth a sweep.
const SWEEP_KEYS_MIN: usize = 64;

#[cfg(test)]
mod tests {
    use super::{EventId, Queue};
    use crate::draws::{Stream, scale};
    use crate::time::SimTime;

    /// Against a sorted list, over a million random steps of which a third take back.
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
                    assert_eq!(queue.next_time(), list.first().map(|(time, ..)| *time));
                    let expected = (!list.is_empty()).then(|| list.remove(0)).map(|(time, n, _)| (time, n));
                    assert_eq!(queue.take_due(SimTime::MAX), expected);
                }
            }
            assert_eq!(queue.len(), list.len());
        }
        assert!(queue.heap.len() <= 2 * queue.len() + 64, "{} keys", queue.heap.len());
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
        assert_eq!(queue.take_due(SimTime::ZERO), Some((SimTime::ZERO, 2)));
    }
}
