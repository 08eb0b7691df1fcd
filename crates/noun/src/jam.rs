//! Nouns as bytes: each distinct noun once, and where it comes again, a reference to its place.

use crate::atom::Atom;
use crate::bits::BitWriter;
use crate::distinct::{Distinct, Named, Part, distinct};
use crate::noun::Noun;
use crate::table::{Table, spread};

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
        let mut small = SmallAtoms { numbers: Table::new(), places: Vec::new() };
        let mut pending = vec![root];
        while let Some(name) = pending.pop() {
            let (part, place) = match name.named() {
                Named::Small(number) => {
                    small.push(&mut out, number);
                    continue;
                }
                Named::Part(number) => (parts[number], &mut places[number]),
            };
            match (part, *place) {
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

/// Where small atoms stand that a reference might be shorter than: those that came first at a shorter number.
struct SmallAtoms {
    /// Positions in `places`, by number.
    numbers: Table,
    places: Vec<(u32, u64)>,
}

impl SmallAtoms {
    fn push(&mut self, out: &mut BitWriter, number: u32) {
        let atom = Atom::new(number.into());
        // Once places are as long as the atom, no reference to one of them is shorter.
        if bit_length(number.into()) <= bit_length(out.len()) && self.places.is_empty() {
            return push_atom(out, &atom);
        }
        let hash = spread(number.into());
        let found = self.numbers.find(hash, |at| self.places[at as usize].0 == number);
        if let Some(at) = found {
            let (_, place) = self.places[at as usize];
            return push_reference(out, place);
        }
        if bit_length(number.into()) > bit_length(out.len()) {
            let at = u32::try_from(self.places.len()).expect("there are fewer than small atoms");
            self.places.push((number, out.len()));
            self.numbers.insert(hash, at);
        }
        push_atom(out, &atom);
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
