//! Making, matching and showing nouns.

use expect_test::expect;
use samestep_noun::{Atom, Cell, CueError, NockError, Noun, ParseNounError, live_bytes, reachable_bytes};

fn noun(text: &str) -> Noun {
    text.parse().unwrap()
}

/// What leaves a thread is a jam; what reports a failure may go anywhere.
#[test]
fn errors_may_be_sent() {
    fn sendable<T: Send + Sync + 'static>() {}
    sendable::<CueError>();
    sendable::<NockError>();
    sendable::<ParseNounError>();
}

#[test]
fn conversions_make_nouns() {
    assert_eq!(Noun::from((1, 2, 3)), noun("[1 2 3]"));
    assert_eq!(Noun::from((1, (2, 3), 4, 5)), noun("[1 [2 3] 4 5]"));
    assert_eq!(Noun::from((1, 2, 3, 4, 5, 6)), noun("[1 2 3 4 5 6]"));
    assert_eq!(Noun::from((true, false)), noun("[0 1]"));
    assert_eq!(Noun::list([1, 2, 3]), noun("[1 2 3 0]"));
    assert_eq!(Noun::list([0_u64; 0]), Noun::ZERO);
    assert_eq!(Noun::tape("ab"), noun("[97 98 0]"));
    assert_eq!(Noun::from("ab"), Noun::from(0x6261));
    assert_eq!(Noun::cord(""), Noun::ZERO);
}

#[test]
fn matching_takes_nouns_apart() {
    let message = noun("[%work 1000 [5 6] %d]");
    let Some([tag, mil, job]) = message.as_tuple() else { panic!("not three") };
    assert!(tag.is_cord("work") && !tag.is_cord("wor") && !tag.is_cord("works") && !job.is_cord("work"));
    assert_eq!(mil.as_u64(), Some(1000));
    assert_eq!(*job, noun("[[5 6] %d]"));
    assert_eq!(message.as_tuple::<1>(), Some([&message]));
    assert_eq!(message.as_tuple::<5>(), None);
    let list = noun("[1 2 3 0]");
    let mut items = list.items();
    assert_eq!(items.by_ref().filter_map(Noun::as_u64).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(items.is_proper());
    let improper = noun("[1 2 3]");
    let mut items = improper.items();
    assert_eq!(items.by_ref().count(), 2);
    assert!(!items.is_proper());
    assert_eq!(items.rest().as_u64(), Some(3));
    assert_eq!(Noun::tape("ab").to_tape().as_deref(), Some("ab"));
    assert_eq!(improper.to_tape(), None);
    match Noun::cell(1, 2) {
        Noun::Cell(cell) => assert_eq!(cell.parts(), (&Noun::from(1), &Noun::from(2))),
        Noun::Atom(_) => panic!("a pair is a cell"),
    }
}

/// Axes count as in the specification: `/[1]`, `/[2a]`, `/[2a+1]`.
#[test]
fn axes_lead_to_parts() {
    let tree = noun("[[4 5] 6 14 15]");
    for (axis, part) in [(1, "[[4 5] 6 14 15]"), (2, "[4 5]"), (3, "[6 14 15]"), (4, "4"), (5, "5"), (6, "6")]
    {
        assert_eq!(tree.at(axis), Some(&noun(part)), "{axis}");
        assert_eq!(tree.at_axis(&Atom::new(axis)), Some(&noun(part)), "{axis}");
    }
    assert_eq!((tree.at(14), tree.at(15)), (Some(&Noun::from(14)), Some(&Noun::from(15))));
    for axis in [0, 8, 12, 30, u64::MAX] {
        assert_eq!(tree.at(axis), None, "{axis}");
    }
    // A list of 100: its end is at 2^101 - 1, the item before it at 2^101 - 2.
    let list = Noun::list(0..100_u64);
    assert_eq!(list.at_axis(&Atom::from_u128((1 << 101) - 1)), Some(&Noun::ZERO));
    assert_eq!(list.at_axis(&Atom::from_u128((1 << 100) - 2)), Some(&Noun::from(98)));
    assert_eq!(list.at_axis(&Atom::from_u128((1 << 102) - 1)), None);
}

#[test]
fn atoms_are_numbers_of_any_size() {
    let max = Atom::new(u64::MAX);
    let next = max.increment();
    assert_eq!((next.as_u64(), next.as_u128()), (None, Some(1 << 64)));
    assert_eq!((max.bit_length(), next.bit_length(), Atom::ZERO.bit_length()), (64, 65, 0));
    assert!(max < next && next < next.increment() && Atom::ZERO < max);
    assert_eq!(Atom::from_u128(u128::MAX).increment(), Atom::from_le_bytes(&[vec![0; 16], vec![1]].concat()));
    assert_eq!(Atom::from_u128(u128::MAX).increment().as_u128(), None);
    assert_eq!(Atom::from_le_bytes(&[5, 0, 0, 0, 0, 0, 0, 0, 0, 0]).as_u64(), Some(5));
    assert_eq!(&*Atom::new(0x0102).as_le_bytes(), [2, 1]);
    assert!(Atom::ZERO.as_le_bytes().is_empty());
    assert_eq!(Atom::from_cord("naïve").to_cord().as_deref(), Some("naïve"));
    assert_eq!(Atom::new(0xff).to_cord(), None);
}

/// Small atoms take nothing, shared parts count once, and all is given back.
#[test]
fn living_nouns_are_counted() {
    let before = live_bytes();
    let small = Noun::from(u64::MAX);
    assert_eq!(live_bytes(), before);
    let pair = Noun::cell(&small, &small);
    let cell_bytes = live_bytes() - before;
    let twice = Noun::cell(&pair, &pair);
    assert_eq!(live_bytes(), before + 2 * cell_bytes);
    let text = Noun::cord("longer than eight bytes");
    assert!(live_bytes() >= before + 2 * cell_bytes + 23);
    drop((pair, text));
    assert_eq!(live_bytes(), before + 2 * cell_bytes, "the pair is held by the other cell");
    assert_eq!(reachable_bytes([&twice, twice.at(2).unwrap()]), 2 * cell_bytes);
    drop(twice);
    assert_eq!(live_bytes(), before);
}

/// A part that somebody else holds outlives the rest.
#[test]
fn freeing_stops_at_what_is_shared() {
    let before = live_bytes();
    let inner = noun("[[1 2] [3 4] 5]");
    for whole in [
        noun("[[[0 0] 0] 0]"),
        Noun::cell(Noun::cell(Noun::cell(&inner, &inner), (1, &inner)), Noun::cell((&inner, 1), 2)),
    ] {
        drop(whole);
        assert_eq!(inner, noun("[[1 2] [3 4] 5]"));
    }
    drop(inner);
    assert_eq!(live_bytes(), before);
}

#[test]
fn text_is_short_whatever_the_noun() {
    expect!["[1 [2 3] 4 0]"].assert_eq(&noun("[1 [2 3] [4 0]]").to_string());
    expect!["[[[1 2] 3] 18446744073709551615]"]
        .assert_eq(&noun("[[[1 2] 3] 18446744073709551615]").to_string());
    expect!["0x0100000000000000ff"].assert_eq(&noun("0x100000000000000ff").to_string());
    expect!["0x010000000000000000000000000000000000000000000000..(1001 bytes)"]
        .assert_eq(&Atom::from_le_bytes(&[vec![0; 1000], vec![1]].concat()).to_string());
    let deep = (0..100_000_u64).fold(Noun::ZERO, |inner, _| Noun::cell(inner, 0));
    assert_eq!(deep.to_string(), format!("{}..", "[".repeat(201)));
    assert!(format!("{:?}", Noun::list(0..100_000_u64)).ends_with("97 98 99 .."));
    assert_eq!(format!("{:?}", Cell::new(1, 2)), "[1 2]");
}

#[test]
fn texts_that_are_no_nouns_say_where() {
    let fails = ["", "[1 2", "[1]", "[]", "1 2", "]", "[1 x]", "0x", "'open", "[1 2] 3", "0xg", "[1 [2 3]"];
    let errors: Vec<_> = fails.map(|text| text.parse::<Noun>().unwrap_err().to_string()).into();
    expect![[r#"
        the text ends inside a noun at byte 0
        the text ends inside a noun at byte 4
        brackets around fewer than two nouns at byte 2
        brackets around fewer than two nouns at byte 1
        more text behind the noun at byte 1
        no number, %cord, 'cord' or bracket at byte 0
        no number, %cord, 'cord' or bracket at byte 3
        no number, %cord, 'cord' or bracket at byte 0
        no number, %cord, 'cord' or bracket at byte 0
        more text behind the noun at byte 5
        no number, %cord, 'cord' or bracket at byte 0
        the text ends inside a noun at byte 8"#]]
    .assert_eq(&errors.join("\n"));
}
