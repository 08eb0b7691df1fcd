//! Counters as text that Prometheus reads.

use std::fmt::{Display, Write as _};

use crate::histogram::Histogram;
use crate::queues::QueueStats;
use crate::schedule;
use crate::stats::ShardStats;
use crate::sys::RingStats;

/// What shards have done so far, in the text format of Prometheus, version 0.0.4; each sample has a label `shard`, the
/// name that comes with it, which is to be another for each.
///
/// See <https://prometheus.io/docs/instrumenting/exposition_formats/>. Names begin with `samestep_uring_`; durations
/// are in seconds. The buckets of histograms end below a power of two nanoseconds, where the counts are exact.
pub fn prometheus_page<'a>(shards: impl IntoIterator<Item = (&'a str, &'a ShardStats)>) -> String {
    let shards: Vec<_> = shards.into_iter().map(|(name, stats)| (label("shard", name), stats)).collect();
    let mut page = Page::default();
    for (name, help, read) in COUNTERS {
        page.family(name, Kind::Counter, help);
        for (shard, stats) in &shards {
            page.sample(name, shard, read(stats));
        }
    }
    for (name, help, read) in GAUGES {
        page.family(name, Kind::Gauge, help);
        for (shard, stats) in &shards {
            page.sample(name, shard, read(stats));
        }
    }
    for (name, kind, help, read) in OF_QUEUES {
        page.family(name, kind, help);
        for (shard, stats) in &shards {
            for queue in &stats.queues {
                page.sample(name, &format!("{shard},{}", label("queue", &queue.name)), read(queue));
            }
        }
    }
    for (name, kind, help, read) in OF_RINGS {
        page.family(name, kind, help);
        for (shard, stats) in &shards {
            for ring in &stats.rings {
                page.sample(name, &format!("{shard},{}", label("ring", ring.name)), read(ring));
            }
        }
    }
    let devices = shards.iter().map(|(shard, stats)| (shard.as_str(), &stats.io_devices[..]));
    schedule::to_prometheus(devices, &mut page);
    histograms(&mut page, &shards);
    page.into_text()
}

/// Those that are counted, which is none unless it was asked for: a family without samples is left out.
fn histograms(page: &mut Page, shards: &[(String, &ShardStats)]) {
    if shards.iter().any(|(_, stats)| !stats.latencies.is_empty()) {
        let name = "operation_duration_seconds";
        page.family(name, Kind::Histogram, "How long operations took, of those that were sampled.");
        for (shard, stats) in shards {
            for of in &stats.latencies {
                page.histogram(name, &format!("{shard},{}", label("kind", of.kind.name())), &of.latency);
            }
        }
    }
    if shards.iter().any(|(_, stats)| stats.queues.iter().any(|queue| queue.delay.is_some())) {
        let name = "queue_delay_seconds";
        page.family(
            name,
            Kind::Histogram,
            "How long tasks that were woken waited, of those that were sampled.",
        );
        for (shard, stats) in shards {
            for queue in &stats.queues {
                if let Some(delay) = &queue.delay {
                    page.histogram(name, &format!("{shard},{}", label("queue", &queue.name)), delay);
                }
            }
        }
    }
}

/// A page that grows, family by family.
#[derive(Default)]
pub(crate) struct Page(String);

/// What a family is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Page {
    /// Begins a family: all its samples follow, with the same name.
    pub(crate) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(self.0, "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}");
    }

    /// A sample with labels made by [`label`], joined by commas.
    pub(crate) fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "{PREFIX}{name}{{{labels}}} {value}");
    }

    /// All of it.
    pub(crate) fn into_text(self) -> String {
        self.0
    }

    fn histogram(&mut self, name: &str, labels: &str, histogram: &Histogram) {
        let bucket = format!("{name}_bucket");
        for bits in BUCKET_BITS.step_by(2) {
            let labels = format!("{labels},le=\"{}\"", seconds((1 << bits) - 1));
            self.sample(&bucket, &labels, histogram.below_power(bits));
        }
        self.sample(&bucket, &format!("{labels},le=\"+Inf\""), histogram.count());
        self.sample(&format!("{name}_sum"), labels, seconds(histogram.sum_ns()));
        self.sample(&format!("{name}_count"), labels, histogram.count());
    }
}

/// A label and its value, in which backslashes, quotes and line ends have an escape each.
pub(crate) fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

/// To the nanosecond.
pub(crate) fn seconds(ns: u64) -> String {
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

type Row<S> = (&'static str, &'static str, fn(&S) -> u64);
type KindRow<S> = (&'static str, Kind, &'static str, fn(&S) -> String);

const COUNTERS: [Row<ShardStats>; 25] = [
    ("turns_total", "Turns of the loop.", |stats| stats.turns),
    ("parks_total", "Times the shard went to sleep.", |stats| stats.parks),
    ("parks_spared_total", "Times it looked around and something came.", |stats| stats.parks_spared),
    ("polls_total", "Polls of tasks.", |stats| stats.polls),
    ("tasks_spawned_total", "Tasks spawned.", |stats| stats.tasks_spawned),
    ("preemptions_total", "Times a running task was asked to yield.", |stats| stats.preemptions),
    ("stalls_total", "Times the loop stood still, as far as watched.", |stats| stats.stalls),
    ("timers_fired_total", "Timers fired.", |stats| stats.timers_fired),
    ("bell_rings_total", "Wake-ups by other threads.", |stats| stats.bell_rings),
    ("ring_messages_total", "Those by a message to the ring.", |stats| stats.ring_messages),
    ("operations_total", "Operations started.", |stats| stats.operations),
    ("completions_total", "Completions.", |stats| stats.completions),
    ("enters_total", "Calls of io_uring_enter.", |stats| stats.enters),
    ("enters_retried_total", "Such calls to be repeated.", |stats| stats.enters_retried),
    ("orphans_total", "Operations whose future was dropped.", |stats| stats.orphans),
    ("cancels_total", "Operations asked to end early.", |stats| stats.cancels),
    ("submissions_delayed_total", "Submissions that found the ring full.", |stats| stats.submissions_delayed),
    ("poll_enters_total", "Such calls that asked a device.", |stats| stats.poll_enters),
    ("poll_completions_total", "Completions that a device was asked for.", |stats| stats.poll_completions),
    ("poll_refusals_total", "Operations that could not be polled.", |stats| stats.poll_refusals),
    ("overflows_total", "Times completions found their queue full.", |stats| stats.overflows),
    ("registered_operations_total", "Operations on registered memory.", |stats| stats.registered_operations),
    ("reads_shared_total", "Reads that another made, too.", |stats| stats.reads_shared),
    ("arena_misses_total", "Buffers of the heap, as the arena had no room.", |stats| stats.arena_misses),
    ("completions_unknown_total", "Completions of no operation.", |stats| stats.completions_unknown),
];

const GAUGES: [Row<ShardStats>; 5] = [
    ("tasks", "Tasks now.", |stats| stats.tasks as u64),
    ("timers", "Timers set now.", |stats| stats.timers as u64),
    ("operations_in_flight", "Operations under way.", |stats| stats.operations_in_flight as u64),
    ("arena_bytes_taken", "Bytes of the arena that buffers have.", |stats| stats.arena_bytes_taken),
    ("receive_buffers_out", "Receive buffers not yet given back.", |stats| stats.receive_buffers_out),
];

const OF_QUEUES: [KindRow<QueueStats>; 4] = [
    ("queue_run_seconds_total", Kind::Counter, "Time with others ready.", |queue| seconds(queue.run_ns)),
    ("queue_polls_total", Kind::Counter, "Polls of its tasks.", |queue| queue.polls.to_string()),
    ("queue_ready", Kind::Gauge, "Tasks ready now.", |queue| queue.ready.to_string()),
    ("queue_shares", Kind::Gauge, "Shares.", |queue| queue.shares.to_string()),
];

const OF_RINGS: [KindRow<RingStats>; 5] = [
    ("ring_enters_total", Kind::Counter, "Calls of io_uring_enter, by ring.", |ring| ring.enters.to_string()),
    ("ring_submissions_total", Kind::Counter, "Submissions that the ring was given.", |ring| {
        ring.submissions.to_string()
    }),
    ("ring_completions_total", Kind::Counter, "Completions, by ring.", |ring| ring.completions.to_string()),
    ("ring_in_flight", Kind::Gauge, "Operations under way, by ring.", |ring| ring.in_flight.to_string()),
    ("ring_backlog", Kind::Gauge, "Submissions that wait for room.", |ring| ring.backlog.to_string()),
];

const PREFIX: &str = "samestep_uring_";
/// Buckets end below every other of these powers of two nanoseconds: from a microsecond to a minute.
const BUCKET_BITS: std::ops::RangeInclusive<u32> = 10..=36;

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn label_values_are_escaped() {
        assert_eq!(label("name", "a\\b\"c\nd"), "name=\"a\\\\b\\\"c\\nd\"");
    }
}
