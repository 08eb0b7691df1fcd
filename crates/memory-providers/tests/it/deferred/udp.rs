//! UDP whose operations take a random time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use samestep_memory_providers::MemoryUdpSocket;
use samestep_provider_traits::{BufResult, IoBuf, IoBufMut, UdpSocket};

use super::Deferral;
use super::wait::Waiters;

/// A UDP socket of a deferred world.
pub(crate) struct DeferredSocket {
    inner: Rc<MemoryUdpSocket>,
    deferral: Deferral,
    mailbox: Rc<Mailbox>,
}

/// What mailbox have brought, and whether one is under way.
#[derive(Default)]
struct Mailbox {
    received: RefCell<VecDeque<Received>>,
    is_under_way: Cell<bool>,
    waiters: Waiters,
}

type Received = io::Result<(Vec<u8>, SocketAddr)>;

impl DeferredSocket {
    pub(super) fn new(inner: MemoryUdpSocket, deferral: Deferral) -> Self {
        Self { inner: Rc::new(inner), deferral, mailbox: Rc::default() }
    }
}

impl fmt::Debug for DeferredSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeferredSocket").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl UdpSocket for DeferredSocket {
    fn send_to<B: IoBuf>(
        &self,
        buf: B,
        target: SocketAddr,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        // Not deferred: datagrams would overtake each other, which loopback does not do and the suite forbids.
        self.inner.send_to(buf, target)
    }

    fn recv_from<B: IoBufMut>(
        &self,
        mut buf: B,
    ) -> impl Future<Output = BufResult<(usize, SocketAddr), B>> + use<B> {
        let (inner, deferral, mailbox) =
            (Rc::clone(&self.inner), self.deferral.clone(), Rc::clone(&self.mailbox));
        async move {
            if mailbox.received.borrow().is_empty() && !mailbox.is_under_way.replace(true) {
                let (receiving, mailbox) =
                    (inner.recv_from(Vec::with_capacity(DATAGRAM_BYTES_MAX)), Rc::clone(&mailbox));
                drop(deferral.begin(async move {
                    let (outcome, datagram) = receiving.await;
                    mailbox.received.borrow_mut().push_back(outcome.map(|(_, sender)| (datagram, sender)));
                    mailbox.is_under_way.set(false);
                    mailbox.waiters.notify();
                }));
            }
            mailbox.waiters.until(|| !mailbox.received.borrow().is_empty()).await;
            let received = mailbox.received.borrow_mut().pop_front().expect("there is one");
            let outcome = received.map(|(datagram, sender)| (buf.fill_from(&datagram), sender));
            (outcome, buf)
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    async fn close(self) -> io::Result<()> {
        // A receive that is under way must not hold the port.
        drop(self);
        Ok(())
    }
}

const DATAGRAM_BYTES_MAX: usize = 65_507;
