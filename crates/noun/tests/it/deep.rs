//! Nouns that break what recurses, and bytes that break what believes them.

use samestep_noun::{CueError, CueLimits, Noun, live_bytes};

use crate::alloc::peak_bytes;

const DEEP: u64 = 10_000_000;

/// Ten million cells in a chain, made by `wrap`: every operation runs on the stack of a test thread, and freeing
/// needs no memory.
fn check_chain(steps: u64, wrap: impl Fn(Noun, u64) -> Noun) {
    let before = live_bytes();
    let build = || (0..steps).fold(Noun::ZERO, |inner, at| wrap(inner, at % 3));
    let noun = build();
    let mug = noun.mug();
    let jam = noun.jam();
    let (again, peak) = peak_bytes(|| Noun::cue_within(&jam, &CueLimits::new(4 << 30)).unwrap());
    assert!(peak < 3 << 30, "{peak}");
    assert!(again == noun, "and is equal, cell by cell, before any mug is known");
    assert_eq!(again.mug(), mug);
    drop(again);
    let ((), peak) = peak_bytes(|| drop(noun));
    assert_eq!(peak, 0, "freeing takes no memory");
    assert_eq!(live_bytes(), before);
}

#[test]
fn ten_million_cells_to_the_right() {
    check_chain(DEEP, |inner, at| Noun::cell(at, inner));
}

#[test]
fn ten_million_cells_to_the_left() {
    check_chain(DEEP, Noun::cell);
}

#[test]
fn ten_million_cells_in_zigzag() {
    // Two cells a step.
    check_chain(
        DEEP / 2,
        |inner, at| if at == 1 { Noun::cell((at, at), inner) } else { Noun::cell(inner, (at, at)) },
    );
}

/// [x x], 2^60 times doubled.
fn doubled(times: u32) -> Noun {
    (0..times).fold(Noun::from(7), |half, _| Noun::cell(&half, &half))
}

/// 2^60 cells in memory of sixty: jammed, cued, compared, hashed and freed at once.
#[test]
fn a_doubling_bomb_stays_small() {
    let (bytes, peak) = peak_bytes(|| doubled(60).jam());
    assert!(bytes.len() < 150, "{}", bytes.len());
    assert!(peak < 20_000, "{peak}");
    let (noun, peak) = peak_bytes(|| Noun::cue_within(&bytes, &CueLimits::new(20_000)).unwrap());
    assert!(peak < 20_000, "{peak}");
    // Neither shares a cell with the other, nor knows its mug.
    assert!(noun == doubled(60));
    assert!(noun != doubled(61));
    let other = (0..60).fold(Noun::from(8), |half, _| Noun::cell(&half, &half));
    assert!(noun != other);
    assert_eq!(noun.mug(), doubled(60).mug());
    assert!(noun.to_string().len() < 5000);
}

/// A million doublings: 2^1000000 cells in bytes of which each counts.
#[test]
fn a_million_doublings_are_a_million_cells() {
    let (bytes, _) = peak_bytes(|| doubled(1_000_000).jam());
    let (noun, peak) = peak_bytes(|| Noun::cue(&bytes).unwrap());
    assert!(peak < 300_000_000, "{peak}");
    assert!(noun == doubled(1_000_000));
}

/// The densest jam there can be, a comb of cells of zeros, needs the memory that the limits' page states.
#[test]
fn memory_is_bounded_by_the_input() {
    // 01 opens a cell, 10 is the atom 0: four bits a cell.
    let bytes = vec![0b1001_1001; 100_000];
    let (outcome, peak) = peak_bytes(|| Noun::cue(&bytes));
    assert!(matches!(outcome, Err(CueError::UnexpectedEnd { .. })));
    assert!(peak < 600 * bytes.len(), "{peak}");
    let mut whole = bytes;
    whole.push(0b10);
    let (noun, peak) = peak_bytes(|| Noun::cue(&whole).unwrap());
    assert!(peak < 600 * whole.len(), "{peak}");
    assert_eq!(noun.items().count(), 200_000);
}

/// A length of 2^62 bits is not believed.
#[test]
fn a_claimed_length_takes_no_memory() {
    // 0 for an atom, 63 zeros and a one, and 62 bits of length.
    let mut bytes = vec![0; 8];
    bytes.extend([0xff; 8]);
    let (outcome, peak) = peak_bytes(|| Noun::cue(&bytes));
    assert!(matches!(outcome, Err(CueError::UnexpectedEnd { bit: 0 })), "{outcome:?}");
    assert!(peak < 1000, "{peak}");
}
