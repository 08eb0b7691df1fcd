//! Events as people see them: a lane, a kind, a line of text, and what they belong to.

use std::collections::BTreeMap;

use crate::kernel::NodeId;
use crate::report::Timeline;
use crate::time::SimTime;
use crate::trace::{TaskId, TraceEvent, Traced};

/// One event to show.
pub(super) struct Mark {
    /// Its number in the run.
    pub(super) number: u64,
    pub(super) time: SimTime,
    pub(super) node: Option<NodeId>,
    pub(super) task: Option<TaskId>,
    pub(super) kind: Kind,
    pub(super) text: String,
    /// The message that it sends, delivers or drops.
    pub(super) message: Option<u64>,
}

/// What an event is about. The order is that of lists for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Kind {
    Check,
    Fault,
    Node,
    Network,
    Disk,
    Note,
    Task,
    Timer,
}

impl Kind {
    pub(super) const ALL: [Self; 8] = [
        Self::Check,
        Self::Fault,
        Self::Node,
        Self::Network,
        Self::Disk,
        Self::Note,
        Self::Task,
        Self::Timer,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Check => "failed checks",
            Self::Fault => "faults",
            Self::Node => "nodes",
            Self::Network => "network",
            Self::Disk => "disk",
            Self::Note => "notes",
            Self::Task => "tasks",
            Self::Timer => "timers and draws",
        }
    }
}

/// All events of a run, in order.
pub(super) fn marks(timeline: &Timeline) -> Vec<Mark> {
    let mut details = Details::of(timeline);
    timeline.events.iter().map(|event| mark(event, &mut details, timeline)).collect()
}

fn mark(event: &TraceEvent, details: &mut Details<'_>, timeline: &Timeline) -> Mark {
    let name = |node: &Option<NodeId>| node.map_or("nobody", |node| timeline.node_name(Some(node)));
    let (kind, text, message) = match &event.what {
        Traced::NodeBooted { boot: 0 } => (Kind::Node, "boots".to_owned(), None),
        Traced::NodeBooted { boot } => (Kind::Node, format!("boots again (reboot {boot})"), None),
        Traced::NodeDown => (Kind::Node, "goes down".to_owned(), None),
        Traced::NodePaused => (Kind::Node, "stands still".to_owned(), None),
        Traced::NodeResumed => (Kind::Node, "goes on".to_owned(), None),
        Traced::TaskStarted { started } => (Kind::Task, format!("starts {started}"), None),
        Traced::TaskPolled => (Kind::Task, "polled".to_owned(), None),
        Traced::TaskEnded { panicked: true } => (Kind::Task, "panicked".to_owned(), None),
        Traced::TaskEnded { panicked: false } => (Kind::Task, "ended".to_owned(), None),
        Traced::TimerFired => (Kind::Timer, "timer fires".to_owned(), None),
        Traced::Drew { value } => (Kind::Timer, format!("draws {value:#018x}"), None),
        Traced::Connecting { connection, to } => {
            (Kind::Network, format!("connects to {} (connection {connection})", name(to)), None)
        }
        Traced::Connected { connection } => {
            (Kind::Network, format!("connection {connection} is there"), None)
        }
        Traced::Sent { message, connection, to, bytes, digest } => {
            let by =
                connection.map_or("datagram".to_owned(), |connection| format!("connection {connection}"));
            let text =
                format!("sends {bytes} bytes to {} ({by}, message {message}, {digest:016x})", name(to));
            (Kind::Network, text, Some(*message))
        }
        Traced::Delivered { message, digest } => {
            (Kind::Network, format!("message {message} comes ({digest:016x})"), Some(*message))
        }
        Traced::Dropped { message } => {
            (Kind::Network, format!("message {message} will not come"), Some(*message))
        }
        Traced::Closed { connection, reset } => {
            let how = if *reset { "reset" } else { "closed" };
            (Kind::Network, format!("connection {connection} {how}"), None)
        }
        Traced::Disk { operation, file, offset, bytes, digest: _, ok } => {
            let failed = if *ok { "" } else { ", failed" };
            let text = format!("{operation:?} of file {file}, {bytes} bytes at {offset}{failed}");
            (Kind::Disk, text, None)
        }
        Traced::Fault { family } => (Kind::Fault, details.fault(family.name()), None),
        Traced::CheckFailed { name } => (Kind::Check, details.failure(name), None),
        Traced::Note { name, value } => (Kind::Note, format!("{name}: {value}"), None),
    };
    let TraceEvent { number, time, node, task, .. } = *event;
    Mark { number, time, node, task, kind, text, message }
}

/// What faults and checks say beyond their names, taken in order.
struct Details<'a> {
    faults: std::slice::Iter<'a, crate::fault::FaultEvent>,
    failures: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Details<'a> {
    fn of(timeline: &'a Timeline) -> Self {
        let mut failures = BTreeMap::<&str, Vec<&str>>::new();
        for failure in timeline.failures.iter().rev() {
            failures.entry(&failure.name).or_default().push(&failure.detail);
        }
        Self { faults: timeline.faults.iter(), failures }
    }

    fn fault(&mut self, family: &str) -> String {
        let detail = self.faults.next().map_or("", |fault| fault.detail.as_str());
        if detail.is_empty() { family.to_owned() } else { format!("{family}: {detail}") }
    }

    fn failure(&mut self, name: &str) -> String {
        match self.failures.get_mut(name).and_then(Vec::pop) {
            None | Some("") => name.to_owned(),
            Some(detail) => format!("{name}: {detail}"),
        }
    }
}
