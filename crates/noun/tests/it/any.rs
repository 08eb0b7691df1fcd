//! Facts about any noun and any bytes.

use proptest::prelude::*;
use samestep_noun::{CueError, CueLimits, Noun};

use crate::alloc::peak_bytes;
use crate::nouns::{any_noun, rebuilt, size};

const WRITTEN_OUT_MAX: usize = 20_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// What was jammed is cued, and jams to the same bytes.
    #[test]
    fn cue_undoes_jam(noun in any_noun()) {
        let bytes = noun.jam();
        let again = Noun::cue(&bytes).unwrap();
        prop_assert_eq!(&again, &noun);
        prop_assert_eq!(again.mug(), noun.mug());
        prop_assert_eq!(again.jam(), bytes);
    }

    /// How a noun is shared in memory changes neither its jam nor its mug, nor what it equals.
    #[test]
    fn sharing_is_not_seen(noun in any_noun()) {
        prop_assume!(size(&noun, WRITTEN_OUT_MAX).is_some());
        let other = rebuilt(&noun);
        prop_assert_eq!(&other, &noun);
        prop_assert_eq!(other.jam(), noun.jam());
        prop_assert_eq!(rebuilt(&noun).mug(), noun.mug());
    }

    /// Nouns with different jams are different.
    #[test]
    fn different_nouns_are_different((left, right) in (any_noun(), any_noun())) {
        prop_assert_eq!(left == right, left.jam() == right.jam());
    }

    /// Any bytes give a noun or an error, within the limit; what they give jams to no more bytes and cues again.
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survive(&bytes);
    }

    /// A jam with bits flipped is survived too, and gets further than random bytes do.
    #[test]
    fn flipped_bits_are_survived(noun in any_noun(), flips in prop::collection::vec(any::<u16>(), 1..4)) {
        let mut bytes = noun.jam();
        for flip in flips {
            let at = usize::from(flip) % (bytes.len() * 8);
            bytes[at / 8] ^= 1 << (at % 8);
        }
        survive(&bytes);
    }

    /// A cut jam is an error: the last byte of a jam always counts.
    #[test]
    fn a_cut_jam_is_an_error(noun in any_noun(), cut in any::<u16>()) {
        let bytes = noun.jam();
        let cut = usize::from(cut) % bytes.len();
        let outcome = Noun::cue(&bytes[..cut]);
        prop_assert!(matches!(outcome, Err(CueError::UnexpectedEnd { .. })), "{:?}", outcome);
    }

    /// What is shown is read again, if it was shown whole.
    #[test]
    fn what_is_shown_is_read(noun in any_noun()) {
        let text = noun.to_string();
        prop_assert!(text.len() < 20_000);
        if !text.contains("..") {
            prop_assert_eq!(text.parse::<Noun>().unwrap(), noun);
        }
    }

    /// No text makes reading it panic.
    #[test]
    fn any_text_is_survived(text in "[\\[\\] '%x0-9a-z]{0,40}") {
        if let Ok(noun) = text.parse::<Noun>() {
            prop_assert!(noun.to_string().contains("..") || noun.to_string().parse().as_ref() == Ok(&noun));
        }
    }
}

fn survive(bytes: &[u8]) {
    const LIMIT: usize = 20_000;
    let (outcome, peak) = peak_bytes(|| Noun::cue_within(bytes, &CueLimits::new(LIMIT)));
    assert!(peak <= LIMIT, "{peak}");
    if let Ok(noun) = outcome {
        let jam = noun.jam();
        assert_eq!(Noun::cue(&jam).unwrap(), noun);
    }
}
