//! Bytes that no `jam` wrote.

use super::*;
use crate::bits::BitWriter;

/// The bytes of fields `(value, bits)`.
fn bytes(fields: &[(u64, u32)]) -> Vec<u8> {
    let mut out = BitWriter::new();
    for (value, count) in fields {
        out.push(*value, *count);
    }
    out.finish()
}

/// Each way to be wrong has its error, with the bit where the wrong part began.
#[test]
fn errors_tell_the_bit() {
    let check = |bytes: &[u8], expected| assert_eq!(Noun::cue(bytes), Err(expected), "{bytes:x?}");
    check(&[], CueError::UnexpectedEnd { bit: 0 });
    check(&[0], CueError::UnexpectedEnd { bit: 0 });
    // [0 ..
    check(&bytes(&[(0b01, 2), (0b10, 2)]), CueError::UnexpectedEnd { bit: 4 });
    // A number of 2^63 bits, and one that would have more.
    check(&bytes(&[(0, 1), (0, 64), (1, 1), (0, 63)]), CueError::UnexpectedEnd { bit: 0 });
    check(
        &bytes(&[(0, 1), (0, 64), (0, 1), (1, 1), (0, 64)]),
        CueError::LengthTooLong { bit: 0, length_bits: 65 },
    );
    // [0 *0]: the cell itself begins at bit 0.
    check(&bytes(&[(0b01, 2), (0b10, 2), (0b11, 2), (1, 1)]), CueError::CircularReference { bit: 4, to: 0 });
    // [0 *1], and a reference at once.
    check(
        &bytes(&[(0b01, 2), (0b10, 2), (0b11, 2), (0b10, 2), (1, 1)]),
        CueError::BadReference { bit: 4, to: 1 },
    );
    check(&bytes(&[(0b11, 2), (1, 1)]), CueError::BadReference { bit: 0, to: 0 });
}

/// A reference to more than 64 bits leads nowhere.
#[test]
fn a_reference_beyond_64_bits_leads_nowhere() {
    let mut out = BitWriter::new();
    out.push(0b11, 2);
    // 7 bits of length, 65 = 0b1000001.
    out.push(1 << 7, 8);
    out.push(1, 6);
    out.push_atom(&Atom::from_u128(1 << 64));
    let expected = CueError::BadReference { bit: 0, to: u64::MAX };
    assert_eq!(Noun::cue(&out.finish()), Err(expected));
}

/// What could have been written shorter, and what is padded, is read.
#[test]
fn long_ways_to_write_are_read() {
    // The number 1 in three bits.
    assert_eq!(Noun::cue(&bytes(&[(0, 1), (0b100, 3), (1, 1), (0b001, 3)])), Ok(Noun::from(1)));
    // [1 1] without a reference is what `jam` writes; with one:
    let reference = bytes(&[(0b01, 2), (0, 1), (0b10, 2), (1, 1), (0b11, 2), (0b100, 3), (0, 1), (0b10, 2)]);
    assert_eq!(Noun::cue(&reference), Ok(Noun::from((1, 1))));
    assert_eq!(Noun::cue(&[0x31, 0x03, 0, 0, 0, 0, 0, 0]), Ok(Noun::from((1, 1))));
    assert_eq!(Noun::cue(&[0x31, 0x03, 0xff, 0xff]), Ok(Noun::from((1, 1))));
}

/// The limit is told, and nothing is kept.
#[test]
fn the_memory_limit_holds() {
    let jam = Noun::list(0..1000_u64).jam();
    let before = crate::live_bytes();
    for limit in [0, 100, 10_000, 100_000] {
        let outcome = Noun::cue_within(&jam, &CueLimits::new(limit));
        assert!(
            matches!(outcome, Err(CueError::MemoryLimit { memory_bytes_max, .. }) if memory_bytes_max == limit)
        );
        assert_eq!(crate::live_bytes(), before);
    }
    assert!(Noun::cue_within(&jam, &CueLimits::new(1_000_000)).is_ok());
}
