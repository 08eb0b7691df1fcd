use super::wheel::Bucket;
use super::{EventId, NEAR_MAX, Queue};
use crate::draws::{Stream, scale};
use crate::time::SimTime;

/// A queue beside the sorted list that it stands for.
struct Both {
    queue: Queue<u64>,
    list: Vec<(SimTime, u64, EventId)>,
    now: SimTime,
    put: u64,
}

impl Both {
    fn new() -> Self {
        Self { queue: Queue::new(), list: Vec::new(), now: SimTime::ZERO, put: 0 }
    }

    fn put(&mut self, time: SimTime) {
        let id = self.queue.put(time, self.put);
        let place = self.list.partition_point(|(other, ..)| *other <= time);
        self.list.insert(place, (time, self.put, id));
        self.put += 1;
    }

    fn cancel(&mut self, place: usize) {
        let (_, number, id) = self.list.remove(place);
        assert_eq!(self.queue.cancel(id), Some(number));
        assert_eq!(self.queue.cancel(id), None);
    }

    fn take(&mut self) {
        let fence = self.queue.fence();
        if let Some(before) = self.list.first().and_then(|(time, ..)| time.as_nanos().checked_sub(1)) {
            assert_eq!(self.queue.take_due_before(SimTime::from_nanos(before), fence), None);
        }
        let expected = (!self.list.is_empty()).then(|| self.list.remove(0)).map(|(time, n, _)| (time, n));
        assert_eq!(self.queue.take_due_before(SimTime::MAX, fence), expected);
        self.now = expected.map_or(self.now, |(time, _)| time);
    }

    /// Each event has one place, and there is nothing else anywhere.
    fn check_places(&self) {
        let filed = self.queue.slots.iter().filter(|slot| slot.bucket != Bucket::NONE).count();
        assert_eq!(
            self.queue.near.len() + filed,
            self.list.len(),
            "something is left of an event that is gone"
        );
        assert_eq!(self.queue.wheel.is_empty(), filed == 0);
        assert_eq!(self.queue.len(), self.list.len());
    }
}

/// Takes a random number of steps, of which half put in: as programs do, from now on, or at any time.
fn check_against_list(seed: u64, spread: u64, is_from_now_on: bool, most: usize) {
    let mut random = Stream::from_seed(seed);
    let mut both = Both::new();
    for step in 0..30_000 {
        let mut draw = |bound| scale(random.next_u64(), bound);
        let is_full = both.list.len() >= most;
        match draw(12) {
            0..6 if !is_full => {
                let start = if is_from_now_on { both.now } else { SimTime::ZERO };
                // Some far, some near, some at the same time as others.
                let time = start.after_nanos(draw(spread) >> (draw(4) * 8));
                both.put(time);
            }
            6..9 if !both.list.is_empty() => {
                let place = usize::try_from(draw(both.list.len() as u64)).unwrap();
                both.cancel(place);
            }
            _ => both.take(),
        }
        if step % 64 == 0 {
            both.check_places();
        }
    }
    while !both.list.is_empty() {
        both.take();
    }
    both.check_places();
}

#[test]
fn it_is_a_sorted_list_of_few() {
    check_against_list(1, 500, true, NEAR_MAX / 2);
}

#[test]
fn it_is_a_sorted_list_around_the_number_that_is_near() {
    check_against_list(2, 1_000_000_000, true, NEAR_MAX + 6);
}

#[test]
fn it_is_a_sorted_list_of_many() {
    check_against_list(3, 1_000_000_000, true, 5000);
    check_against_list(4, 500, true, 5000);
}

#[test]
fn it_is_a_sorted_list_to_the_end_of_time() {
    check_against_list(5, u64::MAX, true, 5000);
    check_against_list(6, u64::MAX, false, 5000);
}

#[test]
fn it_is_a_sorted_list_of_any_times() {
    check_against_list(7, 500, false, 5000);
    check_against_list(8, 1_000_000_000_000, false, 5000);
}

/// What is due at one instant is near all at once, however much it is, in the order in which it was put in.
#[test]
fn an_instant_may_have_many() {
    let mut both = Both::new();
    for number in 0..1000 {
        both.put(SimTime::from_nanos(1_000_000));
        both.put(SimTime::from_nanos(1_000_000 + number % 3));
        both.put(SimTime::from_nanos(7));
    }
    for _ in 0..1001 {
        both.take();
    }
    both.put(SimTime::from_nanos(999_999));
    both.put(SimTime::from_nanos(1_000_000));
    while !both.list.is_empty() {
        both.take();
    }
    both.check_places();
}

/// Nothing is left of an event that was taken back, near or far: a program that puts a limit on each of its calls
/// takes nearly all of them back.
#[test]
fn what_was_taken_back_leaves_nothing() {
    let mut both = Both::new();
    for number in 0..10 * NEAR_MAX as u64 {
        both.put(SimTime::from_nanos(number * number * 1000));
    }
    both.check_places();
    assert!(!both.queue.wheel.is_empty() && both.queue.near.len() > 1, "some are near, and some far");
    let slots = both.queue.slots.len();
    while both.list.len() > 1 {
        // From both ends and the middle, in turn.
        both.cancel([0, both.list.len() - 1, both.list.len() / 2][both.list.len() % 3]);
        both.check_places();
    }
    for _ in 0..10_000 {
        both.put(SimTime::from_nanos(3_600_000_000_000));
        both.cancel(both.list.len() - 1);
    }
    both.check_places();
    assert_eq!(both.queue.slots.len(), slots, "slots are used again");
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
