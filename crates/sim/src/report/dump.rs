//! What each task waits for, as text: for runs in which nothing happens any more.

use std::fmt::Write as _;

use crate::world::SimWorld;

impl SimWorld {
    /// The tasks that have not ended, a line each: name, node, where it was started, how often it ran, and what it
    /// waits for. A task of which nothing is said waits for something that the world does not know, such as a channel.
    pub fn task_dump(&self) -> String {
        let mut text = String::new();
        for task in self.task_states() {
            let _ = writeln!(text, "{task}");
        }
        text
    }
}
