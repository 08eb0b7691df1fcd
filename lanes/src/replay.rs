//! Lanes of replay-traits: what all other lanes stand on.

use samestep_replay_traits::{Event, Lane, LaneContext, LaneError, Seed, Transcript};

/// Escapes every byte, forks seeds by name, and digests transcripts of many shapes.
///
/// Locks the canonical form of events, the derivation of seeds and the digest itself: a change in any of them
/// would change the digest of every lane at once, and here one reads which it was.
pub(crate) struct TranscriptVectors;

impl Lane for TranscriptVectors {
    fn name(&self) -> &str {
        "replay/transcript-vectors"
    }

    fn about(&self) -> &str {
        "escapes every byte, forks seeds by name, digests transcripts of many shapes"
    }

    fn run(&self, context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
        escapes(transcript);
        forks(context.seed(), transcript);
        digests(context.seed(), transcript)
    }
}

/// Every byte in a value, and the separators in names and keys.
fn escapes(transcript: &mut Transcript) {
    for byte in u8::MIN..=u8::MAX {
        transcript.event(&Event::new("escape").field("byte", byte).bytes("as", &[byte]));
    }
    for text in ["a|b", "a=b", "a\\b", "a\nb", "\u{e9}", ""] {
        transcript.event(&Event::new(text).field(text, text));
    }
}

/// The seeds that parts of a program get.
fn forks(seed: Seed, transcript: &mut Transcript) {
    for name in ["", "disk", "net", "disk/0", "disk/1", "a name that is longer than any block of the hash"] {
        let fork = seed.fork(name);
        transcript.event(&Event::new("fork").field("name", name).field("seed", fork));
        transcript.event(&Event::new("fork").field("again", name).field("seed", fork.fork(name)));
    }
}

/// The digest of drawn lines, asked for after each: lengths around the hash's own blocks, and the empty line.
fn digests(seed: Seed, transcript: &mut Transcript) -> Result<(), LaneError> {
    let mut digested = Transcript::new();
    let mut state = seed.fork("lines");
    for length_bytes in (0..=260).chain([1023, 1024, 1025, 65_536]) {
        let mut line = String::with_capacity(length_bytes);
        while line.len() < length_bytes {
            state = state.fork("next");
            line.push(char::from(b' ' + (state.get() % 95) as u8));
        }
        digested.line(&line);
        let event = Event::new("digest").field("lines", digested.line_count()).field("bytes", length_bytes);
        transcript.event(&event.field("digest", digested.digest()));
    }
    let parsed = digested.digest().to_string().parse();
    if parsed == Ok(digested.digest()) {
        Ok(())
    } else {
        Err(LaneError::failed("a digest does not parse back from what it displays"))
    }
}
