//! The lanes of one binary: well named, unique, and found by name.

use samestep_replay_traits::{Expectation, Lane};

use crate::canary::HashOrder;

/// All lanes of one binary, the built-in canary included, sorted by name.
pub(crate) struct Suite<'a> {
    lanes: Vec<&'a dyn Lane>,
}

impl<'a> Suite<'a> {
    /// The given lanes and the built-in canary.
    pub(crate) fn new(lanes: &[&'a dyn Lane]) -> Result<Self, SuiteError> {
        let mut lanes = lanes.to_vec();
        lanes.push(&HashOrder);
        lanes.sort_by(|left, right| left.name().cmp(right.name()));
        if let Some(lane) = lanes.iter().find(|lane| !is_lane_name(lane.name())) {
            return Err(SuiteError::BadName { name: lane.name().to_owned() });
        }
        if let Some(pair) = lanes.windows(2).find(|pair| pair[0].name() == pair[1].name()) {
            return Err(SuiteError::Duplicate { name: pair[0].name().to_owned() });
        }
        Ok(Self { lanes })
    }

    /// All lanes, sorted by name.
    pub(crate) fn lanes(&self) -> &[&'a dyn Lane] {
        &self.lanes
    }

    /// The lane called `name`.
    pub(crate) fn find(&self, name: &str) -> Result<&'a dyn Lane, SuiteError> {
        let found = self.lanes.iter().find(|lane| lane.name() == name).copied();
        found.ok_or_else(|| self.unknown(name))
    }

    /// The lanes that any of `filters` names, sorted by name; all if there is no filter. A filter is a whole
    /// name, or a prefix that ends in `/`.
    pub(crate) fn select(&self, filters: &[String]) -> Result<Vec<&'a dyn Lane>, SuiteError> {
        let is_named = |filter: &str, lane: &dyn Lane| {
            lane.name() == filter || filter.ends_with('/') && lane.name().starts_with(filter)
        };
        if let Some(filter) =
            filters.iter().find(|filter| !self.lanes.iter().any(|lane| is_named(filter, *lane)))
        {
            return Err(self.unknown(filter));
        }
        let is_selected = |lane: &&dyn Lane| filters.iter().any(|filter| is_named(filter, *lane));
        Ok(self.lanes.iter().filter(|lane| filters.is_empty() || is_selected(lane)).copied().collect())
    }

    fn unknown(&self, name: &str) -> SuiteError {
        let mut near: Vec<_> =
            self.lanes.iter().map(|lane| (distance(name, lane.name()), lane.name())).collect();
        near.retain(|(distance, lane)| *distance <= 3 || lane.contains(name.trim_matches('/')));
        near.sort_unstable();
        let near: Vec<_> = near.into_iter().take(NEAR_NAMES_MAX).map(|(_, lane)| lane).collect();
        let hint = if near.is_empty() {
            "`--list` lists all".to_owned()
        } else {
            format!("did you mean {}?", near.join(" or "))
        };
        SuiteError::Unknown { name: name.to_owned(), hint }
    }
}

/// Puts the built-in canary before `lanes`, unless a canary is among them.
pub(crate) fn add_canary(lanes: &mut Vec<&dyn Lane>) {
    if !lanes.iter().any(|lane| lane.expectation() == Expectation::Differ) {
        lanes.insert(0, &HashOrder);
    }
}

/// Why lanes cannot be run as a suite, or be found in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SuiteError {
    /// Rename the lane.
    #[error("{name:?} is no lane name: expected `crate/scenario`, in lower case with digits and hyphens")]
    BadName { name: String },
    /// Rename one of the two. The runner's own canary has a name too, see `--list`.
    #[error("two lanes are called {name}: each needs a name of its own")]
    Duplicate { name: String },
    /// Choose another.
    #[error("no lane is called {name}: {hint}")]
    Unknown { name: String, hint: String },
}

/// Whether `name` is `crate/scenario`: two words of lower-case letters, digits and inner hyphens.
fn is_lane_name(name: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && !word.ends_with('-')
            && word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    name.split_once('/').is_some_and(|(krate, scenario)| is_word(krate) && is_word(scenario))
}

/// Levenshtein distance in bytes.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, left) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, right) in right.bytes().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

const NEAR_NAMES_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use samestep_replay_traits::{Lane, LaneContext, LaneError, Transcript};

    use super::{Suite, SuiteError, distance, is_lane_name};

    struct Named(&'static str);

    impl Lane for Named {
        fn name(&self) -> &str {
            self.0
        }

        fn about(&self) -> &str {
            "has a name"
        }

        fn run(&self, _: &LaneContext, _: &mut Transcript) -> Result<(), LaneError> {
            Ok(())
        }
    }

    const LANES: &[&dyn Lane] = &[&Named("wal/torn-tail"), &Named("sim/disk"), &Named("wal/roll")];

    #[track_caller]
    fn check_select(filters: &[&str], expected: &[&str]) {
        let suite = Suite::new(LANES).expect("the names are good");
        let filters: Vec<String> = filters.iter().map(ToString::to_string).collect();
        let selected = suite.select(&filters).expect("the lanes exist");
        assert_eq!(selected.iter().map(|lane| lane.name()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn selection_is_sorted_and_without_doubles() {
        check_select(&[], &["canary/hash-order", "sim/disk", "wal/roll", "wal/torn-tail"]);
        check_select(&["wal/"], &["wal/roll", "wal/torn-tail"]);
        check_select(&["wal/roll", "wal/", "sim/disk"], &["sim/disk", "wal/roll", "wal/torn-tail"]);
    }

    #[track_caller]
    fn check_unknown(name: &str, expected: &str) {
        let suite = Suite::new(LANES).expect("the names are good");
        let error = suite.select(&[name.to_owned()]).err().expect("no such lane");
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn near_names_are_offered() {
        check_unknown("wal/tron-tail", "no lane is called wal/tron-tail: did you mean wal/torn-tail?");
        check_unknown("wal", "no lane is called wal: did you mean wal/roll or wal/torn-tail?");
        check_unknown("nothing/like-it", "no lane is called nothing/like-it: `--list` lists all");
    }

    #[test]
    fn names_are_checked() {
        for name in ["wal/torn-tail", "a/b", "uring-rt/x86"] {
            assert!(is_lane_name(name), "{name}");
        }
        for name in ["", "wal", "/a", "a/", "Wal/a", "a/b/c", "a b/c", "-a/b", "a-/b", "a/b_c", "a/1"] {
            assert!(!is_lane_name(name), "{name}");
        }
        let error = Suite::new(&[&Named("Bad")]).err();
        assert_eq!(error, Some(SuiteError::BadName { name: "Bad".into() }));
    }

    #[test]
    fn names_are_unique_the_canary_included() {
        for name in ["a/b", "canary/hash-order"] {
            let error = Suite::new(&[&Named(name), &Named(name)]).err();
            assert_eq!(error, Some(SuiteError::Duplicate { name: name.into() }));
        }
        assert!(Suite::new(&[&Named("canary/hash-order")]).is_err());
    }

    #[test]
    fn distances() {
        for (left, right, expected) in
            [("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(left, right), expected);
        }
    }
}
