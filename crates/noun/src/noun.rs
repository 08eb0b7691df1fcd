//! Nouns: atoms and pairs of nouns, and nothing else.

use crate::atom::Atom;
use crate::cell::Cell;

/// An atom or a cell. There is nothing else, so this is all that will ever be matched.
///
/// Cloning is cheap: it copies a number or counts one more holder. Equality is by structure; see
/// [the crate's page](crate) for what it costs.
///
/// ```
/// use samestep_noun::Noun;
///
/// let formula = Noun::from((2, (0, 3), 0, 2)); // [2 [0 3] 0 2]
/// assert_eq!(formula.to_string(), "[2 [0 3] 0 2]");
/// assert_eq!(formula.mug(), 0x65f2_ae0b);
/// let Some([opcode, subject, formula]) = formula.as_tuple() else { panic!("not three") };
/// assert_eq!(opcode.as_u64(), Some(2));
/// assert!(subject.is_cell() && formula.is_cell());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Noun {
    /// A natural number.
    Atom(Atom),
    /// A pair.
    Cell(Cell),
}

impl Noun {
    /// The atom 0.
    pub const ZERO: Self = Self::Atom(Atom::ZERO);

    /// The pair of `head` and `tail`.
    #[inline]
    pub fn cell(head: impl Into<Self>, tail: impl Into<Self>) -> Self {
        Self::Cell(Cell::new(head, tail))
    }

    /// The text as an atom, its first byte lowest.
    pub fn cord(text: &str) -> Self {
        Self::Atom(Atom::from_cord(text))
    }

    /// The items as a list: `[a b c 0]`.
    pub fn list<I: Into<Self>>(items: impl IntoIterator<Item = I, IntoIter: DoubleEndedIterator>) -> Self {
        items.into_iter().rev().fold(Self::ZERO, |rest, item| Self::cell(item, rest))
    }

    /// The characters of `text` as a list of atoms, which is how longer texts are written.
    pub fn tape(text: &str) -> Self {
        Self::list(text.bytes().map(u64::from))
    }

    /// The atom, if it is one.
    #[inline]
    pub fn as_atom(&self) -> Option<&Atom> {
        match self {
            Self::Atom(atom) => Some(atom),
            Self::Cell(_) => None,
        }
    }

    /// The cell, if it is one.
    #[inline]
    pub fn as_cell(&self) -> Option<&Cell> {
        match self {
            Self::Cell(cell) => Some(cell),
            Self::Atom(_) => None,
        }
    }

    /// Both halves, if it is a cell.
    #[inline]
    pub fn as_pair(&self) -> Option<(&Self, &Self)> {
        self.as_cell().map(Cell::parts)
    }

    /// The number, if it is an atom below 2^64.
    #[inline]
    pub fn as_u64(&self) -> Option<u64> {
        self.as_atom()?.as_u64()
    }

    /// Whether it is a cell.
    #[inline]
    pub fn is_cell(&self) -> bool {
        matches!(self, Self::Cell(_))
    }

    /// Whether it is the atom of `text`.
    pub fn is_cord(&self, text: &str) -> bool {
        self.as_atom().is_some_and(|atom| *atom.as_le_bytes() == *text.trim_end_matches('\0').as_bytes())
    }

    /// The text, if it is an atom of UTF-8 bytes.
    pub fn to_cord(&self) -> Option<String> {
        self.as_atom()?.to_cord()
    }

    /// The text, if it is a list of bytes that are UTF-8.
    pub fn to_tape(&self) -> Option<String> {
        let mut items = self.items();
        let bytes: Option<Vec<u8>> =
            items.by_ref().map(|item| item.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect();
        items.is_proper().then(|| String::from_utf8(bytes?).ok())?
    }

    /// The first `N - 1` heads and the rest: `[a b c]` as three, or as two, `a` and `[b c]`.
    pub fn as_tuple<const N: usize>(&self) -> Option<[&Self; N]> {
        let mut parts = [self; N];
        for at in 1..N {
            (parts[at - 1], parts[at]) = parts[at - 1].as_pair()?;
        }
        Some(parts)
    }

    /// The items of a list, front to back, up to the atom that ends it.
    pub fn items(&self) -> Items<'_> {
        Items { rest: self }
    }

    /// What stands at `axis`: 1 is the noun, 2n the head of what stands at n, 2n + 1 the tail.
    ///
    /// `None` if the way leads into an atom, or `axis` is 0.
    pub fn at(&self, axis: u64) -> Option<&Self> {
        let steps = axis.checked_ilog2()?;
        (0..steps).rev().try_fold(self, |noun, bit| step(noun, (axis >> bit) & 1 == 1))
    }

    /// As [`at`](Self::at), with an axis of any size.
    pub fn at_axis(&self, axis: &Atom) -> Option<&Self> {
        if let Some(axis) = axis.as_u64() {
            return self.at(axis);
        }
        let bytes = axis.as_le_bytes();
        (0..axis.bit_length() - 1).rev().try_fold(self, |noun, bit| {
            step(
                noun,
                (bytes[usize::try_from(bit / 8).expect("the bytes are in memory")] >> (bit % 8)) & 1 == 1,
            )
        })
    }

    /// The 31-bit hash of Vere: never 0, equal for equal nouns, and remembered once asked for.
    ///
    /// MurmurHash3 (x86, 32 bits) of an atom's bytes with seed `0xcafebabe`, or of a cell's two mugs with seed
    /// `0xdeadbeef`, folded to 31 bits; where that gives 0 the next seed is tried, eight in all.
    pub fn mug(&self) -> u32 {
        match self {
            Self::Atom(atom) => atom.mug(),
            Self::Cell(cell) => cell.mug(),
        }
    }
}

#[inline]
fn step(noun: &Noun, is_tail: bool) -> Option<&Noun> {
    let cell = noun.as_cell()?;
    Some(if is_tail { cell.tail() } else { cell.head() })
}

/// The items of a list, see [`Noun::items`].
#[derive(Clone, Debug)]
pub struct Items<'a> {
    rest: &'a Noun,
}

impl<'a> Items<'a> {
    /// What is behind the items handed out so far: at the end, the atom behind the last.
    pub fn rest(&self) -> &'a Noun {
        self.rest
    }

    /// Whether nothing but the 0 of a list's end is left.
    pub fn is_proper(&self) -> bool {
        self.rest.as_u64() == Some(0)
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a Noun;

    fn next(&mut self) -> Option<&'a Noun> {
        let (head, tail) = self.rest.as_pair()?;
        self.rest = tail;
        Some(head)
    }
}

impl std::iter::FusedIterator for Items<'_> {}

impl Default for Noun {
    fn default() -> Self {
        Self::ZERO
    }
}

impl From<Atom> for Noun {
    fn from(atom: Atom) -> Self {
        Self::Atom(atom)
    }
}

impl From<Cell> for Noun {
    fn from(cell: Cell) -> Self {
        Self::Cell(cell)
    }
}

impl From<&Self> for Noun {
    fn from(noun: &Self) -> Self {
        noun.clone()
    }
}

// The only integer with a conversion, so that literals in tuples need no suffix.
impl From<u64> for Noun {
    fn from(number: u64) -> Self {
        Self::Atom(Atom::new(number))
    }
}

/// A cord.
impl From<&str> for Noun {
    fn from(text: &str) -> Self {
        Self::cord(text)
    }
}

/// A loobean: 0 for `true`, 1 for `false`.
impl From<bool> for Noun {
    fn from(is_yes: bool) -> Self {
        Self::from(u64::from(!is_yes))
    }
}

impl<A: Into<Noun>, B: Into<Noun>> From<(A, B)> for Noun {
    fn from((a, b): (A, B)) -> Self {
        Self::cell(a, b)
    }
}

impl<A: Into<Noun>, B: Into<Noun>, C: Into<Noun>> From<(A, B, C)> for Noun {
    fn from((a, b, c): (A, B, C)) -> Self {
        Self::cell(a, (b, c))
    }
}

impl<A: Into<Noun>, B: Into<Noun>, C: Into<Noun>, D: Into<Noun>> From<(A, B, C, D)> for Noun {
    fn from((a, b, c, d): (A, B, C, D)) -> Self {
        Self::cell(a, (b, c, d))
    }
}

impl<A: Into<Noun>, B: Into<Noun>, C: Into<Noun>, D: Into<Noun>, E: Into<Noun>> From<(A, B, C, D, E)>
    for Noun
{
    fn from(parts: (A, B, C, D, E)) -> Self {
        Self::cell(parts.0, (parts.1, parts.2, parts.3, parts.4))
    }
}

impl<A, B, C, D, E, F> From<(A, B, C, D, E, F)> for Noun
where
    A: Into<Noun>,
    B: Into<Noun>,
    C: Into<Noun>,
    D: Into<Noun>,
    E: Into<Noun>,
    F: Into<Noun>,
{
    fn from(parts: (A, B, C, D, E, F)) -> Self {
        Self::cell(parts.0, (parts.1, parts.2, parts.3, parts.4, parts.5))
    }
}

// A number, a count or a pointer, and one word to tell which: two nouns and a mug make a cell of one cache line.
const _: () = assert!(size_of::<Noun>() == 16 || size_of::<usize>() != 8);
