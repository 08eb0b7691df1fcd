//! The table of one run, or of many: what each site saw, and which checks failed.

use std::collections::BTreeMap;
use std::fmt;

use crate::chaos::buggify::Buggify;
use crate::chaos::site::{Site, SiteKind, sites};
use crate::chaos::tally::{AssertionStats, Tally};
use crate::kernel::NodeId;
use crate::time::SimTime;

/// A check that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckFailure {
    /// The check's name.
    pub name: String,
    /// What it found; empty if it says no more than its name.
    pub detail: String,
    /// Where it stands in the source, if it is a macro.
    pub site: Option<&'static Site>,
    /// When, if in a simulated world.
    pub time: Option<SimTime>,
    /// On which node, if on one.
    pub node: Option<NodeId>,
}

impl fmt::Display for CheckFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} failed", self.name)?;
        if let Some(time) = self.time {
            write!(f, " at {time}")?;
        }
        if let Some(node) = self.node {
            write!(f, " on {node}")?;
        }
        if let Some(site) = self.site {
            write!(f, " ({}:{})", site.file(), site.line())?;
        }
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

/// What a run, or the runs of a campaign, saw of all sites.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    /// By the site's index; as long as the greatest index that was executed needs.
    tallies: Vec<Tally>,
    failures: Vec<CheckFailure>,
    failure_count: u64,
    pub(crate) buggify: Buggify,
}

impl Checks {
    /// An empty table whose `buggify` sites are as `buggify` says.
    pub(crate) fn new(buggify: Buggify) -> Self {
        Self { buggify, ..Self::default() }
    }

    pub(crate) fn tally(&mut self, site: &'static Site) -> &mut Tally {
        let index = site.index();
        if index >= self.tallies.len() {
            self.tallies.resize_with(index + 1, Tally::default);
        }
        &mut self.tallies[index]
    }

    /// Takes a failure. Those after the first hundred are counted alone.
    pub(crate) fn fail(&mut self, failure: CheckFailure) {
        self.failure_count += 1;
        if self.failures.len() < FAILURES_KEPT_MAX {
            self.failures.push(failure);
        }
    }

    /// Adds what another run saw.
    pub(crate) fn absorb(&mut self, other: &Self) {
        if other.tallies.len() > self.tallies.len() {
            self.tallies.resize_with(other.tallies.len(), Tally::default);
        }
        for (mine, other) in self.tallies.iter_mut().zip(&other.tallies) {
            mine.absorb(other);
        }
        self.failure_count += other.failure_count;
        let room = FAILURES_KEPT_MAX.saturating_sub(self.failures.len());
        self.failures.extend(other.failures.iter().take(room).cloned());
    }

    /// Forgets what was seen, and keeps whether `buggify` is on.
    pub(crate) fn reset(&mut self) {
        self.tallies.clear();
        self.failures.clear();
        self.failure_count = 0;
    }

    /// Forgets which `buggify` sites are active.
    pub(crate) fn reset_buggify(&mut self, buggify: Buggify) {
        self.buggify = buggify;
        for tally in &mut self.tallies {
            (tally.active, tally.knob) = (None, None);
        }
    }

    /// The failures, the first hundred of them.
    #[cfg(test)]
    pub(crate) fn failures(&self) -> &[CheckFailure] {
        &self.failures
    }

    /// How many there were.
    #[cfg(test)]
    pub(crate) fn failure_count(&self) -> u64 {
        self.failure_count
    }

    /// All sites with what was seen of them.
    pub(crate) fn seen(&self) -> impl Iterator<Item = (&'static Site, Option<&Tally>)> {
        sites().iter().map(|&site| (site, self.tallies.get(site.index())))
    }

    /// How many sites were executed or, if they may fail, held.
    pub(crate) fn reached(&self) -> usize {
        let held = self.tallies.iter().filter(|tally| tally.stats.successes > 0).count();
        held + self.tallies.iter().map(|tally| tally.stats.buckets.len()).sum::<usize>()
    }

    /// Checks by name; those of the same name are added up. Such as were never made are not among them.
    pub(crate) fn results(&self) -> BTreeMap<String, AssertionStats> {
        let mut results = BTreeMap::<String, AssertionStats>::new();
        for (site, tally) in self.seen() {
            let Some(tally) = tally.filter(|tally| tally.stats.total_checks > 0) else { continue };
            if site.kind() != SiteKind::Buggify {
                results.entry(site.name().to_owned()).or_default().absorb(&tally.stats);
            }
        }
        results
    }
}

const FAILURES_KEPT_MAX: usize = 100;
