//! Which descriptors a ring has looked up for good, and in which slot of its table.

use std::os::fd::RawFd;

/// A table of slots. The kernel holds a file open while it is in one.
#[derive(Debug, Default)]
pub(crate) struct FileSlots {
    /// By descriptor, which are small numbers; one more than the slot, 0 if there is none.
    slots: Vec<u16>,
    free: Vec<u16>,
}

impl FileSlots {
    /// A table of `count` slots, all free.
    pub(crate) fn new(count: u16) -> Self {
        Self { slots: Vec::new(), free: (0..count).rev().collect() }
    }

    /// A free slot for `fd`, which has none.
    ///
    /// # Panics
    ///
    /// If it has one.
    pub(crate) fn take(&mut self, fd: RawFd) -> Option<u16> {
        assert_eq!(self.of(fd), None, "a file is in one slot");
        let index = usize::try_from(fd).ok().filter(|fd| *fd < DESCRIPTORS_MAX)?;
        let slot = self.free.pop()?;
        if self.slots.len() <= index {
            self.slots.resize(index + 1, 0);
        }
        self.slots[index] = slot + 1;
        Some(slot)
    }

    /// The slot of `fd`, which it had, if it had one, is another's to have.
    pub(crate) fn give(&mut self, fd: RawFd) -> Option<u16> {
        let slot = self.of(fd)?;
        self.slots[usize::try_from(fd).ok()?] = 0;
        self.free.push(slot);
        Some(slot)
    }

    /// The slot of `fd`. A load and a compare.
    pub(crate) fn of(&self, fd: RawFd) -> Option<u16> {
        let found = self.slots.get(usize::try_from(fd).ok()?)?;
        found.checked_sub(1)
    }
}

/// Descriptors above have no slot: the table is as long as the largest that has.
const DESCRIPTORS_MAX: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::FileSlots;

    #[test]
    fn slots_are_taken_and_given() {
        let mut slots = FileSlots::new(2);
        assert_eq!((slots.take(70), slots.take(3), slots.take(4)), (Some(0), Some(1), None));
        assert_eq!((slots.of(70), slots.of(3), slots.of(4), slots.of(-1)), (Some(0), Some(1), None, None));
        assert_eq!((slots.give(70), slots.give(70), slots.of(70)), (Some(0), None, None));
        assert_eq!((slots.take(1 << 16), slots.take(5), slots.of(3)), (None, Some(0), Some(1)));
        assert_eq!((FileSlots::default().take(1), FileSlots::default().of(1)), (None, None));
    }

    #[test]
    #[should_panic(expected = "a file is in one slot")]
    fn a_file_is_in_one_slot() {
        let mut slots = FileSlots::new(2);
        let _ = (slots.take(1), slots.take(1));
    }
}
