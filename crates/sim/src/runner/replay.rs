//! The line that names one run: seed, configuration, and the decisions that were not plain.

use std::fmt;
use std::str::FromStr;

use crate::choice::{ChoiceFamily, ChoiceKey, FAMILIES, Tape};

/// One run, as text: `seed`, or `seed@config`, or `seed@config:family.place.number=value,..`.
///
/// With decisions after the colon, even none, all others are plain; without, all are the seed's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The seed.
    pub seed: u64,
    /// A hash of the configuration that the run had, if it is known.
    pub config: Option<u64>,
    /// The decisions that are not plain, if they are not the seed's.
    pub tape: Option<Tape>,
}

/// Why a text names no run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayParseError {
    /// The seed is no number.
    #[error(
        "no seed: {text:?} is no number from 0 to 2^64 - 1; copy the whole line that a failed run printed"
    )]
    Seed {
        /// What stands in its place.
        text: String,
    },
    /// The configuration is no number.
    #[error("no configuration: {text:?} is no hexadecimal number of at most 16 digits")]
    Config {
        /// What stands in its place.
        text: String,
    },
    /// A decision is not of the form that it must have.
    #[error("{text:?} is no decision of the form family.place.number=value")]
    Choice {
        /// What stands there.
        text: String,
    },
    /// The text is longer than any that is printed.
    #[error("{bytes} bytes are more than the {bytes_max} that are read")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest that is read.
        bytes_max: usize,
    },
}

impl Replay {
    /// All decisions are the seed's.
    pub const fn of_seed(seed: u64) -> Self {
        Self { seed, config: None, tape: None }
    }
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seed)?;
        if let Some(config) = self.config {
            write!(f, "@{config:016x}")?;
        }
        let Some(tape) = &self.tape else { return Ok(()) };
        f.write_str(":")?;
        for (place, (key, value)) in tape.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{}.{}.{}={value}", family_name(key.family), key.place, key.number)?;
        }
        Ok(())
    }
}

impl FromStr for Replay {
    type Err = ReplayParseError;

    fn from_str(text: &str) -> Result<Self, ReplayParseError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(ReplayParseError::TooLong { bytes: text.len(), bytes_max: TEXT_BYTES_MAX });
        }
        let text = text.trim();
        let (head, tape) = match text.split_once(':') {
            Some((head, tape)) => (head, Some(parse_tape(tape)?)),
            None => (text, None),
        };
        let (seed, config) = match head.split_once('@') {
            Some((seed, config)) => {
                let number = u64::from_str_radix(config, 16);
                (seed, Some(number.map_err(|_| ReplayParseError::Config { text: config.to_owned() })?))
            }
            None => (head, None),
        };
        let seed = parse_seed(seed).ok_or_else(|| ReplayParseError::Seed { text: seed.to_owned() })?;
        Ok(Self { seed, config, tape })
    }
}

/// A number in decimal, or in hexadecimal after `0x`.
pub(crate) fn parse_seed(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The name of a family of decisions in replays and reports.
pub(crate) const fn family_name(family: ChoiceFamily) -> &'static str {
    match family {
        ChoiceFamily::Schedule => "schedule",
        ChoiceFamily::Latency => "latency",
        ChoiceFamily::Network => "network",
        ChoiceFamily::Disk => "disk",
        ChoiceFamily::Clock => "clock",
        ChoiceFamily::Node => "node",
        ChoiceFamily::Buggify => "buggify",
        ChoiceFamily::Setup => "setup",
        ChoiceFamily::Test => "test",
    }
}

fn parse_tape(text: &str) -> Result<Tape, ReplayParseError> {
    let choices = text.split(',').filter(|choice| !choice.is_empty());
    choices
        .map(|choice| {
            parse_choice(choice).ok_or_else(|| ReplayParseError::Choice { text: choice.to_owned() })
        })
        .collect()
}

fn parse_choice(text: &str) -> Option<(ChoiceKey, u64)> {
    let (key, value) = text.split_once('=')?;
    let mut parts = key.split('.');
    let name = parts.next()?;
    let family = FAMILIES.into_iter().find(|family| family_name(*family) == name)?;
    let (place, number) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(())?;
    Some((ChoiceKey { family, place, number }, value.parse().ok()?))
}

const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::{Replay, ReplayParseError};
    use crate::choice::{ChoiceFamily, ChoiceKey, Tape};

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let key = |family, place, number| ChoiceKey { family, place, number };
        let tape = Tape::from([
            (key(ChoiceFamily::Node, 2, 0), 1),
            (key(ChoiceFamily::Latency, u32::MAX, 7), u64::MAX),
        ]);
        let replay = Replay { seed: 7, config: Some(0xab), tape: Some(tape) };
        let text = replay.to_string();
        assert_eq!(text, "7@00000000000000ab:latency.4294967295.7=18446744073709551615,node.2.0=1");
        assert_eq!(text.parse(), Ok(replay));
        assert_eq!(" 0xff ".parse(), Ok(Replay::of_seed(255)));
        assert_eq!("7:".parse(), Ok(Replay { seed: 7, config: None, tape: Some(Tape::new()) }));
    }

    #[test]
    fn each_wrong_part_is_named() {
        let parse = |text: &str| text.parse::<Replay>().unwrap_err();
        assert_eq!(parse("x@1"), ReplayParseError::Seed { text: "x".into() });
        assert_eq!(parse("1@"), ReplayParseError::Config { text: String::new() });
        for choice in
            ["node.1=2", "node.1.2", "node.1.2.3=4", "other.1.2=3", "node.-1.2=3", "node.1.4294967296=3"]
        {
            assert_eq!(parse(&format!("1:{choice}")), ReplayParseError::Choice { text: choice.into() });
        }
    }
}
