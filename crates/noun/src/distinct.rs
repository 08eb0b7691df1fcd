//! The distinct parts of a noun, each with a number, whatever is shared in memory.

use crate::atom::Atom;
use crate::cell::Cell;
use crate::noun::Noun;
use crate::table::{Table, spread};

/// Numbers every distinct part of `root` and gives them with the number of `root`, which is the last.
///
/// Bottom up: two cells are one part if their halves have the same numbers. So the work is bounded by the cells in
/// memory. Mugs would not do: they are short enough for whole chains of different nouns to agree in them.
pub(crate) fn distinct(root: &Noun) -> Distinct<'_> {
    let mut numbering =
        Numbering { parts: Vec::new(), atoms: Table::new(), pairs: Table::new(), addresses: Table::new() };
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut next = root;
    loop {
        let mut number = match numbering.known(next) {
            Ok(number) => number,
            Err(cell) => {
                open.push(Open { cell, head: None });
                next = cell.head();
                continue;
            }
        };
        loop {
            let Some(Open { cell, head }) = open.last_mut() else {
                return Distinct { parts: numbering.parts, root: number };
            };
            let Some(head) = *head else {
                *head = Some(number);
                next = cell.tail();
                break;
            };
            number = numbering.cell(cell, head, number);
            open.pop();
        }
    }
}

/// The distinct parts of a noun.
#[derive(Debug)]
pub(crate) struct Distinct<'a> {
    /// By number; parts of a part have lower numbers.
    pub(crate) parts: Vec<Part<'a>>,
    /// The number of the whole.
    pub(crate) root: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    Atom(&'a Atom),
    Cell { head: u32, tail: u32 },
}

/// A cell of which the head, or head and tail, have no number yet.
struct Open<'a> {
    cell: &'a Cell,
    head: Option<u32>,
}

struct Numbering<'a> {
    parts: Vec<Part<'a>>,
    /// Numbers of atoms, by what they are.
    atoms: Table<u32>,
    /// Numbers of cells, by the numbers of their halves.
    pairs: Table<u32>,
    /// Numbers of shared cells, by where they are.
    addresses: Table<(usize, u32)>,
}

impl<'a> Numbering<'a> {
    /// The number of an atom, or of a cell that has one; otherwise the cell.
    fn known(&mut self, noun: &'a Noun) -> Result<u32, &'a Cell> {
        match noun {
            Noun::Atom(atom) => Ok(self.atom(atom)),
            Noun::Cell(cell) if !cell.is_shared() => Err(cell),
            Noun::Cell(cell) => {
                let address = cell.address();
                let found = self.addresses.find(spread(address as u64), |(found, _)| *found == address);
                found.map(|(_, number)| *number).ok_or(cell)
            }
        }
    }

    fn atom(&mut self, atom: &'a Atom) -> u32 {
        let hash = atom.as_u64().map_or_else(|| atom.mug(), spread);
        let parts = &self.parts;
        let is_it = |number: &u32| matches!(parts[*number as usize], Part::Atom(found) if found == atom);
        if let Some(number) = self.atoms.find(hash, is_it) {
            return *number;
        }
        let number = self.add(Part::Atom(atom));
        self.atoms.insert(hash, number);
        number
    }

    fn cell(&mut self, cell: &Cell, head: u32, tail: u32) -> u32 {
        let hash = spread(u64::from(head) << 32 | u64::from(tail));
        let parts = &self.parts;
        let is_it = |number: &u32| matches!(parts[*number as usize], Part::Cell { head: h, tail: t } if (h, t) == (head, tail));
        let found = self.pairs.find(hash, is_it).copied();
        let number = found.unwrap_or_else(|| {
            let number = self.add(Part::Cell { head, tail });
            self.pairs.insert(hash, number);
            number
        });
        if cell.is_shared() {
            let address = cell.address();
            self.addresses.insert(spread(address as u64), (address, number));
        }
        number
    }

    fn add(&mut self, part: Part<'a>) -> u32 {
        let number = u32::try_from(self.parts.len()).expect("fewer than 2^32 nouns fit into memory");
        self.parts.push(part);
        number
    }
}
