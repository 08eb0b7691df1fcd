//! Wakers that are numbers: world, slot and generation in the place of a pointer, so that making, cloning and
//! dropping one is nothing, and waking one sets a flag.
//!
//! The unsafe part is that [`RawWaker`]'s table must be sound for the data given with it. The data is never
//! followed as a pointer; any number is good data.

use std::ptr::without_provenance;
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::world::registry::{self, WorldId};
use crate::world::{Shared, foreign};

/// A task in its slot, as a waker knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskRef {
    pub(crate) world: WorldId,
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl TaskRef {
    /// Slots are below this, so that three numbers fit a pointer.
    pub(crate) const SLOTS_MAX: u32 = 1 << SLOT_BITS;

    /// The generation after `generation`: they begin again after 2^20. A waker that is so old wakes a task for
    /// nothing, which every future must bear.
    pub(crate) const fn generation_after(generation: u32) -> u32 {
        (generation + 1) & ((1 << GENERATION_BITS) - 1)
    }

    /// The waker of this task.
    #[inline]
    pub(crate) fn waker(self) -> Waker {
        // SAFETY: the functions of the table take any number as data, follow no pointer, and touch only thread-local
        // cells and a mutex, so they may be called from any thread; see `VTABLE`.
        unsafe { Waker::from_raw(self.raw()) }
    }

    /// The task that `waker` wakes, if it is of the kind that worlds make.
    #[inline]
    pub(crate) fn of(waker: &Waker) -> Option<Self> {
        std::ptr::eq(waker.vtable(), &raw const VTABLE).then(|| Self::unpack(waker.data().addr()))
    }

    /// A clone of `waker`, if it is of the kind that worlds make: making and dropping it runs no code of users.
    #[inline]
    pub(crate) fn clone_of(waker: &Waker) -> Option<Waker> {
        let is_ours = std::ptr::eq(waker.vtable(), &raw const VTABLE);
        // SAFETY: as in `waker`; the table is ours, and takes any number as data.
        is_ours.then(|| unsafe { Waker::from_raw(RawWaker::new(waker.data(), &VTABLE)) })
    }

    fn raw(self) -> RawWaker {
        RawWaker::new(without_provenance(self.pack()), &VTABLE)
    }

    const fn pack(self) -> usize {
        ((self.world.number() as usize) << (SLOT_BITS + GENERATION_BITS))
            | ((self.slot as usize) << GENERATION_BITS)
            | self.generation as usize
    }

    #[expect(clippy::cast_possible_truncation, reason = "each is masked to its bits")]
    const fn unpack(data: usize) -> Self {
        Self {
            world: WorldId::from_number((data >> (SLOT_BITS + GENERATION_BITS)) as u32),
            slot: (data >> GENERATION_BITS) as u32 & (Self::SLOTS_MAX - 1),
            generation: data as u32 & ((1 << GENERATION_BITS) - 1),
        }
    }

    fn wake(self) {
        let wake = |shared: &Shared| shared.ready.borrow_mut().wake(self.slot, self.generation);
        if registry::with(self.world, wake).is_none() {
            foreign::woken(self);
        }
    }
}

/// Clones by copying, drops by forgetting, and wakes by number.
static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| TaskRef::unpack(data.addr()).raw(),
    |data| TaskRef::unpack(data.addr()).wake(),
    |data| TaskRef::unpack(data.addr()).wake(),
    |_| {},
);

const SLOT_BITS: u32 = 20;
const GENERATION_BITS: u32 = 20;

const _: () = assert!(
    WorldId::BITS + SLOT_BITS + GENERATION_BITS <= usize::BITS,
    "wakers are three numbers in a pointer of 64 bits"
);

#[cfg(test)]
mod tests {
    use super::TaskRef;
    use crate::world::registry::WorldId;

    #[test]
    fn three_numbers_fit_a_pointer() {
        for (world, slot, generation) in [(0, 0, 0), (0xff_ffff, 0xf_ffff, 0xf_ffff), (1, 2, 3)] {
            let task = TaskRef { world: WorldId::from_number(world), slot, generation };
            assert_eq!(TaskRef::unpack(task.pack()), task);
        }
        assert_eq!(TaskRef::generation_after(0xf_ffff), 0);
    }

    #[test]
    fn a_clone_wakes_the_same_task_and_another_does_not() {
        let task = TaskRef { world: WorldId::from_number(0xff_fffe), slot: 7, generation: 9 };
        let other = TaskRef { slot: 8, ..task };
        assert!(task.waker().will_wake(&task.waker().clone()));
        assert!(!task.waker().will_wake(&other.waker()));
        assert_eq!(TaskRef::of(&task.waker()), Some(task));
        assert_eq!(TaskRef::of(std::task::Waker::noop()), None);
    }
}
