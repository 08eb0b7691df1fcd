//! How much damage is allowed: never to too many copies of the same data.
//!
//! A fault of one disk must not be a fault of the system under test: if all copies of a record rot, no protocol can
//! save it, and a test that finds so has found nothing. TigerBeetle's simulator has an atlas of its cluster's faults
//! for this; this is ours.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::kernel::NodeId;

/// Which nodes keep copies of the same data, and how many copies of it stay undamaged.
///
/// Damage is what a disk did to bytes that were durable, or made of those that a crash caught: rot, noise, sectors
/// that cannot be read, writes that went astray, a wiped disk. A fault that would leave too few clean copies does
/// not act. Without a budget every fault may act.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultBudget {
    sets: Vec<ReplicaSet>,
    extent: DamageExtent,
}

/// How far damage reaches: what counts as the same data on other nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DamageExtent {
    /// A node with any damage has no clean copy of anything. For systems whose files differ between replicas.
    #[default]
    Disk,
    /// A damaged file says nothing of the others: files with the same path are copies of each other.
    File,
    /// Bytes at the same offset of files with the same path are copies of each other, in blocks of this length.
    Block {
        /// Length of a block; 0 is taken as 1.
        bytes: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ReplicaSet {
    /// Nodes, and the zone of each.
    replicas: BTreeMap<NodeId, u32>,
    clean_copies_min: usize,
}

impl FaultBudget {
    /// No replica sets yet, damage of this extent.
    pub fn new(extent: DamageExtent) -> Self {
        Self { sets: Vec::new(), extent }
    }

    /// With a set of nodes that keep copies of the same data, of which at least `clean_copies_min` stay clean.
    #[must_use]
    pub fn replicas(self, nodes: &[NodeId], clean_copies_min: usize) -> Self {
        let zones: Vec<_> = nodes.iter().zip(0..).map(|(node, zone)| (*node, zone)).collect();
        self.replicas_in_zones(&zones, clean_copies_min)
    }

    /// With a set of nodes, each in a zone (a machine, a rack, a room), of which at least `clean_zones_min` zones
    /// stay clean. What befalls one node of a zone may befall the others: they fail together, and count as one.
    #[must_use]
    pub fn replicas_in_zones(mut self, nodes: &[(NodeId, u32)], clean_zones_min: usize) -> Self {
        let replicas = nodes.iter().copied().collect();
        self.sets.push(ReplicaSet { replicas, clean_copies_min: clean_zones_min });
        self
    }
}

/// The damage there is, under a budget.
#[derive(Debug, Default)]
pub(super) struct Atlas {
    budget: FaultBudget,
    /// By extent, the damaged ranges of each node.
    damage: BTreeMap<Extent, BTreeSet<(NodeId, PathBuf, u64, u64)>>,
    wiped: BTreeSet<NodeId>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Extent {
    Disk,
    File(PathBuf),
    Block(PathBuf, u64),
}

impl Atlas {
    pub(super) fn new(budget: FaultBudget) -> Self {
        Self { budget, ..Self::default() }
    }

    /// Whether there is a budget at all.
    pub(super) fn is_limited(&self) -> bool {
        !self.budget.sets.is_empty()
    }

    /// Whether `node` may lose the bytes `range` of the file at `path`.
    pub(super) fn allows(&self, node: NodeId, path: &Path, range: &Range<u64>) -> bool {
        let extents = self.extents(path, range);
        self.sets_of(node).all(|set| extents.iter().all(|extent| self.allows_in(set, node, extent)))
    }

    /// Whether `node` may lose its whole disk.
    pub(super) fn allows_wipe(&self, node: NodeId) -> bool {
        // Of each extent that has damage somewhere, and of those that have none.
        let is_allowed = |set, extent| self.allows_in(set, node, extent);
        self.sets_of(node).all(|set| {
            is_allowed(set, &Extent::Disk) && self.damage.keys().all(|extent| is_allowed(set, extent))
        })
    }

    /// `node` lost the bytes `range` of the file at `path`.
    pub(super) fn damaged(&mut self, node: NodeId, path: &Path, range: &Range<u64>) {
        if self.is_limited() {
            for extent in self.extents(path, range) {
                let entry = (node, path.to_owned(), range.start, range.end);
                self.damage.entry(extent).or_default().insert(entry);
            }
        }
    }

    /// `node` lost its whole disk. It is never known to have all of it back.
    pub(super) fn wiped(&mut self, node: NodeId) {
        self.wiped.insert(node);
        self.forget(|(damaged, ..)| *damaged == node);
    }

    /// `node` wrote the bytes `range` of the file at `path` anew.
    pub(super) fn repaired(&mut self, node: NodeId, path: &Path, range: &Range<u64>) {
        self.forget(|(damaged, at, start, end)| {
            *damaged == node && at == path && range.start <= *start && *end <= range.end
        });
    }

    /// Whether anything of `node` may be repaired.
    pub(super) fn has_damage(&self) -> bool {
        !self.damage.is_empty()
    }

    fn forget(&mut self, is_over: impl Fn(&(NodeId, PathBuf, u64, u64)) -> bool) {
        for entries in self.damage.values_mut() {
            entries.retain(|entry| !is_over(entry));
        }
        self.damage.retain(|_, entries| !entries.is_empty());
    }

    fn sets_of(&self, node: NodeId) -> impl Iterator<Item = &ReplicaSet> {
        self.budget.sets.iter().filter(move |set| set.replicas.contains_key(&node))
    }

    fn allows_in(&self, set: &ReplicaSet, node: NodeId, extent: &Extent) -> bool {
        let damaged = self.damage.get(extent).into_iter().flatten().map(|(node, ..)| node);
        let nodes = damaged.chain(&self.wiped).chain([&node]);
        let zones: BTreeSet<u32> = nodes.filter_map(|node| set.replicas.get(node).copied()).collect();
        let all: BTreeSet<u32> = set.replicas.values().copied().collect();
        all.len() - zones.len() >= set.clean_copies_min
    }

    fn extents(&self, path: &Path, range: &Range<u64>) -> Vec<Extent> {
        match self.budget.extent {
            DamageExtent::Disk => vec![Extent::Disk],
            DamageExtent::File => vec![Extent::File(path.to_owned())],
            DamageExtent::Block { bytes } => {
                let bytes = bytes.max(1);
                let blocks = range.start / bytes..range.end.div_ceil(bytes);
                blocks.map(|block| Extent::Block(path.to_owned(), block)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Atlas, DamageExtent, FaultBudget};
    use crate::kernel::NodeId;

    fn nodes() -> [NodeId; 3] {
        [NodeId(0), NodeId(1), NodeId(2)]
    }

    #[test]
    fn two_of_three_copies_stay_clean() {
        let [a, b, c] = nodes();
        let mut atlas = Atlas::new(FaultBudget::new(DamageExtent::Disk).replicas(&nodes(), 2));
        let (log, other) = (Path::new("log"), Path::new("other"));
        assert!(nodes().iter().all(|node| atlas.allows(*node, log, &(0..512))));
        atlas.damaged(b, log, &(0..512));
        assert!(atlas.allows(b, other, &(512..1024)), "its copy is damaged anyway");
        assert!(!atlas.allows(a, other, &(0..512)) && !atlas.allows(c, log, &(4096..4608)));
        assert!(!atlas.allows_wipe(a) && atlas.allows_wipe(b));
        assert!(atlas.allows(NodeId(7), log, &(0..512)), "it is in no set");
        atlas.repaired(b, log, &(0..512));
        assert!(atlas.allows(a, log, &(0..512)));
        atlas.wiped(c);
        assert!(!atlas.allows(a, log, &(0..512)) && atlas.allows(c, log, &(0..512)));
    }

    #[test]
    fn blocks_are_counted_apart() {
        let [a, b, _] = nodes();
        let extent = DamageExtent::Block { bytes: 4096 };
        let mut atlas = Atlas::new(FaultBudget::new(extent).replicas(&nodes(), 2));
        atlas.damaged(a, Path::new("log"), &(512..1024));
        assert!(!atlas.allows(b, Path::new("log"), &(0..512)), "the same block");
        assert!(atlas.allows(b, Path::new("log"), &(4096..4608)), "the next block");
        assert!(!atlas.allows(b, Path::new("log"), &(3584..4608)), "both");
        assert!(atlas.allows(b, Path::new("other"), &(512..1024)));
        assert!(!atlas.allows_wipe(b));
    }

    #[test]
    fn a_zone_fails_as_one() {
        let zones: Vec<_> = (0..6).map(|node| (NodeId(node), node / 2)).collect();
        let mut atlas = Atlas::new(FaultBudget::new(DamageExtent::File).replicas_in_zones(&zones, 2));
        let log = Path::new("log");
        atlas.damaged(NodeId(2), log, &(0..1));
        assert!(atlas.allows(NodeId(3), log, &(0..1)), "its zone is damaged anyway");
        assert!(!atlas.allows(NodeId(0), log, &(0..1)) && !atlas.allows(NodeId(5), log, &(0..1)));
        assert!(atlas.allows(NodeId(5), Path::new("other"), &(0..1)));
    }
}
