//! The trace event format ("Trace Event Format", Google, 2016), in JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::kernel::NodeId;
use crate::report::Timeline;
use crate::report::mark::{Kind, Mark};
use crate::time::SimTime;
use crate::trace::Traced;

/// See [`Timeline::to_perfetto`].
pub(super) fn trace(timeline: &Timeline) -> String {
    let mut events = names(timeline);
    events.extend(states(timeline));
    let mut sent = BTreeMap::new();
    for (mark, event) in timeline.marks().iter().zip(&timeline.events) {
        events.push(slice(mark));
        match event.what {
            Traced::Sent { message, .. } => {
                sent.insert(message, flow("s", message, mark));
            }
            // A flow is written when both its ends are known.
            Traced::Delivered { message, .. } => {
                if let Some(start) = sent.remove(&message) {
                    events.push(start);
                    events.push(flow("f", message, mark));
                }
            }
            _ => {}
        }
    }
    let other = json!({ "title": timeline.title, "seed": timeline.seed.to_string() });
    json!({ "displayTimeUnit": "ns", "otherData": other, "traceEvents": events }).to_string()
}

/// Names of processes and threads.
fn names(timeline: &Timeline) -> Vec<Value> {
    let nodes = (0..).map(NodeId).take(timeline.nodes.len()).map(Some);
    let metadata = |kind: &str, pid: u32, tid: u32, args: Value| json!({ "ph": "M", "name": kind, "pid": pid, "tid": tid, "args": args });
    let mut names = Vec::new();
    for node in [None].into_iter().chain(nodes) {
        let pid = process(node);
        names.push(metadata("process_name", pid, 0, json!({ "name": timeline.node_name(node) })));
        names.push(metadata("process_sort_index", pid, 0, json!({ "sort_index": pid })));
        names.push(metadata("thread_name", pid, STATES, json!({ "name": "state" })));
        for kind in Kind::ALL {
            names.push(metadata("thread_name", pid, thread(kind), json!({ "name": kind.name() })));
        }
    }
    names
}

/// When each node was up, down and paused.
fn states(timeline: &Timeline) -> Vec<Value> {
    let mut states = Vec::new();
    let mut since = BTreeMap::<NodeId, (&str, SimTime)>::new();
    let mut close = |node: NodeId, (name, from): (&str, SimTime), until: SimTime| {
        let duration = microseconds(SimTime::from_nanos(until.as_nanos() - from.as_nanos()));
        states.push(json!({
            "ph": "X", "cat": "state", "name": name, "pid": process(Some(node)), "tid": STATES,
            "ts": microseconds(from), "dur": duration,
        }));
    };
    for event in &timeline.events {
        let (Some(node), Some(name)) = (event.node, state(&event.what)) else { continue };
        if let Some(before) = since.insert(node, (name, event.time)) {
            close(node, before, event.time);
        }
    }
    for (node, last) in since {
        close(node, last, timeline.end);
    }
    states
}

fn state(what: &Traced) -> Option<&'static str> {
    match what {
        Traced::NodeBooted { .. } | Traced::NodeResumed => Some("up"),
        Traced::NodeDown => Some("down"),
        Traced::NodePaused => Some("paused"),
        _ => None,
    }
}

fn slice(mark: &Mark) -> Value {
    let mut args = json!({ "event": mark.number });
    if let Some(task) = mark.task {
        args["task"] = json!(task.0);
    }
    json!({
        "ph": "X", "cat": mark.kind.name(), "name": mark.text, "pid": process(mark.node), "tid": thread(mark.kind),
        "ts": microseconds(mark.time), "dur": microseconds(SimTime::from_nanos(1)), "args": args,
    })
}

fn flow(phase: &str, message: u64, mark: &Mark) -> Value {
    json!({
        "ph": phase, "bp": "e", "cat": "message", "name": "message", "id": message, "pid": process(mark.node),
        "tid": thread(mark.kind), "ts": microseconds(mark.time),
    })
}

/// The test itself is process 1: some readers take 0 for the idle one.
fn process(node: Option<NodeId>) -> u32 {
    node.map_or(1, |node| node.0 + 2)
}

fn thread(kind: Kind) -> u32 {
    kind as u32 + 2
}

/// Exact: a double has 53 bits, and the fraction is written with three digits.
#[expect(
    clippy::cast_precision_loss,
    reason = "104 days in nanoseconds fit in 53 bits; later times lose digits"
)]
fn microseconds(time: SimTime) -> f64 {
    time.as_nanos() as f64 / 1_000.0
}

const STATES: u32 = 1;
