//! Nouns from the notation in which they are shown.

use std::str::FromStr;

use crate::atom::Atom;
use crate::noun::Noun;

/// Why a text is not a noun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {byte}")]
pub struct ParseNounError {
    /// Where reading stopped.
    pub byte: usize,
    /// What is wrong there.
    pub kind: ParseNounErrorKind,
}

/// What is wrong with a text that should be a noun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseNounErrorKind {
    /// A bracket is not closed, or nothing stands where a noun must be.
    #[error("the text ends inside a noun")]
    UnexpectedEnd,
    /// What stands here is no number, cord or bracket.
    #[error("no number, %cord, 'cord' or bracket")]
    NotANoun,
    /// Brackets hold two nouns at least.
    #[error("brackets around fewer than two nouns")]
    TooFew,
    /// Something follows the noun.
    #[error("more text behind the noun")]
    Trailing,
}

/// Numbers (`42`, `0x2a`), cords (`%work`, `'two words'`) and brackets that group to the right: `[1 2 3]` is
/// `[1 [2 3]]`.
///
/// ```
/// use samestep_noun::Noun;
///
/// let noun: Noun = "[%live %save 0x10]".parse()?;
/// assert_eq!(noun, Noun::from(("live", "save", 16)));
/// # Ok::<(), samestep_noun::ParseNounError>(())
/// ```
impl FromStr for Noun {
    type Err = ParseNounError;

    fn from_str(text: &str) -> Result<Self, ParseNounError> {
        let mut open: Vec<Vec<Self>> = Vec::new();
        let mut at = 0;
        loop {
            at += text[at..].len() - text[at..].trim_start().len();
            let rest = &text[at..];
            let byte = at;
            let fail = |kind| ParseNounError { byte, kind };
            let noun = if rest.is_empty() {
                return Err(fail(ParseNounErrorKind::UnexpectedEnd));
            } else if rest.starts_with('[') {
                open.push(Vec::new());
                at += 1;
                continue;
            } else if rest.starts_with(']') {
                let items = open.pop().ok_or(fail(ParseNounErrorKind::NotANoun))?;
                at += 1;
                group(items).ok_or(fail(ParseNounErrorKind::TooFew))?
            } else {
                let (atom, length) = atom(rest).ok_or(fail(ParseNounErrorKind::NotANoun))?;
                at += length;
                Self::Atom(atom)
            };
            match open.last_mut() {
                Some(items) => items.push(noun),
                None if text[at..].trim_start().is_empty() => return Ok(noun),
                None => return Err(ParseNounError { byte: at, kind: ParseNounErrorKind::Trailing }),
            }
        }
    }
}

fn group(mut items: Vec<Noun>) -> Option<Noun> {
    let last = items.pop().filter(|_| !items.is_empty())?;
    Some(items.into_iter().rev().fold(last, |tail, head| Noun::cell(head, tail)))
}

/// The atom at the front of `text`, and its length in bytes.
fn atom(text: &str) -> Option<(Atom, usize)> {
    if let Some(quoted) = text.strip_prefix('\'') {
        let length = quoted.find('\'')?;
        return Some((Atom::from_cord(&quoted[..length]), length + 2));
    }
    let length = text.find(|char: char| "[] \t\r\n".contains(char)).unwrap_or(text.len());
    let word = &text[..length];
    let atom = if let Some(cord) = word.strip_prefix('%') {
        Atom::from_cord(cord)
    } else if let Some(digits) = word.strip_prefix("0x") {
        hexadecimal(digits)?
    } else {
        Atom::from_u128(word.parse().ok()?)
    };
    Some((atom, length))
}

fn hexadecimal(digits: &str) -> Option<Atom> {
    let nibbles: Option<Vec<u32>> = digits.chars().rev().map(|digit| digit.to_digit(16)).collect();
    let nibbles = nibbles.filter(|nibbles| !nibbles.is_empty())?;
    let byte = |pair: &[u32]| u8::try_from(pair[0] + 16 * pair.get(1).unwrap_or(&0)).expect("two nibbles");
    let bytes: Vec<u8> = nibbles.chunks(2).map(byte).collect();
    Some(Atom::from_le_bytes(&bytes))
}
