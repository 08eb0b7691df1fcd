//! A noun with one part replaced.

use crate::atom::Atom;
use crate::noun::Noun;

/// `noun` with `part` at `axis`, which is not 0; `None` if the axis leads into an atom.
///
/// Cells beside the way are shared with `noun`.
pub(super) fn edit(noun: &Noun, axis: &Atom, part: Noun) -> Option<Noun> {
    let bytes = axis.as_le_bytes();
    let is_tail = |bit: u64| {
        let byte = usize::try_from(bit / 8).expect("the bytes are in memory");
        (bytes[byte] >> (bit % 8)) & 1 == 1
    };
    let depth = axis.bit_length() - 1;
    // No longer than `noun` is deep, whatever the axis says.
    let mut beside = Vec::new();
    let mut inner = noun;
    for bit in (0..depth).rev() {
        let (head, tail) = inner.as_pair()?;
        let (next, other) = if is_tail(bit) { (tail, head) } else { (head, tail) };
        beside.push(other);
        inner = next;
    }
    let edited = (0..depth).zip(beside.into_iter().rev()).fold(part, |part, (bit, other)| {
        if is_tail(bit) { Noun::cell(other, part) } else { Noun::cell(part, other) }
    });
    Some(edited)
}
