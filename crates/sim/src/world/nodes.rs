//! The nodes of a world: which are up, paused or slow, and how often each has booted.

use std::net::IpAddr;

use crate::ambient::Ambient;
use crate::draws::Stream;
use crate::kernel::NodeId;
use crate::time::SimTime;

/// How a node goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Down {
    /// Its tasks are dropped and its connections closed; what it wrote is all there.
    Graceful,
    /// Its tasks are dropped and its peers are told nothing; of what it did not sync, some is lost.
    Crash,
    /// As a crash, and its disk is empty afterwards.
    CrashAndWipe,
}

/// One node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) ip: IpAddr,
    /// How often it has booted before.
    pub(crate) boot: u32,
    pub(crate) state: NodeState,
    /// How it went down last.
    pub(crate) last_down: Option<Down>,
    /// Time that each poll of one of its tasks takes.
    pub(super) poll_nanos: u64,
    pub(super) busy_until: SimTime,
    /// Tasks that were to run while it was paused.
    pub(super) held: Vec<u32>,
    /// The root of the random numbers of this boot.
    pub(crate) random: Stream,
    /// The numbers that code without a provider draws.
    pub(crate) ambient: Ambient,
}

/// Whether a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeState {
    Up,
    Paused,
    Down,
}

/// All nodes.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    list: Vec<Node>,
    were_special: bool,
}

impl Nodes {
    /// Adds a node that is up.
    pub(super) fn add(&mut self, name: &str, ip: IpAddr, seed: u64) -> NodeId {
        let id = NodeId(u32::try_from(self.list.len()).expect("fewer than 2^32 nodes"));
        self.list.push(Node {
            name: name.to_owned(),
            ip,
            boot: 0,
            state: NodeState::Up,
            last_down: None,
            poll_nanos: 0,
            busy_until: SimTime::ZERO,
            held: Vec::new(),
            random: random_of_boot(seed, id, 0),
            ambient: Ambient::of_part(seed, random_of_boot(seed, id, 0)),
        });
        id
    }

    /// The node.
    ///
    /// # Panics
    ///
    /// If it is of another world.
    pub(crate) fn get(&self, node: NodeId) -> &Node {
        self.list.get(node.0 as usize).expect("a node of this world")
    }

    /// The node, to be changed.
    ///
    /// # Panics
    ///
    /// If it is of another world.
    pub(crate) fn get_mut(&mut self, node: NodeId) -> &mut Node {
        self.list.get_mut(node.0 as usize).expect("a node of this world")
    }

    /// From now on it matters to each turn whether its node is paused or slow.
    pub(super) const fn note_special(&mut self) {
        self.were_special = true;
    }

    /// Whether no node was ever paused or slow.
    #[inline]
    pub(super) const fn were_all_plain(&self) -> bool {
        !self.were_special
    }

    /// All nodes, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        (0..).map(NodeId).zip(&self.list)
    }

    /// Whether `node` is up, or paused, for the boot number `boot`.
    pub(crate) fn is_booted(&self, node: NodeId, boot: u32) -> bool {
        let node = self.get(node);
        node.state != NodeState::Down && node.boot == boot
    }
}

/// The random numbers of one boot of a node: a reboot does not repeat them.
pub(super) fn random_of_boot(seed: u64, node: NodeId, boot: u32) -> Stream {
    let nodes = Stream::from_seed(seed).fork("nodes");
    nodes.fork_number(u64::from(node.0)).fork_number(u64::from(boot))
}
