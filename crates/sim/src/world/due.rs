//! What may be due: one kind of event for each model of the world.

use std::task::Waker;

use crate::disk::DiskDue;
use crate::kernel::NodeId;
use crate::net::NetDue;
use crate::trace::TaskId;
use crate::world::events::Event;
use crate::world::waker::TaskRef;

/// An event of the world, to be handled by the model that it is of.
#[derive(Debug)]
pub(crate) enum Due {
    /// A timer of a task.
    Timer(TimerDue),
    /// A task of a slow node gets its turn.
    Turn(TaskRef),
    /// Something in the network.
    Net(NetDue),
    /// An operation of a disk is over.
    Disk(DiskDue),
    /// Something that a test put in.
    Put(Box<Event>),
}

/// A timer that is due.
#[derive(Debug)]
pub(crate) struct TimerDue {
    pub(crate) waker: Waker,
    pub(crate) node: Option<NodeId>,
    pub(crate) task: Option<TaskId>,
}

impl From<NetDue> for Due {
    fn from(due: NetDue) -> Self {
        Self::Net(due)
    }
}

impl From<TimerDue> for Due {
    fn from(due: TimerDue) -> Self {
        Self::Timer(due)
    }
}

impl From<DiskDue> for Due {
    fn from(due: DiskDue) -> Self {
        Self::Disk(due)
    }
}
