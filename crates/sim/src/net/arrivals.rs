//! Faults that come by themselves, at rates of simulated time.

use super::connection::{EndId, Fate, Side};
use super::link::{Place, link_between};
use super::{NetDue, Network};
use crate::choice::{Chance, ChoiceFamily};
use crate::draws::exponential;
use crate::kernel::{Kernel, NodeId};
use crate::time::SimTime;

/// What comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Arrival {
    Partition,
    Clog,
    Cut,
    Swizzle,
    Close,
    HalfOpen,
    SlowLink,
}

impl Arrival {
    /// All of them, in order.
    pub(crate) const ALL: [Self; 7] =
        [Self::Partition, Self::Clog, Self::Cut, Self::Swizzle, Self::Close, Self::HalfOpen, Self::SlowLink];
}

impl Network {
    /// From now on faults come by themselves, as configured.
    pub(crate) fn start_faults<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>) {
        for arrival in Arrival::ALL {
            if self.arrivals[arrival as usize].is_none() {
                self.schedule_arrival(kernel, arrival);
            }
        }
    }

    /// No fault comes by itself any more, and none that did stays.
    pub(crate) fn end_faults<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>) {
        for arrival in &mut self.arrivals {
            if let Some(event) = arrival.take() {
                kernel.events.cancel(event);
            }
        }
        self.settings.end_faults();
        self.heal_all(kernel);
    }

    /// One came: the next is on its way, and whether this one acts is a choice.
    pub(super) fn arrival_comes<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, arrival: Arrival) {
        self.schedule_arrival(kernel, arrival);
        if !kernel.choices.happens(ChoiceFamily::Network, arrival as u32, Chance::ALWAYS) {
            return;
        }
        match arrival {
            Arrival::Partition => self.partition_comes(kernel),
            Arrival::Clog => self.connection_stands_still(kernel, arrival, &Side::BOTH[..1]),
            Arrival::Cut => self.connection_stands_still(kernel, arrival, &Side::BOTH),
            Arrival::Swizzle => self.swizzle_comes(kernel),
            Arrival::Close => {
                if let Some(end) = self.some_end(kernel, arrival) {
                    let link = self.connections.get(end.connection).map(|state| state.end(end.side).link);
                    let place = link.unwrap_or_default().place(Place::Close);
                    self.close_randomly(kernel, end, place);
                }
            }
            Arrival::HalfOpen => {
                if let Some(end) = self.some_end(kernel, arrival) {
                    self.sever(kernel, end);
                }
            }
            Arrival::SlowLink => self.link_is_slow(kernel),
        }
    }

    fn schedule_arrival<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, arrival: Arrival) {
        let mean = self.settings.rates.gaps[arrival as usize];
        if mean == 0 {
            return;
        }
        let value = kernel.choices.seeded(ChoiceFamily::Network, arrival as u32, 0..u64::MAX);
        let event = kernel.schedule_background(exponential(value, mean), NetDue::Arrival(arrival).into());
        self.arrivals[arrival as usize] = Some(event);
    }

    fn partition_comes<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>) {
        if kernel.now < self.no_partition_before {
            return;
        }
        let place = Arrival::Partition as u32;
        let rates = &self.settings.rates;
        let strategies = rates.partition_strategies.len();
        let number = kernel.choices.pick(ChoiceFamily::Network, place, strategies as u64);
        let strategy = rates.partition_strategies[usize::try_from(number).expect("below a length")];
        let nanos = rates.partition_time.pick(&mut kernel.choices, ChoiceFamily::Network, place);
        let pause = rates.partition_pause.pick(&mut kernel.choices, ChoiceFamily::Network, place);
        self.no_partition_before = kernel.now.after_nanos(nanos.saturating_add(pause));
        let links = self.draw_partition(kernel, strategy);
        self.partition_for(kernel, links, nanos);
    }

    fn connection_stands_still<E>(&mut self, kernel: &mut Kernel<E>, arrival: Arrival, sides: &[Side]) {
        let Some(end) = self.some_end(kernel, arrival) else { return };
        let time = self.settings.rates.clog_time;
        let nanos = time.pick(&mut kernel.choices, ChoiceFamily::Network, arrival as u32);
        for side in sides {
            let flow = if *side == Side::Near { end } else { end.other() };
            self.stand_still(kernel, flow, nanos);
        }
    }

    /// Some nodes are cut off, one after the other, and let go in another order.
    fn swizzle_comes<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>) {
        let (place, time) = (Arrival::Swizzle as u32, self.settings.rates.clog_time);
        for node in self.node_ids() {
            if kernel.choices.pick(ChoiceFamily::Network, place, 2) == 0 {
                continue;
            }
            let start = time.pick(&mut kernel.choices, ChoiceFamily::Network, place) - time.start;
            let end = start.saturating_add(time.pick(&mut kernel.choices, ChoiceFamily::Network, place));
            let until = kernel.now.after_nanos(end);
            kernel.schedule_background(start, NetDue::Swizzle { node, until }.into());
        }
    }

    /// Nothing passes from or to `node` until then. Counted when something would have.
    pub(super) fn clog_node<E>(&mut self, _kernel: &mut Kernel<E>, node: NodeId, until: SimTime) {
        for other in self.node_ids() {
            if other != node {
                for id in [link_between(node, other), link_between(other, node)] {
                    let link = self.link_mut(id);
                    link.clogged_until = link.clogged_until.max(until);
                }
            }
        }
    }

    fn link_is_slow<E>(&mut self, kernel: &mut Kernel<E>) {
        let place = Arrival::SlowLink as u32;
        let nodes = self.hosts.len() as u64;
        let mut node = || {
            let number = kernel.choices.pick(ChoiceFamily::Network, place, nodes);
            NodeId(u32::try_from(number).expect("below the number of nodes"))
        };
        let (from, to) = (node(), node());
        let rates = &self.settings.rates;
        let by = rates.slow_link_delay.pick(&mut kernel.choices, ChoiceFamily::Network, place);
        let time = rates.slow_link_time.pick(&mut kernel.choices, ChoiceFamily::Network, place);
        let until = kernel.now.after_nanos(time);
        let link = self.link_mut(link_between(from, to));
        link.slow_by = by;
        link.slow_until = until;
        link.note_change();
    }

    /// An end of some connection that is there and not exempt, by choice.
    fn some_end<E>(&self, kernel: &mut Kernel<E>, arrival: Arrival) -> Option<EndId> {
        let mut ends = Vec::new();
        for connection in self.connections.ids() {
            let state = self.connections.get(connection)?;
            if !state.is_stable && state.ends.iter().all(|end| end.is_owned && end.fate == Fate::Open) {
                ends.extend(Side::BOTH.map(|side| EndId { connection, side }));
            }
        }
        let number = kernel.choices.pick(ChoiceFamily::Network, arrival as u32, ends.len() as u64);
        ends.get(usize::try_from(number).ok()?).copied()
    }
}
