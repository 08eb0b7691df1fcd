//! The front of a line, in room of a fixed size: what is written to it needs no check of its length.

/// Room for the front of a line.
pub(super) type Head = [u8; HEAD_BYTES];

/// Writes `bytes` at `at`, which is below 128.
#[inline]
pub(super) fn put_chunk<const N: usize>(head: &mut Head, at: usize, bytes: &[u8; N]) {
    const { assert!(N <= CHUNK_BYTES_MAX) };
    // A mask, so that the compiler sees that it fits.
    let at = at & MASK;
    head[at..at + N].copy_from_slice(bytes);
}

/// Writes `value` at `at` in decimal, without leading zeros, and returns where it ends: at most [`DIGITS_MAX`] bytes
/// behind `at`. Up to eight bytes may be written to.
#[inline]
pub(super) fn put_decimal(head: &mut Head, at: usize, value: u64) -> usize {
    if value >= GROUP {
        return put_decimal_above(head, at, value);
    }
    let digits = eight_digits(value);
    // Leading zeros are low bytes; the last digit stays, whatever it is.
    let zeros = (digits.trailing_zeros() / 8).min(7);
    put_chunk(head, at, &((digits | ASCII_ZEROS) >> (8 * zeros)).to_le_bytes());
    at + (8 - zeros) as usize
}

/// `value` has more than eight digits.
fn put_decimal_above(head: &mut Head, at: usize, value: u64) -> usize {
    let at = put_decimal(head, at, value / GROUP);
    put_chunk(head, at, &(eight_digits(value % GROUP) | ASCII_ZEROS).to_le_bytes());
    at + 8
}

/// The digits of `value`, which is below 10^8, a byte each, the first one lowest.
///
/// All at once, by multiplications in parts of one word: Khuong, "How to print integers really fast", 2017.
#[inline]
fn eight_digits(value: u64) -> u64 {
    // Two numbers of four digits, each in 32 bits.
    let fours = (value / 10_000) | ((value % 10_000) << 32);
    // Four numbers of two digits, each in 16 bits: by 10486 / 2^20, which is exact below 10,000.
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    // Eight digits: by 103 / 2^10, which is exact below 100.
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - 10 * tens) << 8)
}

/// Digits of `u64::MAX`.
pub(super) const DIGITS_MAX: usize = 20;
/// Positions are below 128, and a chunk may begin at the last of them.
pub(super) const HEAD_BYTES: usize = MASK + 1 + CHUNK_BYTES_MAX;
const MASK: usize = 127;
const CHUNK_BYTES_MAX: usize = 32;
const GROUP: u64 = 100_000_000;
const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;

#[cfg(test)]
mod tests {
    use super::{HEAD_BYTES, put_decimal};

    fn check(value: u64) {
        let mut head = [b'x'; HEAD_BYTES];
        let end = put_decimal(&mut head, 1, value);
        assert_eq!(&head[..end], format!("x{value}").as_bytes());
    }

    #[test]
    fn as_the_standard_library_writes_them() {
        let powers = (0..20).map(|exponent| 10_u64.pow(exponent));
        powers.flat_map(|power| [power - 1, power, power + 1]).for_each(check);
        [42, 100, u64::MAX].into_iter().for_each(check);
        (0..20_000).for_each(check);
        // Each group of four digits in each place.
        (0..10_000).for_each(|four| check(four * 10_000 + 9_999 - four));
        (0..10_000).for_each(|four| check((four + 1) * 1_000_000_007_919));
    }
}
