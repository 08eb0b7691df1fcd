//! Why a runtime does not start, or does not end.

use std::io;
use std::time::Duration;

/// Why a runtime could not be started. Each says what can be done about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A seccomp filter denies io_uring to this process, as those of Docker 25 and later and of containerd do.
    #[error(
        "a seccomp filter denies io_uring ({source}): allow io_uring_setup, io_uring_enter and io_uring_register, \
         in Docker by `--security-opt seccomp=unconfined` or a profile of your own, or ask for the threads driver"
    )]
    DeniedBySeccomp {
        /// What `io_uring_setup` said.
        source: io::Error,
    },
    /// The administrator switched io_uring off: `/proc/sys/kernel/io_uring_disabled` is 1 or 2.
    #[error(
        "io_uring is switched off by the administrator ({source}): kernel.io_uring_disabled is {value}; \
         `sysctl kernel.io_uring_disabled=0` allows it to all, 1 to the group in kernel.io_uring_group; or ask \
         for the threads driver"
    )]
    DisabledBySysctl {
        /// 1: only for a group and for privileged processes; 2: for nobody.
        value: u8,
        /// What `io_uring_setup` said.
        source: io::Error,
    },
    /// The kernel has no io_uring, or one that is older than this crate needs.
    #[error(
        "kernel {release} is too old for the ring driver, which needs 6.1 ({missing} is missing): boot a newer one, \
         or ask for the threads driver"
    )]
    TooOld {
        /// As `uname -r` says it.
        release: String,
        /// What was looked for and not found.
        missing: String,
    },
    /// Memory that the kernel would lock is not to be had.
    #[error(
        "the kernel may not lock memory for the ring ({source}): RLIMIT_MEMLOCK is {limit_bytes} bytes; raise it by \
         `ulimit -l`, or `LimitMEMLOCK=64M` in a systemd unit, or ask for the threads driver"
    )]
    NoLockedMemory {
        /// The limit now.
        limit_bytes: u64,
        /// What `io_uring_setup` said.
        source: io::Error,
    },
    /// The placement names a processor that this process may not use, or none.
    #[error(
        "{} not usable: this process may run on cpus {usable}, which `taskset`, the control group's cpuset and what is \
         online bound; `samestep-uring info` shows them",
        match cpu { Some(cpu) => format!("cpu {cpu} is"), None => "an empty placement is".to_owned() }
    )]
    NoSuchCpu {
        /// The one that was asked for, if any.
        cpu: Option<u32>,
        /// Those there are.
        usable: String,
    },
    /// Something else that the system refused.
    #[error("could not {what}")]
    Refused {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a runtime did not end as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// Operations did not end in time, though they were asked to. What they may touch was leaked, so that nothing is
    /// written to freed memory; the process can go on without the runtime.
    #[error("{operations} operations did not end within {waited:?}: their buffers and the ring were leaked")]
    StillInFlight {
        /// How many.
        operations: usize,
        /// How long nothing moved.
        waited: Duration,
    },
    /// This process was forked off the one that made the runtime, which goes on there. What is here of it was leaked: the
    /// ring is not shared. A program that forks makes its runtimes afterwards, or goes on by `exec`.
    #[error("the runtime is that of the process that forked this one off: what is here of it was leaked")]
    Forked,
}
