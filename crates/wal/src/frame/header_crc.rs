//! CRC-32 of what a frame's header binds: 44 bytes, always.
//!
//! Replay computes one per record. A general implementation spends most of its time on the choice of a method and
//! on the bytes behind the last 16; for one fixed length both are known when this is compiled. The method is slicing
//! by 16 (Kounavis and Berry, "A systematic approach to building high performance, software-based, CRC generators",
//! 2005): as many table look-ups as bytes, and none waits for another within a slice.

/// An offset (8) and a header without its first field (36).
pub(super) const BOUND_BYTES: usize = 44;

/// The CRC-32/IEEE of something whose CRC-32 is `crc`, followed by `bytes`.
// Not inlined: a compiler that sees the bytes being put together takes them apart again in registers, by shifts, where
// one load each does.
#[inline(never)]
pub(super) fn update(crc: u32, bytes: &[u8; BOUND_BYTES]) -> u32 {
    let mut state = !crc;
    let (slices, rest) = bytes.as_chunks::<16>();
    for slice in slices {
        state = fold(state, slice);
    }
    let rest: &[u8; BOUND_BYTES % 16] = rest.try_into().expect("the length is fixed");
    !fold(state, rest)
}

/// The state after `slice`, whose first four bytes meet `state`.
#[inline]
fn fold<const N: usize>(state: u32, slice: &[u8; N]) -> u32 {
    let met = state.to_le_bytes();
    let mut out = 0;
    let mut at = 0;
    while at < N {
        let byte = if at < 4 { slice[at] ^ met[at] } else { slice[at] };
        out ^= TABLES[N - 1 - at][usize::from(byte)];
        at += 1;
    }
    out
}

/// `TABLES[n][b]`: what byte `b` does to the state when `n` bytes follow it in its slice.
static TABLES: [[u32; 256]; 16] = tables();

const fn tables() -> [[u32; 256]; 16] {
    let mut tables = [[0; 256]; 16];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "a byte, in a constant function")]
        let mut state = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            state = (state >> 1) ^ if state & 1 == 1 { POLYNOMIAL_REFLECTED } else { 0 };
            bit += 1;
        }
        tables[0][byte] = state;
        byte += 1;
    }
    let mut table = 1;
    while table < 16 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

/// CRC-32/IEEE 802.3, bit-reflected.
const POLYNOMIAL_REFLECTED: u32 = 0xEDB8_8320;

#[cfg(test)]
mod tests {
    use super::{BOUND_BYTES, update};

    /// The table method and the library agree, whatever the seed and the bytes.
    #[test]
    fn agrees_with_crc32fast() {
        let mut bytes = [0_u8; BOUND_BYTES];
        for round in 0_u32..2000 {
            let seed = crc32fast::hash(&round.to_le_bytes());
            for (at, byte) in bytes.iter_mut().enumerate() {
                *byte = byte.wrapping_mul(31) ^ seed.to_le_bytes()[at % 4].rotate_left(round % 8);
            }
            let mut hasher = crc32fast::Hasher::new_with_initial(seed);
            hasher.update(&bytes);
            assert_eq!(update(seed, &bytes), hasher.finalize());
        }
    }
}
