//! The way from one node to another: how long it takes, and whether it is open.

use super::latency::{Nanos, permille};
use super::settings::Settings;
use crate::choice::Choices;
use crate::kernel::NodeId;
use crate::queue::EventId;
use crate::time::SimTime;

/// A link's number. It depends on its nodes' numbers alone, so that more nodes change no link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkId(pub(crate) u32);

/// The link from one node to another, or to itself.
///
/// The links between the first n nodes are the first n^2 ones.
pub(crate) const fn link_between(from: NodeId, to: NodeId) -> LinkId {
    let (from, to) = (from.0, to.0);
    LinkId(if from > to { from * from + to } else { to * to + to + from })
}

/// What a fault of the network is decided at: a link, and which fault, so that one fault shifts no other.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum Place {
    Close,
    Clog,
    Partition,
    BitFlip,
    PartialWrite,
    PartialRead,
    Datagram,
    Connect,
}

impl LinkId {
    /// The place of this link's latencies; those below are of clocks and timers.
    pub(crate) const fn latency_place(self) -> u32 {
        NETWORK_PLACES + self.0
    }

    /// The place of decisions on this link.
    pub(crate) const fn place(self, of: Place) -> u32 {
        NETWORK_PLACES + self.0 * 8 + of as u32
    }
}

/// Decisions that belong to no link have the places below this one.
pub(crate) const NETWORK_PLACES: u32 = 32;
/// Whether a crash of a node is silent; the places below are those of arrivals, by their numbers.
pub(crate) const SILENT_CRASH_PLACE: u32 = 16;
/// Which nodes a partition parts.
pub(crate) const PARTITION_PLACE: u32 = 17;

/// One way between two nodes.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    /// In addition, and the same both ways of a pair.
    pub(crate) pair_latency: u64,
    /// Replaces the configured latencies.
    pub(crate) latency: Option<Nanos>,
    /// In addition, for ever.
    pub(crate) delay: u64,
    /// In addition, until then.
    pub(crate) slow_by: u64,
    pub(crate) slow_until: SimTime,
    /// In bytes a second; 0 is no bound.
    pub(crate) bandwidth: u64,
    busy_until: SimTime,
    /// How many thousandths of its time everything takes, by the slower of its nodes.
    pub(crate) factor: u64,
    /// Whether any of the above differs from the configuration.
    is_special: bool,
    /// How many partitions close it.
    pub(crate) partitions: u32,
    /// Whether a test holds what comes over it.
    pub(crate) is_held: bool,
    pub(crate) clogged_until: SimTime,
    /// When what is idle over it notices that it is closed.
    pub(crate) silence: Option<EventId>,
    /// Exempt from faults that come by themselves, partitions aside.
    pub(crate) is_stable: bool,
    /// When the last datagram is to come, and the newest that came.
    pub(crate) last_datagram: SimTime,
    pub(crate) newest_datagram: u64,
}

/// Whether something may pass a link now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    /// Not before then.
    Until(SimTime),
    /// Not until something changes.
    Closed(Stop),
}

/// Why a piece cannot pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A partition closed the link.
    Partition,
    /// A test holds it.
    Held,
    /// Nobody is there to answer.
    Unheard,
}

impl Link {
    pub(crate) const fn new(from: NodeId, to: NodeId) -> Self {
        Self {
            id: link_between(from, to),
            from,
            to,
            pair_latency: 0,
            latency: None,
            delay: 0,
            slow_by: 0,
            slow_until: SimTime::ZERO,
            bandwidth: 0,
            busy_until: SimTime::ZERO,
            factor: 1000,
            is_special: false,
            partitions: 0,
            is_held: false,
            clogged_until: SimTime::ZERO,
            silence: None,
            is_stable: false,
            last_datagram: SimTime::ZERO,
            newest_datagram: 0,
        }
    }

    /// Whether a partition closes it.
    pub(crate) const fn is_closed(&self) -> bool {
        self.partitions > 0
    }

    /// Whether something may pass now.
    pub(crate) fn gate(&self, now: SimTime) -> Gate {
        if self.is_closed() {
            Gate::Closed(Stop::Partition)
        } else if self.is_held {
            Gate::Closed(Stop::Held)
        } else if self.clogged_until > now {
            Gate::Until(self.clogged_until)
        } else {
            Gate::Open
        }
    }

    /// To be called when what decides how long things take was changed.
    pub(crate) const fn note_change(&mut self) {
        self.is_special = self.latency.is_some()
            || self.pair_latency != 0
            || self.delay != 0
            || self.slow_by != 0
            || self.bandwidth != 0
            || self.factor != 1000;
    }

    /// Whether anything may pass now.
    pub(crate) fn is_clear(&self, now: SimTime) -> bool {
        self.partitions == 0 && !self.is_held && self.clogged_until <= now
    }

    /// How long `bytes` take that set out now, in nanoseconds.
    #[inline]
    pub(crate) fn transit(
        &mut self,
        choices: &mut Choices,
        settings: &Settings,
        now: SimTime,
        bytes: u64,
    ) -> u64 {
        let range = self.latency.unwrap_or(settings.way);
        let nanos = settings.shape.sample(choices, self.id.latency_place(), range);
        if self.is_special { self.special_transit(nanos, now, bytes) } else { nanos }
    }

    #[cold]
    fn special_transit(&mut self, nanos: u64, now: SimTime, bytes: u64) -> u64 {
        let mut nanos = nanos.saturating_add(self.pair_latency).saturating_add(self.delay);
        if self.slow_until > now {
            nanos = nanos.saturating_add(self.slow_by);
        }
        nanos = permille(nanos, self.factor);
        if self.bandwidth != 0 {
            let time = u128::from(bytes) * 1_000_000_000 / u128::from(self.bandwidth);
            let start = self.busy_until.max(now);
            self.busy_until = start.after_nanos(u64::try_from(time).unwrap_or(u64::MAX));
            nanos = nanos.saturating_add(self.busy_until.as_nanos() - now.as_nanos());
        }
        nanos
    }

    /// How long one way of a handshake takes that sets out now, in nanoseconds.
    pub(crate) fn handshake(&mut self, choices: &mut Choices, settings: &Settings) -> u64 {
        let whole = settings.shape.sample(choices, self.id.latency_place(), settings.connect);
        permille((whole / 2).saturating_add(self.pair_latency).saturating_add(self.delay), self.factor)
    }
}

#[cfg(test)]
mod tests {
    use super::{LinkId, link_between};
    use crate::kernel::NodeId;

    #[test]
    fn links_are_numbered_without_gaps() {
        let mut numbers: Vec<LinkId> =
            (0..9).flat_map(|from| (0..9).map(move |to| link_between(NodeId(from), NodeId(to)))).collect();
        numbers.sort_unstable();
        assert!(numbers.iter().zip(0..).all(|(link, number)| link.0 == number));
    }
}
