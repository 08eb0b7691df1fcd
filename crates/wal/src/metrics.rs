//! What a log did, in numbers. No framework: counters, histograms, and a copy of them on demand.

use std::time::Duration;

/// What an open log did since it was opened. A copy, taken by [`Wal::metrics`](crate::Wal::metrics).
///
/// Numbers only ever grow, so the difference of two copies tells what happened between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Records that were appended, in batches or alone, those taken back by a full disk included.
    pub appended_records: u64,
    /// Bytes of their payloads.
    pub appended_bytes: u64,
    /// Segments that were started, not counting the one that opening found or made.
    pub rotations: u64,
    /// 1 if opening had to recover, else 0.
    pub recoveries: u64,
    /// Barriers that took at least as long as [`SlowSync::threshold`](crate::SlowSync::threshold).
    pub slow_syncs: u64,
    /// Duration of each barrier (`fdatasync`) of records, in nanoseconds.
    pub sync_latency_ns: Histogram,
    /// Duration of each write of records, in nanoseconds.
    pub write_latency_ns: Histogram,
    /// Bytes of each write of records, as encoded.
    pub group_bytes: Histogram,
    /// Records that each barrier made durable.
    pub group_records: Histogram,
    /// How long each group waited for those before it, in nanoseconds: from its first record for which somebody
    /// waits to the start of its write.
    pub queue_wait_ns: Histogram,
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
        self.counts[bucket_of(value)] += 1;
        self.sum = self.sum.saturating_add(value);
        self.max = self.max.max(value);
    }

    pub(crate) fn record_duration(&mut self, duration: Duration) {
        self.record(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Sum of the values, at most `u64::MAX`.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The largest value, 0 if there is none.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The buckets that are not empty: the largest value that each may hold, and how many it holds.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        let counts = self.counts.iter().enumerate();
        counts.filter(|&(_, &count)| count > 0).map(|(bucket, &count)| (bucket_max(bucket), count))
    }

    /// A value that at least `percent` of the values do not exceed, exact to a factor of two; 0 if there is none.
    pub fn percentile(&self, percent: u8) -> u64 {
        let wanted = u128::from(self.count()) * u128::from(percent.min(100));
        let mut seen = 0;
        for (value_max, count) in self.buckets() {
            seen += u128::from(count) * 100;
            if seen >= wanted {
                return value_max.min(self.max);
            }
        }
        0
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], sum: 0, max: 0 }
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.buckets()).finish()
    }
}

fn bucket_of(value: u64) -> usize {
    (u64::BITS - value.leading_zeros()) as usize
}

fn bucket_max(bucket: usize) -> u64 {
    1_u64.checked_shl(u32::try_from(bucket).unwrap_or(u32::MAX)).map_or(u64::MAX, |power| power - 1)
}

const BUCKETS: usize = 65;

#[cfg(test)]
mod tests;
