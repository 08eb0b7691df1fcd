//! What no noun at hand makes happen: a hash that folds to 0.

use super::*;

/// The published check values of MurmurHash3 x86_32.
#[test]
fn murmur3_is_murmur3() {
    assert_eq!(murmur3(b"", 0), 0);
    assert_eq!(murmur3(b"", 1), 0x514e_28b7);
    assert_eq!(murmur3(b"", 0xffff_ffff), 0x81f1_6f39);
    assert_eq!(murmur3(&[0xff; 4], 0), 0x7629_3b50);
    assert_eq!(murmur3(&[0x21, 0x43, 0x65, 0x87], 0), 0xf55b_516b);
    assert_eq!(murmur3(&[0x21, 0x43, 0x65], 0), 0x7e4a_8634);
    assert_eq!(murmur3(b"Hello, world!", 0x9747_b28c), 0x2488_4cba);
}

/// The finalizer run backwards tells four bytes whose hash is what we like.
fn bytes_with_hash(hash: u32, seed: u32) -> [u8; 4] {
    let unshift = |value: u32, by: u32| (0..32).step_by(by as usize).fold(0, |all, at| all ^ (value >> at));
    let inverse = |odd: u32| (0..5).fold(odd, |x, _| x.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(x))));
    let hash = unshift(hash, 16).wrapping_mul(inverse(0xc2b2_ae35));
    let hash = unshift(hash, 13).wrapping_mul(inverse(0x85eb_ca6b));
    let hash = unshift(hash, 16) ^ 4;
    let block = hash.wrapping_sub(0xe654_6b64).wrapping_mul(inverse(5)).rotate_right(13) ^ seed;
    block.wrapping_mul(inverse(0x1b87_3593)).rotate_right(15).wrapping_mul(inverse(0xcc9e_2d51)).to_le_bytes()
}

/// Both hashes that fold to 0, 0 and 0x80000001, are passed over, and the next seed is asked.
#[test]
fn a_hash_that_folds_to_0_is_tried_again() {
    for hash in [0, 0x8000_0001] {
        let bytes = bytes_with_hash(hash, ATOM_SEED);
        assert_eq!(murmur3(&bytes, ATOM_SEED), hash);
        let next = murmur3(&bytes, ATOM_SEED + 1);
        assert_eq!(mug_bytes(&bytes), (next >> 31) ^ (next & 0x7fff_ffff));
    }
}

/// No input is known that folds to 0 eight times; the fold itself is made to see one by its fallback alone.
#[test]
fn the_eighth_seed_is_the_last() {
    let bytes = bytes_with_hash(0, ATOM_SEED + TRIES - 1);
    let from_the_last = (0..1).map(|_| murmur3(&bytes, ATOM_SEED + TRIES - 1)).next();
    assert_eq!(from_the_last, Some(0));
    // Folding with the last seed only: what is left is the fallback, unless one of seven further seeds has a hash.
    assert_ne!(fold(&bytes, ATOM_SEED + TRIES - 1, 7), 0);
}

/// A tail whose mug has a zero byte on top is hashed without that byte.
#[test]
fn a_short_mug_of_a_tail_counts_its_own_bytes_only() {
    assert_eq!(mug_both(1, 0x00ff_ffff), fold(&[1, 0, 0, 0, 0xff, 0xff, 0xff], CELL_SEED, 0));
    assert_eq!(mug_both(1, 1), fold(&[1, 0, 0, 0, 1], CELL_SEED, 0));
}
