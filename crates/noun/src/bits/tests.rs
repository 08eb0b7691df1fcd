//! Bits at every offset.

use super::*;

/// What is pushed at any offset is read again, and nothing behind it.
#[test]
fn what_is_pushed_is_read() {
    for offset in 0..=64 {
        for count in [0, 1, 7, 8, 9, 63, 64] {
            let mut out = BitWriter::new();
            let value = if count == 64 { u64::MAX } else { (1 << count) - 1 };
            out.push(0, offset);
            out.push(value, count);
            out.push(0, 1);
            assert_eq!(out.len(), u64::from(offset + count) + 1);
            let bytes = out.finish();
            let mut bits = BitReader::new(&bytes);
            assert_eq!(bits.bits(offset), Some(0), "{offset} {count}");
            assert_eq!(bits.bits(count), Some(value), "{offset} {count}");
            assert_eq!(bits.bit(), Some(false), "{offset} {count}");
            assert!(bits.bits_left() < 8);
        }
    }
}

/// Zeros are counted up to the one bit, across words, and not behind the end.
#[test]
fn zeros_end_with_a_one() {
    for zeros in [0, 1, 63, 64, 65, 127, 128, 1000] {
        for offset in [0, 1, 7] {
            let mut out = BitWriter::new();
            out.push(0, offset);
            for _ in 0..zeros {
                out.push(0, 1);
            }
            out.push(1, 1);
            let bytes = out.finish();
            let mut bits = BitReader::new(&bytes);
            bits.bits(offset);
            assert_eq!(bits.zeros(), Some(zeros));
            assert_eq!(bits.position(), u64::from(offset) + zeros + 1);
        }
    }
    let mut bits = BitReader::new(&[0; 17]);
    assert_eq!(bits.zeros(), None);
    assert_eq!(bits.position(), 0, "nothing is taken");
}
