//! Datagrams: each arrives whole or not at all.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::{Poll, Waker};

use xxhash_rust::xxh3::xxh3_64;

use super::link::{Gate, LinkId, Place, Stop, link_between};
use super::listen::any_of;
use super::record::{self, SentMessage};
use super::rule::Question;
use super::slab::SlotId;
use super::{NetDue, Network};
use crate::choice::ChoiceFamily;
use crate::fault::FaultFamily;
use crate::kernel::{Kernel, NodeId, Wait};
use crate::time::SimTime;

/// A socket for datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketId(pub(super) SlotId);

/// A socket's state.
#[derive(Debug)]
pub(super) struct Socket {
    node: NodeId,
    address: SocketAddr,
    mailbox: VecDeque<SlotId>,
    receivers: Vec<Waker>,
}

impl Default for Socket {
    fn default() -> Self {
        Self { node: NodeId(0), address: NOWHERE, mailbox: VecDeque::new(), receivers: Vec::new() }
    }
}

impl Socket {
    /// What waits in its mailbox.
    pub(super) fn waiting(&self) -> impl Iterator<Item = SlotId> {
        self.mailbox.iter().copied()
    }
}

/// A datagram on its way, or in a mailbox.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) bytes: Vec<u8>,
    from: SocketAddr,
    to: SocketAddr,
    pub(super) link: LinkId,
    pub(super) message: u64,
    pub(super) digest: u64,
    pub(super) arrival: SimTime,
    is_copy: bool,
    pub(super) is_judged: bool,
    /// Whether a test holds it.
    pub(super) is_held: bool,
}

impl Default for Datagram {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            from: NOWHERE,
            to: NOWHERE,
            link: LinkId(0),
            message: 0,
            digest: 0,
            arrival: SimTime::ZERO,
            is_copy: false,
            is_judged: false,
            is_held: false,
        }
    }
}

impl Network {
    /// Opens a socket on `wanted` at `node`.
    pub(crate) fn bind_datagrams(
        &mut self,
        node: NodeId,
        wanted: SocketAddr,
    ) -> Result<(SocketId, SocketAddr), ErrorKind> {
        let address = self.free_address(node, wanted, |network, address| {
            network.receiving.contains_key(&(node, address))
        })?;
        let (slot, socket) = self.sockets.claim();
        socket.node = node;
        socket.address = address;
        let id = SocketId(slot);
        self.receiving.insert((node, address), id);
        Ok((id, address))
    }

    /// Sends a datagram; that nobody gets it is no error.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the socket was closed, `InvalidInput` if the datagram is too long.
    pub(crate) fn send_datagram<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        socket: SocketId,
        bytes: &[u8],
        to: SocketAddr,
    ) -> Result<usize, ErrorKind> {
        let state = self.sockets.get(socket.0).ok_or(ErrorKind::NotConnected)?;
        let (node, mut from) = (state.node, state.address);
        if bytes.len() > self.settings.limits.datagram_bytes_max {
            return Err(ErrorKind::InvalidInput);
        }
        let target = self.node_of(node, to.ip());
        let message = self.messages_sent;
        self.messages_sent += 1;
        let digest = xxh3_64(bytes);
        let sent = SentMessage {
            number: message,
            connection: None,
            kind: None,
            to: target,
            bytes: bytes.len() as u64,
            digest,
        };
        record::sent(kernel, node, &sent);
        let Some(target) = target else {
            record::dropped(kernel, None, message);
            return Ok(bytes.len());
        };
        if from.ip().is_unspecified() {
            from.set_ip(self.local_ip(node, to.ip()));
        }
        let link = link_between(node, target);
        let (place, is_stable) = (link.place(Place::Datagram), self.link(link).is_stable);
        let chaos = &self.settings.chaos;
        let (loss, duplicate) = (chaos.loss, chaos.duplicate);
        if !is_stable && kernel.choices.happens(ChoiceFamily::Network, place, loss) {
            kernel.fault(FaultFamily::DatagramLoss, Some(target), || format!("message {message}"));
            record::dropped(kernel, Some(target), message);
            return Ok(bytes.len());
        }
        let comes_twice = !is_stable && kernel.choices.happens(ChoiceFamily::Network, place, duplicate);
        for is_copy in [false, true] {
            if is_copy && !comes_twice {
                break;
            }
            let (slot, datagram) = self.datagrams.claim();
            datagram.bytes.clear();
            datagram.bytes.extend_from_slice(bytes);
            (datagram.from, datagram.to, datagram.link) = (from, to, link);
            (datagram.message, datagram.digest, datagram.is_copy) = (message, digest, is_copy);
            (datagram.is_judged, datagram.is_held) = (false, false);
            self.dispatch_datagram(kernel, slot);
        }
        Ok(bytes.len())
    }

    /// A datagram sets out, or does so anew.
    fn dispatch_datagram<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, slot: SlotId) {
        let reorder = self.settings.chaos.reorder;
        let Some(datagram) = self.datagrams.get_mut(slot) else { return };
        let (id, bytes, message) = (datagram.link, datagram.bytes.len() as u64, datagram.message);
        let link = &mut self.links[id.0 as usize];
        let nanos = link.transit(&mut kernel.choices, &self.settings, kernel.now, bytes);
        let mut arrival = kernel.now.after_nanos(nanos).max(link.last_datagram);
        let place = id.place(Place::Datagram);
        if !link.is_stable && kernel.choices.happens(ChoiceFamily::Network, place, reorder) {
            // Those behind do not wait for this one.
            let way = self.settings.way;
            let late = kernel.choices.within(ChoiceFamily::Network, place, 1..4 * way.end.max(1));
            arrival = arrival.after_nanos(late);
        } else {
            link.last_datagram = arrival;
        }
        let (is_slow, from) = (link.slow_until > kernel.now, link.from);
        let datagram = self.datagrams.get_mut(slot).expect("looked up above");
        datagram.arrival = arrival;
        kernel.events.put(arrival, NetDue::Datagram(slot).into());
        if is_slow {
            kernel.fault(FaultFamily::SlowLink, Some(from), || format!("message {message}"));
        }
    }

    /// A datagram is to be looked at.
    pub(super) fn datagram_arrives<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, slot: SlotId) {
        let Some(datagram) = self.datagrams.get_mut(slot) else { return };
        let link = &self.links[datagram.link.0 as usize];
        let (message, node) = (datagram.message, link.to);
        match link.gate(kernel.now) {
            Gate::Closed(Stop::Held) => {
                datagram.is_held = true;
                return;
            }
            Gate::Closed(_) => {
                kernel.fault(FaultFamily::Partition, Some(node), || format!("message {message} lost"));
                self.drop_datagram(kernel, slot);
                return;
            }
            Gate::Until(opens) if !link.is_stable => {
                kernel.events.put(opens, NetDue::Datagram(slot).into());
                kernel.fault(FaultFamily::Clog, Some(node), || format!("message {message} until {opens}"));
                return;
            }
            Gate::Until(_) | Gate::Open => {}
        }
        if self.rule.is_some() && !datagram.is_judged {
            self.questions.push(Question::Datagram(slot));
            return;
        }
        let address = datagram.to;
        let (digest, is_copy) = (datagram.digest, datagram.is_copy);
        let socket = self.receiving.get(&(node, address));
        let socket = socket.or_else(|| self.receiving.get(&(node, any_of(address)))).copied();
        let socket = socket.and_then(|socket| self.sockets.get_mut(socket.0));
        let Some(socket) = socket.filter(|socket| socket.mailbox.len() < self.settings.limits.mailbox) else {
            self.drop_datagram(kernel, slot);
            return;
        };
        socket.mailbox.push_back(slot);
        kernel.to_wake.append(&mut socket.receivers);
        record::delivered(kernel, node, message, digest);
        if is_copy {
            kernel.fault(FaultFamily::DatagramDuplicate, Some(node), || format!("message {message}"));
        }
        let link = &mut self.links[self.datagrams.get(slot).expect("looked up above").link.0 as usize];
        if link.newest_datagram > message {
            let newest = link.newest_datagram;
            kernel.fault(FaultFamily::DatagramReorder, Some(node), || {
                format!("message {message} behind {newest}")
            });
        }
        link.newest_datagram = link.newest_datagram.max(message);
    }

    /// A datagram will not come.
    pub(super) fn drop_datagram<E>(&mut self, kernel: &mut Kernel<E>, slot: SlotId) {
        let Some(datagram) = self.datagrams.get(slot) else { return };
        let node = self.links[datagram.link.0 as usize].to;
        record::dropped(kernel, Some(node), datagram.message);
        self.datagrams.release(slot);
    }

    /// Those that were held set out anew.
    pub(super) fn release_datagrams<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, link: LinkId) {
        for slot in self.datagrams.ids() {
            let Some(datagram) = self.datagrams.get_mut(slot) else { continue };
            if datagram.is_held && datagram.link == link {
                datagram.is_held = false;
                self.dispatch_datagram(kernel, slot);
            }
        }
    }

    /// Hands the datagram that has waited longest to `take`, which tells how many bytes it took.
    pub(crate) fn receive_datagram(
        &mut self,
        socket: SocketId,
        take: impl FnOnce(&[u8]) -> usize,
    ) -> Poll<Result<(usize, SocketAddr), ErrorKind>> {
        let Some(state) = self.sockets.get_mut(socket.0) else {
            return Poll::Ready(Err(ErrorKind::NotConnected));
        };
        let Some(slot) = state.mailbox.pop_front() else { return Poll::Pending };
        let datagram = self.datagrams.get(slot).expect("it waits in a mailbox");
        let (count, from) = (take(&datagram.bytes), datagram.from);
        self.datagrams.release(slot);
        Poll::Ready(Ok((count, from)))
    }

    /// Wakes `waker` when there is a datagram.
    pub(crate) fn wait_for_datagram<E>(&mut self, kernel: &mut Kernel<E>, socket: SocketId, waker: Waker) {
        kernel.wait(Wait::Datagram { socket: u64::from(socket.0.slot) });
        match self.sockets.get_mut(socket.0) {
            Some(state) if !state.receivers.iter().any(|other| other.will_wake(&waker)) => {
                state.receivers.push(waker);
            }
            Some(_) => kernel.discard(Some(waker)),
            None => kernel.wake(Some(waker)),
        }
    }

    /// Closes a socket; what waits in it is lost.
    pub(crate) fn close_socket<E>(&mut self, kernel: &mut Kernel<E>, socket: SocketId) {
        let Some(state) = self.sockets.get_mut(socket.0) else { return };
        let waiting = std::mem::take(&mut state.mailbox);
        kernel.to_wake.append(&mut state.receivers);
        let key = (state.node, state.address);
        for slot in waiting {
            self.datagrams.release(slot);
        }
        self.sockets.release(socket.0);
        self.receiving.remove(&key);
    }
}

const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
