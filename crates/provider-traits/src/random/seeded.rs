//! The stream of runtimes whose system brings none that can be repeated.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use super::RandomProvider;

/// A stream of random numbers: xoshiro256++ 1.0 by David Blackman and Sebastiano Vigna, its state filled by
/// SplitMix64 from the seed, as its authors advise (<https://prng.di.unimi.it>).
///
/// The same seed and names give the same numbers in every version of this crate with the same major number, and so on
/// every runtime that has this as its [`RandomProvider`].
#[derive(Clone)]
pub struct SeededRandom {
    seed: u64,
    state: Rc<Cell<[u64; 4]>>,
}

impl SeededRandom {
    /// The stream from `seed`. All seeds are equally good.
    pub fn new(seed: u64) -> Self {
        let state =
            std::array::from_fn(|place| mix(seed.wrapping_add(GOLDEN_RATIO.wrapping_mul(place as u64 + 1))));
        Self { seed, state: Rc::new(Cell::new(state)) }
    }
}

impl RandomProvider for SeededRandom {
    fn next_u64(&self) -> u64 {
        let [mut a, mut b, mut c, mut d] = self.state.get();
        let output = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let shifted = b << 17;
        c ^= a;
        d ^= b;
        b ^= c;
        a ^= d;
        c ^= shifted;
        d = d.rotate_left(45);
        self.state.set([a, b, c, d]);
        output
    }

    fn fork(&self, name: &str) -> Self {
        Self::new(fork_seed(self.seed, name))
    }
}

impl fmt::Debug for SeededRandom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeededRandom").field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// The seed of the fork called `name`: SplitMix64's finalizer over the name's bytes, eight at a time, and then its
/// length, each mixed into what came before.
fn fork_seed(seed: u64, name: &str) -> u64 {
    let mut state = mix(seed ^ GOLDEN_RATIO);
    for chunk in name.as_bytes().chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = mix(state.wrapping_add(GOLDEN_RATIO) ^ u64::from_le_bytes(word));
    }
    mix(state.wrapping_add(GOLDEN_RATIO) ^ name.len() as u64)
}

/// SplitMix64's finalizer, variant 13 of David Stafford: a bijection.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// 2^64 divided by the golden ratio, rounded to odd: SplitMix64's step.
const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::{GOLDEN_RATIO, RandomProvider, SeededRandom, mix};

    /// First outputs of the reference C code for the state 1, 2, 3, 4.
    #[test]
    fn draws_are_those_of_xoshiro256_plus_plus() {
        let random = SeededRandom { seed: 0, state: Rc::new(Cell::new([1, 2, 3, 4])) };
        let drawn: Vec<u64> = (0..4).map(|_| random.next_u64()).collect();
        assert_eq!(drawn, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    /// First outputs of the reference C code for the seed 1234567.
    #[test]
    fn the_state_is_filled_by_splitmix64() {
        let state = SeededRandom::new(1_234_567).state.get();
        assert_eq!(state[..2], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
        assert_eq!(mix(1_234_567_u64.wrapping_add(GOLDEN_RATIO)), state[0]);
    }

    /// Numbers that users may have written down; they change only with the major version.
    #[test]
    fn forks_stay_the_same() {
        let drawn = ["", "disk", "a name of more than eight bytes"]
            .map(|name| SeededRandom::new(7).fork(name).next_u64());
        assert_eq!(drawn, [10_337_155_937_029_405_989, 1_334_454_966_118_264_631, 1_470_417_717_535_180_012]);
    }
}
