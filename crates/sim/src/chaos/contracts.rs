//! Whether checks did what their names promise, over all runs of a campaign.

use std::collections::BTreeSet;
use std::fmt;

use crate::chaos::checks::Checks;
use crate::chaos::current;
use crate::chaos::site::{Site, SiteKind};
use crate::chaos::tally::AssertionStats;

/// What checks promise and did not keep: those of the current run, or, outside of one, of all runs of this thread's
/// tests since [`reset_assertion_results`](crate::reset_assertion_results). Empty if all was kept.
///
/// A site that was never executed counts if its module is one of those under test, in which any site was executed.
pub fn validate_assertion_contracts() -> Vec<String> {
    current::with(|checks| violations(checks)).iter().map(ToString::to_string).collect()
}

/// A promise that a check did not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContractViolation {
    /// A condition that is to hold always did not; or a line that none is to reach was reached.
    Failed {
        /// The check.
        site: &'static Site,
        /// How often it failed.
        failures: u64,
        /// How often it was made.
        checks: u64,
    },
    /// A condition that is to hold in some run held in none: more seeds, more faults, or a check that is wrong.
    NeverHeld {
        /// The check.
        site: &'static Site,
        /// How often it was made.
        checks: u64,
    },
    /// No run came to the check, so that it says nothing.
    NeverExecuted {
        /// The check.
        site: &'static Site,
    },
}

impl ContractViolation {
    /// Whether something was seen that must not be, rather than something not seen that should be.
    pub const fn is_failure(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

impl fmt::Display for ContractViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { site, failures, checks } => {
                write!(f, "{} {site}: failed {failures} of {checks} times", site.kind())
            }
            Self::NeverHeld { site, checks } => {
                write!(f, "{} {site}: looked at {checks} times and never so", site.kind())
            }
            Self::NeverExecuted { site } => write!(f, "{} {site}: never executed", site.kind()),
        }
    }
}

/// See [`validate_assertion_contracts`].
pub(crate) fn violations(checks: &Checks) -> Vec<ContractViolation> {
    let under_test = modules_under_test(checks);
    let of_site = |(site, stats): (&'static Site, Option<&AssertionStats>)| {
        let checks = stats.map_or(0, |stats| stats.total_checks);
        let successes = stats.map_or(0, |stats| stats.successes);
        match site.kind() {
            SiteKind::AlwaysOrUnreachable | SiteKind::Unreachable | SiteKind::Always
                if successes < checks =>
            {
                Some(ContractViolation::Failed { site, failures: checks - successes, checks })
            }
            SiteKind::Buggify | SiteKind::AlwaysOrUnreachable | SiteKind::Unreachable => None,
            _ if checks == 0 => {
                under_test.contains(site.module()).then_some(ContractViolation::NeverExecuted { site })
            }
            SiteKind::Always => None,
            _ if successes == 0 => Some(ContractViolation::NeverHeld { site, checks }),
            _ => None,
        }
    };
    checks.seen().map(|(site, tally)| (site, tally.map(|tally| &tally.stats))).filter_map(of_site).collect()
}

/// Whether each `sometimes` site of the modules under test held in some run, and there is one.
pub(crate) fn all_sometimes_reached(checks: &Checks) -> bool {
    let is_sometimes = |kind| {
        matches!(
            kind,
            SiteKind::Sometimes | SiteKind::SometimesAll | SiteKind::SometimesEach | SiteKind::Reachable
        )
    };
    let under_test = modules_under_test(checks);
    let mut sites = checks
        .seen()
        .filter(|(site, _)| is_sometimes(site.kind()) && under_test.contains(site.module()))
        .map(|(_, tally)| tally.is_some_and(|tally| tally.stats.successes > 0))
        .peekable();
    sites.peek().is_some() && sites.all(|held| held)
}

fn modules_under_test(checks: &Checks) -> BTreeSet<&'static str> {
    let executed = checks.seen().filter(|(_, tally)| tally.is_some_and(|tally| tally.stats.total_checks > 0));
    executed.map(|(site, _)| site.module()).collect()
}
