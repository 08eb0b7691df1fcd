//! Jobs by hand.

use samestep_noun::{Atom, Noun};

use super::{Job, JobError};

/// The beginning of 1970 is 0x8000000cce9e0d80 seconds; an hour later, on the terminal's wire.
#[test]
fn a_keystroke() {
    let now = Noun::from(Atom::from_u128((0x8000_000c_ce9e_0d80_u128 + 3600) << 64 | 0x1234 << 48));
    let noun = Noun::from((now, Noun::list(["d", "term", "1"]), Noun::from(("belt", 7))));
    let job = Job::cue(&noun.jam()).unwrap();
    assert_eq!(job.unix_seconds(), 3600);
    assert_eq!((job.wire_text().as_str(), job.tag_text().as_str()), ("/d/term/1", "belt"));
}

#[test]
fn the_boot_wire_begins_with_an_empty_element() {
    let noun =
        Noun::from((Noun::from(1), Noun::list([Noun::from(0), Noun::from("arvo")]), Noun::from(("verb", 0))));
    assert_eq!(Job::of(&noun).unwrap().wire_text(), "//arvo");
}

#[test]
fn other_nouns_are_no_jobs() {
    for noun in ["7", "[1 2]", "[1 2 3]", "[[1 2] 3 4 5]"] {
        let noun: Noun = noun.parse().unwrap();
        assert!(matches!(Job::of(&noun), Err(JobError::Shape { .. })), "{noun}");
    }
    assert!(matches!(Job::cue(&[0xFF; 3]), Err(JobError::Cue(_))));
}
