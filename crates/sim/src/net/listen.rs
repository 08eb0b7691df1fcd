//! Sockets that listen, and the connections that wait at them.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Poll, Waker};

use super::connection::EndId;
use super::link::LinkId;
use super::slab::SlotId;
use super::{NetDue, Network};
use crate::kernel::{Kernel, NodeId, Wait};
use crate::time::SimTime;

/// A listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenerId(pub(super) SlotId);

impl ListenerId {
    /// Its number among those that are there.
    pub(crate) const fn number(self) -> u64 {
        self.0.slot as u64
    }
}

/// A listening socket's state.
#[derive(Debug)]
pub(super) struct Listener {
    node: NodeId,
    address: SocketAddr,
    /// Connections that nobody accepted, and when each can be; oldest first.
    backlog: VecDeque<(EndId, SimTime)>,
    last_acceptable: SimTime,
    acceptors: Vec<Waker>,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            node: NodeId(0),
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            backlog: VecDeque::new(),
            last_acceptable: SimTime::ZERO,
            acceptors: Vec::new(),
        }
    }
}

/// A connection's end as a program gets it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    pub(crate) end: EndId,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
}

impl Network {
    /// Listens on `wanted` at `node`.
    pub(crate) fn listen(
        &mut self,
        node: NodeId,
        wanted: SocketAddr,
    ) -> Result<(ListenerId, SocketAddr), ErrorKind> {
        let address = self.free_address(node, wanted, |network, address| {
            network.listening.contains_key(&(node, address))
        })?;
        let (slot, listener) = self.listeners.claim();
        listener.node = node;
        listener.address = address;
        listener.last_acceptable = SimTime::ZERO;
        let id = ListenerId(slot);
        self.listening.insert((node, address), id);
        Ok((id, address))
    }

    /// Takes the connection that has waited longest.
    pub(crate) fn accept<E>(
        &mut self,
        kernel: &Kernel<E>,
        listener: ListenerId,
    ) -> Poll<Result<Accepted, ErrorKind>> {
        loop {
            let Some(state) = self.listeners.get_mut(listener.0) else {
                return Poll::Ready(Err(ErrorKind::NotConnected));
            };
            let Some(&(end, acceptable)) = state.backlog.front() else { return Poll::Pending };
            if acceptable > kernel.now {
                return Poll::Pending;
            }
            state.backlog.pop_front();
            // One whose node crashed in between is no more.
            let Some(connection) = self.connections.get(end.connection) else { continue };
            if connection.end(end.side).is_owned {
                let (local, peer) =
                    (connection.end(end.side).address, connection.end(end.side.other()).address);
                return Poll::Ready(Ok(Accepted { end, local, peer }));
            }
        }
    }

    /// Wakes `waker` when there is a connection to accept.
    pub(crate) fn wait_for_connection<E>(
        &mut self,
        kernel: &mut Kernel<E>,
        listener: ListenerId,
        waker: Waker,
    ) {
        kernel.wait(Wait::Accept { listener: listener.number() });
        match self.listeners.get_mut(listener.0) {
            Some(state) if !state.acceptors.iter().any(|other| other.will_wake(&waker)) => {
                state.acceptors.push(waker);
            }
            Some(_) => kernel.discard(Some(waker)),
            None => kernel.wake(Some(waker)),
        }
    }

    /// Stops listening. Connections that nobody accepted are reset.
    pub(crate) fn close_listener<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, listener: ListenerId) {
        let Some(waiting) = self.forget_listener(kernel, listener) else { return };
        for (end, _) in waiting {
            self.abort(kernel, end);
        }
    }

    /// The socket is no more; what waits at it is whoever's it was.
    pub(super) fn forget_listener<E>(
        &mut self,
        kernel: &mut Kernel<E>,
        listener: ListenerId,
    ) -> Option<VecDeque<(EndId, SimTime)>> {
        let state = self.listeners.get_mut(listener.0)?;
        let waiting = std::mem::take(&mut state.backlog);
        kernel.to_wake.append(&mut state.acceptors);
        let key = (state.node, state.address);
        self.listeners.release(listener.0);
        self.listening.remove(&key);
        Some(waiting)
    }

    /// A connection that came can be accepted in a while. Tells whether there was room.
    pub(super) fn queue_connection<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        listener: ListenerId,
        end: EndId,
        link: LinkId,
    ) -> bool {
        let Some(state) = self.listeners.get_mut(listener.0) else { return false };
        if state.backlog.len() >= self.settings.limits.backlog {
            return false;
        }
        let place = link.latency_place();
        let wait = self.settings.shape.sample(&mut kernel.choices, place, self.settings.accept);
        let acceptable = kernel.now.after_nanos(wait).max(state.last_acceptable);
        state.last_acceptable = acceptable;
        state.backlog.push_back((end, acceptable));
        kernel.events.put(acceptable, NetDue::Acceptable(listener).into());
        true
    }

    /// A connection can be accepted.
    pub(super) fn acceptable<E>(&mut self, kernel: &mut Kernel<E>, listener: ListenerId) {
        if let Some(state) = self.listeners.get_mut(listener.0) {
            kernel.to_wake.append(&mut state.acceptors);
        }
    }

    /// All connections that came can be accepted now.
    pub(super) fn accept_at_once<E>(&mut self, kernel: &mut Kernel<E>, listener: ListenerId) {
        if let Some(state) = self.listeners.get_mut(listener.0) {
            state.backlog.iter_mut().for_each(|(_, acceptable)| *acceptable = kernel.now.min(*acceptable));
            state.last_acceptable = state.last_acceptable.min(kernel.now);
        }
        self.acceptable(kernel, listener);
    }

    /// Who listens at `address` of `node`, by that address or any.
    pub(super) fn listener_at(&self, node: NodeId, address: SocketAddr) -> Option<ListenerId> {
        let any = any_of(address);
        self.listening.get(&(node, address)).or_else(|| self.listening.get(&(node, any))).copied()
    }
}

/// The address of whoever listens at all of a node's addresses, of `address`'s kind and port.
pub(super) fn any_of(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(ip, address.port())
}
