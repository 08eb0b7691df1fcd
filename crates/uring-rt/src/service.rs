//! How many calls of one service are under way on a shard.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Bounds how many calls of one service are under way on each shard: who calls beyond that waits, in order.
///
/// A call counts from when it is sent until its output is there. Services that call each other must each have a group
/// of their own, and call in one direction only: then none waits for ever for another's room. As Seastar's
/// `smp_service_group`. Made by [`Caller::service_group`](crate::Caller::service_group); clones are the same group.
#[derive(Clone)]
pub struct ServiceGroup(Arc<Group>);

struct Group {
    name: String,
    calls_max: usize,
    /// For each shard.
    lines: Vec<Mutex<Line>>,
}

#[derive(Debug)]
struct Line {
    free: usize,
    /// By ticket, which are given out in order.
    waiting: BTreeMap<u64, Waker>,
    /// Have room, and have not looked yet.
    granted: BTreeSet<u64>,
    next_ticket: u64,
}

/// Room for one call on one shard.
pub(crate) struct Room {
    group: ServiceGroup,
    target: usize,
}

/// A caller who wants room.
pub(crate) struct Claim {
    group: ServiceGroup,
    target: usize,
    ticket: Option<u64>,
}

impl ServiceGroup {
    pub(crate) fn new(name: &str, shards: usize, calls_max: usize) -> Self {
        let line = || Line {
            free: calls_max.max(1),
            waiting: BTreeMap::new(),
            granted: BTreeSet::new(),
            next_ticket: 0,
        };
        let lines = (0..shards).map(|_| Mutex::new(line())).collect();
        Self(Arc::new(Group { name: name.to_owned(), calls_max: calls_max.max(1), lines }))
    }

    /// The name it was made with.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Calls that may be under way on one shard at a time.
    pub fn calls_max(&self) -> usize {
        self.0.calls_max
    }

    /// Calls that are under way on a shard now, and calls that wait for room; zeros if there is no such shard.
    pub fn calls(&self, shard: usize) -> (usize, usize) {
        let Some(line) = self.0.lines.get(shard) else { return (0, 0) };
        let line = lock(line);
        (self.0.calls_max - line.free, line.waiting.len())
    }

    /// `None` if there is no such shard.
    pub(crate) fn claim(&self, target: usize) -> Option<Claim> {
        (target < self.0.lines.len()).then(|| Claim { group: self.clone(), target, ticket: None })
    }

    fn line(&self, target: usize) -> MutexGuard<'_, Line> {
        lock(&self.0.lines[target])
    }

    /// Gives room to the first who waits, or keeps it.
    fn give(&self, target: usize) {
        let waker = {
            let mut line = self.line(target);
            let first = line.waiting.pop_first();
            match &first {
                Some((ticket, _)) => _ = line.granted.insert(*ticket),
                None => line.free += 1,
            }
            first.map(|(_, waker)| waker)
        };
        // Outside of the lock: waking takes a path of its own.
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Claim {
    /// Room, behind all who wait already.
    pub(crate) fn poll(&mut self, waker: &Waker) -> Poll<Room> {
        let waker = waker.clone();
        let before = {
            let mut line = self.group.line(self.target);
            let has_room = if let Some(ticket) = self.ticket {
                line.granted.remove(&ticket)
            } else {
                let is_free = line.free > 0 && line.waiting.is_empty();
                line.free -= usize::from(is_free);
                is_free
            };
            if has_room {
                self.ticket = None;
                drop(line);
                return Poll::Ready(Room { group: self.group.clone(), target: self.target });
            }
            let ticket = self.ticket.unwrap_or(line.next_ticket);
            line.next_ticket = line.next_ticket.max(ticket + 1);
            self.ticket = Some(ticket);
            line.waiting.insert(ticket, waker)
        };
        drop(before);
        Poll::Pending
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let (waker, was_granted) = {
            let mut line = self.group.line(self.target);
            (line.waiting.remove(&ticket), line.granted.remove(&ticket))
        };
        drop(waker);
        if was_granted {
            self.group.give(self.target);
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.group.give(self.target);
    }
}

impl fmt::Debug for ServiceGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceGroup")
            .field("name", &self.0.name)
            .field("calls_max", &self.0.calls_max)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
