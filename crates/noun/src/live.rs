//! How much memory the nouns of this thread take.

use std::cell::Cell;
use std::collections::BTreeSet;

use crate::cell::CELL_BYTES;
use crate::noun::Noun;

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

/// Bytes that these nouns hold on the heap, what they share counted once.
///
/// Equal to what [`live_bytes`] grew by when they were made, so a difference is a noun that somebody else holds.
pub fn reachable_bytes<'a>(nouns: impl IntoIterator<Item = &'a Noun>) -> usize {
    let mut seen = BTreeSet::new();
    let mut pending: Vec<&Noun> = nouns.into_iter().collect();
    let mut bytes = 0;
    while let Some(noun) = pending.pop() {
        match noun {
            Noun::Atom(atom) => {
                if let Some((address, atom_bytes)) = atom.heap()
                    && seen.insert(address)
                {
                    bytes += atom_bytes;
                }
            }
            Noun::Cell(cell) => {
                if seen.insert(cell.address()) {
                    bytes += CELL_BYTES;
                    pending.extend([cell.tail(), cell.head()]);
                }
            }
        }
    }
    bytes
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
