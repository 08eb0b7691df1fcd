//! What tasks there are and what they wait for: found when somebody asks, so that waiting costs nothing more.

use std::collections::BTreeMap;
use std::fmt;
use std::task::Waker;

use crate::core::Core;
use crate::sys::{TaskRef, woken_by};

/// A task, for people who wonder what it is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskInfo {
    /// The first 23 bytes of the name that it was spawned with.
    pub name: String,
    /// The queue it is in.
    pub queue: String,
    /// How often it was polled, modulo 2^32.
    pub polls: u32,
    /// Whether it waits only for its turn.
    pub is_ready: bool,
    /// Operations, timers, other tasks, and the last lock, signal or channel of this crate it met. Empty if it waits
    /// for what somebody else made, or wakes it by a waker of its own, as some combinators do.
    pub waits_for: Vec<String>,
}

/// The tasks of a shard, in no order that means anything. Shows itself as a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskList(Vec<TaskInfo>);

impl TaskList {
    pub(crate) fn of(core: &Core) -> Self {
        let mut waits = Waits::default();
        {
            let driver = core.driver.borrow();
            for (op, task, owner) in driver.under_way() {
                let name = |name: &str| match op.fd() {
                    Some(fd) => format!("{name} of descriptor {fd}"),
                    None => name.to_owned(),
                };
                if let Some(task) = task {
                    waits.add_to(task, || name(op.name()));
                }
                if let Some(owner) = owner {
                    owner.each_waiter(&mut |waker, behind| {
                        let what = behind.unwrap_or(op.name());
                        waits.add(waker, || name(what));
                    });
                }
            }
        }
        let now_ns = core.now_ns();
        for (deadline_ns, waker) in core.timers.borrow().iter() {
            if let Some(waker) = waker {
                waits.add(waker, || {
                    let left_ms = deadline_ns.saturating_sub(now_ns).div_ceil(1_000_000);
                    format!("a timer in {}.{:03} s", left_ms / 1000, left_ms % 1000)
                });
            }
        }
        for task in core.all_tasks() {
            if let Some(joiner) = task.joiner() {
                waits.add_to(joiner, || format!("the end of task {}", task.name()));
            }
        }
        let info = |task: TaskRef| {
            let mut waits_for = waits.0.remove(&task.address()).unwrap_or_default();
            waits_for.extend(task.waits_on().name().map(str::to_owned));
            TaskInfo {
                name: task.name().to_owned(),
                queue: core.queues.name(task.queue().index()),
                polls: task.polls(),
                is_ready: task.is_scheduled(),
                waits_for,
            }
        };
        Self(core.all_tasks().map(info).collect())
    }

    /// One by one.
    pub fn iter(&self) -> std::slice::Iter<'_, TaskInfo> {
        self.0.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a TaskList {
    type Item = &'a TaskInfo;
    type IntoIter = std::slice::Iter<'a, TaskInfo>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for TaskList {
    type Item = TaskInfo;
    type IntoIter = std::vec::IntoIter<TaskInfo>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for TaskList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24}{:<16}{:>10}  waits for", "task", "queue", "polls")?;
        for task in &self.0 {
            let waits_for = match &task.waits_for[..] {
                _ if task.is_ready => "its turn".to_owned(),
                [] => "what is not told".to_owned(),
                some => some.join(", "),
            };
            let (name, queue) = (one_line(&task.name), one_line(&task.queue));
            writeln!(f, "{name:<24}{queue:<16}{:>10}  {waits_for}", task.polls)?;
        }
        Ok(())
    }
}

/// A name is a program's own, and may have line ends in it.
fn one_line(name: &str) -> String {
    name.replace(char::is_control, " ")
}

/// By the address of the task that is woken.
#[derive(Default)]
struct Waits(BTreeMap<usize, Vec<String>>);

impl Waits {
    fn add(&mut self, waker: &Waker, what: impl FnOnce() -> String) {
        if let Some(task) = woken_by(waker) {
            self.add_to(task, what);
        }
    }

    fn add_to(&mut self, task: usize, what: impl FnOnce() -> String) {
        let (waits, what) = (self.0.entry(task).or_default(), what());
        // Each operation of a socket tells all who wait for it.
        if !waits.contains(&what) {
            waits.push(what);
        }
    }
}
