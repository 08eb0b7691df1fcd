//! Instructions and allocations, by valgrind's callgrind.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use crate::Result;

/// What a process did in user space.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) instructions: f64,
    /// Calls that ask for memory: `malloc` and its like.
    pub(crate) allocations: f64,
}

impl Counts {
    /// Of each of so many operations, by which `more` did more than `fewer`.
    pub(crate) fn per_operation(fewer: Self, more: Self, operations: f64) -> Self {
        Self {
            instructions: (more.instructions - fewer.instructions) / operations,
            allocations: (more.allocations - fewer.allocations) / operations,
        }
    }
}

/// Counts what `command` does, which is to be a program and its arguments.
pub(crate) fn count(command: &Command, row: &str) -> Result<Counts> {
    let out = std::env::temp_dir().join(format!("callgrind.{}.{row}", std::process::id()));
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", out.display()));
    valgrind.arg(command.get_program()).args(command.get_args());
    let output = valgrind.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(format!("valgrind: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let profile = fs::read_to_string(&out)?;
    fs::remove_file(&out)?;
    read(&profile).ok_or_else(|| "callgrind wrote no totals".into())
}

/// Reads callgrind's format, in which a number stands for a name after its first use.
fn read(profile: &str) -> Option<Counts> {
    let mut names = BTreeMap::new();
    let (mut is_allocation, mut allocations, mut instructions) = (false, 0.0, None);
    for line in profile.lines() {
        if let Some(function) = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn=")) {
            let (number, name) = function.split_once(' ').unwrap_or((function, ""));
            if !name.is_empty() {
                names.insert(number, name);
            }
            is_allocation = names.get(number).is_some_and(|name| ALLOCATORS.contains(name));
        } else if let Some(calls) = line.strip_prefix("calls=")
            && is_allocation
        {
            allocations += calls.split(' ').next()?.parse::<f64>().ok()?;
        } else if let Some(totals) = line.strip_prefix("totals: ") {
            instructions = totals.trim().parse().ok();
        }
    }
    Some(Counts { instructions: instructions?, allocations })
}

const ALLOCATORS: [&str; 5] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn calls_of_allocators_are_counted() {
        let profile = "fn=(1) main\n1 5\ncfn=(2) malloc\ncalls=3 0\n2 90\ncfn=(3) free\ncalls=7 0\n3 70\n\
                       fn=(4) other\ncfn=(2)\ncalls=4 0\n2 120\ntotals: 1234\n";
        let counts = read(profile).unwrap();
        assert!((counts.allocations - 7.0).abs() < 0.1 && (counts.instructions - 1234.0).abs() < 0.1);
    }
}
