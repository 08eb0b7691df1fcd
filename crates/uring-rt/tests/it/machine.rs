//! Runtimes to test on: those that this machine gives.

use std::future::Future;

use samestep_provider_traits::contract::Harness;
use samestep_uring_rt::{DriverChoice, Runtime, TaskRun, UringProviders};

/// One of the two drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    Ring,
    /// A ring without a second one for what is urgent.
    OneRing,
    /// A ring whose completions are made whenever the thread enters the kernel.
    Cooperative,
    Threads,
}

impl Machine {
    /// A fresh runtime, or `None`, and a line that says so, if this machine gives no ring.
    pub(crate) fn runtime(self) -> Option<Runtime> {
        let driver = if self == Self::Threads { DriverChoice::Threads } else { DriverChoice::Ring };
        let mode = if self == Self::Cooperative { TaskRun::Cooperative } else { TaskRun::Deferred };
        let builder = Runtime::builder().driver(driver).task_run(mode);
        match builder.latency_ring(self != Self::OneRing).build() {
            Ok(runtime) => Some(runtime),
            Err(error) if self != Self::Threads => {
                println!("skipped: {error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// How often a test gives something up: ten thousand times, or less where each takes two system calls more.
    pub(crate) fn repetitions(self) -> usize {
        if self == Self::Threads { 1000 } else { 10_000 }
    }

    /// Runs `test` in a fresh world, if this machine gives one.
    pub(crate) fn world<Fut: Future<Output = ()>>(self, test: impl FnOnce(UringProviders) -> Fut) {
        let root = tempfile::tempdir().unwrap();
        let Some(runtime) = self.runtime() else { return };
        let world = runtime.providers(root.path(), 7).unwrap();
        runtime.block_on(test(world));
        runtime.shutdown().unwrap();
    }
}

impl Harness for Machine {
    type Providers = UringProviders;

    fn run<Fut: Future<Output = ()> + 'static>(&self, test: impl FnOnce(UringProviders) -> Fut) {
        self.world(test);
    }
}

/// On which a test is run that holds everywhere.
pub(crate) const ALL: [Machine; 4] =
    [Machine::Ring, Machine::OneRing, Machine::Cooperative, Machine::Threads];
