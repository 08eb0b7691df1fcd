//! Numbers as decimal digits.

use super::buffer::LineBuffer;

/// Appends `value` without leading zeros: at most [`DIGITS_MAX`] bytes.
#[inline]
pub(super) fn put_decimal(line: &mut LineBuffer, value: u64) {
    if value < GROUP {
        let digits = eight_digits(value);
        // Leading zeros are low bytes; the last digit stays, whatever it is.
        let zeros = (digits.trailing_zeros() / 8).min(7);
        line.put_first(&((digits | ASCII_ZEROS) >> (8 * zeros)).to_le_bytes(), 8 - zeros as usize);
    } else {
        put_decimal_above(line, value);
    }
}

/// Appends `value`, which has more than eight digits.
fn put_decimal_above(line: &mut LineBuffer, value: u64) {
    put_decimal(line, value / GROUP);
    line.put_first(&(eight_digits(value % GROUP) | ASCII_ZEROS).to_le_bytes(), 8);
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
const GROUP: u64 = 100_000_000;
const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;

#[cfg(test)]
mod tests {
    use super::{DIGITS_MAX, put_decimal};
    use crate::canonical::buffer::LineBuffer;

    fn check(value: u64) {
        let mut line = LineBuffer::default();
        line.begin(1 + DIGITS_MAX);
        line.put_byte(b'x');
        put_decimal(&mut line, value);
        assert_eq!(line.as_bytes(), format!("x{value}").as_bytes());
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
