//! When which stream must be looked at.

use std::collections::BTreeSet;

use crate::id::{SubscriptionId, Tick};

/// At most one entry per stream, at its deadline or before it.
///
/// A deadline that moves out is not moved here: the entry comes too early, the stream is asked, and queued anew. So a
/// stream that makes progress costs nothing per event.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    by_tick: BTreeSet<(Tick, SubscriptionId)>,
}

impl Deadlines {
    /// Makes sure that `id` comes up at `deadline` at the latest. `queued_at` is the stream's own note of its entry.
    #[inline]
    pub(super) fn queue(&mut self, id: SubscriptionId, deadline: Option<Tick>, queued_at: &mut Option<Tick>) {
        let Some(deadline) = deadline else { return };
        match *queued_at {
            Some(at) if at <= deadline => return,
            Some(at) => {
                self.by_tick.remove(&(at, id));
            }
            None => {}
        }
        self.by_tick.insert((deadline, id));
        *queued_at = Some(deadline);
    }

    /// The next stream whose entry is at `now` or before.
    #[inline]
    pub(super) fn pop_due(&mut self, now: Tick) -> Option<SubscriptionId> {
        let (at, _) = self.by_tick.first()?;
        if *at > now {
            return None;
        }
        self.by_tick.pop_first().map(|(_, id)| id)
    }

    pub(super) fn first(&self) -> Option<Tick> {
        self.by_tick.first().map(|(at, _)| *at)
    }
}
