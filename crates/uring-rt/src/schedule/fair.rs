//! Whose request goes next, by shares: a tree of groups with classes as leaves, of which each is a queue.
//!
//! Start-time fair queueing (P. Goyal, H. Vin and H. Cheng, 1996), a level at a time: each node has a virtual cost, which
//! grows by what it was given divided by its shares; of the siblings that have something, the one with the least goes
//! next. One that had nothing for a while comes back where its siblings are.

use std::collections::VecDeque;

/// Requests of classes, each in the order of its own.
#[derive(Debug)]
pub(super) struct FairTree<T> {
    /// By the numbers of queues and groups of tasks, whose tree this is; those that never had a request have no place.
    nodes: Vec<Node<T>>,
}

/// A class, or a group of them, and its shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) node: u32,
    pub(crate) shares: u32,
}

#[derive(Debug)]
struct Node<T> {
    parent: u32,
    shares: u32,
    /// Those that have something.
    active_children: Vec<u32>,
    is_active: bool,
    virtual_cost: u64,
    /// Of a group: where its children are, as far as the last one to be served tells. Never goes back.
    floor: u64,
    waiting: VecDeque<T>,
}

impl<T> FairTree<T> {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::new()] }
    }

    /// Puts a request at the end of its class: the first of `lineage`, behind which its groups are, but the root.
    pub(super) fn push(&mut self, lineage: impl IntoIterator<Item = Standing>, request: T) {
        let mut class = None;
        let mut child = None;
        for Standing { node, shares } in lineage {
            assert_ne!(node, ROOT, "the root has no shares");
            class.get_or_insert(node);
            if let Some(child) = child.replace(node) {
                self.node(child).parent = node;
            }
            self.node(node).shares = shares.max(1);
        }
        let class = class.expect("a request has a class");
        if let Some(top) = child {
            self.node(top).parent = ROOT;
        }
        self.node(class).waiting.push_back(request);
        self.activate(class);
    }

    /// The class whose turn it is, and its first request.
    pub(super) fn front(&self) -> Option<(u32, &T)> {
        let mut index = ROOT;
        loop {
            let children = &self.nodes[index as usize].active_children;
            let place = |child: &u32| (self.nodes[*child as usize].virtual_cost, *child);
            let Some(child) = children.iter().copied().min_by_key(place) else { break };
            index = child;
        }
        self.nodes[index as usize].waiting.front().map(|request| (index, request))
    }

    /// Takes the first request of a class.
    pub(super) fn pop(&mut self, class: u32) -> Option<T> {
        let request = self.node(class).waiting.pop_front();
        self.settle(class);
        request
    }

    /// Takes away all requests of a class but those that `are_kept`.
    pub(super) fn retain(&mut self, class: u32, are_kept: impl FnMut(&T) -> bool) {
        self.node(class).waiting.retain(are_kept);
        self.settle(class);
    }

    /// How many requests a class has.
    pub(super) fn waiting(&self, class: u32) -> usize {
        self.nodes.get(class as usize).map_or(0, |node| node.waiting.len())
    }

    /// Notes that a class was given so much. To be told before its last request is taken.
    pub(super) fn charge(&mut self, class: u32, cost_ns: u64) {
        let mut index = class;
        while index != ROOT {
            let node = &mut self.nodes[index as usize];
            let before = node.virtual_cost;
            let cost = cost_ns.max(1).saturating_mul(VIRTUAL_SCALE) / u64::from(node.shares);
            // Whoever has very many shares does not go on for ever.
            node.virtual_cost = before.saturating_add(cost.max(1));
            index = node.parent;
            let floor = &mut self.nodes[index as usize].floor;
            *floor = before.max(*floor);
        }
    }

    fn node(&mut self, index: u32) -> &mut Node<T> {
        while self.nodes.len() <= index as usize {
            self.nodes.push(Node::new());
        }
        &mut self.nodes[index as usize]
    }

    fn activate(&mut self, class: u32) {
        let mut index = class;
        while index != ROOT && !self.nodes[index as usize].is_active {
            let parent = self.nodes[index as usize].parent;
            let group = &mut self.nodes[parent as usize];
            group.active_children.push(index);
            let floor = group.floor;
            let node = &mut self.nodes[index as usize];
            node.is_active = true;
            node.virtual_cost = node.virtual_cost.max(floor);
            index = parent;
        }
    }

    /// Takes a class that has nothing, and groups that then have nothing, out of the running.
    fn settle(&mut self, class: u32) {
        let mut index = class;
        while index != ROOT {
            let node = &mut self.nodes[index as usize];
            if !node.is_active || !node.waiting.is_empty() || !node.active_children.is_empty() {
                return;
            }
            node.is_active = false;
            let parent = node.parent;
            self.nodes[parent as usize].active_children.retain(|child| *child != index);
            index = parent;
        }
    }
}

impl<T> Node<T> {
    fn new() -> Self {
        Self {
            parent: ROOT,
            shares: 1,
            active_children: Vec::new(),
            is_active: false,
            virtual_cost: 0,
            floor: 0,
            waiting: VecDeque::new(),
        }
    }
}

const ROOT: u32 = crate::queues::ROOT_GROUP;
const VIRTUAL_SCALE: u64 = 1024;
