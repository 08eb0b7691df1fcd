//! What a notifier did, in numbers. No framework: counters, histograms, and a copy of them on demand.

use std::fmt;

use crate::reconnect::Answer;

/// What a notifier did since it was made, and how its outbox stands. A copy, taken by
/// [`Notifier::metrics`](crate::Notifier::metrics).
///
/// Counters only ever grow, so the difference of two copies tells what happened between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Events that wait, in all subscriptions together. A gauge.
    pub pending_entries: u64,
    /// Bytes that wait, in all subscriptions together. A gauge.
    pub pending_bytes: u64,
    /// Subscriptions that there are. A gauge.
    pub subscriptions: u64,
    /// Subscriptions whose clients are connected. A gauge.
    pub connected: u64,
    /// Deliveries handed out, resends included.
    pub sends: u64,
    /// Of these, deliveries of what had been handed out before in the same connection.
    pub resends: u64,
    /// Deliveries that the caller could not send.
    pub unsent: u64,
    /// Acknowledgements that moved a subscription on.
    pub acks: u64,
    /// Acknowledgements of what was acknowledged already.
    pub stale_acks: u64,
    /// Acknowledgements of what was never emitted, or of no subscription.
    pub refused_acks: u64,
    /// Connected clients that were overtaken by a compaction or an eviction.
    pub overtaken: u64,
    /// How requests to reconnect ended.
    pub reconnects: Reconnects,
    /// From the tick in which an event was applied to the tick in which it was first handed out.
    pub commit_to_send_ticks: Histogram,
    /// Events emitted and not yet acknowledged, seen at each acknowledgement that moved a subscription on.
    pub ack_lag_entries: Histogram,
}

/// How requests to reconnect ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reconnects {
    /// With [`Answer::Ok`].
    pub ok: u64,
    /// With [`Answer::Stale`].
    pub stale: u64,
    /// With [`Answer::Invalid`].
    pub invalid: u64,
    /// With [`Answer::NotFound`].
    pub not_found: u64,
}

impl Reconnects {
    pub(crate) fn count(&mut self, answer: Answer) {
        *match answer {
            Answer::Ok { .. } => &mut self.ok,
            Answer::Stale { .. } => &mut self.stale,
            Answer::Invalid { .. } => &mut self.invalid,
            Answer::NotFound => &mut self.not_found,
        } += 1;
    }
}

/// How often values of each magnitude occurred: bucket 0 counts zeros, bucket *n* values from 2^(n-1) to 2^n - 1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    sum: u64,
    max: u64,
}

impl Histogram {
    pub(crate) fn record(&mut self, value: u64) {
        self.counts[(u64::BITS - value.leading_zeros()) as usize] += 1;
        self.sum = self.sum.saturating_add(value);
        self.max = self.max.max(value);
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Sum of the values, at most `u64::MAX`.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Largest value; 0 if there is none.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The largest value of each bucket that is not empty, and how many values it has, lowest first.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        let counted = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        counted.map(|(bucket, &count)| (bucket_max(bucket), count))
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], sum: 0, max: 0 }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.buckets()).finish()
    }
}

/// Largest value of a bucket.
pub(crate) fn bucket_max(bucket: usize) -> u64 {
    1_u64.checked_shl(u32::try_from(bucket).unwrap_or(u32::MAX)).map_or(u64::MAX, |bound| bound - 1)
}

/// One for zero, one for each position of the highest bit.
const BUCKETS: usize = 65;

#[cfg(test)]
mod tests {
    use super::Histogram;

    #[test]
    fn values_are_counted_by_their_highest_bit() {
        let mut histogram = Histogram::default();
        for value in [0, 1, 2, 3, 4, u64::MAX] {
            histogram.record(value);
        }
        let buckets: Vec<_> = histogram.buckets().collect();
        assert_eq!(buckets, [(0, 1), (1, 1), (3, 2), (7, 1), (u64::MAX, 1)]);
        assert_eq!((histogram.count(), histogram.sum(), histogram.max()), (6, u64::MAX, u64::MAX));
    }
}
