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

    #[test]
    fn any_patches_are_survived(data in vec(any::<u8>(), 0..60)) {
        crate::patched::survive(&data);
    }
}

/// Found by fuzzing: with `wal.meta` empty and no header left, opening refused the log, and `verify` took every segment
/// for one that was never in use.
#[test]
fn segments_without_headers_are_damage_to_verify_too() {
    let mut data = vec![0];
    for segment_file in [1, 3, 5, 7, 9] {
        data.extend([segment_file, 0, 0, 4, 0]);
    }
    let empty_meta = [10, 0, 0, 2, 0];
    data.extend(empty_meta);
    crate::patched::survive(&data);
}

/// Found by fuzzing: a `wal.meta` with a good checksum said that every segment there is was pruned.
#[test]
fn a_meta_that_prunes_every_segment_is_survived() {
    survive(include_bytes!("../findings/meta-prunes-every-segment"), Checksums::Mended);
}

/// The same with numbers as a log may have them, and with numbers at the end of what 64 bits hold.
#[test]
fn a_meta_beyond_every_segment_is_survived() {
    for number in [2, 1 << 40, 1 << 62, u64::MAX - 1, u64::MAX] {
        let mut data = vec![0; 1 + 3 * 200];
        for field in 0..5 {
            data[1 + 32 + 8 * field..][..8].copy_from_slice(&u64::to_le_bytes(number));
        }
        survive(&data, Checksums::Mended);
    }
}

/// Sums of header fields must not run over.
#[test]
fn headers_at_the_end_of_64_bits_are_survived() {
    for number in [1 << 61, 1 << 62, 1 << 63, u64::MAX - 8, u64::MAX] {
        for field in [40, 48, 56, 72, 80, 88] {
            let mut data = vec![0; 1 + 5 * 200];
            data[0] = 1;
            for segment in [1, 3] {
                data[1 + 200 * segment + field..][..8].copy_from_slice(&u64::to_le_bytes(number));
            }
            survive(&data, Checksums::Mended);
        }
    }
}
