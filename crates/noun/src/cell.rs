//! Cells: pairs of nouns, shared by counting.

use std::cell;
use std::fmt;
use std::mem;
use std::rc::Rc;

use crate::live;
use crate::noun::Noun;

/// A pair of nouns.
///
/// Clones share it. Dropping the last one frees all that hangs below it, however deep, without recursion and
/// without asking for memory.
#[derive(Clone)]
pub struct Cell(Rc<Pair>);

struct Pair {
    head: Noun,
    tail: Noun,
    /// Its mug, or 0 as long as nobody asked.
    mug: cell::Cell<u32>,
}

impl Cell {
    /// The pair of `head` and `tail`.
    #[inline]
    pub fn new(head: impl Into<Noun>, tail: impl Into<Noun>) -> Self {
        live::taken(CELL_BYTES);
        Self(Rc::new(Pair { head: head.into(), tail: tail.into(), mug: cell::Cell::new(0) }))
    }

    /// Its first half.
    #[inline]
    pub fn head(&self) -> &Noun {
        &self.0.head
    }

    /// Its second half.
    #[inline]
    pub fn tail(&self) -> &Noun {
        &self.0.tail
    }

    /// Both halves.
    #[inline]
    pub fn parts(&self) -> (&Noun, &Noun) {
        (&self.0.head, &self.0.tail)
    }

    /// Whether both are the same cell in memory, which equal cells need not be.
    #[inline]
    pub fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Its 31-bit hash; see [`Noun::mug`].
    pub fn mug(&self) -> u32 {
        match self.cached_mug() {
            0 => crate::mug::mug_cell(self),
            mug => mug,
        }
    }

    /// Its mug if it was asked for before, otherwise 0.
    #[inline]
    pub(crate) fn cached_mug(&self) -> u32 {
        self.0.mug.get()
    }

    pub(crate) fn set_mug(&self, mug: u32) {
        self.0.mug.set(mug);
    }

    /// Whether more than one holds it. If not, there is one way to it, and no need to know it when it comes again.
    #[inline]
    pub(crate) fn is_shared(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }

    /// Where it stands in memory. Says nothing but which of two living cells is which.
    pub(crate) fn address(&self) -> usize {
        Rc::as_ptr(&self.0).addr()
    }
}

impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        crate::equal::cells(self, other)
    }
}

impl Eq for Cell {}

impl std::hash::Hash for Cell {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u32(self.mug());
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::show::cell(self, f)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::show::cell(self, f)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        live::freed(CELL_BYTES);
        for half in [&mut self.head, &mut self.tail] {
            if let Noun::Cell(cell) = mem::take(half) {
                unlink(cell);
            }
        }
    }
}

/// Gives up one hold of `cell`, and if it was the last, frees the cell and all below it that nobody else holds.
///
/// A cell whose head is such a cell too is rotated to the right, `[[a b] c]` to `[a [b c]]`, until its head is
/// none; then it can go, and its tail is next. Each rotation shortens a head for good, so there are at most as
/// many as cells, and the memory to remember the way is the cells' own.
fn unlink(cell: Cell) {
    let mut node = cell.0;
    loop {
        let Some(pair) = Rc::get_mut(&mut node) else { return };
        if let Noun::Cell(Cell(mut left)) = mem::take(&mut pair.head)
            && let Some(inner) = Rc::get_mut(&mut left)
        {
            pair.head = mem::take(&mut inner.tail);
            inner.tail = Noun::Cell(Cell(node));
            node = left;
            continue;
        }
        let tail = mem::take(&mut pair.tail);
        drop(node);
        match tail {
            Noun::Cell(Cell(next)) => node = next,
            Noun::Atom(_) => return,
        }
    }
}

/// Heap bytes of a cell: two counts and the pair.
pub(crate) const CELL_BYTES: usize = 2 * size_of::<usize>() + size_of::<Pair>();
