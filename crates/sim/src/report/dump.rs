//! What each task waits for, as text: for runs in which nothing happens any more.

use std::fmt::Write as _;

use crate::world::SimWorld;

impl SimWorld {
    /// The tasks that have not ended, a line each: name, node, where it was started, how often it ran, and what it
    /// waits for. A task of which nothing is said waits for something that the world does not know, such as a channel.
    pub fn task_dump(&self) -> String {
        let core = self.shared.core.borrow();
        let mut text = String::new();
        for task in core.tasks.iter() {
            let node = task.node.map_or("the test", |node| core.nodes.get(node).name.as_str());
            let (file, line) = (task.spawned_at.file(), task.spawned_at.line());
            let (id, name, polls) = (task.id, &task.name, task.polls);
            let _ = write!(text, "{id} {name:?} on {node}, started at {file}:{line}, polled {polls} times, ");
            match task.waits.as_slice() {
                [] => text.push_str("waits for something the world does not know"),
                waits => {
                    for (place, wait) in waits.iter().enumerate() {
                        let _ = write!(text, "{}{wait}", if place == 0 { "waits for " } else { ", or " });
                    }
                }
            }
            text.push('\n');
        }
        text
    }
}
