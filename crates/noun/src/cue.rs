//! Nouns from bytes that may be hostile.

use crate::atom::Atom;
use crate::bits::BitReader;
use crate::cell::CELL_BYTES;
use crate::noun::Noun;

impl Noun {
    /// The noun that [`jam`](Self::jam) wrote, with the default [`CueLimits`].
    ///
    /// What was shared in the bytes is shared in memory, so a jam that stands for 2^60 cells takes as little room as
    /// its bytes. Bits behind the noun are ignored, as some writers pad. A noun that could have been written shorter
    /// is read all the same.
    ///
    /// # Errors
    ///
    /// As [`cue_within`](Self::cue_within).
    pub fn cue(bytes: &[u8]) -> Result<Self, CueError> {
        Self::cue_within(bytes, &CueLimits::default())
    }

    /// As [`cue`](Self::cue), within limits of one's own.
    ///
    /// # Errors
    ///
    /// A [`CueError`] with the bit at which reading stopped. Nothing is kept.
    pub fn cue_within(bytes: &[u8], limits: &CueLimits) -> Result<Self, CueError> {
        let mut cue = Cue {
            bits: BitReader::new(bytes),
            places: Vec::new(),
            atoms: Vec::new(),
            open: Vec::new(),
            bytes_left: limits.memory_bytes_max,
            bytes_max: limits.memory_bytes_max,
        };
        cue.run()
    }
}

/// How much reading a noun may take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CueLimits {
    /// Bytes of memory for the noun and for what is remembered while it is read.
    ///
    /// A cell can be as short as four bits, and takes at most 300 bytes while it is read, 64 of which stay; so a jam
    /// of n bytes never needs more than about 600 n.
    pub memory_bytes_max: usize,
}

/// One GiB.
impl Default for CueLimits {
    fn default() -> Self {
        Self { memory_bytes_max: 1 << 30 }
    }
}

impl CueLimits {
    /// At most `memory_bytes_max` bytes of memory.
    pub const fn new(memory_bytes_max: usize) -> Self {
        Self { memory_bytes_max }
    }
}

/// Why bytes are not a noun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CueError {
    /// The noun goes on behind the last byte: it was cut, or it never was a jam.
    #[error("the noun goes on at bit {bit}, behind the end")]
    UnexpectedEnd {
        /// Where what is missing began.
        bit: u64,
    },
    /// A number claims more bits than there can be.
    #[error("a length of 2^{length_bits} bits or more at bit {bit} cannot be")]
    LengthTooLong {
        /// Where the number began.
        bit: u64,
        /// Number of bits of its length.
        length_bits: u64,
    },
    /// A reference leads to where no noun began.
    #[error("the reference at bit {bit} leads to bit {to}, where no noun begins")]
    BadReference {
        /// Where the reference began.
        bit: u64,
        /// Where it leads.
        to: u64,
    },
    /// A reference leads to a cell that it is a part of.
    #[error("the reference at bit {bit} leads to bit {to}, to a cell that it is a part of")]
    CircularReference {
        /// Where the reference began.
        bit: u64,
        /// Where it leads.
        to: u64,
    },
    /// Reading on would take more memory than [`CueLimits`] allow: raise them if the source is trusted.
    #[error(
        "more than {memory_bytes_max} bytes of memory would be needed at bit {bit}, raise the limit if the source is trusted"
    )]
    MemoryLimit {
        /// Where reading stopped.
        bit: u64,
        /// The limit.
        memory_bytes_max: usize,
    },
}

/// A noun half read.
struct Cue<'a> {
    bits: BitReader<'a>,
    /// Where each cell and each atom of more than 64 bits began, ascending, and the noun once it is complete.
    places: Vec<(u64, Option<Noun>)>,
    /// Where each other atom began, ascending. Those are read again when they are referred to, which is rare.
    atoms: Vec<u64>,
    /// The cells under way, outermost first.
    open: Vec<Open>,
    bytes_left: usize,
    bytes_max: usize,
}

/// A cell of which the head, or head and tail, are still to come.
struct Open {
    /// Its number in `places`.
    place: usize,
    head: Option<Noun>,
}

impl Cue<'_> {
    fn run(&mut self) -> Result<Noun, CueError> {
        loop {
            let Some(mut noun) = self.next()? else { continue };
            // The noun is a half of the innermost open cell, and may complete it, and that one the next.
            loop {
                let Some(open) = self.open.last_mut() else { return Ok(noun) };
                let Some(head) = open.head.take() else {
                    open.head = Some(noun);
                    break;
                };
                noun = Noun::cell(head, noun);
                self.places[open.place].1 = Some(noun.clone());
                self.open.pop();
            }
        }
    }

    /// Reads an atom, a reference, or the beginning of a cell, which gives nothing yet.
    fn next(&mut self) -> Result<Option<Noun>, CueError> {
        let start = self.bits.position();
        let end = || CueError::UnexpectedEnd { bit: start };
        if !self.bits.bit().ok_or_else(end)? {
            let atom = self.mat(start)?;
            if atom.as_u64().is_some() {
                self.charge(ATOM_PLACE_COST)?;
                self.atoms.push(start);
                return Ok(Some(atom.into()));
            }
            self.charge(PLACE_COST)?;
            let noun = Noun::Atom(atom);
            self.places.push((start, Some(noun.clone())));
            return Ok(Some(noun));
        }
        if self.bits.bit().ok_or_else(end)? {
            return self.reference(start).map(Some);
        }
        self.charge(PLACE_COST + OPEN_COST + CELL_COST)?;
        self.open.push(Open { place: self.places.len(), head: None });
        self.places.push((start, None));
        Ok(None)
    }

    fn reference(&mut self, start: u64) -> Result<Noun, CueError> {
        let to = self.mat(start)?.as_u64();
        // Nothing begins behind here, let alone behind 2^64.
        let to = to.unwrap_or(u64::MAX);
        if let Ok(place) = self.places.binary_search_by_key(&to, |(begin, _)| *begin) {
            return self.places[place].1.clone().ok_or(CueError::CircularReference { bit: start, to });
        }
        self.atoms.binary_search(&to).map_err(|_| CueError::BadReference { bit: start, to })?;
        let here = self.bits.position();
        // Behind the bit that says that it is an atom.
        self.bits = self.bits.at_bit(to + 1);
        let atom = self.mat(to)?;
        self.bits = self.bits.at_bit(here);
        Ok(atom.into())
    }

    /// Reads a number that tells its own length.
    fn mat(&mut self, start: u64) -> Result<Atom, CueError> {
        let end = CueError::UnexpectedEnd { bit: start };
        let Some(length_bits) = self.bits.zeros() else { return Err(end) };
        if length_bits == 0 {
            return Ok(Atom::ZERO);
        }
        let Some(low_bits) = u32::try_from(length_bits - 1).ok().filter(|bits| *bits < u64::BITS) else {
            return Err(CueError::LengthTooLong { bit: start, length_bits });
        };
        let Some(low) = self.bits.bits(low_bits) else { return Err(end) };
        let length = (1 << low_bits) | low;
        if length > self.bits.bits_left() {
            return Err(end);
        }
        if length > u64::from(u64::BITS) {
            let bytes = usize::try_from(length.div_ceil(8)).expect("no longer than the slice it is in");
            self.charge(ATOM_COST + 2 * bytes)?;
        }
        self.bits.atom(length).ok_or(end)
    }

    fn charge(&mut self, bytes: usize) -> Result<(), CueError> {
        let limit = CueError::MemoryLimit { bit: self.bits.position(), memory_bytes_max: self.bytes_max };
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(limit)?;
        Ok(())
    }
}

/// What a cell takes for good, as allocators round it.
const CELL_COST: usize = CELL_BYTES.next_multiple_of(16);
/// What an atom of more than 64 bits takes beside its bytes, which exist twice for a moment.
const ATOM_COST: usize = 96;
/// What a remembered place takes: a vector that grows holds its items up to three times while it moves them.
const PLACE_COST: usize = 3 * size_of::<(u64, Option<Noun>)>();
/// What the place of a small atom takes, likewise.
const ATOM_PLACE_COST: usize = 3 * size_of::<u64>();
/// What a cell under way takes, likewise.
const OPEN_COST: usize = 3 * size_of::<Open>();

#[cfg(test)]
mod tests;
