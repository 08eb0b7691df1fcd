//! What a subscription subscribes to, as 64 bits.

use std::fmt;
use std::str::FromStr;

use xxhash_rust::xxh64::Xxh64;

/// What is subscribed to: the topic. Subscriptions of equal commands have equal fingerprints.
///
/// [`Self::of_command`] derives one; any other 64 bits do as well, if all who emit and subscribe agree on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint with value `value`.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The value.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The fingerprint of a command and its arguments, byte for byte: XXH64 (seed 0) over the number of words as a
    /// little-endian `u64` and then, for each word, its length in bytes as a little-endian `u64` and its bytes.
    ///
    /// Lengths are part of what is hashed, so `["GET", "a b"]` and `["GET", "a", "b"]` differ.
    ///
    /// ```
    /// use samestep_emission::Fingerprint;
    ///
    /// let two_words = Fingerprint::of_command(&[b"GET", b"a b"]);
    /// assert_ne!(two_words, Fingerprint::of_command(&[b"GET", b"a", b"b"]));
    /// ```
    pub fn of_command(words: &[&[u8]]) -> Self {
        let mut hash = Xxh64::new(0);
        hash.update(&(words.len() as u64).to_le_bytes());
        for word in words {
            hash.update(&(word.len() as u64).to_le_bytes());
            hash.update(word);
        }
        Self(hash.digest())
    }
}

/// The decimal number, as it stands in transcripts.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Parses what [`Display`](fmt::Display) writes, and nothing else: no sign, no leading zero, no space.
impl FromStr for Fingerprint {
    type Err = ParseFingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_canonical =
            text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        match text.parse() {
            Ok(value) if is_canonical => Ok(Self(value)),
            _ => Err(ParseFingerprintError),
        }
    }
}

/// A text is not a [`Fingerprint`]. It is never read as 0 or as any other fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a decimal number below 2^64 without sign, leading zero or space")]
pub struct ParseFingerprintError;

#[cfg(test)]
mod tests {
    use super::{Fingerprint, ParseFingerprintError};

    /// Computed by an implementation of XXH64 in another language, written from its specification.
    #[test]
    fn vectors() {
        let vectors: [(&[&[u8]], u64); 4] = [
            (&[], 0x34c9_6acd_cadb_1bbb),
            (&[b"GET", b"k"], 0xe8c0_8ad5_7001_d42a),
            (&[b"GET", b"a b"], 0x701d_a0ca_be09_0e17),
            (&[b"GET", b"a", b"b"], 0x8acb_3512_1160_c0c2),
        ];
        for (words, expected) in vectors {
            assert_eq!(Fingerprint::of_command(words), Fingerprint::new(expected), "{words:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_no_fingerprint() {
        for text in ["", " 1", "+1", "01", "1 ", "0x1", "18446744073709551616", "-0", "c1:77"] {
            assert_eq!(text.parse::<Fingerprint>(), Err(ParseFingerprintError), "{text:?}");
        }
        for value in [0, 1, u64::MAX] {
            assert_eq!(value.to_string().parse(), Ok(Fingerprint::new(value)));
        }
    }
}
