//! What a shard has done so far: counters that only grow, so that any number of readers agree.

use std::rc::Rc;

use crate::core::Core;
use crate::latencies::OperationLatency;
use crate::prometheus::prometheus_page;
use crate::queues::QueueStats;
use crate::runtime::Runtime;
use crate::schedule::IoDeviceStats;
use crate::sys::{DriverCounters, RingStats};
use crate::task_list::TaskList;

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
    /// Times the loop stood still for longer than [`StallDetection`](crate::StallDetection) allows, if it is watched.
    pub stalls: u64,
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
    /// Reads that found one under way which brings their bytes, and made none of their own.
    pub reads_shared: u64,
    /// Bytes of the arena that buffers have now.
    pub arena_bytes_taken: u64,
    /// The task queues, in the order of their making.
    pub queues: Vec<QueueStats>,
    /// The rings, the main one first: the latency ring if there is one, the poll ring once there is one.
    pub rings: Vec<RingStats>,
    /// How long operations took, by kind, if [`latency_sampling`](crate::RuntimeBuilder::latency_sampling) is on; else
    /// empty.
    pub latencies: Vec<OperationLatency>,
    /// The devices that are scheduled, of which a file was opened for direct I/O.
    pub io_devices: Vec<IoDeviceStats>,
}

impl ShardStats {
    pub(crate) fn of(core: &Core) -> Self {
        let driver = core.driver.borrow();
        let DriverCounters {
            started,
            harmless_errors,
            stale,
            orphans,
            backlogged,
            cancels,
            buffers_picked,
            buffers_back,
            poll_refusals,
            overflows,
        } = driver.counters();
        let counters = &core.counters;
        let rings = driver.rings();
        let poll = rings.iter().find(|ring| ring.name == "poll");
        let latencies = driver.latencies();
        let latencies =
            latencies.map(|(kind, latency)| OperationLatency { kind, latency: latency.clone() }).collect();
        let (registered_operations, arena_misses, arena_bytes_taken) = core.dma.counters();
        Self {
            turns: counters.turns.get(),
            parks: counters.parks.get(),
            parks_spared: counters.parks_spared.get(),
            polls: counters.polls.get(),
            tasks_spawned: counters.spawned.get(),
            tasks: core.tasks_now(),
            preemptions: counters.preemptions.get(),
            stalls: core.pulse.get().map_or(0, |pulse| pulse.stalls()),
            timers_fired: counters.timers_fired.get(),
            timers: core.timers.borrow().len(),
            bell_rings: core.remote.rings(),
            ring_messages: core.remote.messages(),
            operations: started,
            operations_in_flight: driver.in_flight(),
            completions: rings.iter().map(|ring| ring.completions).sum(),
            enters: rings.iter().map(|ring| ring.enters).sum(),
            enters_retried: harmless_errors,
            orphans,
            cancels,
            submissions_delayed: backlogged,
            completions_unknown: stale,
            overflows,
            poll_enters: poll.map_or(0, |ring| ring.enters),
            poll_completions: poll.map_or(0, |ring| ring.completions),
            poll_refusals,
            receive_buffers_out: buffers_picked - buffers_back,
            registered_operations,
            arena_misses,
            reads_shared: counters.reads_shared.get(),
            arena_bytes_taken,
            queues: core.queues.stats(),
            rings,
            latencies,
            io_devices: core.devices.io_stats(|queue| core.queues.name(queue)),
        }
    }

    /// In the text format of Prometheus, with label `shard`; see [`prometheus_page`](crate::prometheus_page) for several
    /// shards on one page.
    pub fn to_prometheus(&self, shard: &str) -> String {
        prometheus_page([(shard, self)])
    }
}

impl Runtime {
    /// The tasks that are there now, and what they wait for.
    pub fn tasks(&self) -> TaskList {
        TaskList::of(self.core())
    }

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

    /// The tasks that are there now, and what they wait for.
    pub fn tasks(&self) -> TaskList {
        TaskList::of(&self.0)
    }
}

impl std::fmt::Debug for StatsReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StatsReader").field(&self.read()).finish()
    }
}
