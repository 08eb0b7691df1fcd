//! Numbers as decimal digits.

/// Appends `value` without leading zeros.
#[inline]
pub(super) fn put_decimal(out: &mut Vec<u8>, value: u64) {
    if value < 10 {
        out.push(b'0' + low_byte(value));
        return;
    }
    let mut digits = [b'0'; DIGITS_MAX];
    // Three groups of eight, so that most divisions are of 32 bits.
    let (high, low) = (value / GROUP, value % GROUP);
    put_group(&mut digits, 2, low);
    if high > 0 {
        put_group(&mut digits, 1, high % GROUP);
        if high >= GROUP {
            put_group(&mut digits, 0, high / GROUP);
        }
    }
    let start = digits.iter().position(|digit| *digit != b'0').unwrap_or(DIGITS_MAX - 1);
    out.extend_from_slice(&digits[start..]);
}

/// Eight digits of `below_group` at the given group.
#[inline]
fn put_group(digits: &mut [u8; DIGITS_MAX], group: usize, below_group: u64) {
    let mut rest = u32::try_from(below_group).expect("below 10^8");
    for pair in digits[8 * group..8 * (group + 1)].chunks_exact_mut(2).rev() {
        pair.copy_from_slice(&PAIRS[(rest % 100) as usize]);
        rest /= 100;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "below 10")]
fn low_byte(digit: u64) -> u8 {
    digit as u8
}

/// Three groups.
const DIGITS_MAX: usize = 24;
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
