//! A runtime: one shard, on the thread that made it.

use std::fmt;
use std::future::Future;
use std::io;
use std::num::NonZeroU32;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::core::Core;
use crate::dma::{Dma, HugePages};
use crate::error::{ShutdownError, StartError};
use crate::info::{self, Choice, Feature, Polling, RuntimeInfo};
use crate::latencies::Sampler;
use crate::machine::{self, Machine, Placement, Quota, pin};
use crate::providers::UringProviders;
use crate::refusal;
use crate::schedule::IoProperties;
use crate::stall::{StallDetection, Watcher};
use crate::storage::Devices;
use crate::sys::{Arena, Driver, KernelRing, Pulse, Remote, Ring, ThreadsRing};

/// One shard: an executor with its rings, on the thread that made it.
///
/// When it is dropped, by unwinding too, it drains: it takes nothing new, drops all tasks, cancels all operations,
/// waits for the last completion of each, and only then frees what the kernel might have written to. If some do not
/// end it leaks that and says so on stderr; [`Self::shutdown`] says so in a typed error.
pub struct Runtime {
    core: Rc<Core>,
    patience: Duration,
    /// Until the runtime is gone.
    _watcher: Option<Watcher>,
}

/// How a runtime is to be. Made by [`Runtime::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing by itself"]
pub struct RuntimeBuilder {
    driver: DriverChoice,
    ring_entries: u32,
    receive_buffers: u16,
    receive_buffer_bytes: usize,
    has_latency_ring: bool,
    polling: PollChoice,
    zero_copy_bytes: Option<usize>,
    shutdown_patience: Duration,
    spin_before_park: Duration,
    latency_sampling: Option<NonZeroU32>,
    stalls: Option<StallDetection>,
    placement: Placement,
    io_properties: IoProperties,
    dma_bytes: usize,
    huge_pages: HugePages,
    workers_max: u32,
    task_run: TaskRun,
}

/// Which driver a runtime is to use. Complete by definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// The kernel's io_uring, or an error that says why it cannot be had.
    #[default]
    Ring,
    /// Threads, where io_uring cannot be had; [`RuntimeInfo::driver`] tells.
    RingOrThreads,
    /// Threads.
    Threads,
}

/// Whether files with direct I/O are polled. Complete by definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PollChoice {
    /// None.
    Never,
    /// Those on devices that have queues for it, as told below `/sys/dev/block`. No NVMe device has any unless the
    /// administrator said so, by the parameter `poll_queues` of the driver.
    #[default]
    WherePossible,
    /// All, whatever the system tells of the device, until the device refuses.
    Always,
}

/// When the kernel makes the completions of what has ended. In either mode a flag tells that there is something to be made,
/// which is how a task that computes sees that it should yield. Complete by definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TaskRun {
    /// When the shard asks for them, `DEFER_TASKRUN`: never in the middle of anything else, and all together.
    #[default]
    Deferred,
    /// Whenever the shard's thread enters the kernel, for whatever reason, `COOP_TASKRUN`: at the latest with the next tick
    /// of its clock, also while a task computes.
    Cooperative,
}

impl Runtime {
    /// A runtime on io_uring with the defaults of [`RuntimeBuilder`].
    ///
    /// # Errors
    ///
    /// Why io_uring cannot be had, and what can be done about it.
    pub fn new() -> Result<Self, StartError> {
        Self::builder().build()
    }

    /// A runtime with other than the defaults.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder {
            driver: DriverChoice::default(),
            ring_entries: 256,
            receive_buffers: 256,
            receive_buffer_bytes: 16 * 1024,
            has_latency_ring: true,
            polling: PollChoice::default(),
            zero_copy_bytes: None,
            shutdown_patience: Duration::from_secs(30),
            spin_before_park: Duration::ZERO,
            latency_sampling: None,
            stalls: None,
            placement: Placement::Unbound,
            io_properties: IoProperties::new(),
            dma_bytes: 4 << 20,
            huge_pages: HugePages::None,
            workers_max: 16,
            task_run: TaskRun::default(),
        }
    }

    /// Runs `program`, and all tasks meanwhile, until it is over.
    ///
    /// # Panics
    ///
    /// If it is called from within itself, or in a process that was forked off since the runtime was made.
    pub fn block_on<F: Future>(&self, program: F) -> F::Output {
        self.core.block_on(program)
    }

    /// The bundle for programs written against the provider traits: files below `root`, random numbers from `seed`.
    ///
    /// # Errors
    ///
    /// If `root` is no folder that can be opened.
    pub fn providers(&self, root: impl AsRef<Path>, seed: u64) -> io::Result<UringProviders> {
        UringProviders::new(&self.core, root.as_ref(), seed)
    }

    /// What the runtime runs on, and why.
    pub fn info(&self) -> RuntimeInfo {
        let (info, devices) = (self.core.info.clone(), self.core.devices.info());
        let is_polled = devices.iter().any(|device| device.polling == Polling::Polled);
        let poll_ring = match (self.core.driver.borrow().has_poll_ring(), is_polled) {
            (true, true) => Choice::used(Feature::PollRing, "a device is asked for its completions"),
            (true, false) => Choice::unused(Feature::PollRing, "no device is polled any more"),
            _ => {
                Choice::unused(Feature::PollRing, "no file is open for direct I/O on a device that is polled")
            }
        };
        let dma = &self.core.dma;
        let choices = info.choices.into_iter().chain([poll_ring]).chain(dma.choices()).collect();
        RuntimeInfo { choices, devices, arena: dma.info(), ..info }
    }

    /// A runtime on mock rings.
    #[cfg(test)]
    pub(crate) fn on_rings(
        main: Box<dyn Ring>,
        latency: Option<Box<dyn Ring>>,
        polling: Devices,
        patience: Duration,
    ) -> Self {
        let with_arena = |ring| (ring, Arena::new(64, 4));
        let driver = Driver::new(with_arena(main), latency.map(with_arena)).unwrap();
        let dma = Dma::new(64 << 10, HugePages::None);
        let info = RuntimeInfo {
            cpu: None,
            driver: info::Driver::Ring,
            kernel: String::new(),
            choices: Vec::new(),
            devices: Vec::new(),
            arena: dma.info(),
            workers_max: None,
        };
        let remote = Arc::new(Remote::new().unwrap());
        let core = Core::new(driver, remote, info, polling, dma, Some(2000), Duration::ZERO).unwrap();
        Self { core, patience, _watcher: None }
    }

    pub(crate) fn core(&self) -> &Rc<Core> {
        &self.core
    }

    /// Ends the runtime as dropping it does, and tells how that went.
    ///
    /// # Errors
    ///
    /// [`ShutdownError::StillInFlight`] if operations did not end in time, [`ShutdownError::Forked`] if the runtime is
    /// another process'.
    pub fn shutdown(self) -> Result<(), ShutdownError> {
        self.core.shut_down(self.patience)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Err(error) = self.core.shut_down(self.patience) {
            eprintln!("samestep-uring-rt: {error}");
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("info", &self.core.info).finish_non_exhaustive()
    }
}

impl RuntimeBuilder {
    /// Which driver; io_uring or nothing by default.
    pub fn driver(self, driver: DriverChoice) -> Self {
        Self { driver, ..self }
    }

    /// Submissions that a ring takes at once, 256 by default; rounded up to a power of two, at most 32,768. It keeps
    /// four times as many completions; what is beyond waits in the runtime.
    pub fn ring_entries(self, entries: u32) -> Self {
        Self { ring_entries: entries.clamp(2, 32_768), ..self }
    }

    /// Buffers from which receives pick, of `bytes` each, 256 of 16 KiB by default, for each ring. A connection
    /// uses one while it has bytes that nobody has read. At least 1 of 1 byte, at most 32,768; rounded down
    /// to a power of two.
    pub fn receive_buffers(self, count: u16, bytes: usize) -> Self {
        let count = 1 << count.clamp(1, 32_768).ilog2();
        Self { receive_buffers: count, receive_buffer_bytes: bytes.max(1), ..self }
    }

    /// Whether operations of queues whose latency matters go to a ring of their own, whose events ask a running task
    /// to yield. So by default.
    pub fn latency_ring(self, is_wanted: bool) -> Self {
        Self { has_latency_ring: is_wanted, ..self }
    }

    /// Which files with direct I/O are polled, [`PollChoice::WherePossible`] by default. A shard with such reads or
    /// writes under way does not sleep: it asks the device for completions whenever it has nothing else to do.
    pub fn polling(self, polling: PollChoice) -> Self {
        Self { polling, ..self }
    }

    /// Sends of TCP of at least so many bytes are not copied into the kernel, which then keeps the buffer until the peer has
    /// them. Never by default, as what it saves depends on the card: the kernel looks the memory up and tells twice how it
    /// went, which over loopback, where it copies all the same, took 3.9 times the processor time of a plain send at 4 KiB,
    /// 2.0 times at 16 KiB, 1.1 times at 64 KiB, and as much within the noise at 256 KiB (Linux 6.18, medians of nine runs
    /// by turns). So nothing below 64 KiB is worth a trial; buffers of [the arena](Self::dma_arena), which need no looking
    /// up, spare some of it.
    pub fn zero_copy_sends(self, from_bytes: Option<usize>) -> Self {
        Self { zero_copy_bytes: from_bytes, ..self }
    }

    /// For how long a shard that has nothing to do looks around before it sleeps: not at all by default. It does so only
    /// while what comes tends to come within that time, and saves whoever wakes it a system call. For shards that have a
    /// processor each: one that is shared is better given up, and under a quota of the control group that is less than the
    /// processors it may use this is never done, as [`RuntimeInfo`] says.
    pub fn spin_before_park(self, at_most: Duration) -> Self {
        Self { spin_before_park: at_most, ..self }
    }

    /// Counts how long operations take, and how long tasks wait for their turn, of every so many of each; none by
    /// default, which costs a branch. A sampled one costs two readings of the clock, some tens of nanoseconds each.
    /// Reported as [`ShardStats::latencies`](crate::ShardStats::latencies) and
    /// [`QueueStats::delay`](crate::QueueStats::delay).
    pub fn latency_sampling(self, every_nth: Option<NonZeroU32>) -> Self {
        Self { latency_sampling: every_nth, ..self }
    }

    /// Watches the loop for [stalls](StallDetection); nobody does by default. Costs two stores a poll, and a thread that
    /// wakes twice within the bound.
    pub fn stall_detection(self, detection: StallDetection) -> Self {
        Self { stalls: Some(detection), ..self }
    }

    /// On which processor the thread of the shard runs, wherever the system puts it by default. A runtime that is built
    /// alone pins the thread that builds it, which stays so; it is the first of one shard. For several see
    /// [`run_shards`](crate::run_shards).
    pub fn placement(self, placement: Placement) -> Self {
        Self { placement, ..self }
    }

    /// When the kernel makes completions, [`TaskRun::Deferred`] by default. The poll ring is always deferred.
    pub fn task_run(self, mode: TaskRun) -> Self {
        Self { task_run: mode, ..self }
    }

    /// Schedules direct reads and writes of the devices in `properties`; those of others go to the kernel as they come,
    /// and so do all that go through the page cache. None by default.
    ///
    /// The reads and writes of each [queue of tasks](crate::TaskQueue) are a class, with the shares of the queue and of
    /// the groups that it is in. A device is given no more than it does within its
    /// [latency goal](crate::DeviceProperties::latency_goal), whatever is asked for; the rest waits here, and the classes take
    /// turns by their shares. Long reads and writes go in parts, and one that is given up before its turn goes not at
    /// all. Runtimes that are built with clones of one `properties`, as those of [`run_shards`](crate::run_shards), have
    /// each device together.
    pub fn io_properties(self, properties: IoProperties) -> Self {
        Self { io_properties: properties, ..self }
    }

    /// How many bytes a shard's arena has, 4 MiB by default, and of which pages; 0 for none. It is made when the first of
    /// its [buffers](crate::DmaBuffer) is asked for, and the kernel looks it up once for all rings of the shard, which
    /// locks it in memory. Users without `CAP_IPC_LOCK` may lock so much as `RLIMIT_MEMLOCK` says: if that is too little
    /// the arena is a half, a quarter and so on of what was asked for, or is not looked up, and
    /// [`RuntimeInfo::arena`] says so.
    ///
    /// Buffers that it has no room for are of the heap. Of those with 64 KiB and more the shard keeps up to 16 MiB that
    /// nobody has, for the next of their length.
    pub fn dma_arena(self, bytes: usize, huge_pages: HugePages) -> Self {
        Self { dma_bytes: bytes, huge_pages, ..self }
    }

    /// How many threads the kernel may have to do what would block, for all rings of the shard and of each of the two kinds
    /// that it has; 16 by default, at least 1. Without a limit it makes as many as it sees fit, of the kind that may block
    /// for ever as many as the user may have processes.
    pub fn kernel_workers(self, at_most: u32) -> Self {
        Self { workers_max: at_most, ..self }
    }

    /// How long shutting down waits without anything moving, about, before it leaks; 30 s by default.
    pub fn shutdown_patience(self, patience: Duration) -> Self {
        Self { shutdown_patience: patience, ..self }
    }

    /// Makes the runtime, for this thread.
    ///
    /// # Errors
    ///
    /// Why the driver cannot be had, and what can be done about it.
    pub fn build(self) -> Result<Runtime, StartError> {
        let cpu = self.seats(1)?.pop().flatten();
        self.build_on(cpu)
    }

    /// The processors of so many shards.
    pub(crate) fn seats(&self, count: usize) -> Result<Vec<Option<u32>>, StartError> {
        if self.placement == Placement::Unbound {
            return Ok(vec![None; count]);
        }
        let refused = |source| StartError::Refused { what: "ask which processors there are", source };
        Machine::here().map_err(refused)?.place(&self.placement, count)
    }

    /// As [`Self::build`], on this processor. The thread is there before anything is made, so that memory is near.
    pub(crate) fn build_on(self, cpu: Option<u32>) -> Result<Runtime, StartError> {
        if let Some(cpu) = cpu {
            pin(cpu).map_err(|source| StartError::Refused { what: "stay on a processor", source })?;
        }
        let (spin, how) = self.spin();
        let pinned = match cpu {
            Some(_) => Choice::used(Feature::PinnedThread, "the placement of the builder"),
            None => Choice::unused(Feature::PinnedThread, "the builder was asked for no placement"),
        };
        let refused = |what| move |source| StartError::Refused { what, source };
        let remote = Arc::new(Remote::new().map_err(refused("make an event counter"))?);
        let (driver, mut info) = match self.driver {
            DriverChoice::Ring => self.ring_driver(&remote)?,
            DriverChoice::Threads => self.threads_driver()?,
            DriverChoice::RingOrThreads => match self.ring_driver(&remote) {
                Ok(driver) => driver,
                Err(_) => self.threads_driver()?,
            },
        };
        info.cpu = cpu;
        info.choices.extend([pinned, how]);
        let devices = match (info.driver, self.polling) {
            (_, PollChoice::Never) => Devices::unpolled(Polling::SwitchedOff),
            (info::Driver::Threads, _) => Devices::unpolled(Polling::NoRing),
            (_, wanted) => {
                let entries = self.ring_entries;
                let make = move || Ok(Box::new(KernelRing::new_polled(entries)?) as Box<dyn Ring>);
                Devices::polled(wanted == PollChoice::Always, Box::new(make))
            }
        };
        let dma = self.dma();
        let devices = devices.scheduled(self.io_properties);
        let core = Core::new(driver, remote, info, devices, dma, self.zero_copy_bytes, spin);
        let core = core.map_err(refused("map a page"))?;
        if let Some(every) = self.latency_sampling {
            core.driver.borrow_mut().sample_latencies(Sampler::new(every));
            core.queues.sample_delays(every);
        }
        let watcher = match self.stalls {
            Some(detection) => {
                let pulse =
                    Pulse::new(detection.signal_number()).map_err(refused("be watched for stalls"))?;
                core.watch(&pulse);
                Some(Watcher::start(pulse, detection).map_err(refused("make a thread that watches"))?)
            }
            None => None,
        };
        Ok(Runtime { core, patience: self.shutdown_patience, _watcher: watcher })
    }

    /// How long to look around before sleep, and why.
    fn spin(&self) -> (Duration, Choice) {
        let unused = |reason| (Duration::ZERO, Choice::unused(Feature::SpinBeforePark, reason));
        if self.spin_before_park.is_zero() {
            return unused("the builder was asked for none");
        }
        self.spin_under(Quota::here(), machine::allowed().map_or(1, |cpus| cpus.len()))
    }

    fn spin_under(&self, quota: Option<Quota>, cpus: usize) -> (Duration, Choice) {
        let unused = |reason| (Duration::ZERO, Choice::unused(Feature::SpinBeforePark, reason));
        match quota {
            Some(quota) if quota.is_less_than(cpus) => {
                unused("the control group has a quota, which looking around would use up")
            }
            _ => (
                self.spin_before_park,
                Choice::used(Feature::SpinBeforePark, "spares who wakes it a system call"),
            ),
        }
    }

    fn ring_driver(&self, remote: &Arc<Remote>) -> Result<(Driver, RuntimeInfo), StartError> {
        let mut choices = Vec::new();
        let (entries, mode) = (self.ring_entries, self.task_run);
        let mut main = KernelRing::new(entries, mode, &mut choices).map_err(refusal::explain)?;
        refusal::check_operations(main.missing(&mut choices))?;
        choices.push(main.reach_by(remote));
        let limit = main.limit_workers(self.workers_max.max(1));
        let workers_max = limit.is_used().then_some(self.workers_max.max(1));
        choices.push(limit);
        let latency = if self.has_latency_ring {
            // The same choices again, told once.
            let mut ring = KernelRing::new(entries, mode, &mut Vec::new()).map_err(refusal::explain)?;
            ring.register_event(&**remote).map_err(refusal::explain)?;
            choices.push(Choice::used(Feature::LatencyRing, "its events ask running tasks to yield"));
            Some(ring)
        } else {
            choices.push(Choice::unused(Feature::LatencyRing, "the builder was asked for none"));
            None
        };
        let with_arena = |ring: KernelRing| (Box::new(ring) as Box<dyn Ring>, self.arena());
        let driver = Driver::new(with_arena(main), latency.map(with_arena)).map_err(refusal::explain)?;
        choices.push(Choice::used(Feature::BufferRing, "receives pick buffers when bytes are there"));
        let (kernel, arena) = (refusal::release(), self.dma().info());
        Ok((
            driver,
            RuntimeInfo {
                cpu: None,
                driver: info::Driver::Ring,
                kernel,
                choices,
                devices: Vec::new(),
                arena,
                workers_max,
            },
        ))
    }

    fn threads_driver(&self) -> Result<(Driver, RuntimeInfo), StartError> {
        let refused = |source| StartError::Refused { what: "make an epoll instance", source };
        let ring = ThreadsRing::new().map_err(refused)?;
        let driver = Driver::new((Box::new(ring), self.arena()), None).map_err(refused)?;
        let (kernel, choices, devices) = (refusal::release(), Vec::new(), Vec::new());
        let arena = self.dma().info();
        Ok((
            driver,
            RuntimeInfo {
                cpu: None,
                driver: info::Driver::Threads,
                kernel,
                choices,
                devices,
                arena,
                workers_max: None,
            },
        ))
    }

    fn dma(&self) -> Dma {
        Dma::new(self.dma_bytes, self.huge_pages)
    }

    fn arena(&self) -> Arena {
        Arena::new(self.receive_buffer_bytes, self.receive_buffers)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Quota, Runtime};

    /// Looking around uses up what the group has, and then its shards stand still.
    #[test]
    fn nobody_looks_around_under_a_quota() {
        let builder = Runtime::builder().spin_before_park(Duration::from_micros(50));
        let spin = |millis: Option<u32>| {
            let (spin, choice) = builder.spin_under(millis.map(Quota::of_millis), 2);
            (spin, choice.is_used())
        };
        assert_eq!(spin(None), (Duration::from_micros(50), true));
        assert_eq!(spin(Some(1500)), (Duration::ZERO, false));
        assert_eq!(spin(Some(2000)), (Duration::from_micros(50), true), "it has all there is");
        assert_eq!(Runtime::builder().spin().0, Duration::ZERO);
    }
}
