//! Atoms: natural numbers of any size.

use std::cell;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use crate::live;

/// A natural number of any size.
///
/// Below 2^64 it stands in the value itself; above, its bytes are shared by all clones.
#[derive(Clone)]
pub struct Atom(Repr);

#[derive(Clone)]
enum Repr {
    Direct(u64),
    Big(Rc<Big>),
}

/// An atom of 2^64 or more.
struct Big {
    /// Little-endian, more than 8, the last one not 0.
    bytes: Box<[u8]>,
    /// Its mug, or 0 as long as nobody asked.
    mug: cell::Cell<u32>,
}

impl Atom {
    /// The number 0, which is also the empty text, the end of a list and "yes".
    pub const ZERO: Self = Self::new(0);

    /// The atom of `number`.
    #[inline]
    pub const fn new(number: u64) -> Self {
        Self(Repr::Direct(number))
    }

    /// The atom whose little-endian bytes are these; zero bytes at the end change nothing.
    pub fn from_le_bytes(bytes: &[u8]) -> Self {
        let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let bytes = &bytes[..length];
        if length <= DIRECT_BYTES_MAX {
            let mut number = [0; DIRECT_BYTES_MAX];
            number[..length].copy_from_slice(bytes);
            return Self::new(u64::from_le_bytes(number));
        }
        live::taken(big_bytes(length));
        Self(Repr::Big(Rc::new(Big { bytes: bytes.into(), mug: cell::Cell::new(0) })))
    }

    /// The atom of a 128-bit number, such as a date.
    pub fn from_u128(number: u128) -> Self {
        Self::from_le_bytes(&number.to_le_bytes())
    }

    /// The atom of a text: its UTF-8 bytes, the first one lowest.
    ///
    /// A cord cannot tell how many NUL characters stand at its end.
    pub fn from_cord(text: &str) -> Self {
        Self::from_le_bytes(text.as_bytes())
    }

    /// The number plus one.
    pub fn increment(&self) -> Self {
        if let Repr::Direct(number) = self.0
            && let Some(next) = number.checked_add(1)
        {
            return Self::new(next);
        }
        let mut bytes = self.as_le_bytes().to_vec();
        for byte in &mut bytes {
            let (sum, is_carried) = byte.overflowing_add(1);
            *byte = sum;
            if !is_carried {
                return Self::from_le_bytes(&bytes);
            }
        }
        bytes.push(1);
        Self::from_le_bytes(&bytes)
    }

    /// The number, if it is below 2^64.
    #[inline]
    pub fn as_u64(&self) -> Option<u64> {
        match self.0 {
            Repr::Direct(number) => Some(number),
            Repr::Big(_) => None,
        }
    }

    /// The number, if it is below 2^128.
    pub fn as_u128(&self) -> Option<u128> {
        let bytes = self.as_le_bytes();
        let mut number = [0; 16];
        number.get_mut(..bytes.len())?.copy_from_slice(&bytes);
        Some(u128::from_le_bytes(number))
    }

    /// The text, if the bytes are UTF-8.
    pub fn to_cord(&self) -> Option<String> {
        String::from_utf8(self.as_le_bytes().to_vec()).ok()
    }

    /// Its bytes, the lowest first, without zero bytes at the end: 0 has none.
    pub fn as_le_bytes(&self) -> LeBytes<'_> {
        LeBytes(match &self.0 {
            Repr::Direct(number) => Bytes::Direct {
                bytes: number.to_le_bytes(),
                length: DIRECT_BYTES_MAX - number.leading_zeros() as usize / 8,
            },
            Repr::Big(big) => Bytes::Big(&big.bytes),
        })
    }

    /// How many bits it has: 0 for 0, 1 for 1, 2 for 2 and 3.
    pub fn bit_length(&self) -> u64 {
        match &self.0 {
            Repr::Direct(number) => u64::from(u64::BITS - number.leading_zeros()),
            Repr::Big(big) => {
                let last = big.bytes[big.bytes.len() - 1];
                big.bytes.len() as u64 * 8 - u64::from(last.leading_zeros())
            }
        }
    }

    /// Whether it is 0.
    pub fn is_zero(&self) -> bool {
        matches!(self.0, Repr::Direct(0))
    }

    /// Its 31-bit hash; see [`Noun::mug`](crate::Noun::mug).
    pub fn mug(&self) -> u32 {
        match &self.0 {
            Repr::Direct(_) => crate::mug::mug_bytes(&self.as_le_bytes()),
            Repr::Big(big) => {
                if big.mug.get() == 0 {
                    big.mug.set(crate::mug::mug_bytes(&big.bytes));
                }
                big.mug.get()
            }
        }
    }

    /// Where its bytes are, and how many it holds on the heap; `None` if it needs none.
    pub(crate) fn heap(&self) -> Option<(usize, usize)> {
        match &self.0 {
            Repr::Direct(_) => None,
            Repr::Big(big) => Some((Rc::as_ptr(big).addr(), big_bytes(big.bytes.len()))),
        }
    }
}

impl PartialEq for Atom {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Repr::Direct(left), Repr::Direct(right)) => left == right,
            (Repr::Big(left), Repr::Big(right)) => Rc::ptr_eq(left, right) || left.bytes == right.bytes,
            _ => false,
        }
    }
}

impl Eq for Atom {}

impl PartialOrd for Atom {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By number.
impl Ord for Atom {
    fn cmp(&self, other: &Self) -> Ordering {
        let (left, right) = (self.as_le_bytes(), other.as_le_bytes());
        left.len().cmp(&right.len()).then_with(|| left.iter().rev().cmp(right.iter().rev()))
    }
}

impl std::hash::Hash for Atom {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u32(self.mug());
    }
}

impl Default for Atom {
    fn default() -> Self {
        Self::ZERO
    }
}

impl From<u64> for Atom {
    fn from(number: u64) -> Self {
        Self::new(number)
    }
}

impl From<&str> for Atom {
    fn from(text: &str) -> Self {
        Self::from_cord(text)
    }
}

impl fmt::Debug for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::show::atom(self, f)
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::show::atom(self, f)
    }
}

impl Drop for Big {
    fn drop(&mut self) {
        live::freed(big_bytes(self.bytes.len()));
    }
}

/// The bytes of an atom, lent by it.
#[derive(Clone, Copy, Debug)]
pub struct LeBytes<'a>(Bytes<'a>);

#[derive(Clone, Copy, Debug)]
enum Bytes<'a> {
    Direct { bytes: [u8; DIRECT_BYTES_MAX], length: usize },
    Big(&'a [u8]),
}

impl Deref for LeBytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Direct { bytes, length } => &bytes[..*length],
            Bytes::Big(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for LeBytes<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Heap bytes of an atom with `length` bytes: two counts, the bytes and their length, the mug.
const fn big_bytes(length: usize) -> usize {
    2 * size_of::<usize>() + size_of::<Big>() + length
}

const DIRECT_BYTES_MAX: usize = 8;
