//! Nouns as text, never longer than a few lines.

use std::fmt;

use crate::atom::Atom;
use crate::cell::Cell;
use crate::noun::Noun;

/// Decimal below 2^64, otherwise hexadecimal with at most the highest [`HEX_BYTES_MAX`] bytes.
pub(crate) fn atom(atom: &Atom, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let Some(number) = atom.as_u64() {
        return write!(f, "{number}");
    }
    let bytes = atom.as_le_bytes();
    f.write_str("0x")?;
    for byte in bytes.iter().rev().take(HEX_BYTES_MAX) {
        write!(f, "{byte:02x}")?;
    }
    if bytes.len() > HEX_BYTES_MAX {
        write!(f, "..({} bytes)", bytes.len())?;
    }
    Ok(())
}

/// Brackets around heads and the last tail, with at most [`ITEMS_MAX`] atoms and as many brackets.
pub(crate) fn cell(cell: &Cell, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut pending = Vec::new();
    open(cell, &mut pending, f)?;
    let mut items_left = ITEMS_MAX;
    while let Some(part) = pending.pop() {
        let (noun, is_tail) = match part {
            Part::Close => {
                f.write_str("]")?;
                continue;
            }
            Part::Head(noun) => (noun, false),
            Part::Tail(noun) => (noun, true),
        };
        if is_tail {
            f.write_str(" ")?;
        }
        if items_left == 0 {
            // What is open stays open: the text ends here.
            return f.write_str("..");
        }
        items_left -= 1;
        match noun {
            Noun::Atom(noun) => atom(noun, f)?,
            // A cell in a tail needs no brackets of its own.
            Noun::Cell(cell) if is_tail => {
                pending.extend([Part::Tail(cell.tail()), Part::Head(cell.head())]);
            }
            Noun::Cell(cell) => open(cell, &mut pending, f)?,
        }
    }
    Ok(())
}

fn open<'a>(cell: &'a Cell, pending: &mut Vec<Part<'a>>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    pending.extend([Part::Close, Part::Tail(cell.tail()), Part::Head(cell.head())]);
    f.write_str("[")
}

enum Part<'a> {
    Head(&'a Noun),
    Tail(&'a Noun),
    Close,
}

impl fmt::Display for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Atom(noun) => atom(noun, f),
            Self::Cell(noun) => cell(noun, f),
        }
    }
}

/// As `Display`: a noun in the output of a failed test should not fill the screen.
impl fmt::Debug for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const HEX_BYTES_MAX: usize = 24;
const ITEMS_MAX: usize = 200;
