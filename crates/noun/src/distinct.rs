//! The distinct parts of a noun, each with a name, whatever is shared in memory.

use crate::atom::Atom;
use crate::cell::Cell;
use crate::noun::Noun;
use crate::table::{Table, spread};

/// Names every distinct part of `root`.
///
/// Bottom up: two cells are one part if their halves have the same names. So the work is bounded by the cells in
/// memory. Mugs would not do: they are short enough for whole chains of different nouns to agree in them.
pub(crate) fn distinct(root: &Noun) -> Distinct<'_> {
    let mut naming = Naming {
        parts: Vec::new(),
        atoms: Table::new(),
        pairs: Table::new(),
        addresses: Table::new(),
        shared: Vec::new(),
    };
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut next = root;
    loop {
        let mut name = match naming.known(next) {
            Ok(name) => name,
            Err(cell) => {
                open.push(Open { cell, head: None });
                next = cell.head();
                continue;
            }
        };
        loop {
            let Some(Open { cell, head }) = open.last_mut() else {
                return Distinct { parts: naming.parts, root: name };
            };
            let Some(head) = *head else {
                *head = Some(name);
                next = cell.tail();
                break;
            };
            name = naming.cell(cell, head, name);
            open.pop();
        }
    }
}

/// The distinct parts of a noun.
#[derive(Debug)]
pub(crate) struct Distinct<'a> {
    /// Those whose name is a number; parts of a part have lower ones.
    pub(crate) parts: Vec<Part<'a>>,
    /// The name of the whole.
    pub(crate) root: Name,
}

/// What a part is called: a small atom by itself, anything else by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name(u32);

/// What a name means.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Named {
    /// This atom.
    Small(u32),
    /// The part of this number.
    Part(usize),
}

impl Name {
    pub(crate) fn named(self) -> Named {
        if self.0 & SMALL != 0 { Named::Small(self.0 & !SMALL) } else { Named::Part(self.0 as usize) }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    Atom(&'a Atom),
    Cell { head: Name, tail: Name },
}

/// A cell of which the head, or head and tail, have no name yet.
struct Open<'a> {
    cell: &'a Cell,
    head: Option<Name>,
}

struct Naming<'a> {
    parts: Vec<Part<'a>>,
    /// Numbers of atoms, by what they are.
    atoms: Table,
    /// Numbers of cells, by the names of their halves.
    pairs: Table,
    /// Positions in `shared`, by where cells are.
    addresses: Table,
    /// Where shared cells are, and their names.
    shared: Vec<(usize, Name)>,
}

impl<'a> Naming<'a> {
    /// The name of an atom, or of a cell that has one; otherwise the cell.
    fn known(&mut self, noun: &'a Noun) -> Result<Name, &'a Cell> {
        match noun {
            Noun::Atom(atom) => Ok(self.atom(atom)),
            Noun::Cell(cell) if !cell.is_shared() => Err(cell),
            Noun::Cell(cell) => {
                let address = cell.address();
                let is_it = |at: u32| self.shared[at as usize].0 == address;
                let found = self.addresses.find(spread(address as u64), is_it);
                found.map(|at| self.shared[at as usize].1).ok_or(cell)
            }
        }
    }

    fn atom(&mut self, atom: &'a Atom) -> Name {
        let small = atom.as_u64().and_then(|number| u32::try_from(number).ok());
        if let Some(small) = small.filter(|small| small & SMALL == 0) {
            return Name(small | SMALL);
        }
        let hash = atom.as_u64().map_or_else(|| atom.mug(), spread);
        let is_it = |number: u32| matches!(self.parts[number as usize], Part::Atom(found) if found == atom);
        let found = self.atoms.find(hash, is_it);
        Name(found.unwrap_or_else(|| {
            let number = self.add(Part::Atom(atom));
            self.atoms.insert(hash, number);
            number
        }))
    }

    fn cell(&mut self, cell: &Cell, head: Name, tail: Name) -> Name {
        let hash = spread((u64::from(head.0) << 32) | u64::from(tail.0));
        let is_it = |number: u32| matches!(self.parts[number as usize], Part::Cell { head: h, tail: t } if (h, t) == (head, tail));
        let found = self.pairs.find(hash, is_it);
        let name = Name(found.unwrap_or_else(|| {
            let number = self.add(Part::Cell { head, tail });
            self.pairs.insert(hash, number);
            number
        }));
        if cell.is_shared() {
            let address = cell.address();
            let at = u32::try_from(self.shared.len()).expect("there are fewer than numbers");
            self.shared.push((address, name));
            self.addresses.insert(spread(address as u64), at);
        }
        name
    }

    fn add(&mut self, part: Part<'a>) -> u32 {
        let number = u32::try_from(self.parts.len()).ok().filter(|number| number & SMALL == 0);
        self.parts.push(part);
        number.expect("fewer than 2^31 distinct nouns fit into memory")
    }
}

/// Marks names that are atoms.
const SMALL: u32 = 1 << 31;
