//! Seeds, forked by name.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Where all randomness of one run comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seed(u64);

impl Seed {
    /// The seed with value `value`. All values are equally good.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The value.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// A seed for the part of the program called `name`.
    ///
    /// It depends on this seed and the name alone, so that a new draw in one part shifts no other.
    /// XXH3-64 of the name, keyed with this seed.
    pub fn fork(self, name: &str) -> Self {
        Self(xxh3_64_with_seed(name.as_bytes(), self.0))
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Seed {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::Seed;

    #[test]
    fn forks_depend_on_seed_and_name_alone() {
        let seed = Seed::new(7);
        assert_eq!(seed.fork("disk"), Seed::new(7).fork("disk"));
        assert_ne!(seed.fork("disk"), seed.fork("net"));
        assert_ne!(seed.fork("disk"), Seed::new(8).fork("disk"));
        assert_ne!(seed.fork(""), seed);
    }
}
