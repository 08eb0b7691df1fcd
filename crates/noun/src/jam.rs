//! Nouns as bytes: each distinct noun once, and where it comes again, a reference to its place.

use crate::atom::Atom;
use crate::bits::BitWriter;
use crate::distinct::{Distinct, Part, distinct};
use crate::noun::Noun;

impl Noun {
    /// The noun as bytes, the shortest way that Hoon's `jam` has: equal nouns give equal bytes.
    ///
    /// A noun that comes again, by structure and not only by memory, is written as a reference to where it stood
    /// first, unless it is an atom no longer than that. The last byte is never 0. Time and memory grow with the cells
    /// in memory, not with those that are written out.
    ///
    /// ```
    /// use samestep_noun::Noun;
    ///
    /// assert_eq!(Noun::from((1, 1)).jam(), [0x31, 0x03]);
    /// # Ok::<(), samestep_noun::CueError>(())
    /// ```
    pub fn jam(&self) -> Vec<u8> {
        let Distinct { parts, root } = distinct(self);
        let mut out = BitWriter::new();
        // Where each part stands, by its number.
        let mut places = vec![None; parts.len()];
        let mut pending = vec![root];
        while let Some(number) = pending.pop() {
            let place = &mut places[number as usize];
            match (parts[number as usize], *place) {
                (Part::Atom(atom), Some(place)) if atom.bit_length() <= bit_length(place) => {
                    push_atom(&mut out, atom);
                }
                (_, Some(place)) => push_reference(&mut out, place),
                (part, None) => {
                    *place = Some(out.len());
                    match part {
                        Part::Atom(atom) => push_atom(&mut out, atom),
                        Part::Cell { head, tail } => {
                            out.push(0b01, 2);
                            pending.extend([tail, head]);
                        }
                    }
                }
            }
        }
        out.finish()
    }
}

fn push_atom(out: &mut BitWriter, atom: &Atom) {
    out.push(0, 1);
    push_mat(out, atom);
}

fn push_reference(out: &mut BitWriter, place: u64) {
    out.push(0b11, 2);
    push_mat(out, &Atom::new(place));
}

/// A number that tells its own length: the length of its length in zeros, a one, its length without the highest
/// bit, and its bits.
fn push_mat(out: &mut BitWriter, atom: &Atom) {
    if atom.is_zero() {
        return out.push(1, 1);
    }
    let length = atom.bit_length();
    let length_bits = u64::BITS - length.leading_zeros();
    out.push(0, length_bits);
    out.push(1, 1);
    out.push(length & !(1 << (length_bits - 1)), length_bits - 1);
    out.push_atom(atom);
}

fn bit_length(number: u64) -> u64 {
    u64::from(u64::BITS - number.leading_zeros())
}
