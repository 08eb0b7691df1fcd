//! Values that stand in a report as they are displayed, for `#[serde(with = "..")]`.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

/// Writes what [`Display`] says.
pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Reads it back with [`FromStr`].
pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// [`Expectation`](samestep_replay_traits::Expectation) has no text of its own.
pub(crate) mod expectation {
    use samestep_replay_traits::Expectation;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
    pub(crate) fn serialize<S: Serializer>(value: &Expectation, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match value {
            Expectation::Same => "same",
            Expectation::Differ => "differ",
        })
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Expectation, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "same" => Ok(Expectation::Same),
            "differ" => Ok(Expectation::Differ),
            other => Err(D::Error::custom(format!("{other:?} is no expectation: `same` or `differ`"))),
        }
    }
}
