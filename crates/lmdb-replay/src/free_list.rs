//! A list of free pages, as LMDB stores it: a count and that many page numbers, 8 bytes each.

use crate::format::u64_at;

/// The pages in `list`, as far as it has bytes for its count.
pub(crate) fn pages(list: &[u8]) -> impl Iterator<Item = u64> {
    let count = if list.len() < 8 { 0 } else { u64_at(list, 0) };
    let room = list.len() / 8;
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(room.saturating_sub(1));
    (1..=count).map(|at| u64_at(list, 8 * at))
}
