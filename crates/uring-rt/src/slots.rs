//! A table of slots with generations: what a completion names by a number, which may be stale.
//!
//! A key is an index and the generation of its slot. A slot that was freed and filled again has another
//! generation, so that a late completion of its last tenant finds nothing.

use std::fmt;

/// Names one tenancy of one slot. As the ring's `user_data`: index in the lower half, generation in the upper.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(u64);

impl Key {
    /// The key that was given to the kernel as `bits`. Any bits are fine: what names nothing finds nothing.
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// What the kernel is given. Never one of the reserved values, see [`GENERATION_MAX`].
    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    /// The number of the slot, which others have at other times.
    pub(crate) const fn slot(self) -> usize {
        self.index() as usize
    }

    const fn new(index: u32, generation: u32) -> Self {
        Self(index as u64 | (generation as u64) << 32)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    const fn index(self) -> u32 {
        self.0 as u32
    }

    const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index(), self.generation())
    }
}

/// The table. Grows as needed; its owner bounds how much is in it.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    places: Vec<Slot<T>>,
    free: Option<u32>,
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    Full(T),
    /// And the next free slot, if any.
    Free(Option<u32>),
}

impl<T> Slots<T> {
    pub(crate) const fn new() -> Self {
        Self { places: Vec::new(), free: None, len: 0 }
    }

    #[inline]
    pub(crate) fn insert(&mut self, value: T) -> Key {
        self.len += 1;
        // One place where the value is written, so that it is put together there.
        let index = match self.free {
            Some(index) => index,
            None => self.grow(),
        };
        let slot = &mut self.places[index as usize];
        let State::Free(next) = slot.state else { unreachable!("a full slot is on the free list") };
        self.free = next;
        slot.state = State::Full(value);
        Key::new(index, slot.generation)
    }

    /// Adds a free slot, as the only one.
    #[cold]
    fn grow(&mut self) -> u32 {
        let index = u32::try_from(self.places.len()).expect("fewer than 2^32 values");
        self.places.push(Slot { generation: 1, state: State::Free(None) });
        index
    }

    /// Takes what `key` names, or nothing if it is stale.
    #[inline]
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.places.get_mut(key.index() as usize)?;
        if slot.generation != key.generation() || matches!(slot.state, State::Free(_)) {
            return None;
        }
        slot.generation = if slot.generation == GENERATION_MAX { 1 } else { slot.generation + 1 };
        let State::Full(value) = std::mem::replace(&mut slot.state, State::Free(self.free)) else {
            unreachable!("looked at above");
        };
        self.free = Some(key.index());
        self.len -= 1;
        Some(value)
    }

    /// As [`Self::remove`], but drops it in place: for what is large and of which the better part was moved out. Tells
    /// whether there was anything.
    #[inline]
    pub(crate) fn discard(&mut self, key: Key) -> bool {
        let Some(slot) = self.places.get_mut(key.index() as usize) else { return false };
        if slot.generation != key.generation() || matches!(slot.state, State::Free(_)) {
            return false;
        }
        slot.generation = if slot.generation == GENERATION_MAX { 1 } else { slot.generation + 1 };
        let next = self.free.replace(key.index());
        self.len -= 1;
        slot.state = State::Free(next);
        true
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.places.get_mut(key.index() as usize)? {
            Slot { generation, state: State::Full(value) } if *generation == key.generation() => Some(value),
            _ => None,
        }
    }

    /// All values, in the order of their indices.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.places.iter_mut().filter_map(|slot| match &mut slot.state {
            State::Full(value) => Some(value),
            State::Free(_) => None,
        })
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        match self.places.get(key.index() as usize)? {
            Slot { generation, state: State::Full(value) } if *generation == key.generation() => Some(value),
            _ => None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The values and their keys, in the order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        (0..).zip(&self.places).filter_map(|(index, slot)| match &slot.state {
            State::Full(value) => Some((Key::new(index, slot.generation), value)),
            State::Free(_) => None,
        })
    }
}

/// Generations go from 1 to this, and start over. Keys above are never given out, and neither is 0: the driver
/// uses them for what has no slot.
pub(crate) const GENERATION_MAX: u32 = u32::MAX - 1;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{GENERATION_MAX, Key, Slots};

    #[test]
    fn a_stale_key_finds_nothing() {
        let mut slots = Slots::new();
        let first = slots.insert("first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second");
        assert_eq!(second.index(), first.index(), "the slot is used again");
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&"second"));
        assert_eq!(slots.get(Key::from_bits(7)), None, "a key that was never given out");
    }

    #[test]
    fn generations_start_over_below_the_reserved_keys() {
        let mut slots = Slots::new();
        let key = slots.insert(());
        slots.remove(key);
        slots.places[0].generation = GENERATION_MAX;
        let last = slots.insert(());
        assert_eq!(last.generation(), GENERATION_MAX);
        slots.remove(last);
        assert_eq!(slots.insert(()).generation(), 1);
    }

    proptest! {
        /// Inserts and removals against a map; every key that was ever given out is tried at the end.
        #[test]
        fn slots_are_a_map_with_keys_of_its_own(script in prop::collection::vec((any::<bool>(), any::<usize>()), 0..200)) {
            let (mut slots, mut model, mut given) = (Slots::new(), BTreeMap::new(), Vec::new());
            for (number, (is_insert, which)) in script.into_iter().enumerate() {
                if is_insert || given.is_empty() {
                    let key = slots.insert(number);
                    prop_assert!(!given.contains(&key), "a key was given out twice");
                    given.push(key);
                    model.insert(key, number);
                } else {
                    let key = given[which % given.len()];
                    // One way or the other.
                    if number % 2 == 0 {
                        prop_assert_eq!(slots.remove(key), model.remove(&key));
                    } else {
                        prop_assert_eq!(slots.discard(key), model.remove(&key).is_some());
                    }
                }
                prop_assert_eq!(slots.len(), model.len());
            }
            for key in given {
                prop_assert_eq!(slots.get(key), model.get(&key));
            }
            prop_assert_eq!(slots.iter().count(), model.len());
        }
    }
}
