//! Numbers as decimal digits.

use super::buffer::LineBuffer;

/// Appends `value` without leading zeros: at most [`DIGITS_MAX`] bytes.
#[inline]
pub(super) fn put_decimal(line: &mut LineBuffer, value: u64) {
    if value < 10 {
        line.put_byte(b'0' + low_byte(value));
        return;
    }
    let digits = line.take(value.ilog10() as usize + 1);
    let mut end = digits.len();
    let mut rest = value;
    // Eight at a time, so that most divisions are of 32 bits and do not wait for one another.
    while rest >= GROUP {
        let group = u32::try_from(rest % GROUP).expect("below 10^8");
        rest /= GROUP;
        put_pairs(&mut digits[end - 8..end], group);
        end -= 8;
    }
    put_pairs(&mut digits[..end], u32::try_from(rest).expect("below 10^8"));
}

/// Fills `digits` with `value`, which has as many.
#[inline]
fn put_pairs(digits: &mut [u8], mut value: u32) {
    let mut pairs = digits.rchunks_exact_mut(2);
    for pair in &mut pairs {
        pair.copy_from_slice(&PAIRS[(value % 100) as usize]);
        value /= 100;
    }
    if let [first] = pairs.into_remainder() {
        *first = b'0' + low_byte(u64::from(value));
    }
}

#[expect(clippy::cast_possible_truncation, reason = "below 10")]
fn low_byte(digit: u64) -> u8 {
    digit as u8
}

/// Digits of `u64::MAX`.
pub(super) const DIGITS_MAX: usize = 20;
const GROUP: u64 = 100_000_000;

/// 00 to 99.
const PAIRS: [[u8; 2]; 100] = pairs();

#[expect(clippy::cast_possible_truncation, reason = "below 100")]
const fn pairs() -> [[u8; 2]; 100] {
    let mut pairs = [[0; 2]; 100];
    let mut at = 0;
    while at < 100 {
        pairs[at] = [b'0' + (at / 10) as u8, b'0' + (at % 10) as u8];
        at += 1;
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::{DIGITS_MAX, put_decimal};
    use crate::canonical::buffer::LineBuffer;

    #[test]
    fn as_the_standard_library_writes_them() {
        let powers = (0..20).map(|exponent| 10_u64.pow(exponent));
        for value in powers.flat_map(|power| [power - 1, power, power + 1]).chain([42, 100, u64::MAX]) {
            let mut line = LineBuffer::default();
            line.begin(1 + DIGITS_MAX);
            line.put_byte(b'x');
            put_decimal(&mut line, value);
            assert_eq!(line.as_bytes(), format!("x{value}").as_bytes());
        }
    }
}
