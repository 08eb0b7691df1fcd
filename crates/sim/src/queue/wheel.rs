//! What is far away: buckets of time, of which the first is looked into when nothing nearer is left.

use super::{NONE, Slot};
use crate::time::SimTime;

/// Slots of a queue in buckets, by when they are due.
///
/// A hierarchical timing wheel (Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987) of 11 levels that
/// are numbered from the finest: a bucket of level n is 64^n nanoseconds wide. A slot is in the level of the highest
/// digit, to the base of 64, in which its time differs from the wheel's own; so what is in a level is earlier than
/// all of the levels above it. Buckets are lists through the slots, so that filing and taking back touch few of them
/// and no memory is asked for.
#[derive(Debug)]
pub(super) struct Wheel {
    /// No slot is due before this.
    now: u64,
    /// First slots of the buckets; none at all until there is something to file.
    heads: Vec<u32>,
    /// A bit for each level that has something, and for each of its buckets that has.
    levels: u16,
    occupied: [u64; LEVELS],
}

/// A bucket of a wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket(u16);

#[expect(clippy::cast_possible_truncation, reason = "eleven levels of 64 are few")]
impl Bucket {
    /// What is in no bucket.
    pub(super) const NONE: Self = Self(u16::MAX);

    const fn new(level: u32, digit: u32) -> Self {
        Self(((level << DIGIT_BITS) | digit) as u16)
    }

    const fn level(self) -> u32 {
        (self.0 >> DIGIT_BITS) as u32
    }

    const fn digit(self) -> u32 {
        self.0 as u32 & DIGIT_MASK
    }

    /// Whether all that is in it is due at the same time.
    pub(super) const fn is_one_instant(self) -> bool {
        self.level() == 0
    }
}

impl Wheel {
    pub(super) const fn new() -> Self {
        Self { now: 0, heads: Vec::new(), levels: 0, occupied: [0; LEVELS] }
    }

    /// Sets the wheel's own time, to which it goes on by itself, when it is empty.
    pub(super) fn begin_at(&mut self, now: SimTime) {
        debug_assert!(self.is_empty(), "slots are filed by the wheel's own time");
        self.now = now.as_nanos();
    }

    /// Files slot number `number`, which is due at the wheel's own time or later.
    #[inline]
    pub(super) fn file<E>(&mut self, slots: &mut [Slot<E>], number: u32) {
        if self.heads.is_empty() {
            self.heads = vec![NONE; LEVELS << DIGIT_BITS];
        }
        let time = slots[number as usize].time.as_nanos();
        debug_assert!(time >= self.now, "what is filed is to come");
        let level = (u64::BITS - 1 - ((time ^ self.now) | 1).leading_zeros()) / DIGIT_BITS;
        let digit = digit_of(time, level);
        let bucket = Bucket::new(level, digit);
        let after = std::mem::replace(&mut self.heads[bucket.0 as usize], number);
        let slot = &mut slots[number as usize];
        slot.bucket = bucket;
        slot.before = NONE;
        slot.after = after;
        if after != NONE {
            slots[after as usize].before = number;
        }
        self.occupied[level as usize] |= 1 << digit;
        self.levels |= 1 << level;
    }

    /// Takes slot number `number` out of its bucket.
    pub(super) fn take_back<E>(&mut self, slots: &mut [Slot<E>], number: u32) {
        let Slot { before, after, bucket, .. } = slots[number as usize];
        slots[number as usize].bucket = Bucket::NONE;
        if after != NONE {
            slots[after as usize].before = before;
        }
        if before != NONE {
            slots[before as usize].after = after;
            return;
        }
        self.heads[bucket.0 as usize] = after;
        if after == NONE {
            self.note_empty(bucket);
        }
    }

    /// The bucket of what is due first, and the time at which it begins.
    pub(super) fn first(&self) -> Option<(Bucket, SimTime)> {
        if self.is_empty() {
            return None;
        }
        let level = self.levels.trailing_zeros();
        let digit = self.occupied[level as usize].trailing_zeros();
        let bucket = Bucket::new(level, digit);
        // The digits above it are the wheel's own.
        let above = (level + 1) * DIGIT_BITS;
        let start = if above >= u64::BITS { 0 } else { (self.now >> above) << above };
        Some((bucket, SimTime::from_nanos(start | (u64::from(digit) << (level * DIGIT_BITS)))))
    }

    /// Empties the first bucket, to whose beginning the wheel's own time goes. Its slots are a list from the one
    /// returned, in no order.
    pub(super) fn take(&mut self, bucket: Bucket, start: SimTime) -> u32 {
        self.now = start.as_nanos();
        self.note_empty(bucket);
        std::mem::replace(&mut self.heads[bucket.0 as usize], NONE)
    }

    /// The end of `bucket`, which begins at `start`: what is due then is in another.
    pub(super) const fn end(bucket: Bucket, start: SimTime) -> SimTime {
        start.after_nanos(1 << (bucket.level() * DIGIT_BITS))
    }

    /// The wheel's own time.
    pub(super) const fn now(&self) -> SimTime {
        SimTime::from_nanos(self.now)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.levels == 0
    }

    fn note_empty(&mut self, bucket: Bucket) {
        let occupied = &mut self.occupied[bucket.level() as usize];
        *occupied &= !(1 << bucket.digit());
        if *occupied == 0 {
            self.levels &= !(1 << bucket.level());
        }
    }
}

/// The digit of `time` that tells its bucket in `level`.
#[expect(clippy::cast_possible_truncation, reason = "masked to its bits")]
const fn digit_of(time: u64, level: u32) -> u32 {
    (time >> (level * DIGIT_BITS)) as u32 & DIGIT_MASK
}

const DIGIT_BITS: u32 = 6;
const DIGIT_MASK: u32 = (1 << DIGIT_BITS) - 1;
/// Digits of 64 bits.
const LEVELS: usize = 11;
