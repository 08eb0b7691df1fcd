//! What went to scheduled devices so far, and what waits.

use super::queue::{ClassCounters, Queue};
use crate::prometheus::{Kind, Page, label, seconds};
use crate::slots::Key;

/// What the scheduler of one shard has given to a device. Counters never go back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IoDeviceStats {
    /// The device's major and minor number.
    pub number: (u32, u32),
    /// Reads, writes and parts of them under way now.
    pub in_flight: u64,
    /// How many nanoseconds the device should need for what all shards that share its budget have under way now.
    pub in_flight_ns: u64,
    /// The classes that have asked for anything, in the order of their queues' making.
    pub classes: Vec<IoClassStats>,
}

/// What one queue of tasks has asked of a device: see [`IoDeviceStats`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IoClassStats {
    /// The name of the queue.
    pub queue: String,
    /// Reads and writes that were asked for.
    pub requests: u64,
    /// What was given to the device: more than the requests if some went in parts, less what was cancelled.
    pub parts: u64,
    /// Bytes of reads that were given to the device.
    pub bytes_read: u64,
    /// Bytes of writes that were.
    pub bytes_written: u64,
    /// Requests that had to wait for their turn, and were then given to the device as a whole.
    pub delayed: u64,
    /// Nanoseconds that those waited together, each until its last part went.
    pub delay_ns: u64,
    /// Requests that were given up before all of them was given to the device.
    pub cancelled: u64,
    /// Requests that wait now.
    pub waiting: u64,
}

pub(super) fn of(number: (u32, u32), queue: &Queue<Key>, name_of: impl Fn(u32) -> String) -> IoDeviceStats {
    let classes = (0..).zip(queue.counters()).filter(|(_, counters)| counters.requests > 0);
    let class = |(index, counters): (u32, &ClassCounters)| {
        let ClassCounters {
            requests,
            parts,
            bytes_read,
            bytes_written,
            delayed,
            delay_ns,
            cancelled,
            waiting,
        } = *counters;
        IoClassStats {
            queue: name_of(index),
            requests,
            parts,
            bytes_read,
            bytes_written,
            delayed,
            delay_ns,
            cancelled,
            waiting,
        }
    };
    IoDeviceStats {
        number,
        in_flight: queue.in_flight(),
        in_flight_ns: queue.device_in_flight_ns(),
        classes: classes.map(class).collect(),
    }
}

/// On a page for Prometheus, of shards with their label: with labels `device` and `queue`.
pub(crate) fn to_prometheus<'a>(
    shards: impl Iterator<Item = (&'a str, &'a [IoDeviceStats])> + Clone,
    page: &mut Page,
) {
    type Read = fn(&IoClassStats) -> String;
    let devices = shards.flat_map(|(shard, devices)| {
        devices.iter().map(move |device| {
            let (major, minor) = device.number;
            (format!("{shard},{}", label("device", &format!("{major}:{minor}"))), device)
        })
    });
    let devices: Vec<_> = devices.collect();
    if devices.is_empty() {
        return;
    }
    let rows: [(&str, &str, Kind, Read); 8] = [
        ("io_requests_total", "Reads and writes asked for.", Kind::Counter, |class| {
            class.requests.to_string()
        }),
        ("io_parts_total", "What was given to the device.", Kind::Counter, |class| class.parts.to_string()),
        ("io_read_bytes_total", "Bytes read.", Kind::Counter, |class| class.bytes_read.to_string()),
        ("io_written_bytes_total", "Bytes written.", Kind::Counter, |class| class.bytes_written.to_string()),
        ("io_delayed_total", "Requests that had to wait.", Kind::Counter, |class| class.delayed.to_string()),
        ("io_delay_seconds_total", "For how long, together.", Kind::Counter, |class| seconds(class.delay_ns)),
        ("io_cancelled_total", "Requests given up before their turn.", Kind::Counter, |class| {
            class.cancelled.to_string()
        }),
        ("io_waiting", "Requests that wait now.", Kind::Gauge, |class| class.waiting.to_string()),
    ];
    for (name, help, kind, read) in rows {
        page.family(name, kind, help);
        for (labels, device) in &devices {
            for class in &device.classes {
                page.sample(name, &format!("{labels},{}", label("queue", &class.queue)), read(class));
            }
        }
    }
    page.family("io_in_flight", Kind::Gauge, "Parts under way.");
    for (labels, device) in &devices {
        page.sample("io_in_flight", labels, device.in_flight);
    }
}
