//! What a soak has come to so far.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::tally::Verdict;

/// Numbers of seeds, of faults by family, and of failures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    seeds: u64,
    failures: u64,
    skipped: u64,
    faults: BTreeMap<String, u64>,
}

impl Count {
    /// Counts a seed of `lane`, which wrote `transcript`.
    pub(super) fn handle_seed(&mut self, lane: &str, verdict: &Verdict, transcript: &str) {
        self.seeds += 1;
        match verdict {
            Verdict::Failed(_) => self.failures += 1,
            Verdict::Skipped { .. } => self.skipped += 1,
            Verdict::Held { .. } | Verdict::Caught { .. } => {}
        }
        for line in transcript.lines() {
            let mut fields = line.split('|');
            if fields.next() == Some("fault") {
                // What has no family is at least the lane's.
                let family = fields.next().and_then(|field| field.strip_prefix("family=")).unwrap_or(lane);
                let times = fields.next().and_then(|field| field.strip_prefix("times="));
                let times = times.and_then(|times| times.parse().ok()).unwrap_or(1);
                if times > 0 {
                    *self.faults.entry(family.to_owned()).or_default() += times;
                }
            }
        }
    }

    /// Whether there was something, and nothing wrong with it.
    pub(super) fn has_held(&self) -> bool {
        self.failures == 0 && self.seeds > self.skipped
    }

    /// All in one line, `elapsed` after the start; `left` is how long it will go on.
    pub(super) fn render(&self, elapsed: Duration, left: Option<Duration>) -> String {
        let rate = u32::try_from(self.seeds).map_or(0.0, f64::from) / elapsed.as_secs_f64().max(0.001);
        let mut text = format!("soak: {} seeds, {rate:.1} a second, {} failures", self.seeds, self.failures);
        if self.skipped > 0 {
            write!(text, ", {} skipped", self.skipped).expect(WRITES);
        }
        if !self.faults.is_empty() {
            let faults: Vec<String> =
                self.faults.iter().map(|(family, count)| format!("{family} {count}")).collect();
            write!(text, "; faults: {}", faults.join(", ")).expect(WRITES);
        }
        if let Some(left) = left {
            write!(text, "; {} s to go", left.as_secs()).expect(WRITES);
        }
        text
    }
}

const WRITES: &str = "a String takes every write";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use expect_test::expect;

    use super::Count;
    use crate::tally::{Finding, Verdict};

    #[test]
    fn faults_are_counted_by_family() {
        let mut count = Count::default();
        assert!(!count.has_held(), "nothing was tried");
        let skipped = Verdict::Skipped { reason: String::new() };
        count.handle_seed("a/b", &skipped, "");
        assert!(!count.has_held(), "nothing was run");
        let text = "fault|family=torn-write|at=3\nfaulty|family=no\nfault|at=3\nfault\n\
                    fault|family=torn-write|times=40\nfault|family=pause|times=0\nfault|family=torn-write|times=x\n";
        count.handle_seed("a/b", &Verdict::Caught { transcript_count: 2 }, text);
        assert!(count.has_held());
        count.handle_seed("a/b", &Verdict::Failed(Finding::Empty), "");
        assert!(!count.has_held());
        expect![
            "soak: 3 seeds, 1.5 a second, 1 failures, 1 skipped; faults: a/b 2, torn-write 42; 9 s to go"
        ]
        .assert_eq(&count.render(Duration::from_secs(2), Some(Duration::from_secs(9))));
    }
}
