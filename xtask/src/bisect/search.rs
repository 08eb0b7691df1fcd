//! A binary search among commits of which some cannot be judged.

use std::ops::RangeInclusive;

/// What a commit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Good,
    Bad,
    /// It does not build, or the lane does not run.
    Unknown,
}

impl Judgement {
    /// For the reader.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Good => "writes the same",
            Self::Bad => "writes something else",
            Self::Unknown => "gives no transcript",
        }
    }
}

/// Where the change is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The last commit is good: there is nothing to find.
    NotBad,
    /// The first bad one.
    At(usize),
    /// The first bad one is among these; all but the last cannot be judged.
    Among(RangeInclusive<usize>),
}

/// Looks among `count` commits, of which those before the first are good, for the first bad one. Each is judged once
/// at most.
pub(super) fn search<E>(
    count: usize,
    mut judge: impl FnMut(usize) -> Result<Judgement, E>,
) -> Result<Found, E> {
    let mut bad = count - 1;
    match judge(bad)? {
        Judgement::Good => return Ok(Found::NotBad),
        Judgement::Bad => {}
        Judgement::Unknown => return Ok(Found::Among(0..=bad)),
    }
    // All below this are good, or were not to be judged before a good one.
    let mut start = 0;
    let mut unknown = vec![false; count];
    loop {
        let middle = start + (bad - start) / 2;
        // The nearest to the middle that is not known to be of no use.
        let open = (start..bad).filter(|at| !unknown[*at]);
        let Some(at) = open.min_by_key(|at| at.abs_diff(middle)) else {
            return Ok(if start == bad { Found::At(bad) } else { Found::Among(start..=bad) });
        };
        match judge(at)? {
            Judgement::Good => start = at + 1,
            Judgement::Bad => bad = at,
            Judgement::Unknown => unknown[at] = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, Judgement, search};

    /// `g` good, `b` bad, `?` not to be judged.
    fn check(commits: &str, expected: &Found) -> usize {
        let mut judged = 0;
        let found = search(commits.len(), |at| {
            judged += 1;
            Ok::<_, ()>(match commits.as_bytes()[at] {
                b'g' => Judgement::Good,
                b'b' => Judgement::Bad,
                _ => Judgement::Unknown,
            })
        });
        assert_eq!(found.as_ref(), Ok(expected), "{commits}");
        judged
    }

    #[test]
    fn every_place_is_found() {
        for count in 1..20 {
            for first_bad in 0..count {
                let commits = "g".repeat(first_bad) + &"b".repeat(count - first_bad);
                let judged = check(&commits, &Found::At(first_bad));
                assert!(judged <= 2 + count.ilog2() as usize, "{commits}: {judged}");
            }
        }
    }

    #[test]
    fn what_cannot_be_judged_is_gone_around() {
        check("g?gbb", &Found::At(3));
        check("ggg??b", &Found::Among(3..=5));
        check("??b??b", &Found::Among(0..=2));
        check("?g?b?b", &Found::Among(2..=3));
        check("gg?", &Found::Among(0..=2));
        check("ggg", &Found::NotBad);
    }
}
