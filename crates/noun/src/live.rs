//! How much memory the nouns of this thread take.

use std::cell::Cell;

/// Bytes that living nouns of this thread hold on the heap, by what was asked of the allocator.
///
/// A cell counts once however often it is shared; an atom below 2^64 counts nothing. The allocator's own rounding
/// is not in it.
///
/// ```
/// use samestep_noun::{Noun, live_bytes};
///
/// let before = live_bytes();
/// let pair = Noun::from((1, 2));
/// assert!(live_bytes() > before);
/// drop(pair);
/// assert_eq!(live_bytes(), before);
/// ```
pub fn live_bytes() -> usize {
    LIVE.get()
}

/// Counts an allocation of `bytes`.
#[inline]
pub(crate) fn taken(bytes: usize) {
    LIVE.set(LIVE.get() + bytes);
}

/// Counts that `bytes` were given back.
#[inline]
pub(crate) fn freed(bytes: usize) {
    LIVE.set(LIVE.get() - bytes);
}

thread_local! {
    // Nouns do not leave their thread, so neither does their count.
    static LIVE: Cell<usize> = const { Cell::new(0) };
}
