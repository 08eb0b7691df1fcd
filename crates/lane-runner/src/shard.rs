//! A part of a check that one of several machines makes.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Part `number` of `count`, counted from 1: of every lane, a run of neighbouring iterations.
///
/// Not every n-th iteration: what varies from run to run has short cycles, and such a part would see one time zone
/// only. And not some of the lanes: then no lane would run on two machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Shard {
    number: u32,
    count: u32,
}

impl Shard {
    /// The iterations of this part, if there are `iteration_count` in all. Parts differ in length by 1 at most.
    pub(crate) fn iterations(self, iteration_count: u32) -> Result<Range<u32>, ShardError> {
        if iteration_count / self.count < SHARE_MIN {
            return Err(ShardError::TooSmall { shard: self, iteration_count });
        }
        let start = |number: u32| {
            let start = u64::from(iteration_count) * u64::from(number) / u64::from(self.count);
            u32::try_from(start).expect("a part of a u32")
        };
        Ok(start(self.number - 1)..start(self.number))
    }

    /// Which part it is, counted from 1.
    pub(crate) fn number(self) -> u32 {
        self.number
    }

    /// How many parts there are.
    pub(crate) fn count(self) -> u32 {
        self.count
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('/').and_then(|(number, count)| {
            Some(Self { number: number.parse().ok()?, count: count.parse().ok()? })
        });
        let is_one = |shard: &Self| (1..=shard.count).contains(&shard.number);
        parsed.filter(is_one).ok_or_else(|| ShardError::Malformed { text: text.to_owned() })
    }
}

impl TryFrom<String> for Shard {
    type Error = ShardError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

/// Why something is no part of a check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ShardError {
    /// Write it as `2/4`.
    #[error("{text:?} is no shard: expected `i/n` with i from 1 to n")]
    Malformed { text: String },
    /// Use fewer shards, or more iterations.
    #[error(
        "shard {shard} of {iteration_count} iterations: each shard needs {SHARE_MIN} at least, to compare them"
    )]
    TooSmall { shard: Shard, iteration_count: u32 },
}

/// One run compares with nothing, and its canary cannot be caught.
const SHARE_MIN: u32 = 2;

#[cfg(test)]
mod tests {
    use super::{Shard, ShardError};

    fn shard(text: &str) -> Shard {
        text.parse().expect("a shard")
    }

    #[test]
    fn shares_are_equal_neighbouring_and_complete() {
        let shares = |count: u32, total: u32| -> Vec<_> {
            (1..=count).map(|number| shard(&format!("{number}/{count}")).iterations(total).unwrap()).collect()
        };
        assert_eq!(shares(4, 100), [0..25, 25..50, 50..75, 75..100]);
        assert_eq!(shares(4, 10), [0..2, 2..5, 5..7, 7..10]);
        assert_eq!(shares(1, 2).first(), Some(&(0..2)));
        assert_eq!(shares(2, u32::MAX)[1].end, u32::MAX);
    }

    #[test]
    fn a_share_of_one_run_is_refused() {
        let error = shard("1/4").iterations(7).unwrap_err();
        assert_eq!(error, ShardError::TooSmall { shard: shard("1/4"), iteration_count: 7 });
        assert!(error.to_string().ends_with("each shard needs 2 at least, to compare them"), "{error}");
    }

    #[test]
    fn only_parts_of_a_whole_are_shards() {
        for text in ["", "1", "0/4", "5/4", "1/0", "a/b", "1/4/2", "-1/4"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
        assert_eq!(shard("3/4").to_string(), "3/4");
    }
}
