//! Transcripts: what a run did, line by line, with a rolling digest.

use std::fmt;
use std::str::FromStr;

use xxhash_rust::xxh3::Xxh3;

use crate::event::Event;

/// What a run did: canonical lines in order, and a digest that rolls over them.
///
/// Two transcripts are equal if their texts are equal byte for byte. The digest is XXH3-128 (seed 0) over, for
/// each line, its length in bytes as a little-endian `u64` and then its bytes without the line break, so that no
/// two lists of lines run together to one input.
#[derive(Clone, Default)]
pub struct Transcript {
    text: String,
    line_count: usize,
    rolling: Xxh3,
}

impl Transcript {
    /// An empty transcript.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `event`.
    pub fn event(&mut self, event: &Event) {
        self.line(event.as_str());
    }

    /// Appends `line` as it is, for formats that are fixed elsewhere. [`Self::event`] is the usual way.
    ///
    /// # Panics
    ///
    /// If `line` contains a line break: it would read as two lines.
    pub fn line(&mut self, line: &str) {
        assert!(!line.contains('\n'), "a transcript line holds no line break: {line:?}");
        self.rolling.update(&(line.len() as u64).to_le_bytes());
        self.rolling.update(line.as_bytes());
        self.text.push_str(line);
        self.text.push('\n');
        self.line_count += 1;
    }

    /// Digest of all lines so far. May be asked for at any time; does not end the transcript.
    pub fn digest(&self) -> Digest {
        Digest(self.rolling.digest128().to_be_bytes())
    }

    /// All lines so far, each followed by one `\n`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The lines so far, oldest first, without line breaks.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.text.split_terminator('\n')
    }

    /// Number of lines so far.
    pub fn line_count(&self) -> usize {
        self.line_count
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcript")
            .field("line_count", &self.line_count)
            .field("digest", &self.digest())
            .finish_non_exhaustive()
    }
}

/// Digest of a transcript: 128 bits, displayed and parsed as 32 lower-case hexadecimal digits.
///
/// It guards against accidents, not against somebody who wants two transcripts to collide.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 16]);

impl Digest {
    /// The digest with these bytes, in the order in which they are displayed.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, in the order in which they are displayed.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_canonical = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match u128::from_str_radix(text, 16) {
            Ok(value) if is_canonical => Ok(Self(value.to_be_bytes())),
            _ => Err(ParseDigestError),
        }
    }
}

/// A text is not a [`Digest`]: not 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseDigestError;

impl fmt::Display for ParseDigestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected 32 lower-case hexadecimal digits")
    }
}

impl std::error::Error for ParseDigestError {}

#[cfg(test)]
mod tests {
    use super::{Digest, ParseDigestError, Transcript};

    fn transcript(lines: &[&str]) -> Transcript {
        let mut transcript = Transcript::new();
        for line in lines {
            transcript.line(line);
        }
        transcript
    }

    #[test]
    fn text_is_the_lines_each_with_a_break() {
        let transcript = transcript(&["a", "", "b"]);
        assert_eq!(transcript.text(), "a\n\nb\n");
        assert_eq!(transcript.line_count(), 3);
        assert_eq!(transcript.lines().collect::<Vec<_>>(), ["a", "", "b"]);
    }

    #[test]
    fn a_line_may_end_in_a_carriage_return() {
        assert_eq!(transcript(&["a\r", "\r"]).lines().collect::<Vec<_>>(), ["a\r", "\r"]);
    }

    /// Where a line ends is part of what is hashed.
    #[test]
    fn lines_do_not_run_together() {
        let digests =
            [&["ab"][..], &["a", "b"], &["", "ab"], &["ab", ""]].map(|lines| transcript(lines).digest());
        for (at, digest) in digests.iter().enumerate() {
            assert!(!digests[..at].contains(digest), "lists {at} and an earlier one share {digest}");
        }
    }

    /// The digest of no lines is XXH3-128 of no bytes, which the hash's own specification gives.
    #[test]
    fn empty_digest_is_the_published_one() {
        assert_eq!(Transcript::new().digest().to_string(), "99aa06d3014798d86001c324468d497f");
    }

    #[test]
    fn digest_rolls_and_asking_does_not_disturb_it() {
        let mut rolled = transcript(&["a"]);
        let _ = rolled.digest();
        rolled.line("b");
        assert_eq!(rolled.digest(), transcript(&["a", "b"]).digest());
    }

    #[test]
    #[should_panic(expected = "no line break")]
    fn a_line_break_in_a_line_is_refused() {
        transcript(&["a\nb"]);
    }

    #[test]
    fn digests_parse_in_canonical_form_only() {
        let digest = transcript(&["x"]).digest();
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for text in ["", "0", "+9aa06d3014798d86001c324468d497f", "99AA06D3014798D86001C324468D497F"] {
            assert_eq!(text.parse::<Digest>(), Err(ParseDigestError), "{text:?}");
        }
    }
}
