//! Equality by structure, which neither recurses nor follows shared parts twice.

use crate::cell::Cell;
use crate::noun::Noun;
use crate::table::{Table, spread};

/// Whether two cells have the same structure.
///
/// Cells that are the same in memory are equal, and cells whose mugs are known and differ are not. After
/// [`PLAIN_STEPS`] comparisons, pairs of shared cells taken for equal are remembered in classes (Hopcroft and Karp,
/// "A linear algorithm for testing equivalence of finite automata", 1971), so that the work is bounded by the
/// cells in memory, where following each way would be exponential in nouns that share.
pub(crate) fn cells(left: &Cell, right: &Cell) -> bool {
    let mut pending = vec![(left, right)];
    let mut plain_steps_left = PLAIN_STEPS;
    let mut classes = None;
    while let Some((left, right)) = pending.pop() {
        if left.is_same(right) {
            continue;
        }
        let (left_mug, right_mug) = (left.cached_mug(), right.cached_mug());
        if left_mug != right_mug && left_mug != 0 && right_mug != 0 {
            return false;
        }
        if plain_steps_left > 0 {
            plain_steps_left -= 1;
        } else if (left.is_shared() || right.is_shared())
            && !classes.get_or_insert_with(Classes::new).merge(left, right)
        {
            continue;
        }
        // Heads last, so that they are next and a list needs a short stack only.
        for (left, right) in [(left.tail(), right.tail()), (left.head(), right.head())] {
            match (left, right) {
                (Noun::Atom(left), Noun::Atom(right)) if left == right => {}
                (Noun::Cell(left), Noun::Cell(right)) => pending.push((left, right)),
                _ => return false,
            }
        }
    }
    true
}

/// Cells that are taken for equal: disjoint sets with path halving.
struct Classes {
    /// Numbers of cells, by where they are.
    numbers: Table,
    /// By number: where the cell is, and a cell of its class that is nearer to the one that stands for it.
    cells: Vec<(usize, u32)>,
}

impl Classes {
    fn new() -> Self {
        Self { numbers: Table::new(), cells: Vec::new() }
    }

    /// Puts both into one class; `false` if they were in one.
    fn merge(&mut self, left: &Cell, right: &Cell) -> bool {
        let (left, right) = (self.class(left), self.class(right));
        self.cells[left as usize].1 = right;
        left != right
    }

    fn class(&mut self, cell: &Cell) -> u32 {
        let address = cell.address();
        let hash = spread(address as u64);
        if let Some(number) = self.numbers.find(hash, |number| self.cells[number as usize].0 == address) {
            return self.top(number);
        }
        let number = u32::try_from(self.cells.len()).expect("fewer than 2^32 cells fit into memory");
        self.cells.push((address, number));
        self.numbers.insert(hash, number);
        number
    }

    fn top(&mut self, mut number: u32) -> u32 {
        let parent = |cells: &[(usize, u32)], number: u32| cells[number as usize].1;
        while parent(&self.cells, number) != number {
            let grandparent = parent(&self.cells, parent(&self.cells, number));
            self.cells[number as usize].1 = grandparent;
            number = grandparent;
        }
        number
    }
}

const PLAIN_STEPS: u32 = 1024;
