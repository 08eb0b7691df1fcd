//! What a program that is generic over `Providers` can run on here, outside of simulations.

use std::fmt;
use std::path::Path;

use clap::ValueEnum;
use samestep_provider_traits::Providers;
use samestep_tokio_providers::{TokioProviders, TokioRuntime};

use crate::service::Result;

/// A runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RuntimeName {
    /// tokio, on one thread.
    Tokio,
    /// uring-rt on io_uring; on threads where that is blocked, which is said.
    Uring,
    /// uring-rt's other driver: system calls on a few threads.
    UringThreads,
}

impl fmt::Display for RuntimeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tokio => "tokio",
            Self::Uring => "uring",
            Self::UringThreads => "uring-threads",
        })
    }
}

/// Something to run, in any world.
pub(crate) trait Program {
    type Output;
    async fn run<P: Providers>(self, world: P) -> Self::Output;
}

/// Runs `program` on `runtime`, with its files below `root` and its random numbers from `seed`.
///
/// # Errors
///
/// Why the runtime cannot be had.
pub(crate) fn run<T: Program>(runtime: RuntimeName, root: &Path, seed: u64, program: T) -> Result<T::Output> {
    match runtime {
        RuntimeName::Tokio => {
            let world = TokioProviders::new(root, seed);
            Ok(TokioRuntime::new()?.block_on(program.run(world)))
        }
        RuntimeName::Uring | RuntimeName::UringThreads => run_on_uring(runtime, root, seed, program),
    }
}

#[cfg(target_os = "linux")]
fn run_on_uring<T: Program>(runtime: RuntimeName, root: &Path, seed: u64, program: T) -> Result<T::Output> {
    use samestep_uring_rt::{DriverChoice, Runtime};

    let driver =
        if runtime == RuntimeName::Uring { DriverChoice::RingOrThreads } else { DriverChoice::Threads };
    let runtime = Runtime::builder().driver(driver).build()?;
    // Its root must be there.
    std::fs::create_dir_all(root)?;
    let world = runtime.providers(root, seed)?;
    let output = runtime.block_on(program.run(world));
    runtime.shutdown()?;
    Ok(output)
}

#[cfg(not(target_os = "linux"))]
fn run_on_uring<T: Program>(runtime: RuntimeName, _: &Path, _: u64, _: T) -> Result<T::Output> {
    Err(format!("{runtime} is for Linux: use tokio here").into())
}

/// What `runtime` comes to on this machine, and why if that is not what was asked for.
#[cfg(target_os = "linux")]
pub(crate) fn look(runtime: RuntimeName) -> (RuntimeName, Option<String>) {
    use samestep_uring_rt::{DriverChoice, Runtime};

    if runtime != RuntimeName::Uring {
        return (runtime, None);
    }
    match Runtime::builder().driver(DriverChoice::Ring).build() {
        Ok(_) => (runtime, None),
        Err(error) => (RuntimeName::UringThreads, Some(error.to_string())),
    }
}

/// What `runtime` comes to on this machine, and why if that is not what was asked for.
#[cfg(not(target_os = "linux"))]
pub(crate) fn look(runtime: RuntimeName) -> (RuntimeName, Option<String>) {
    (runtime, None)
}
