//! Which processors are threads of one core, cores of one package, and near to which memory, as sysfs tells: see the
//! kernel's `cputopology.rst`.

use std::collections::BTreeMap;
use std::fmt;

use super::{CpuSet, Tree};

/// The processors that are online.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Topology(Vec<Place>);

/// Where a processor is. Those that compare less are nearer to the first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    node: u32,
    package: i32,
    /// The first thread of its core.
    core: u32,
    cpu: u32,
    /// Whether a process may use it.
    is_allowed: bool,
}

impl Topology {
    /// By the files of [`files`]. What they do not tell of a processor is taken as node 0, package 0, and a core alone;
    /// which are online, as those that are `allowed`.
    pub(super) fn parse(tree: &Tree, allowed: &CpuSet) -> Self {
        let online = set(tree, ONLINE).unwrap_or_else(|| allowed.clone());
        let nodes: Vec<(u32, CpuSet)> = set(tree, NODES)
            .unwrap_or_default()
            .iter()
            .filter_map(|node| Some((node, set(tree, &node_file(node))?)))
            .collect();
        let place = |cpu: u32| {
            let [package, siblings] = cpu_files(cpu);
            let node = nodes.iter().find(|(_, cpus)| cpus.contains(cpu)).map_or(0, |(node, _)| *node);
            let package = tree.get(&package).and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            let core = set(tree, &siblings).and_then(|cpus| cpus.iter().next()).unwrap_or(cpu);
            Place { node, package, core, cpu, is_allowed: allowed.contains(cpu) }
        };
        let mut places: Vec<Place> = online.iter().map(place).collect();
        places.sort();
        Self(places)
    }

    /// Those that may be used, in an order in which each is near to the one before.
    pub(super) fn together(&self) -> Vec<u32> {
        self.usable().map(|place| place.cpu).collect()
    }

    /// In an order in which the first few are far from each other: the first threads of the first cores of all packages of
    /// all nodes, those of their second cores, and so on; and only then the second threads.
    pub(super) fn apart(&self) -> Vec<u32> {
        // How many came before it of the same core, and of its package how many cores.
        let mut threads: BTreeMap<u32, usize> = BTreeMap::new();
        let mut cores: BTreeMap<(u32, i32), Vec<u32>> = BTreeMap::new();
        let mut packages: BTreeMap<u32, Vec<i32>> = BTreeMap::new();
        let mut ranked: Vec<_> = self
            .usable()
            .map(|place| {
                let thread = threads.entry(place.core).or_default();
                let rank_of_thread = std::mem::replace(thread, *thread + 1);
                let rank_of_core = rank(cores.entry((place.node, place.package)).or_default(), &place.core);
                let rank_of_package = rank(packages.entry(place.node).or_default(), &place.package);
                (rank_of_thread, rank_of_core, rank_of_package, place.node, place.cpu)
            })
            .collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(.., cpu)| cpu).collect()
    }

    /// A line for each node, package and core.
    pub(super) fn draw(&self, f: &mut fmt::Formatter<'_>, is_usable: impl Fn(u32) -> bool) -> fmt::Result {
        let mut before: Option<&Place> = None;
        for place in &self.0 {
            let is_new_node = before.is_none_or(|before| before.node != place.node);
            let is_new_package = is_new_node || before.is_none_or(|before| before.package != place.package);
            let is_new_core = is_new_package || before.is_none_or(|before| before.core != place.core);
            if is_new_core && before.is_some() {
                writeln!(f)?;
            }
            if is_new_node {
                writeln!(f, "node {}", place.node)?;
            }
            if is_new_package {
                writeln!(f, "  package {}", place.package)?;
            }
            if is_new_core {
                write!(f, "    core:")?;
            }
            let note = if is_usable(place.cpu) { "" } else { " (not ours)" };
            write!(f, " cpu {}{note}", place.cpu)?;
            before = Some(place);
        }
        writeln!(f)
    }

    fn usable(&self) -> impl Iterator<Item = &Place> {
        self.0.iter().filter(|place| place.is_allowed)
    }
}

/// What is to be read, when it is known what is online.
pub(super) fn files(tree: &Tree, allowed: &CpuSet) -> Vec<String> {
    let online = set(tree, ONLINE).unwrap_or_else(|| allowed.clone());
    let nodes = set(tree, NODES).unwrap_or_default();
    online.iter().flat_map(cpu_files).chain(nodes.iter().map(node_file)).collect()
}

/// The place of `one` among those that came, in which it is from here on.
fn rank<T: PartialEq + Copy>(came: &mut Vec<T>, one: &T) -> usize {
    let found = came.iter().position(|other| other == one);
    found.unwrap_or_else(|| {
        came.push(*one);
        came.len() - 1
    })
}

fn set(tree: &Tree, path: &str) -> Option<CpuSet> {
    tree.get(path)?.parse().ok()
}

fn cpu_files(cpu: u32) -> [String; 2] {
    let folder = format!("/sys/devices/system/cpu/cpu{cpu}/topology");
    [format!("{folder}/physical_package_id"), format!("{folder}/thread_siblings_list")]
}

fn node_file(node: u32) -> String {
    format!("/sys/devices/system/node/node{node}/cpulist")
}

const ONLINE: &str = "/sys/devices/system/cpu/online";
const NODES: &str = "/sys/devices/system/node/online";
