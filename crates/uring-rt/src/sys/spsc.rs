//! A bounded queue between two threads: one puts in, one takes out (L. Lamport, 1983), with the other side's position
//! remembered so that it is asked for only when the queue seems full or empty. Each position has the bell beside it of who
//! waits for it to go on, in one cache line, as both are looked at together.

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::task::Waker;

use super::door_bell::DoorBell;
use super::sync::{AtomicBool, AtomicUsize, Ordering, UnsafeCell};

/// Where values are put in.
#[derive(Debug)]
pub(crate) struct Producer<T> {
    queue: Arc<Queue<T>>,
    tail: usize,
    head_seen: usize,
}

/// Where values are taken out.
#[derive(Debug)]
pub(crate) struct Consumer<T> {
    queue: Arc<Queue<T>>,
    head: usize,
    tail_seen: usize,
}

#[derive(Debug)]
struct Queue<T> {
    /// As many as a power of two.
    cells: Box<[UnsafeCell<MaybeUninit<T>>]>,
    capacity: usize,
    /// One end was given up.
    is_closed: AtomicBool,
    /// How many were taken out so far.
    head: Position,
    /// How many were put in.
    tail: Position,
}

/// In a cache line of its own; two, as processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Position {
    /// Modulo the word.
    count: AtomicUsize,
    /// Rung when it has gone on.
    bell: DoorBell,
}

// SAFETY: a value is in the queue, where nobody touches it, or was moved out: it goes from one thread to the other.
unsafe impl<T: Send> Send for Queue<T> {}
// SAFETY: each cell is touched by the producer or by the consumer, as `head` and `tail` say, and never by both; there
// is one of each, and their methods take them exclusively.
unsafe impl<T: Send> Sync for Queue<T> {}

/// A queue of at most `capacity` values, at least one.
pub(crate) fn queue<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let capacity = capacity.max(1);
    let cells = (0..capacity.next_power_of_two()).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect();
    let is_closed = AtomicBool::new(false);
    let queue = Arc::new(Queue { cells, capacity, is_closed, head: Position::new(), tail: Position::new() });
    (Producer { queue: Arc::clone(&queue), tail: 0, head_seen: 0 }, Consumer { queue, head: 0, tail_seen: 0 })
}

impl<T> Producer<T> {
    /// Puts a value in, or gives it back if the queue is full.
    pub(crate) fn push(&mut self, value: T) -> Result<(), T> {
        if self.tail.wrapping_sub(self.head_seen) == self.queue.capacity {
            self.head_seen = self.queue.head.count.load(Ordering::Acquire);
            if self.tail.wrapping_sub(self.head_seen) == self.queue.capacity {
                return Err(value);
            }
        }
        // SAFETY: the cell is not between head and tail, so it is the producer's, and holds no value.
        self.queue.cell(self.tail).with_mut(|cell| unsafe { cell.cast::<T>().write(value) });
        self.tail = self.tail.wrapping_add(1);
        self.queue.tail.count.store(self.tail, Ordering::Release);
        Ok(())
    }

    /// Wakes who waits for a value. To be called after one was put in.
    pub(crate) fn ring(&self) {
        self.queue.tail.bell.ring();
    }

    /// Has `waker` woken when there is room: to be called before the queue is looked at once more.
    pub(crate) fn await_room(&self, waker: &Waker) {
        self.queue.head.bell.await_ring(waker);
    }

    /// Gives this end up, and wakes who waits at the other.
    pub(crate) fn close(&self) {
        self.queue.close();
        self.ring();
    }

    /// Whether the other end, or this one, was given up.
    pub(crate) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }
}

impl<T> Consumer<T> {
    /// Takes the oldest value out.
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        // SAFETY: the cell is between head and tail, so it is the consumer's, and holds a value, which is moved out
        // once, as the head goes on.
        let value = self.queue.cell(self.head).with_mut(|cell| unsafe { cell.cast::<T>().read() });
        self.head = self.head.wrapping_add(1);
        self.queue.head.count.store(self.head, Ordering::Release);
        Some(value)
    }

    /// Whether there is nothing to take out.
    pub(crate) fn is_empty(&mut self) -> bool {
        if self.head == self.tail_seen {
            self.tail_seen = self.queue.tail.count.load(Ordering::Acquire);
        }
        self.head == self.tail_seen
    }

    /// Wakes who waits for room. To be called after a value was taken out.
    pub(crate) fn ring(&self) {
        self.queue.head.bell.ring();
    }

    /// Has `waker` woken when there is a value: to be called before the queue is looked at once more.
    pub(crate) fn await_value(&self, waker: &Waker) {
        self.queue.tail.bell.await_ring(waker);
    }

    /// Gives this end up, and wakes who waits at the other.
    pub(crate) fn close(&self) {
        self.queue.close();
        self.ring();
    }

    /// Whether the other end, or this one, was given up. What was put in before that is seen by who looks after this.
    pub(crate) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }
}

impl Position {
    fn new() -> Self {
        Self { count: AtomicUsize::new(0), bell: DoorBell::new() }
    }
}

impl<T> Queue<T> {
    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn cell(&self, position: usize) -> &UnsafeCell<MaybeUninit<T>> {
        &self.cells[position & (self.cells.len() - 1)]
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        let (mut head, tail) =
            (self.head.count.load(Ordering::Relaxed), self.tail.count.load(Ordering::Relaxed));
        while head != tail {
            // SAFETY: between head and tail there are values, and nobody else has the queue.
            self.cell(head).with_mut(|cell| unsafe { cell.cast::<T>().drop_in_place() });
            head = head.wrapping_add(1);
        }
    }
}
