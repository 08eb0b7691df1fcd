//! Numbers as decimal digits.

/// Appends `value` without leading zeros.
#[inline]
pub(super) fn put_decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; DIGITS_MAX];
    let mut start = DIGITS_MAX;
    while value >= 100 {
        let pair = digit_pair(value % 100);
        value /= 100;
        start -= 2;
        digits[start..start + 2].copy_from_slice(&pair);
    }
    let pair = digit_pair(value);
    if value >= 10 {
        start -= 2;
        digits[start..start + 2].copy_from_slice(&pair);
    } else {
        start -= 1;
        digits[start] = pair[1];
    }
    out.extend_from_slice(&digits[start..]);
}

#[inline]
fn digit_pair(below_100: u64) -> [u8; 2] {
    PAIRS[usize::try_from(below_100).expect("below 100")]
}

/// Digits of `u64::MAX`.
const DIGITS_MAX: usize = 20;

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
    use super::put_decimal;

    #[test]
    fn as_the_standard_library_writes_them() {
        let powers = (0..20).map(|exponent| 10_u64.pow(exponent));
        for value in powers.flat_map(|power| [power - 1, power, power + 1]).chain([42, 100, u64::MAX]) {
            let mut out = b"x".to_vec();
            put_decimal(&mut out, value);
            assert_eq!(out, format!("x{value}").into_bytes());
        }
    }
}
