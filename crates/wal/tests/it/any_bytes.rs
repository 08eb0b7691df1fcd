//! A smoke of the fuzz targets: the same entry, a few thousand random inputs.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::any_files::{Checksums, survive};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(data in vec(any::<u8>(), 0..2000)) {
        survive(&data, Checksums::AsTheyAre);
    }

    #[test]
    fn any_bytes_with_right_checksums_are_survived(data in vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..2000)) {
        survive(&data, Checksums::Mended);
    }
}
