//! What a shard has done so far: counters that only grow, so that any number of readers agree.

use std::fmt::Write as _;
use std::rc::Rc;

use crate::core::Core;
use crate::queues::QueueStats;
use crate::runtime::Runtime;
use crate::schedule::{self, IoDeviceStats};
use crate::sys::DriverCounters;

/// Counters of one shard since its start, none of which ever goes back, and some levels.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardStats {
    /// Turns of the loop.
    pub turns: u64,
    /// Times the shard went to sleep.
    pub parks: u64,
    /// Times it looked around before that, and something came.
    pub parks_spared: u64,
    /// Polls of tasks, the program itself not counted.
    pub polls: u64,
    /// Tasks that were spawned.
    pub tasks_spawned: u64,
    /// Tasks that are there now.
    pub tasks: usize,
    /// Times a running task was asked to yield.
    pub preemptions: u64,
    /// Timers that fired.
    pub timers_fired: u64,
    /// Timers that are set now.
    pub timers: usize,
    /// Times another thread had to wake the shard.
    pub bell_rings: u64,
    /// Of those, by a message to its ring.
    pub ring_messages: u64,
    /// Operations that were started.
    pub operations: u64,
    /// Operations that are under way now; a few are the runtime's own.
    pub operations_in_flight: usize,
    /// Completions, of which an operation may have many.
    pub completions: u64,
    /// Calls of `io_uring_enter`, or what the other driver has in its place.
    pub enters: u64,
    /// Such calls that were interrupted, or came back for lack of anything.
    pub enters_retried: u64,
    /// Operations whose future was gone before they ended.
    pub orphans: u64,
    /// Operations that were asked to end early.
    pub cancels: u64,
    /// Submissions that had to wait, as the ring was full.
    pub submissions_delayed: u64,
    /// Completions that named no operation. Not zero is a defect, here or in the kernel.
    pub completions_unknown: u64,
    /// Times a ring was entered when completions had found no room in its queue. They wait in the kernel, and none is lost,
    /// but it costs: a larger ring has room.
    pub overflows: u64,
    /// Calls of `io_uring_enter` that asked a device for completions; counted in `enters`, too.
    pub poll_enters: u64,
    /// Completions that a device was asked for; counted in `completions`, too. A read or write that was done in parts
    /// has one for each.
    pub poll_completions: u64,
    /// Reads and writes, or parts of them, that could not be polled and then went the other way.
    pub poll_refusals: u64,
    /// Receive buffers that the ring has filled and not got back yet.
    pub receive_buffers_out: u64,
    /// Reads, writes and zero-copy sends whose memory the kernel had looked up before: buffers of the registered arena.
    pub registered_operations: u64,
    /// Buffers that were asked of the arena and are of the heap, as that had no room.
    pub arena_misses: u64,
    /// Bytes of the arena that buffers have now.
    pub arena_bytes_taken: u64,
    /// The task queues, in the order of their making.
    pub queues: Vec<QueueStats>,
    /// The devices that are scheduled, of which a file was opened for direct I/O.
    pub io_devices: Vec<IoDeviceStats>,
}

impl ShardStats {
    pub(crate) fn of(core: &Core) -> Self {
        let driver = core.driver.borrow();
        let DriverCounters {
            started,
            completions,
            enters,
            harmless_errors,
            stale,
            orphans,
            backlogged,
            cancels,
            buffers_picked,
            buffers_back,
            poll_enters,
            poll_completions,
            poll_refusals,
            overflows,
        } = driver.counters();
        let counters = &core.counters;
        let (registered_operations, arena_misses, arena_bytes_taken) = core.dma.counters();
        Self {
            turns: counters.turns.get(),
            parks: counters.parks.get(),
            parks_spared: counters.parks_spared.get(),
            polls: counters.polls.get(),
            tasks_spawned: counters.spawned.get(),
            tasks: core.tasks_now(),
            preemptions: counters.preemptions.get(),
            timers_fired: counters.timers_fired.get(),
            timers: core.timers.borrow().len(),
            bell_rings: core.remote.rings(),
            ring_messages: core.remote.messages(),
            operations: started,
            operations_in_flight: driver.in_flight(),
            completions,
            enters,
            enters_retried: harmless_errors,
            orphans,
            cancels,
            submissions_delayed: backlogged,
            completions_unknown: stale,
            overflows,
            poll_enters,
            poll_completions,
            poll_refusals,
            receive_buffers_out: buffers_picked - buffers_back,
            registered_operations,
            arena_misses,
            arena_bytes_taken,
            queues: core.queues.stats(),
            io_devices: core.devices.io_stats(|queue| core.queues.name(queue)),
        }
    }

    /// In the text format of Prometheus, version 0.0.4, with label `shard`.
    ///
    /// See <https://prometheus.io/docs/instrumenting/exposition_formats/>.
    pub fn to_prometheus(&self, shard: &str) -> String {
        let mut out = String::new();
        let shard = escaped(shard);
        let counters = [
            ("turns", "Turns of the loop.", self.turns),
            ("parks", "Times the shard went to sleep.", self.parks),
            ("parks_spared", "Times it looked around and something came.", self.parks_spared),
            ("polls", "Polls of tasks.", self.polls),
            ("tasks_spawned", "Tasks spawned.", self.tasks_spawned),
            ("preemptions", "Times a running task was asked to yield.", self.preemptions),
            ("timers_fired", "Timers fired.", self.timers_fired),
            ("bell_rings", "Wake-ups by other threads.", self.bell_rings),
            ("ring_messages", "Those by a message to the ring.", self.ring_messages),
            ("operations", "Operations started.", self.operations),
            ("completions", "Completions.", self.completions),
            ("enters", "Calls of io_uring_enter.", self.enters),
            ("enters_retried", "Such calls to be repeated.", self.enters_retried),
            ("orphans", "Operations whose future was dropped.", self.orphans),
            ("cancels", "Operations asked to end early.", self.cancels),
            ("submissions_delayed", "Submissions that found the ring full.", self.submissions_delayed),
            ("poll_enters", "Such calls that asked a device.", self.poll_enters),
            ("poll_completions", "Completions that a device was asked for.", self.poll_completions),
            ("poll_refusals", "Operations that could not be polled.", self.poll_refusals),
            ("overflows", "Times completions found their queue full.", self.overflows),
            ("registered_operations", "Operations on registered memory.", self.registered_operations),
            ("arena_misses", "Buffers of the heap, as the arena had no room.", self.arena_misses),
            ("completions_unknown", "Completions of no operation.", self.completions_unknown),
        ];
        for (name, help, value) in counters {
            let _ = writeln!(
                out,
                "# HELP samestep_uring_{name}_total {help}\n# TYPE samestep_uring_{name}_total counter"
            );
            let _ = writeln!(out, "samestep_uring_{name}_total{{shard=\"{shard}\"}} {value}");
        }
        let gauges = [
            ("tasks", "Tasks now.", self.tasks as u64),
            ("timers", "Timers set now.", self.timers as u64),
            ("operations_in_flight", "Operations under way.", self.operations_in_flight as u64),
            ("arena_bytes_taken", "Bytes of the arena that buffers have.", self.arena_bytes_taken),
            ("receive_buffers_out", "Receive buffers not yet given back.", self.receive_buffers_out),
        ];
        for (name, help, value) in gauges {
            let _ = writeln!(out, "# HELP samestep_uring_{name} {help}\n# TYPE samestep_uring_{name} gauge");
            let _ = writeln!(out, "samestep_uring_{name}{{shard=\"{shard}\"}} {value}");
        }
        self.queues_to_prometheus(&shard, &mut out);
        schedule::to_prometheus(&self.io_devices, &shard, escaped, &mut out);
        out
    }

    fn queues_to_prometheus(&self, shard: &str, out: &mut String) {
        type Read = fn(&QueueStats) -> String;
        let rows: [(&str, &str, &str, Read); 4] = [
            ("queue_run_seconds_total", "Time with others ready.", "counter", |queue| {
                format!("{}.{:09}", queue.run_ns / 1_000_000_000, queue.run_ns % 1_000_000_000)
            }),
            ("queue_polls_total", "Polls of its tasks.", "counter", |queue| queue.polls.to_string()),
            ("queue_ready", "Tasks ready now.", "gauge", |queue| queue.ready.to_string()),
            ("queue_shares", "Shares.", "gauge", |queue| queue.shares.to_string()),
        ];
        for (name, help, kind, read) in rows {
            let _ = writeln!(out, "# HELP samestep_uring_{name} {help}\n# TYPE samestep_uring_{name} {kind}");
            for queue in &self.queues {
                let (label, value) = (escaped(&queue.name), read(queue));
                let _ = writeln!(out, "samestep_uring_{name}{{shard=\"{shard}\",queue=\"{label}\"}} {value}");
            }
        }
    }
}

impl Runtime {
    /// What the shard has done so far. May be read at any time and by any number of readers.
    pub fn stats(&self) -> ShardStats {
        ShardStats::of(self.core())
    }

    /// A reader of the same, for tasks of the shard.
    pub fn stats_reader(&self) -> StatsReader {
        StatsReader(Rc::clone(self.core()))
    }
}

/// Reads a shard's counters, from its own thread.
#[derive(Clone)]
pub struct StatsReader(Rc<Core>);

impl StatsReader {
    /// What the shard has done so far.
    pub fn read(&self) -> ShardStats {
        ShardStats::of(&self.0)
    }

    /// The tasks that are there now, in no order that means anything.
    pub fn tasks(&self) -> Vec<TaskInfo> {
        let driver = self.0.driver.borrow();
        let info = |task: crate::sys::TaskRef| {
            let mine =
                driver.under_way().filter(|(_, waker)| waker.is_some_and(|waker| task.is_woken_by(waker)));
            let waits_for = mine.map(|(op, _)| match op.fd() {
                Some(fd) => format!("{} of descriptor {fd}", op.name()),
                None => op.name().to_owned(),
            });
            TaskInfo {
                name: task.name().to_owned(),
                queue: self.0.queues.name(task.queue().index()),
                polls: task.polls(),
                is_ready: task.is_scheduled(),
                waits_for: waits_for.collect(),
            }
        };
        self.0.all_tasks().map(info).collect()
    }
}

impl std::fmt::Debug for StatsReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StatsReader").field(&self.read()).finish()
    }
}

/// A task, for people who wonder what it is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskInfo {
    /// The first 23 bytes of the name that it was spawned with.
    pub name: String,
    /// The queue it is in.
    pub queue: String,
    /// How often it was polled, modulo 2^32.
    pub polls: u32,
    /// Whether it waits only for its turn.
    pub is_ready: bool,
    /// The file operations it waits for; what it waits for otherwise (sockets, timers, other tasks) is not told.
    pub waits_for: Vec<String>,
}

/// A label's value: backslashes, quotes and line ends have an escape each.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn label_values_are_escaped() {
        assert_eq!(escaped("a\\b\"c\nd"), "a\\\\b\\\"c\\nd");
    }
}
