//! Task queues: who runs next, by shares.
//!
//! A tree of groups with queues as leaves. Each node has a virtual time, which grows by the time it ran divided by
//! its shares; of the siblings that have something to run, the one with the least goes next, and so down the tree.
//! As in Linux's CFS and in Seastar, a node that had nothing to run does not save up: it comes back where its siblings
//! are.

use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use crate::attention::{Attention, Reason};
use crate::histogram::Histogram;
use crate::schedule::Standing;
use crate::sys::{Home, Queue, TaskRef};

/// The queues of one shard.
#[derive(Debug)]
pub(crate) struct RunQueues {
    tree: RefCell<Tree>,
    home: Rc<Home>,
    /// Is told when a queue whose latency matters has got something to run.
    attention: Rc<Attention>,
    /// If it was asked for how long tasks wait: of every so many.
    delays_of_every: Cell<Option<NonZeroU32>>,
}

#[derive(Debug)]
struct Tree {
    nodes: Vec<Node>,
    /// Queues that are active.
    active: usize,
    /// The queue that had the last turn.
    last: u32,
}

#[derive(Debug)]
struct Node {
    name: String,
    parent: Option<u32>,
    children: Vec<u32>,
    shares: u32,
    latency: Option<Duration>,
    virtual_ns: u64,
    /// Of a group: where its children are, as far as the last one to run tells. Never goes back.
    floor_ns: u64,
    /// Counted by its parent: it had something to run when it was last [settled](RunQueues::settle), or has since.
    is_active: bool,
    /// Of a group.
    active_children: u32,
    ready: Rc<Queue>,
    run_ns: u64,
    polls: u64,
}

/// What a queue has done so far.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStats {
    /// The name it was made with.
    pub name: String,
    /// Its shares now.
    pub shares: u32,
    /// Nanoseconds that its tasks ran while others were ready, too; alone a queue is not measured.
    pub run_ns: u64,
    /// Polls of its tasks.
    pub polls: u64,
    /// Tasks that are ready now.
    pub ready: usize,
    /// How long tasks waited from being woken to being polled, of every so many as
    /// [`latency_sampling`](crate::RuntimeBuilder::latency_sampling) was told. A task that another thread wakes counts
    /// from when its shard has seen that.
    pub delay: Option<Histogram>,
}

impl RunQueues {
    /// The root group, and below it one queue, [`DEFAULT_QUEUE`].
    pub(crate) fn new(home: &Rc<Home>, attention: Rc<Attention>) -> Self {
        let root = Node::new("root", None, 1, None, Queue::new(ROOT_GROUP, home));
        let tree = Tree { nodes: vec![root], active: 0, last: DEFAULT_QUEUE };
        let queues = Self {
            tree: RefCell::new(tree),
            home: Rc::clone(home),
            attention,
            delays_of_every: Cell::new(None),
        };
        let default = queues.add("default", ROOT_GROUP, DEFAULT_SHARES, None);
        assert_eq!(default, DEFAULT_QUEUE);
        queues
    }

    /// Adds a queue or group below a group.
    pub(crate) fn add(&self, name: &str, parent: u32, shares: u32, latency: Option<Duration>) -> u32 {
        let mut tree = self.tree.borrow_mut();
        let index = u32::try_from(tree.nodes.len()).expect("fewer than 2^32 queues");
        let ready = Queue::new(index, &self.home);
        if let Some(every) = self.delays_of_every.get() {
            ready.sample_delays(every);
        }
        tree.nodes.push(Node::new(name, Some(parent), shares.max(1), latency, ready));
        tree.nodes[parent as usize].children.push(index);
        index
    }

    /// From here on some tasks are looked at for how long they wait.
    pub(crate) fn sample_delays(&self, every: NonZeroU32) {
        self.delays_of_every.set(Some(every));
        for node in &self.tree.borrow().nodes {
            node.ready.sample_delays(every);
        }
    }

    /// Changes the shares of a queue or group.
    pub(crate) fn set_shares(&self, queue: u32, shares: u32) {
        self.tree.borrow_mut().nodes[queue as usize].shares = shares.max(1);
    }

    /// Puts a task at the end of its queue, unless it is there.
    pub(crate) fn push(&self, task: TaskRef) {
        let index = task.queue().index();
        if task.enqueue() {
            self.activate(&self.queue(index));
        }
    }

    /// To be told of a queue that was idle and has got a task.
    #[inline(never)]
    pub(crate) fn activate(&self, queue: &Queue) {
        let tree = &mut *self.tree.borrow_mut();
        if tree.nodes[queue.index() as usize].latency.is_some() {
            self.attention.set(Reason::UrgentNews);
        }
        queue.set_active();
        tree.activate(queue.index());
    }

    /// Where its tasks are at home.
    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// The queue with this number.
    pub(crate) fn queue(&self, index: u32) -> Rc<Queue> {
        Rc::clone(&self.tree.borrow().nodes[index as usize].ready)
    }

    /// The queue whose turn it is, if any has a task.
    pub(crate) fn next_queue(&self) -> Option<u32> {
        let tree = &mut *self.tree.borrow_mut();
        // Whoever has all that is ready goes on.
        if tree.active == 1 && !tree.nodes[tree.last as usize].ready.is_empty() {
            return Some(tree.last);
        }
        while tree.active > 0 {
            let mut index = ROOT_GROUP;
            while let Some(child) = tree.furthest_behind(index) {
                index = child;
            }
            if !tree.nodes[index as usize].ready.is_empty() {
                tree.last = index;
                return Some(index);
            }
            assert_ne!(index, ROOT_GROUP, "a task that is ready is in an active queue");
            // Its turn was left by a panic, and not settled.
            tree.deactivate(index);
        }
        None
    }

    /// Ends a queue's turn, in which so many of its tasks were polled. It is taken out of the running if it has nothing
    /// to run: only here, so that one whose only task yields stays where it is.
    pub(crate) fn settle(&self, queue: u32, polls: u32) {
        let tree = &mut *self.tree.borrow_mut();
        let node = &mut tree.nodes[queue as usize];
        node.polls += u64::from(polls);
        if node.is_active && node.ready.is_empty() {
            tree.deactivate(queue);
        }
    }

    /// Notes that tasks of a queue ran for so long.
    pub(crate) fn charge(&self, queue: u32, run_ns: u64) {
        let tree = &mut *self.tree.borrow_mut();
        tree.nodes[queue as usize].run_ns += run_ns;
        let mut index = Some(queue);
        while let Some(at) = index {
            let node = &mut tree.nodes[at as usize];
            // A node that never ran for a measurable time must still not go on for ever.
            let before = node.virtual_ns;
            let virtual_ns = run_ns.max(1).saturating_mul(VIRTUAL_SCALE) / u64::from(node.shares);
            node.virtual_ns = before.saturating_add(virtual_ns);
            index = node.parent;
            if let Some(parent) = index {
                let floor_ns = &mut tree.nodes[parent as usize].floor_ns;
                *floor_ns = before.max(*floor_ns);
            }
        }
    }

    /// Whether no task is ready. Between turns only.
    pub(crate) fn is_empty(&self) -> bool {
        self.tree.borrow().active == 0
    }

    /// Whether tasks are ready in other queues than this one, whose turn it is.
    pub(crate) fn has_others(&self, queue: u32) -> bool {
        let tree = self.tree.borrow();
        tree.active > usize::from(tree.nodes[queue as usize].is_active)
    }

    /// Within what time a queue is to get a turn, if it says.
    pub(crate) fn latency(&self, queue: u32) -> Option<Duration> {
        self.tree.borrow().nodes[queue as usize].latency
    }

    /// The least such time of the queues that have something to run, but this one.
    pub(crate) fn most_urgent(&self, but: u32) -> Option<Duration> {
        let tree = self.tree.borrow();
        let others = (0..).zip(&tree.nodes).filter(|(index, node)| *index != but && !node.ready.is_empty());
        others.filter_map(|(_, node)| node.latency).min()
    }

    /// A queue and the groups that it is in, from the inside out but the root, with their shares.
    pub(crate) fn lineage(&self, queue: u32) -> Vec<Standing> {
        let tree = self.tree.borrow();
        let mut lineage = Vec::new();
        let mut node = queue;
        while let Some(parent) = tree.nodes[node as usize].parent {
            lineage.push(Standing { node, shares: tree.nodes[node as usize].shares });
            node = parent;
        }
        lineage
    }

    /// How many queues and groups there are.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.tree.borrow().nodes.len()).expect("fewer than 2^32 queues")
    }

    /// The name of a queue.
    pub(crate) fn name(&self, queue: u32) -> String {
        self.tree.borrow().nodes[queue as usize].name.clone()
    }

    /// What each queue has done and has, in the order of their making.
    pub(crate) fn stats(&self) -> Vec<QueueStats> {
        let tree = self.tree.borrow();
        let queues = tree.nodes.iter().filter(|node| node.children.is_empty() && node.parent.is_some());
        queues
            .map(|node| QueueStats {
                name: node.name.clone(),
                shares: node.shares,
                run_ns: node.run_ns,
                polls: node.polls,
                ready: node.ready.count(),
                delay: node.ready.delays(),
            })
            .collect()
    }

    /// All tasks that are ready.
    pub(crate) fn tasks(&self) -> Vec<TaskRef> {
        let tree = self.tree.borrow();
        tree.nodes.iter().flat_map(|node| node.ready.iter()).collect()
    }

    /// Takes a task out, if any is ready.
    pub(crate) fn take_any(&self) -> Option<TaskRef> {
        let queue = self.next_queue()?;
        let task = self.queue(queue).pop();
        self.settle(queue, 0);
        task
    }

    /// Takes all tasks out.
    pub(crate) fn take_all(&self) -> Vec<TaskRef> {
        std::iter::from_fn(|| self.take_any()).collect()
    }
}

impl Tree {
    /// Counts a queue, and the groups that have something to run by it. It comes back where its siblings are.
    fn activate(&mut self, queue: u32) {
        self.active += 1;
        let mut index = queue;
        while let Some(parent) = self.nodes[index as usize].parent {
            let group = &mut self.nodes[parent as usize];
            let (floor_ns, was_idle) = (group.floor_ns, group.active_children == 0);
            group.active_children += 1;
            let node = &mut self.nodes[index as usize];
            node.is_active = true;
            node.virtual_ns = node.virtual_ns.max(floor_ns);
            if !was_idle {
                return;
            }
            index = parent;
        }
    }

    fn deactivate(&mut self, queue: u32) {
        self.nodes[queue as usize].ready.set_idle();
        self.active -= 1;
        let mut index = queue;
        while let Some(parent) = self.nodes[index as usize].parent {
            self.nodes[index as usize].is_active = false;
            let group = &mut self.nodes[parent as usize];
            group.active_children -= 1;
            if group.active_children > 0 {
                return;
            }
            index = parent;
        }
    }

    /// Of the children of a group that have something to run, the one that is furthest behind.
    fn furthest_behind(&self, group: u32) -> Option<u32> {
        let children = self.nodes[group as usize].children.iter().copied();
        let runnable = children.filter(|child| self.nodes[*child as usize].is_active);
        runnable.min_by_key(|child| self.nodes[*child as usize].virtual_ns)
    }
}

impl Node {
    fn new(
        name: &str,
        parent: Option<u32>,
        shares: u32,
        latency: Option<Duration>,
        ready: Rc<Queue>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            parent,
            children: Vec::new(),
            shares,
            latency,
            virtual_ns: 0,
            floor_ns: 0,
            is_active: false,
            active_children: 0,
            ready,
            run_ns: 0,
            polls: 0,
        }
    }
}

pub(crate) const ROOT_GROUP: u32 = 0;
/// Where tasks go that were spawned without saying where.
pub(crate) const DEFAULT_QUEUE: u32 = 1;
/// Shares of the default queue, and of a queue of ordinary weight.
pub(crate) const DEFAULT_SHARES: u32 = 1000;
const VIRTUAL_SCALE: u64 = 1024;

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::rc::Rc;
    use std::sync::Arc;

    use super::{DEFAULT_QUEUE, ROOT_GROUP, RunQueues};
    use crate::sys::{Home, Remote, TaskRef, new_task};

    fn queues() -> RunQueues {
        RunQueues::new(&Home::new(&Arc::new(Remote::new().unwrap())), Rc::default())
    }

    fn task(queues: &RunQueues, queue: u32) -> TaskRef {
        new_task(pending::<()>(), "worker", &queues.queue(queue)).0
    }

    /// Turns of a microsecond, as many as told, after each of which the task is ready again; how many each queue got.
    fn turns<const N: usize>(queues: &RunQueues, among: [u32; N], turns: usize) -> [usize; N] {
        let mut counts = [0; N];
        for _ in 0..turns {
            let queue = queues.next_queue().unwrap();
            let task = queues.queue(queue).pop().unwrap();
            queues.charge(queue, 1000);
            queues.push(task);
            queues.settle(queue, 1);
            counts[among.iter().position(|other| *other == queue).unwrap()] += 1;
        }
        counts
    }

    fn end(queues: &RunQueues) {
        for task in queues.take_all() {
            task.end(samestep_provider_traits::JoinError::Cancelled);
        }
        assert!(queues.is_empty());
    }

    #[test]
    fn turns_are_shared_as_the_shares_say() {
        let queues = queues();
        let among = [100, 300].map(|shares| queues.add("worker", ROOT_GROUP, shares, None));
        for queue in among {
            queues.push(task(&queues, queue));
        }
        let [one, three] = turns(&queues, among, 4000);
        assert!(one.abs_diff(1000) <= 2 && three.abs_diff(3000) <= 2, "{one} and {three}");
        end(&queues);
    }

    /// A group has its share as a whole, however many queues are in it.
    #[test]
    fn a_group_is_one_to_its_siblings() {
        let queues = queues();
        let group = queues.add("group", ROOT_GROUP, 100, None);
        let among = [(group, 100), (group, 100), (ROOT_GROUP, 300)]
            .map(|(parent, shares)| queues.add("worker", parent, shares, None));
        for queue in among {
            queues.push(task(&queues, queue));
        }
        let counts = turns(&queues, among, 8000);
        for (count, expected) in counts.into_iter().zip([1000_usize, 1000, 6000]) {
            assert!(count.abs_diff(expected) <= 4, "{counts:?}");
        }
        end(&queues);
    }

    /// Who had nothing to do for long does not make up for it.
    #[test]
    fn idle_time_is_not_saved_up() {
        let queues = queues();
        let late = queues.add("late", ROOT_GROUP, 1000, None);
        queues.push(task(&queues, DEFAULT_QUEUE));
        turns(&queues, [DEFAULT_QUEUE], 5000);
        queues.push(task(&queues, late));
        let [default, late] = turns(&queues, [DEFAULT_QUEUE, late], 1000);
        assert!(default.abs_diff(500) <= 2 && late.abs_diff(500) <= 2, "{default} and {late}");
        end(&queues);
    }
}
