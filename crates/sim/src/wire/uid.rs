//! Identifiers of 128 bits.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A 128-bit identifier. Of a well-known service the first half is all ones and the second its token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UID {
    /// The first half.
    pub first: u64,
    /// The second half.
    pub second: u64,
}

impl UID {
    /// The identifier of these halves.
    pub const fn new(first: u64, second: u64) -> Self {
        Self { first, second }
    }

    /// The identifier of the well-known service with this token.
    pub const fn well_known(token: u32) -> Self {
        Self { first: u64::MAX, second: token as u64 }
    }

    /// Whether it is that of a well-known service.
    pub const fn is_well_known(&self) -> bool {
        self.first == u64::MAX
    }

    /// Identifier number `index` of an interface whose first one is this; number 0 is this one itself.
    ///
    /// `index` is added to the upper half of `first` and to the lower half of `second`, each modulo its size, so
    /// that an interface can be sent as its first endpoint alone.
    pub const fn adjusted(&self, index: u32) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
        let low = (self.second as u32).wrapping_add(index);
        Self {
            first: self.first.wrapping_add((index as u64) << 32),
            second: (self.second & 0xffff_ffff_0000_0000) | low as u64,
        }
    }

    /// Whether it is any but the all-zero one, which stands for none.
    pub const fn is_valid(&self) -> bool {
        self.first != 0 || self.second != 0
    }
}

/// 32 hexadecimal digits, the first half first.
impl fmt::Display for UID {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.first, self.second)
    }
}

#[cfg(test)]
mod tests {
    use super::UID;

    #[test]
    fn well_known_ones_have_a_first_half_of_ones() {
        assert_eq!(UID::well_known(42), UID::new(0xffff_ffff_ffff_ffff, 42));
        assert!(UID::well_known(0).is_well_known());
        assert!(!UID::new(0, 42).is_well_known());
    }

    /// By hand from the sum that the docs give.
    #[test]
    fn adjusting_adds_to_both_halves_and_wraps_in_each() {
        let base = UID::new(0xffff_ffff_0000_0001, 0x0000_0007_ffff_ffff);
        assert_eq!(base.adjusted(0), base);
        assert_eq!(base.adjusted(2), UID::new(0x0000_0001_0000_0001, 0x0000_0007_0000_0001));
    }

    #[test]
    fn none_is_all_zero_and_text_is_both_halves() {
        assert!(!UID::default().is_valid());
        assert!(UID::new(0, 1).is_valid());
        assert_eq!(UID::new(0x1234, 0xabcd).to_string(), "0000000000001234000000000000abcd");
    }
}
