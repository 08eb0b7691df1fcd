//! Slots that are used again, so that what they hold keeps its memory, and ids that notice when they are.

/// Which slot, and which use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SlotId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// Values in slots. A slot that is freed keeps its value, whose buffers the next use takes over.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    is_live: bool,
    value: T,
}

impl<T: Default> Slab<T> {
    /// No slots.
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }

    /// A slot for a new value: a default one, or whatever its use before left in it.
    ///
    /// # Panics
    ///
    /// If there are 2^32 of them.
    pub(crate) fn claim(&mut self) -> (SlotId, &mut T) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { generation: 0, is_live: false, value: T::default() });
            u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 of a kind at a time")
        });
        let entry = &mut self.entries[slot as usize];
        entry.is_live = true;
        (SlotId { slot, generation: entry.generation }, &mut entry.value)
    }

    /// Ends a slot's use.
    pub(crate) fn release(&mut self, id: SlotId) {
        let entry = &mut self.entries[id.slot as usize];
        debug_assert!(entry.is_live && entry.generation == id.generation, "a slot is released once");
        entry.is_live = false;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(id.slot);
    }

    /// The value, if its slot is still in that use.
    #[inline]
    pub(crate) fn get(&self, id: SlotId) -> Option<&T> {
        let entry = self.entries.get(id.slot as usize)?;
        (entry.is_live && entry.generation == id.generation).then_some(&entry.value)
    }

    /// The value, if its slot is still in that use.
    #[inline]
    pub(crate) fn get_mut(&mut self, id: SlotId) -> Option<&mut T> {
        let entry = self.entries.get_mut(id.slot as usize)?;
        (entry.is_live && entry.generation == id.generation).then_some(&mut entry.value)
    }

    /// The slots in use, by number.
    pub(crate) fn ids(&self) -> Vec<SlotId> {
        let live = self.entries.iter().zip(0..).filter(|(entry, _)| entry.is_live);
        live.map(|(entry, slot)| SlotId { slot, generation: entry.generation }).collect()
    }

    /// The values in use, by number.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().filter(|entry| entry.is_live).map(|entry| &entry.value)
    }
}

#[cfg(test)]
mod tests {
    use super::Slab;

    #[test]
    fn an_id_ends_with_its_use_and_the_memory_stays() {
        let mut slab = Slab::<Vec<u8>>::new();
        let (first, value) = slab.claim();
        value.extend([0; 100]);
        slab.release(first);
        assert_eq!(slab.get(first), None);
        let (second, value) = slab.claim();
        assert!(value.capacity() >= 100, "the buffer was not used again");
        assert_eq!(second.slot, first.slot);
        assert_ne!(second, first);
        assert_eq!(slab.ids(), [second]);
        assert_eq!(slab.get_mut(first), None);
    }
}
