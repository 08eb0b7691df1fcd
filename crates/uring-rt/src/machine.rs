//! The processors there are, those that this process may use, and where shards go.

mod cpu_set;
mod quota;
mod topology;

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use rustix::thread::{CpuSet as Mask, sched_getaffinity, sched_setaffinity};

pub use self::cpu_set::{CpuSet, NoCpuSet};
pub(crate) use self::quota::Quota;
use self::topology::Topology;
use crate::error::StartError;

/// Where shards run. Each is a thread; what it makes is made there, so that its memory is near: rings, buffers and tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Placement {
    /// Wherever the system puts them.
    #[default]
    Unbound,
    /// All on this processor.
    Fixed(u32),
    /// Each on a processor of its own, as far from each other as there are: other nodes of memory, packages and cores
    /// first, the second thread of a core last. More shards than processors begin again.
    Spread,
    /// Each on a processor of its own, as near to each other as there are: the threads of a core, the cores of a package,
    /// and so on.
    Pack,
    /// Each on one of these, in their order.
    Custom(CpuSet),
}

/// The processors of this machine, and what this process may have of them. Shows itself as a small picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    topology: Topology,
    allowed: CpuSet,
    quota: Option<Quota>,
}

/// Files by their paths, as far as they are there.
pub(crate) type Tree = BTreeMap<String, String>;

impl Machine {
    /// Of this process: what the system tells below `/sys` and `/proc`, the affinity of this thread, which an
    /// administrator's set of processors is part of, and the quota of the control group.
    ///
    /// # Errors
    ///
    /// If the system does not tell the affinity. What it does not tell otherwise is taken as one node, one package, and
    /// cores of one thread.
    pub fn here() -> io::Result<Self> {
        let allowed = allowed()?;
        let mut tree = Tree::new();
        for path in ["/sys/devices/system/cpu/online", "/sys/devices/system/node/online"] {
            read(&mut tree, path.to_owned());
        }
        for path in topology::files(&tree, &allowed) {
            read(&mut tree, path);
        }
        Ok(Self { topology: Topology::parse(&tree, &allowed), allowed, quota: Quota::here() })
    }

    /// Those of the processors that are online which this process may use, at least one.
    pub fn cpus(&self) -> &CpuSet {
        &self.allowed
    }

    /// How much time the control group may have of all processors together, in thousandths of one processor; `None` if it
    /// has no quota.
    pub fn quota_millis(&self) -> Option<u32> {
        self.quota.map(Quota::millis)
    }

    /// So many shards keep the processors busy without being stopped by the quota: one for each that may be used, and no
    /// more than the quota has whole ones; at least one.
    pub fn shards(&self) -> usize {
        let cpus = self.allowed.len();
        let whole = self.quota.map_or(cpus, |quota| (quota.millis() / 1000) as usize);
        whole.min(cpus).max(1)
    }

    /// The processor of each of `count` shards, if they have one.
    ///
    /// # Errors
    ///
    /// [`StartError::NoSuchCpu`] if the placement names one that this process may not use, or none.
    pub fn place(&self, placement: &Placement, count: usize) -> Result<Vec<Option<u32>>, StartError> {
        let seats = match placement {
            Placement::Unbound => return Ok(vec![None; count]),
            Placement::Fixed(cpu) => vec![*cpu],
            Placement::Spread => self.topology.apart(),
            Placement::Pack => self.topology.together(),
            Placement::Custom(cpus) => cpus.iter().collect(),
        };
        let usable = || self.allowed.to_string();
        if let Some(cpu) = seats.iter().find(|cpu| !self.allowed.contains(**cpu)) {
            return Err(StartError::NoSuchCpu { cpu: Some(*cpu), usable: usable() });
        }
        if seats.is_empty() {
            return Err(StartError::NoSuchCpu { cpu: None, usable: usable() });
        }
        Ok(seats.iter().copied().cycle().map(Some).take(count).collect())
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.topology.draw(f, |cpu| self.allowed.contains(cpu))?;
        writeln!(f, "usable    cpus {}, by affinity", self.allowed)?;
        match self.quota {
            Some(quota) => writeln!(f, "quota     {quota}")?,
            None => writeln!(f, "quota     none")?,
        }
        let why = match self.quota {
            Some(quota) if (quota.millis() as usize) < self.allowed.len() * 1000 => {
                "as the quota has whole cpus"
            }
            _ => "one for each cpu",
        };
        writeln!(f, "shards    {}, {why}", self.shards())
    }
}

/// Has this thread run on one processor only.
pub(crate) fn pin(cpu: u32) -> io::Result<()> {
    let mut mask = Mask::new();
    mask.set(cpu as usize);
    Ok(sched_setaffinity(None, &mask)?)
}

/// Where this thread may run.
pub(crate) fn allowed() -> io::Result<CpuSet> {
    let mask = sched_getaffinity(None)?;
    Ok((0..).take(Mask::MAX_CPU).filter(|cpu: &u32| mask.is_set(*cpu as usize)).collect())
}

fn read(tree: &mut Tree, path: String) {
    if let Ok(text) = std::fs::read_to_string(&path) {
        tree.insert(path, text);
    }
}

#[cfg(test)]
mod tests;
