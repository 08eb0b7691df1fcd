//! Metrics as text that Prometheus scrapes.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::metrics::{Histogram, Metrics, bucket_max};

impl Metrics {
    /// These figures in the OpenMetrics text format, with the prefix `samestep_emission`.
    ///
    /// # Panics
    ///
    /// Never: a `String` refuses no write.
    pub fn to_open_metrics(&self) -> String {
        let mut registry = Registry::with_prefix("samestep_emission");
        registry.register_collector(Box::new(self.clone()));
        let mut text = String::new();
        text::encode(&mut text, &registry).expect("a String takes everything");
        text
    }
}

/// A copy of the figures as part of a registry of the caller's own.
impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, help, value) in [
            ("pending_entries", "Events that wait", self.pending_entries),
            ("pending_bytes", "Bytes that wait", self.pending_bytes),
            ("subscriptions", "Subscriptions that there are", self.subscriptions),
            ("connected", "Subscriptions whose clients are connected", self.connected),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        for (name, help, value) in [
            ("sends", "Deliveries handed out", self.sends),
            ("resends", "Deliveries of what was handed out before", self.resends),
            ("unsent", "Deliveries that could not be sent", self.unsent),
            ("acks", "Acknowledgements that moved a subscription on", self.acks),
            ("stale_acks", "Acknowledgements of what was acknowledged already", self.stale_acks),
            ("refused_acks", "Acknowledgements of what was never emitted", self.refused_acks),
            ("overtaken", "Clients overtaken by a compaction or an eviction", self.overtaken),
        ] {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        let help = "How requests to reconnect ended";
        let mut family = encoder.encode_descriptor("reconnects", help, None, MetricType::Counter)?;
        for (outcome, value) in [
            ("ok", self.reconnects.ok),
            ("stale", self.reconnects.stale),
            ("invalid", self.reconnects.invalid),
            ("not_found", self.reconnects.not_found),
        ] {
            ConstCounter::new(value).encode(family.encode_family(&[("outcome", outcome)])?)?;
        }
        let help = "Ticks from the application of an event to its first delivery";
        encode_histogram(&mut encoder, "commit_to_send_ticks", help, &self.commit_to_send_ticks)?;
        let help = "Events not yet acknowledged, at each acknowledgement";
        encode_histogram(&mut encoder, "ack_lag_entries", help, &self.ack_lag_entries)
    }
}

#[expect(clippy::cast_precision_loss, reason = "the format has doubles only")]
fn encode_histogram(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    histogram: &Histogram,
) -> Result<(), fmt::Error> {
    // All bounds up to the largest value's, so that a bucket that appears does not change what others mean.
    let last =
        (0..=u64::BITS as usize).find(|&bucket| bucket_max(bucket) >= histogram.max()).unwrap_or_default();
    let count_of = |bound| histogram.buckets().find(|(max, _)| *max == bound).map_or(0, |(_, count)| count);
    let mut buckets: Vec<(f64, u64)> =
        (0..=last).map(bucket_max).map(|bound| (bound as f64, count_of(bound))).collect();
    buckets.push((f64::MAX, 0));
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    metric.encode_histogram::<NoLabelSet>(histogram.sum() as f64, histogram.count(), &buckets, None)
}

#[cfg(test)]
mod tests {
    use crate::metrics::{Metrics, Reconnects};

    /// Written down from the OpenMetrics specification.
    #[test]
    fn text() {
        let mut metrics = Metrics { sends: 3, pending_entries: 7, ..Metrics::default() };
        metrics.reconnects = Reconnects { ok: 2, not_found: 1, ..Reconnects::default() };
        metrics.commit_to_send_ticks.record(0);
        metrics.commit_to_send_ticks.record(3);
        let text = metrics.to_open_metrics();
        for line in [
            "# TYPE samestep_emission_pending_entries gauge",
            "samestep_emission_pending_entries 7",
            "# TYPE samestep_emission_sends counter",
            "samestep_emission_sends_total 3",
            "samestep_emission_reconnects_total{outcome=\"ok\"} 2",
            "samestep_emission_reconnects_total{outcome=\"stale\"} 0",
            "samestep_emission_reconnects_total{outcome=\"not_found\"} 1",
            "samestep_emission_commit_to_send_ticks_sum 3.0",
            "samestep_emission_commit_to_send_ticks_count 2",
            "samestep_emission_commit_to_send_ticks_bucket{le=\"0.0\"} 1",
            "samestep_emission_commit_to_send_ticks_bucket{le=\"1.0\"} 1",
            "samestep_emission_commit_to_send_ticks_bucket{le=\"3.0\"} 2",
            "samestep_emission_commit_to_send_ticks_bucket{le=\"+Inf\"} 2",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "no line {line:?} in:\n{text}");
        }
    }
}
