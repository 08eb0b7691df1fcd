//! Which tasks are ready to run. Apart from the world's core, so that a waker may be called whatever is borrowed.

use std::collections::VecDeque;

use crate::world::waker::TaskRef;

/// The tasks that are ready, in the order in which they were woken.
///
/// They run in rounds: what is woken while a round lasts is for the next, so that a task that yields lets all
/// others run, whatever the order within a round.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    slots: Vec<Flags>,
    round: VecDeque<u32>,
    next_round: Vec<u32>,
    polled: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Flags {
    generation: u32,
    is_taken: bool,
    is_queued: bool,
    woke_itself: bool,
}

impl Ready {
    /// Makes room for a task in `slot`, and queues it. Returns its generation.
    pub(super) fn open(&mut self, slot: u32) -> u32 {
        let index = slot as usize;
        if index == self.slots.len() {
            self.slots.push(Flags { generation: 0, is_taken: false, is_queued: false, woke_itself: false });
        }
        let flags = &mut self.slots[index];
        flags.is_taken = true;
        flags.is_queued = true;
        self.next_round.push(slot);
        flags.generation
    }

    /// The task in `slot` is no more: its wakers wake nobody from now on.
    pub(super) fn close(&mut self, slot: u32) {
        let flags = &mut self.slots[slot as usize];
        let was_queued = std::mem::take(&mut flags.is_queued);
        flags.generation = TaskRef::generation_after(flags.generation);
        flags.is_taken = false;
        if was_queued {
            self.round.retain(|other| *other != slot);
            self.next_round.retain(|other| *other != slot);
        }
    }

    /// Queues the task in `slot`, unless it is queued or that generation is over.
    #[inline]
    pub(super) fn wake(&mut self, slot: u32, generation: u32) {
        let Some(flags) = self.slots.get_mut(slot as usize) else { return };
        if flags.generation != generation || !flags.is_taken {
            return;
        }
        flags.woke_itself |= self.polled == Some(slot);
        if !std::mem::replace(&mut flags.is_queued, true) {
            self.next_round.push(slot);
        }
    }

    /// As [`Self::wake`] and [`Self::take`] in one, while no task is ready. Tells whether there is such a task.
    #[inline]
    pub(super) fn take_woken(&mut self, slot: u32, generation: u32) -> bool {
        let Some(flags) = self.slots.get_mut(slot as usize) else { return false };
        if flags.generation != generation || !flags.is_taken {
            return false;
        }
        flags.woke_itself = false;
        true
    }

    /// Takes the task that waited for `place` others in this round, to be polled.
    pub(super) fn take(&mut self, place: usize) -> Option<u32> {
        let slot = if place == 0 { self.round.pop_front() } else { self.round.remove(place) };
        if let Some(slot) = slot {
            let flags = &mut self.slots[slot as usize];
            flags.is_queued = false;
            flags.woke_itself = false;
        }
        slot
    }

    /// Notes that the task in `slot` is being polled, or none.
    #[inline]
    pub(super) fn set_polled(&mut self, slot: Option<u32>) {
        self.polled = slot;
    }

    /// Whether the task in `slot` woke itself since it was taken.
    pub(super) fn woke_itself(&self, slot: u32) -> bool {
        self.slots[slot as usize].woke_itself
    }

    /// The tasks of this round; begins the next one if it is over.
    pub(super) fn round(&mut self) -> &VecDeque<u32> {
        if self.round.is_empty() {
            self.round.extend(self.next_round.drain(..));
        }
        &self.round
    }

    /// All tasks that are ready, as one round.
    pub(super) fn all(&mut self) -> &VecDeque<u32> {
        self.round.extend(self.next_round.drain(..));
        &self.round
    }

    /// Whether no task is ready.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.round.is_empty() && self.next_round.is_empty()
    }

    /// The generation of the task in `slot`.
    #[inline]
    pub(super) fn generation(&self, slot: u32) -> u32 {
        self.slots[slot as usize].generation
    }
}
