//! Machines that are not this one, as their systems tell of them.

use super::topology::{Topology, files};
use super::{CpuSet, Machine, Placement, Quota, Tree};

/// What a system tells: which processors and nodes are online, each processor's package and threads of its core, and each
/// node's processors.
fn tree(online: &str, cpus: &[(u32, i32, &str)], nodes: &[(u32, &str)]) -> Tree {
    let mut tree = Tree::new();
    tree.insert("/sys/devices/system/cpu/online".into(), format!("{online}\n"));
    for (cpu, package, siblings) in cpus {
        let folder = format!("/sys/devices/system/cpu/cpu{cpu}/topology");
        tree.insert(format!("{folder}/physical_package_id"), format!("{package}\n"));
        tree.insert(format!("{folder}/thread_siblings_list"), format!("{siblings}\n"));
    }
    if let (Some((first, _)), Some((last, _))) = (nodes.first(), nodes.last()) {
        tree.insert("/sys/devices/system/node/online".into(), format!("{first}-{last}\n"));
    }
    for (node, cpus) in nodes {
        tree.insert(format!("/sys/devices/system/node/node{node}/cpulist"), format!("{cpus}\n"));
    }
    tree
}

fn machine(tree: &Tree, allowed: &str, quota: Option<&str>) -> Machine {
    let allowed: CpuSet = allowed.parse().unwrap();
    let quota = quota.and_then(|max| {
        let of = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        Quota::parse(&[of("/proc/self/cgroup", "0::/\n"), of("/sys/fs/cgroup/cpu.max", max)].into())
    });
    Machine { topology: Topology::parse(tree, &allowed), allowed, quota }
}

fn seats(machine: &Machine, placement: &Placement, count: usize) -> Vec<u32> {
    machine.place(placement, count).unwrap().into_iter().map(Option::unwrap).collect()
}

/// One package of four cores, whose second threads have the numbers behind all first ones.
fn laptop() -> Tree {
    let siblings = ["0,4", "1,5", "2,6", "3,7"];
    let cpus: Vec<_> = (0..8).map(|cpu| (cpu, 0, siblings[cpu as usize % 4])).collect();
    tree("0-7", &cpus, &[(0, "0-7")])
}

/// Two packages with a node each, of two cores of two threads, numbered in turns.
fn server() -> Tree {
    let siblings = ["0,4", "1,5", "2,6", "3,7"];
    let cpus: Vec<_> =
        (0..8).map(|cpu: u32| (cpu, i32::from(cpu % 2 == 1), siblings[cpu as usize % 4])).collect();
    tree("0-7", &cpus, &[(0, "0,2,4,6"), (1, "1,3,5,7")])
}

#[test]
fn second_threads_of_cores_come_last_or_next() {
    let machine = machine(&laptop(), "0-7", None);
    assert_eq!(seats(&machine, &Placement::Spread, 8), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(seats(&machine, &Placement::Pack, 8), [0, 4, 1, 5, 2, 6, 3, 7]);
    assert_eq!(seats(&machine, &Placement::Spread, 10)[8..], [0, 1], "and then they begin again");
}

#[test]
fn nodes_take_turns_or_are_filled() {
    let machine = machine(&server(), "0-7", None);
    // By turns node 0 and 1: their first cores, their second ones, and the second threads of those.
    assert_eq!(seats(&machine, &Placement::Spread, 8), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(seats(&machine, &Placement::Pack, 8), [0, 4, 2, 6, 1, 5, 3, 7]);
    // What is not ours is passed over: only second threads of node 0, and all of node 1.
    let machine = self::machine(&server(), "4,6,1,3,5,7", None);
    assert_eq!(seats(&machine, &Placement::Spread, 6), [4, 1, 6, 3, 5, 7]);
    assert_eq!(seats(&machine, &Placement::Pack, 3), [4, 6, 1]);
}

/// Two clusters with a gap between their numbers, processors that are switched off, and no nodes told.
#[test]
fn gaps_and_what_is_offline_do_no_harm() {
    let cpus: Vec<_> = [0, 1, 3, 8, 9, 11].map(|cpu| (cpu, i32::from(cpu >= 8))).to_vec();
    let texts: Vec<String> = cpus.iter().map(|(cpu, _)| cpu.to_string()).collect();
    let cpus: Vec<_> =
        cpus.iter().zip(&texts).map(|((cpu, package), text)| (*cpu, *package, &**text)).collect();
    let tree = tree("0-1,3,8-9,11", &cpus, &[]);
    let allowed = "0-11".parse().unwrap();
    assert_eq!(files(&tree, &allowed).len(), 12, "what is offline is not asked for");
    let machine = machine(&tree, "0-1,3,8-9,11", None);
    assert_eq!(seats(&machine, &Placement::Spread, 6), [0, 8, 1, 9, 3, 11]);
    assert_eq!(seats(&machine, &Placement::Pack, 6), [0, 1, 3, 8, 9, 11]);
}

#[test]
fn a_system_that_tells_nothing_is_flat() {
    let machine = machine(&Tree::new(), "2,5", None);
    assert_eq!(seats(&machine, &Placement::Spread, 3), [2, 5, 2]);
    assert_eq!(machine.shards(), 2);
    let nonsense: Tree = [("/sys/devices/system/cpu/online".into(), "nonsense".into())].into();
    assert_eq!(seats(&self::machine(&nonsense, "2,5", None), &Placement::Pack, 1), [2]);
}

#[test]
fn what_may_not_be_used_is_refused() {
    let machine = machine(&laptop(), "0-3", None);
    assert_eq!(machine.place(&Placement::Unbound, 2).unwrap(), [None, None]);
    assert_eq!(seats(&machine, &Placement::Fixed(3), 2), [3, 3]);
    assert_eq!(seats(&machine, &Placement::Custom("1,3".parse().unwrap()), 3), [1, 3, 1]);
    for placement in
        [Placement::Fixed(4), Placement::Custom("3-4".parse().unwrap()), Placement::Custom(CpuSet::default())]
    {
        let refused = machine.place(&placement, 1).unwrap_err().to_string();
        assert!(refused.contains("0-3"), "{refused}");
    }
}

#[test]
fn a_quota_bounds_the_shards() {
    let shards = |quota| machine(&laptop(), "0-7", quota).shards();
    assert_eq!(shards(None), 8);
    for (max, expected) in [
        ("max 100000\n", 8),
        ("250000 100000\n", 2),
        ("50000 100000\n", 1),
        ("1 100000\n", 1),
        ("900000 100000\n", 8),
        ("nonsense", 8),
        ("1 0\n", 8),
    ] {
        assert_eq!(shards(Some(max)), expected, "{max}");
    }
}

#[test]
fn the_least_quota_of_all_groups_counts() {
    let quota = |groups: &str, files: &[(&str, &str)]| {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        let own = ("/proc/self/cgroup".to_owned(), groups.to_owned());
        Quota::parse(&files.chain([own]).collect()).map(Quota::millis)
    };
    // Version 2: a group in another, which has less.
    let nested = [
        ("/sys/fs/cgroup/cpu.max", "max 100000"),
        ("/sys/fs/cgroup/a/cpu.max", "150000 100000"),
        ("/sys/fs/cgroup/a/b/cpu.max", "400000 100000"),
        ("/sys/fs/cgroup/else/cpu.max", "1000 100000"),
    ];
    assert_eq!(quota("0::/a/b\n", &nested), Some(1500));
    assert_eq!(quota("0::/\n", &nested), None);
    // Version 1, in a container that sees its own group as the root only.
    let old = [
        ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000"),
        ("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000"),
    ];
    assert_eq!(quota("4:memory:/x\n3:cpu,cpuacct:/docker/1\n0::/\n", &old), Some(2000));
    let free =
        [("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1"), ("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000")];
    assert_eq!(quota("3:cpu:/\n", &free), None);
    assert_eq!(quota("garbage\n::\n", &old), None);
}

#[test]
fn a_machine_is_drawn() {
    let drawn = machine(&server(), "0-5", Some("250000 100000")).to_string();
    let expected = "node 0\n  package 0\n    core: cpu 0 cpu 4\n    core: cpu 2 cpu 6 (not ours)\n\
                    node 1\n  package 1\n    core: cpu 1 cpu 5\n    core: cpu 3 cpu 7 (not ours)\n\
                    usable    cpus 0-5, by affinity\nquota     2.500 cpus, by the control group\n\
                    shards    2, as the quota has whole cpus\n";
    assert_eq!(drawn, expected);
}
