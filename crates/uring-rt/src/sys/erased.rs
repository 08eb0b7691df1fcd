//! One value of any type, stored in place if it is small: what an operation owns, without a box for each.

use std::any::TypeId;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit, align_of, size_of};

/// A value whose type is known to whoever put it in.
///
/// It is moved as plain bytes, so that moving it does not touch what a buffer inside points at while the kernel
/// uses that.
pub(crate) struct Erased {
    words: MaybeUninit<[usize; INLINE_WORDS]>,
    table: &'static Table,
    /// Neither `Send` nor `Sync`, as the value need not be.
    on_one_thread: PhantomData<*const ()>,
}

/// What must be known of the type.
struct Table {
    type_id: fn() -> TypeId,
    /// Drops the value in these words.
    drop: unsafe fn(*mut usize),
}

impl Erased {
    pub(crate) fn new<T: 'static>(value: T) -> Self {
        if const { is_inline::<T>() } {
            Self::place(value, const { &Table { type_id: TypeId::of::<T>, drop: drop_words::<T> } })
        } else {
            let table = const { &Table { type_id: TypeId::of::<T>, drop: drop_words::<Box<T>> } };
            Self::place(Box::new(value), table)
        }
    }

    /// The value.
    ///
    /// # Panics
    ///
    /// If it is not a `T`.
    pub(crate) fn take<T: 'static>(self) -> T {
        assert!((self.table.type_id)() == TypeId::of::<T>(), "what was put in is what comes out");
        let this = ManuallyDrop::new(self);
        let words = this.words.as_ptr();
        if const { is_inline::<T>() } {
            // SAFETY: the type was just compared, so `new` placed a `T` here; `this` is not dropped.
            unsafe { words.cast::<T>().read() }
        } else {
            // SAFETY: as above, and for a type that is not small `new` placed a box.
            *unsafe { words.cast::<Box<T>>().read() }
        }
    }

    /// Stores `small`, of which `table` tells how to drop it.
    fn place<S>(small: S, table: &'static Table) -> Self {
        assert!(is_inline::<S>(), "what is placed is small");
        let mut words = MaybeUninit::<[usize; INLINE_WORDS]>::uninit();
        // SAFETY: `S` fits the words in size and alignment, by the assertion.
        unsafe { words.as_mut_ptr().cast::<S>().write(small) };
        Self { words, table, on_one_thread: PhantomData }
    }
}

impl Drop for Erased {
    fn drop(&mut self) {
        // SAFETY: the words hold the value that the table belongs to; `take` does not come here.
        unsafe { (self.table.drop)(self.words.as_mut_ptr().cast()) };
    }
}

/// # Safety
///
/// `words` holds an `S`, which is not used again.
unsafe fn drop_words<S>(words: *mut usize) {
    // SAFETY: the caller's promise.
    unsafe { words.cast::<S>().drop_in_place() };
}

const fn is_inline<T>() -> bool {
    size_of::<T>() <= INLINE_WORDS * size_of::<usize>() && align_of::<T>() <= align_of::<usize>()
}

/// A `Vec` in a slice of a slice takes seven words; a reference-counted handle beside a buffer takes one.
const INLINE_WORDS: usize = 7;

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::Erased;

    #[test]
    fn small_and_large_values_come_out_as_they_went_in() {
        assert_eq!(Erased::new(vec![1_u8, 2]).take::<Vec<u8>>(), [1, 2]);
        assert_eq!(Erased::new([7_u64; 9]).take::<[u64; 9]>(), [7; 9]);
        assert_eq!(Erased::new(5_u128).take::<u128>(), 5, "aligned wider than a word");
        Erased::new(()).take::<()>();
    }

    #[test]
    fn what_is_not_taken_is_dropped_once() {
        let shared = Rc::new(());
        drop(Erased::new(Rc::clone(&shared)));
        drop(Erased::new((Rc::clone(&shared), [0_usize; 9])));
        assert_eq!(Rc::strong_count(&shared), 1);
        let erased = Erased::new(Rc::clone(&shared));
        assert_eq!(Rc::strong_count(&shared), 2);
        drop(erased.take::<Rc<()>>());
        assert_eq!(Rc::strong_count(&shared), 1);
    }

    #[test]
    #[should_panic(expected = "what was put in is what comes out")]
    fn another_type_is_refused() {
        Erased::new(1_u32).take::<i32>();
    }
}
