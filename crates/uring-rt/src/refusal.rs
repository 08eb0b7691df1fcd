//! Why the kernel refused a ring: the same few error numbers have several causes, and each another remedy.

use std::fs;
use std::io;

use rustix::process::{Resource, getrlimit};

use crate::error::StartError;

/// What `source`, from setting a ring up, means on this machine.
pub(crate) fn explain(source: io::Error) -> StartError {
    let clues = Clues {
        disabled: fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default(),
        status: fs::read_to_string("/proc/self/status").unwrap_or_default(),
        release: release(),
        memlock_bytes: getrlimit(Resource::Memlock).current,
    };
    clues.explain(source)
}

/// What a kernel of the floor knows and this one does not.
pub(crate) fn check_operations(missing: io::Result<Vec<&'static str>>) -> Result<(), StartError> {
    let missing = missing.map_err(explain)?;
    if missing.is_empty() {
        Ok(())
    } else {
        Err(StartError::TooOld { release: release(), missing: missing.join(", ") })
    }
}

/// As `uname -r` says it.
pub(crate) fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// What the machine says of itself.
struct Clues {
    /// `/proc/sys/kernel/io_uring_disabled`.
    disabled: String,
    /// `/proc/self/status`.
    status: String,
    release: String,
    memlock_bytes: Option<u64>,
}

impl Clues {
    fn explain(self, source: io::Error) -> StartError {
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES | libc::ENOSYS) => self.explain_denial(source),
            Some(libc::EINVAL) => {
                StartError::TooOld { release: self.release, missing: "deferred task run".into() }
            }
            Some(libc::ENOMEM) => {
                let limit_bytes = self.memlock_bytes.unwrap_or(u64::MAX);
                if limit_bytes < MEMLOCK_BYTES_ENOUGH {
                    StartError::NoLockedMemory { limit_bytes, source }
                } else {
                    StartError::Refused { what: "set a ring up", source }
                }
            }
            _ => StartError::Refused { what: "set a ring up", source },
        }
    }

    fn explain_denial(self, source: io::Error) -> StartError {
        let is_denied = source.raw_os_error() != Some(libc::ENOSYS);
        match self.disabled.trim().parse() {
            // The sysctl speaks first, and says EPERM.
            Ok(value @ 1..) if is_denied => return StartError::DisabledBySysctl { value, source },
            _ => {}
        }
        if self.is_filtered() {
            return StartError::DeniedBySeccomp { source };
        }
        if is_denied {
            return StartError::Refused { what: "set a ring up", source };
        }
        StartError::TooOld { release: self.release, missing: "io_uring".into() }
    }

    /// Whether a seccomp filter is on this process.
    fn is_filtered(&self) -> bool {
        let value = self.status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
        value.is_some_and(|value| value.trim() == "2")
    }
}

/// With so much a ring is not refused for want of locked memory: two rings take less than 1 MiB.
const MEMLOCK_BYTES_ENOUGH: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::io;

    use super::Clues;

    /// The error for this error number on a machine that says these things.
    fn explained(errno: i32, disabled: &str, seccomp: &str, memlock_bytes: Option<u64>) -> String {
        let clues = Clues {
            disabled: disabled.into(),
            status: format!("Name:\tx\nSeccomp:\t{seccomp}\nSeccomp_filters:\t1\n"),
            release: "5.10.0-amd64".into(),
            memlock_bytes,
        };
        clues.explain(io::Error::from_raw_os_error(errno)).to_string()
    }

    #[test]
    fn each_cause_is_told_from_the_others() {
        for errno in [libc::EPERM, libc::ENOSYS] {
            let filtered = explained(errno, "0\n", "2", None);
            assert!(filtered.starts_with("a seccomp filter denies io_uring"), "{filtered}");
        }
        let disabled = explained(libc::EPERM, "1\n", "0", None);
        assert!(disabled.contains("kernel.io_uring_disabled is 1"), "{disabled}");
        let disabled = explained(libc::EPERM, "2\n", "2", None);
        assert!(disabled.contains("kernel.io_uring_disabled is 2"), "{disabled}");
        for errno in [libc::ENOSYS, libc::EINVAL] {
            let old = explained(errno, "", "0", None);
            assert!(old.starts_with("kernel 5.10.0-amd64 is too old"), "{old}");
        }
        let memory = explained(libc::ENOMEM, "0", "0", Some(65_536));
        assert!(memory.contains("RLIMIT_MEMLOCK is 65536 bytes"), "{memory}");
        let memory = explained(libc::ENOMEM, "0", "0", None);
        assert_eq!(memory, "could not set a ring up");
    }
}
