//! What runs saw of one site.

use std::collections::BTreeMap;

/// How often a named check was made, and how often it held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AssertionStats {
    /// How often it was made.
    pub total_checks: u64,
    /// How often it held.
    pub successes: u64,
    /// Of a numeric check, the least and the greatest of left side less right side.
    pub margins: Option<(i64, i64)>,
    /// Of a check of several conditions, the most that held at once.
    pub frontier: u32,
    /// Of a check with values, how often each combination of values was seen.
    pub buckets: BTreeMap<Vec<i64>, u64>,
}

impl AssertionStats {
    /// The share of checks that held, in percent; 0 if none was made.
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    pub fn success_rate(&self) -> f64 {
        if self.total_checks == 0 { 0.0 } else { self.successes as f64 * 100.0 / self.total_checks as f64 }
    }

    pub(crate) fn add(&mut self, holds: bool) {
        self.total_checks += 1;
        self.successes += u64::from(holds);
    }

    pub(crate) fn add_margin(&mut self, margin: i64) {
        let (least, most) = self.margins.unwrap_or((margin, margin));
        self.margins = Some((least.min(margin), most.max(margin)));
    }

    pub(crate) fn absorb(&mut self, other: &Self) {
        self.total_checks += other.total_checks;
        self.successes += other.successes;
        if let Some((least, most)) = other.margins {
            self.add_margin(least);
            self.add_margin(most);
        }
        self.frontier = self.frontier.max(other.frontier);
        for (values, count) in &other.buckets {
            // Copies the values of a bucket that is new alone.
            match self.buckets.get_mut(values) {
                Some(known) => *known += count,
                None => drop(self.buckets.insert(values.clone(), *count)),
            }
        }
    }
}

/// All that is kept of one site.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) stats: AssertionStats,
    /// Of a `buggify` site: whether this run has it active, and the value of its knob.
    pub(crate) active: Option<bool>,
    pub(crate) knob: Option<u64>,
    /// In how many runs it was active.
    pub(crate) active_runs: u64,
}

impl Tally {
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.stats.absorb(&other.stats);
        self.active_runs += other.active_runs;
    }
}
