//! A hierarchical timer wheel: timers set and cancelled in constant time, fired in the order of their deadlines.
//!
//! After G. Varghese and T. Lauck, "Hashed and hierarchical timing wheels" (SOSP 1987), scheme 7: [`LEVELS`]
//! wheels of 64 slots, each slot of one as wide as the whole wheel below. Unlike there a slot keeps exact deadlines,
//! so that nothing fires early, and nothing later than whoever asks [`Wheel::next_event`] and waits for it. Time
//! is nanoseconds since any start.

use crate::slots::{Key, Slots};

/// Timers, each with a value that is handed out when it fires.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    timers: Slots<Timer<T>>,
    /// First timer of each slot; the others hang on it.
    heads: Box<[[Option<Key>; SLOTS]; LEVELS]>,
    /// One bit for each slot that is not empty.
    occupied: [u64; LEVELS],
    /// Everything before this tick has fired or been moved down.
    tick_now: u64,
    next_sequence: u64,
}

#[derive(Debug)]
struct Timer<T> {
    deadline_ns: u64,
    /// Ties are broken by the order of setting.
    sequence: u64,
    value: T,
    place: (usize, usize),
    previous: Option<Key>,
    next: Option<Key>,
}

impl<T> Wheel<T> {
    pub(crate) fn new() -> Self {
        Self {
            timers: Slots::new(),
            heads: Box::new([[None; SLOTS]; LEVELS]),
            occupied: [0; LEVELS],
            tick_now: 0,
            next_sequence: 0,
        }
    }

    /// Sets a timer. One whose deadline has passed fires at the next [`Self::fire`].
    pub(crate) fn set(&mut self, deadline_ns: u64, value: T) -> Key {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let key = self.timers.insert(Timer {
            deadline_ns,
            sequence,
            value,
            place: (0, 0),
            previous: None,
            next: None,
        });
        self.link(key);
        key
    }

    /// Takes a timer back, unless it has fired.
    pub(crate) fn cancel(&mut self, key: Key) -> Option<T> {
        self.timers.get(key)?;
        self.unlink(key);
        self.timers.remove(key).map(|timer| timer.value)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.timers.get_mut(key).map(|timer| &mut timer.value)
    }

    /// Deadline and value of each timer, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.timers.iter().map(|(_, timer)| (timer.deadline_ns, &timer.value))
    }

    pub(crate) fn len(&self) -> usize {
        self.timers.len()
    }

    /// When [`Self::fire`] has something to do: the earliest deadline if it is near, else when timers that are far
    /// away have to be looked at again, which is never later than the earliest deadline.
    pub(crate) fn next_event(&self) -> Option<u64> {
        let level = self.occupied.iter().position(|occupied| *occupied != 0)?;
        let from = slot_of(self.tick_now, level);
        let distance =
            self.occupied[level].rotate_right(u32::try_from(from).expect("below 64")).trailing_zeros();
        let slot = (from + distance as usize) % SLOTS;
        if level > 0 {
            let width = level_bits(level);
            let start = ((self.tick_now >> width) + u64::from(distance)) << width;
            return Some(start.saturating_mul(TICK_NS));
        }
        self.list(level, slot).map(|timer| timer.deadline_ns).min()
    }

    /// Hands out the values of all timers whose deadline is `now_ns` or earlier, by deadline, then by setting.
    pub(crate) fn fire(&mut self, now_ns: u64, fired: &mut Vec<T>) {
        let tick = now_ns / TICK_NS;
        let mut due: Vec<(u64, u64, Key)> = Vec::new();
        loop {
            let mut early = Vec::new();
            let mut at = self.heads[0][slot_of(self.tick_now, 0)];
            while let Some(key) = at {
                let timer = self.timers.get(key).expect("linked timers exist");
                at = timer.next;
                if timer.deadline_ns <= now_ns {
                    due.push((timer.deadline_ns, timer.sequence, key));
                    self.unlink(key);
                } else if self.tick_now < tick {
                    // Beyond the horizon when it was set, and perhaps still.
                    early.push(key);
                    self.unlink(key);
                }
            }
            if self.tick_now >= tick {
                break;
            }
            self.advance(tick);
            for key in early {
                self.link(key);
            }
        }
        due.sort_unstable_by_key(|(deadline, sequence, _)| (*deadline, *sequence));
        fired.extend(
            due.into_iter().filter_map(|(_, _, key)| self.timers.remove(key)).map(|timer| timer.value),
        );
    }

    /// Moves on to the next tick that has something to do, at most to `tick`, and brings down what is near now.
    fn advance(&mut self, tick: u64) {
        let next = self.next_tick().map_or(tick, |next| next.min(tick));
        self.tick_now = next.max(self.tick_now + 1).min(tick);
        for level in (1..LEVELS).rev() {
            // A slot of a level is opened when time enters it.
            let slot = slot_of(self.tick_now, level);
            if self.occupied[level] & (1 << slot) == 0 {
                continue;
            }
            self.occupied[level] &= !(1 << slot);
            let mut at = self.heads[level][slot].take();
            while let Some(key) = at {
                let timer = self.timers.get_mut(key).expect("linked timers exist");
                at = timer.next;
                (timer.previous, timer.next) = (None, None);
                self.link(key);
            }
        }
    }

    /// The first tick after now at which a slot is to be looked at.
    fn next_tick(&self) -> Option<u64> {
        let after = |level: usize| {
            let width = level_bits(level);
            let from = (self.tick_now >> width) + 1;
            let at = u32::try_from(from % SLOTS as u64).expect("below 64");
            let rotated = self.occupied[level].rotate_right(at);
            (rotated != 0).then(|| (from + u64::from(rotated.trailing_zeros())) << width)
        };
        (0..LEVELS).filter_map(after).min()
    }

    /// Hangs a timer where its deadline belongs.
    fn link(&mut self, key: Key) {
        let tick_now = self.tick_now;
        let timer = self.timers.get_mut(key).expect("the caller has it");
        let tick = (timer.deadline_ns / TICK_NS).clamp(tick_now, tick_now | HORIZON_MASK);
        // The highest bit in which the two differ tells the level, as in the kernel's and tokio's wheels.
        let differing = (tick ^ tick_now) | (SLOTS as u64 - 1);
        let level = (63 - differing.leading_zeros() as usize) / SLOT_BITS;
        let slot = slot_of(tick, level);
        timer.place = (level, slot);
        timer.previous = None;
        timer.next = self.heads[level][slot];
        let next = timer.next;
        self.heads[level][slot] = Some(key);
        self.occupied[level] |= 1 << slot;
        if let Some(next) = next {
            self.timers.get_mut(next).expect("linked timers exist").previous = Some(key);
        }
    }

    fn unlink(&mut self, key: Key) {
        let timer = self.timers.get(key).expect("the caller has it");
        let (place, previous, next) = (timer.place, timer.previous, timer.next);
        if let Some(next) = next {
            self.timers.get_mut(next).expect("linked timers exist").previous = previous;
        }
        if let Some(previous) = previous {
            self.timers.get_mut(previous).expect("linked timers exist").next = next;
            return;
        }
        let (level, slot) = place;
        self.heads[level][slot] = next;
        if next.is_none() {
            self.occupied[level] &= !(1 << slot);
        }
    }

    fn list(&self, level: usize, slot: usize) -> impl Iterator<Item = &Timer<T>> {
        let get = |key| self.timers.get(key).expect("linked timers exist");
        std::iter::successors(self.heads[level][slot].map(get), move |timer| timer.next.map(get))
    }
}

/// The slot of `tick` in a level.
fn slot_of(tick: u64, level: usize) -> usize {
    usize::try_from((tick >> level_bits(level)) % SLOTS as u64).expect("below 64")
}

const fn level_bits(level: usize) -> usize {
    level * SLOT_BITS
}

const SLOT_BITS: usize = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// Seven levels of 64 slots of 65.5 us reach nine years; what is later is looked at again then.
const LEVELS: usize = 7;
const HORIZON_MASK: u64 = (1 << (SLOT_BITS * LEVELS)) - 1;
/// Width of a slot of the lowest level: about what a wake-up of an idle machine takes.
const TICK_NS: u64 = 1 << 16;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{TICK_NS, Wheel};

    #[test]
    fn deadlines_are_exact_and_in_order() {
        let mut wheel = Wheel::new();
        for deadline in [500, 100, 100_000_000_000, 100, 65_537, 7_000_000] {
            wheel.set(deadline, deadline);
        }
        let mut fired = Vec::new();
        wheel.fire(99, &mut fired);
        assert_eq!((fired.len(), wheel.next_event()), (0, Some(100)));
        wheel.fire(100, &mut fired);
        assert_eq!(fired, [100, 100]);
        wheel.fire(10_000_000_000, &mut fired);
        assert_eq!(fired, [100, 100, 500, 65_537, 7_000_000]);
        assert!(wheel.next_event().unwrap() <= 100_000_000_000);
        wheel.fire(u64::MAX, &mut fired);
        assert_eq!((fired.last(), wheel.len()), (Some(&100_000_000_000), 0));
    }

    #[test]
    fn a_deadline_beyond_the_horizon_waits() {
        let mut wheel = Wheel::new();
        wheel.set(u64::MAX, ());
        let mut fired = Vec::new();
        wheel.fire(u64::MAX / 2, &mut fired);
        assert!(fired.is_empty());
        wheel.fire(u64::MAX, &mut fired);
        assert_eq!(fired, [()]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// This long after now.
        Set(u64),
        Cancel(usize),
        /// By this much.
        Pass(u64),
        /// Until the wheel wants to be called.
        PassToNext,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let span = prop_oneof![0..10_u64, 0..10 * TICK_NS, 0..100_000_000_u64, 0..1_u64 << 42, Just(1 << 60)];
        let step = prop_oneof![
            4 => span.clone().prop_map(Step::Set),
            1 => any::<usize>().prop_map(Step::Cancel),
            2 => span.prop_map(Step::Pass),
            2 => Just(Step::PassToNext),
        ];
        prop::collection::vec(step, 0..120)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]

        /// Against a sorted map: the same timers fire at the same calls, in the same order, and the wheel never
        /// asks to be called later than the earliest deadline.
        #[test]
        fn the_wheel_is_a_sorted_map(steps in steps()) {
            let (mut wheel, mut model, mut keys) = (Wheel::new(), BTreeMap::new(), Vec::new());
            let mut now = 0_u64;
            for step in steps {
                match step {
                    Step::Set(after) => {
                        let number = keys.len();
                        let deadline = now.saturating_add(after);
                        keys.push((wheel.set(deadline, number), deadline));
                        model.insert((deadline, number), number);
                    }
                    Step::Cancel(which) if !keys.is_empty() => {
                        let number = which % keys.len();
                        let (key, deadline) = keys[number];
                        prop_assert_eq!(wheel.cancel(key), model.remove(&(deadline, number)));
                    }
                    Step::Cancel(_) => {}
                    Step::Pass(span) => now = now.saturating_add(span),
                    Step::PassToNext => now = now.max(wheel.next_event().unwrap_or(now)),
                }
                let mut fired = Vec::new();
                wheel.fire(now, &mut fired);
                let later = model.split_off(&(now, usize::MAX));
                let expected: Vec<usize> = std::mem::replace(&mut model, later).into_values().collect();
                prop_assert_eq!(fired, expected);
                prop_assert_eq!(wheel.len(), model.len());
                let earliest = model.keys().next().map(|(deadline, _)| *deadline);
                match (wheel.next_event(), earliest) {
                    (Some(event), Some(earliest)) => prop_assert!(event <= earliest && (event > now || earliest <= now)),
                    (event, earliest) => prop_assert_eq!(event, earliest),
                }
            }
        }
    }
}
