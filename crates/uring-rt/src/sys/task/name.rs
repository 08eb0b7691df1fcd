//! Names in place.

/// A name of at most 23 bytes; the last byte is how many it has.
#[derive(Clone, Copy)]
pub(super) struct Name([[u8; 8]; 3]);

impl Name {
    /// As much of `name` as there is room for, cut between characters.
    #[inline]
    pub(super) fn new(name: &str) -> Self {
        let name = name.as_bytes();
        let name = if name.len() <= NAME_BYTES_MAX { name } else { cut(name) };
        // Names are short: words that may overlap are cheaper than a call that copies.
        let [mut one, mut two, mut three] = [0; 3];
        let len = name.len();
        if let (Some(first), Some(last)) = (name.first_chunk::<8>(), name.last_chunk::<8>()) {
            one = u64::from_le_bytes(*first);
            let last = u64::from_le_bytes(*last);
            if let Some(second) = name[8..].first_chunk() {
                two = u64::from_le_bytes(*second);
                // There are 16 to 23; of none nothing is left by the two shifts.
                three = last >> 8 >> (8 * (NAME_BYTES_MAX - len));
            } else {
                two = last >> 8 >> (8 * (15 - len));
            }
        } else if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            one = u64::from(u32::from_le_bytes(*first))
                | u64::from(u32::from_le_bytes(*last)) << (8 * (len - 4));
        } else if let (Some(first), Some(last)) = (name.first(), name.last()) {
            let middle = u64::from(name[len / 2]) << (8 * (len / 2));
            one = u64::from(*first) | middle | u64::from(*last) << (8 * (len - 1));
        }
        three |= (len as u64) << 56;
        Self([one.to_le_bytes(), two.to_le_bytes(), three.to_le_bytes()])
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        let bytes = self.0.as_flattened();
        bytes.get(..usize::from(bytes[NAME_BYTES_MAX])).unwrap_or_default()
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("cut between characters")
    }
}

/// What is before the last boundary of characters within the longest name.
#[cold]
fn cut(name: &[u8]) -> &[u8] {
    // Bytes that begin with 10 in binary continue a character.
    let len = (0..=NAME_BYTES_MAX).rev().find(|at| name[*at] & 0xC0 != 0x80).unwrap_or(0);
    &name[..len]
}

const NAME_BYTES_MAX: usize = 23;

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn names_are_kept_and_cut_between_characters() {
        let long = "abcdefghijklmnopqrstuvwxyz";
        for len in 0..=long.len() {
            assert_eq!(Name::new(&long[..len]).as_str(), &long[..len.min(23)]);
        }
        // Of two bytes each: an odd number does not end one.
        assert_eq!(Name::new("äöüäöüäöüäöü").as_str(), "äöüäöüäöüäö");
        assert_eq!(
            Name::new("a\u{10FFFF}\u{10FFFF}\u{10FFFF}\u{10FFFF}\u{10FFFF}\u{10FFFF}").as_str().len(),
            21
        );
    }
}
