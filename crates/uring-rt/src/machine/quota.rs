//! How much time a control group may have, see cgroups(7) and the kernel's `cgroup-v2.rst`.

use std::fmt;

use super::{Tree, read};

/// Time of processors that a control group may have, in proportion to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quota {
    /// Thousandths of a processor.
    millis: u32,
}

impl Quota {
    /// Of this process.
    pub(crate) fn here() -> Option<Self> {
        let mut tree = Tree::new();
        read(&mut tree, OWN_GROUPS.to_owned());
        for group in groups(&tree) {
            for file in FILES {
                read(&mut tree, format!("{group}/{file}"));
            }
        }
        Self::parse(&tree)
    }

    /// The least of the quotas of the group and of those that it is in, as far as they are there. A group is bounded by
    /// each of them, and a container may not see those outside.
    pub(super) fn parse(tree: &Tree) -> Option<Self> {
        groups(tree).iter().filter_map(|group| Self::of_group(tree, group)).min()
    }

    fn of_group(tree: &Tree, group: &str) -> Option<Self> {
        let file = |name| tree.get(&format!("{group}/{name}")).map(|text| text.trim());
        let [max, quota, period] = FILES.map(file);
        let (quota, period) = match max {
            Some(max) => max.split_once(' ')?,
            None => (quota?, period?),
        };
        // Without a bound it says `max`, or -1.
        let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
        let millis = quota.checked_mul(1000)?.checked_div(period)?;
        Some(Self { millis: u32::try_from(millis).ok()?.max(1) })
    }

    #[cfg(test)]
    pub(crate) fn of_millis(millis: u32) -> Self {
        Self { millis }
    }

    pub(crate) fn millis(self) -> u32 {
        self.millis
    }

    /// Whether it is less than so many processors would use.
    pub(crate) fn is_less_than(self, cpus: usize) -> bool {
        (self.millis as usize) < cpus.saturating_mul(1000)
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} cpus, by the control group", self.millis / 1000, self.millis % 1000)
    }
}

/// The folders that may tell of the groups that this process is in, where the hierarchies are mounted by custom.
fn groups(tree: &Tree) -> Vec<String> {
    let mut folders = Vec::new();
    for line in tree.get(OWN_GROUPS).map_or("", String::as_str).lines() {
        // Number of the hierarchy, its controllers, and the group's path.
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let mounts: Vec<String> = match controllers {
            "" => ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(String::from).to_vec(),
            _ if controllers.split(',').any(|controller| controller == "cpu") => {
                ["/sys/fs/cgroup/cpu".to_owned(), format!("/sys/fs/cgroup/{controllers}")].to_vec()
            }
            _ => continue,
        };
        let mut path = path.trim_end_matches('/');
        loop {
            folders.extend(mounts.iter().map(|mount| format!("{mount}{path}")));
            match path.rsplit_once('/') {
                Some((above, _)) => path = above,
                None => break,
            }
        }
    }
    folders
}

const OWN_GROUPS: &str = "/proc/self/cgroup";
/// Of version 2, and of version 1.
const FILES: [&str; 3] = ["cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us"];
