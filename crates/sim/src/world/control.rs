//! What a test does to nodes: kills, boots, pauses and slows them.

use std::mem;
use std::net::IpAddr;
use std::time::Duration;

use crate::ambient::Ambient;
use crate::fault::FaultFamily;
use crate::kernel::NodeId;
use crate::net::Leaving;
use crate::time::SimTime;
use crate::trace::Traced;
use crate::world::SimWorld;
use crate::world::nodes::{Down, NodeState, random_of_boot};
use crate::world::registry::make_current;

impl SimWorld {
    /// Takes `node` down at once: its tasks are dropped before this returns and none is polled again, and handles
    /// of this boot do nothing from now on. No effect on a node that is down.
    ///
    /// A task of the node that calls this runs on until it next waits.
    pub fn kill(&self, node: NodeId, how: Down) {
        let slots = {
            let core = &mut *self.shared.core.borrow_mut();
            let state = core.nodes.get_mut(node);
            if state.state == NodeState::Down {
                return;
            }
            // Unless too few copies of what is on its disk would be left: then it keeps its disk.
            let keeps_disk = how == Down::CrashAndWipe && !core.disks.allows_wipe(node);
            let how = if keeps_disk { Down::Crash } else { how };
            state.state = NodeState::Down;
            state.last_down = Some(how);
            state.held.clear();
            state.busy_until = SimTime::ZERO;
            let family = match how {
                Down::Graceful => FaultFamily::GracefulReboot,
                Down::Crash => FaultFamily::Crash,
                Down::CrashAndWipe => FaultFamily::CrashAndWipe,
            };
            let before = core.kernel.node.replace(node);
            core.kernel.record([u64::from(b'D'), how as u64, 0, 0], || Traced::NodeDown);
            core.kernel.fault(family, Some(node), String::new);
            let leaving = if how == Down::Graceful { Leaving::Closing } else { Leaving::Crashing };
            core.network.node_down(&mut core.kernel, node, leaving);
            core.disks.node_down(&mut core.kernel, node, how);
            core.kernel.node = before;
            core.tasks.of_node(node)
        };
        let _current = make_current(self.shared.id);
        for slot in slots {
            self.shared.cancel(slot);
        }
        self.shared.flush_wakers();
    }

    /// Boots a node that is down. What runs on it is for the caller to start. No effect on a node that is up.
    pub fn boot(&self, node: NodeId) {
        let core = &mut *self.shared.core.borrow_mut();
        let seed = core.seed;
        let state = core.nodes.get_mut(node);
        if state.state != NodeState::Down {
            return;
        }
        state.state = NodeState::Up;
        state.boot += 1;
        let boot = state.boot;
        state.random = random_of_boot(seed, node, boot);
        state.ambient = Ambient::of_part(seed, state.random);
        let before = core.kernel.node.replace(node);
        core.kernel.record([u64::from(b'B'), u64::from(boot), 0, 0], || Traced::NodeBooted { boot });
        core.network.node_booted(&mut core.kernel, node, boot);
        core.kernel.node = before;
        core.disks.node_booted(node, boot);
    }

    /// Makes `node` stand still: its tasks are not polled, and its timers fire late. No effect unless it is up.
    pub fn pause(&self, node: NodeId) {
        let core = &mut *self.shared.core.borrow_mut();
        let state = core.nodes.get_mut(node);
        if state.state != NodeState::Up {
            return;
        }
        state.state = NodeState::Paused;
        core.nodes.note_special();
        let before = core.kernel.node.replace(node);
        core.kernel.record([u64::from(b'p'), 0, 0, 0], || Traced::NodePaused);
        core.kernel.node = before;
    }

    /// Lets a paused node go on. No effect on others.
    pub fn resume(&self, node: NodeId) {
        let core = &mut *self.shared.core.borrow_mut();
        let state = core.nodes.get_mut(node);
        if state.state != NodeState::Paused {
            return;
        }
        state.state = NodeState::Up;
        let held = mem::take(&mut state.held);
        let before = core.kernel.node.replace(node);
        core.kernel.record([u64::from(b'r'), 0, 0, 0], || Traced::NodeResumed);
        if !held.is_empty() {
            let tasks = held.len();
            core.kernel.fault(FaultFamily::Pause, Some(node), || format!("{tasks} tasks were held"));
        }
        core.kernel.node = before;
        let mut ready = self.shared.ready.borrow_mut();
        for slot in held {
            let generation = ready.generation(slot);
            ready.wake(slot, generation);
        }
    }

    /// Makes each poll of a task of `node` take this long, one after the other; zero is as fast as it can be.
    pub fn slow_down(&self, node: NodeId, poll_takes: Duration) {
        let nanos = u64::try_from(poll_takes.as_nanos()).unwrap_or(u64::MAX);
        let nodes = &mut self.shared.core.borrow_mut().nodes;
        nodes.get_mut(node).poll_nanos = nanos;
        nodes.note_special();
    }

    /// Makes the wall clock of `node` jump forward. Its monotonic clock goes on as ever.
    pub fn step_clock_forward(&self, node: NodeId, by: Duration) {
        self.step_clock(node, i64::try_from(by.as_nanos()).unwrap_or(i64::MAX));
    }

    /// Makes the wall clock of `node` jump back. Its monotonic clock goes on as ever.
    pub fn step_clock_back(&self, node: NodeId, by: Duration) {
        self.step_clock(node, -i64::try_from(by.as_nanos()).unwrap_or(i64::MAX));
    }

    /// Makes the wall clock of `node` go faster from now on, by so many parts in a million; slower if negative.
    pub fn drift_clock(&self, node: NodeId, ppm: i32) {
        let core = &mut *self.shared.core.borrow_mut();
        core.clocks.drift(core.kernel.now, node, ppm);
    }

    /// From now on no wall clock jumps by itself. Those that are wrong stay so.
    pub fn end_clock_steps(&self) {
        self.shared.core.borrow_mut().clocks.end_steps();
    }

    fn step_clock(&self, node: NodeId, by_nanos: i64) {
        let core = &mut *self.shared.core.borrow_mut();
        core.clocks.step(&mut core.kernel, node, by_nanos);
    }

    /// Whether `node` is up, or paused.
    pub fn is_up(&self, node: NodeId) -> bool {
        self.shared.core.borrow().nodes.get(node).state != NodeState::Down
    }

    /// How often `node` has booted before.
    pub fn boot_count(&self, node: NodeId) -> u32 {
        self.shared.core.borrow().nodes.get(node).boot
    }

    /// How `node` went down last, if ever.
    pub fn last_down(&self, node: NodeId) -> Option<Down> {
        self.shared.core.borrow().nodes.get(node).last_down
    }

    /// Name of `node`.
    pub fn node_name(&self, node: NodeId) -> String {
        self.shared.core.borrow().nodes.get(node).name.clone()
    }

    /// Address of `node`.
    pub fn node_ip(&self, node: NodeId) -> IpAddr {
        self.shared.core.borrow().nodes.get(node).ip
    }

    /// The nodes, in the order in which they were added.
    pub fn nodes(&self) -> Vec<NodeId> {
        self.shared.core.borrow().nodes.iter().map(|(id, _)| id).collect()
    }
}
