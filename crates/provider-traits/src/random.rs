//! Seeded random streams, forked by name.

mod seeded;

use std::ops::Range;
use std::time::Duration;

pub use seeded::SeededRandom;

/// A stream of random numbers. Clones draw from the same stream; forks have one of their own.
///
/// Not for keys: a run that can be repeated can be predicted.
pub trait RandomProvider: Clone + 'static {
    /// The next 64 random bits.
    fn next_u64(&self) -> u64;

    /// A stream for the part of the program called `name`.
    ///
    /// It depends on the seed of this stream and on `name` alone, not on what was drawn so far, so that a new
    /// draw in one part of a program shifts no other. Two forks of one name give the same numbers.
    fn fork(&self, name: &str) -> Self;

    /// A random value: integers over their whole range, `bool` evenly, `f64` from 0 up to but not 1.
    fn random<T: RandomValue>(&self) -> T {
        T::draw(self)
    }

    /// A random value from `range`, each equally likely (floats: each of 2^53 evenly spaced ones).
    ///
    /// # Panics
    ///
    /// If `range` is empty.
    fn random_range<T: RandomRange>(&self, range: Range<T>) -> T {
        T::draw_in(self, range)
    }

    /// A random ratio from 0 up to but not 1, evenly spaced with 53 bits.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    fn random_ratio(&self) -> f64 {
        (self.next_u64() >> 11) as f64 / RATIO_STEPS
    }

    /// `true` with the given probability: never at 0 and below, always at 1 and above.
    fn random_bool(&self, probability: f64) -> bool {
        self.random_ratio() < probability
    }

    /// Fills `bytes` with random ones.
    fn fill_bytes(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }

    /// Puts `items` in random order, each order equally likely.
    fn shuffle<T>(&self, items: &mut [T]) {
        // Fisher and Yates, from the back.
        for end in (1..items.len()).rev() {
            items.swap(end, self.random_range(0..end + 1));
        }
    }
}

/// Types that [`RandomProvider::random`] draws. Sealed.
pub trait RandomValue: sealed::Sealed {
    #[doc(hidden)]
    fn draw<R: RandomProvider>(random: &R) -> Self;
}

/// Types that [`RandomProvider::random_range`] draws. Sealed.
pub trait RandomRange: sealed::Sealed + Sized {
    #[doc(hidden)]
    fn draw_in<R: RandomProvider>(random: &R, range: Range<Self>) -> Self;
}

/// A value below `bound`, each equally likely: Lemire's multiplication with rejection of the uneven rest.
fn below<R: RandomProvider>(random: &R, bound: u64) -> u64 {
    assert!(bound > 0, "cannot draw from an empty range");
    let uneven = bound.wrapping_neg() % bound;
    loop {
        let product = u128::from(random.next_u64()) * u128::from(bound);
        if product & u128::from(u64::MAX) >= u128::from(uneven) {
            return u64::try_from(product >> 64).expect("the upper half of 128 bits");
        }
    }
}

macro_rules! integers {
    ($($integer:ty as $unsigned:ty),*) => {$(
        impl sealed::Sealed for $integer {}

        #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "the low bits are meant")]
        impl RandomValue for $integer {
            fn draw<R: RandomProvider>(random: &R) -> Self {
                random.next_u64() as $integer
            }
        }

        #[allow(
            clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss, clippy::cast_lossless,
            reason = "arithmetic modulo the type's width is meant"
        )]
        impl RandomRange for $integer {
            fn draw_in<R: RandomProvider>(random: &R, range: Range<Self>) -> Self {
                assert!(range.start < range.end, "cannot draw from an empty range");
                let width = range.end.wrapping_sub(range.start) as $unsigned;
                range.start.wrapping_add(below(random, width as u64) as $integer)
            }
        }
    )*};
}

integers!(u8 as u8, u16 as u16, u32 as u32, u64 as u64, usize as usize);
integers!(i8 as u8, i16 as u16, i32 as u32, i64 as u64, isize as usize);

impl sealed::Sealed for u128 {}

impl RandomValue for u128 {
    fn draw<R: RandomProvider>(random: &R) -> Self {
        (u128::from(random.next_u64()) << 64) | u128::from(random.next_u64())
    }
}

impl sealed::Sealed for bool {}

impl RandomValue for bool {
    fn draw<R: RandomProvider>(random: &R) -> Self {
        random.next_u64() >> 63 == 1
    }
}

impl sealed::Sealed for f64 {}

impl RandomValue for f64 {
    fn draw<R: RandomProvider>(random: &R) -> Self {
        random.random_ratio()
    }
}

impl RandomRange for f64 {
    fn draw_in<R: RandomProvider>(random: &R, range: Range<Self>) -> Self {
        assert!(range.start < range.end, "cannot draw from an empty range");
        let value = range.start + random.random_ratio() * (range.end - range.start);
        // Rounding may reach the end, which is not part of the range.
        if value < range.end { value } else { range.start }
    }
}

impl sealed::Sealed for Duration {}

impl RandomRange for Duration {
    fn draw_in<R: RandomProvider>(random: &R, range: Range<Self>) -> Self {
        assert!(range.start < range.end, "cannot draw from an empty range");
        let width = u64::try_from((range.end - range.start).as_nanos()).unwrap_or(u64::MAX);
        range.start + Duration::from_nanos(below(random, width))
    }
}

/// 2^53.
const RATIO_STEPS: f64 = 9_007_199_254_740_992.0;

mod sealed {
    #[expect(unnameable_types, reason = "it seals the traits above")]
    pub trait Sealed {}
}
