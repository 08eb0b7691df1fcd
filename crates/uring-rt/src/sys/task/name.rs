//! Names in place.

/// A name of at most 23 bytes.
#[derive(Clone, Copy)]
pub(super) struct Name {
    bytes: [u8; NAME_BYTES_MAX],
    len: u8,
}

impl Name {
    /// As much of `name` as there is room for, cut between characters.
    #[inline]
    pub(super) fn new(name: &str) -> Self {
        let name = name.as_bytes();
        let len = if name.len() <= NAME_BYTES_MAX { name.len() } else { cut_len(name) };
        let mut bytes = [0; NAME_BYTES_MAX];
        // Names are short: moves of a fixed size, which may overlap, are cheaper than a call that copies.
        match len {
            16.. => {
                bytes[..16].copy_from_slice(&name[..16]);
                bytes[len - 8..len].copy_from_slice(&name[len - 8..len]);
            }
            8.. => {
                bytes[..8].copy_from_slice(&name[..8]);
                bytes[len - 8..len].copy_from_slice(&name[len - 8..len]);
            }
            4.. => {
                bytes[..4].copy_from_slice(&name[..4]);
                bytes[len - 4..len].copy_from_slice(&name[len - 4..len]);
            }
            1.. => {
                bytes[0] = name[0];
                bytes[len / 2] = name[len / 2];
                bytes[len - 1] = name[len - 1];
            }
            0 => {}
        }
        Self { bytes, len: u8::try_from(len).expect("names are short") }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).expect("cut between characters")
    }
}

/// The last boundary of characters within the longest name.
#[cold]
fn cut_len(name: &[u8]) -> usize {
    // Bytes that begin with 10 in binary continue a character.
    (0..=NAME_BYTES_MAX).rev().find(|at| name[*at] & 0xC0 != 0x80).unwrap_or(0)
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
