//! UDP: a mailbox a socket.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};

use samestep_provider_traits::{BufResult, IoBuf, IoBufMut, UdpSocket};

use super::{Ports, take_address};

/// A UDP socket of a [`MemoryNetworkProvider`](super::MemoryNetworkProvider).
pub struct MemoryUdpSocket {
    mailbox: Rc<Mailbox>,
    ports: Rc<Ports>,
}

impl MemoryUdpSocket {
    pub(super) fn bind(ports: &Rc<Ports>, address: SocketAddr) -> io::Result<Self> {
        let mut sockets = ports.sockets.borrow_mut();
        let address = take_address(ports, &sockets, address)?;
        let mailbox =
            Rc::new(Mailbox { address, datagrams: RefCell::default(), receiver: RefCell::default() });
        sockets.insert(address, Rc::downgrade(&mailbox));
        Ok(Self { mailbox, ports: Rc::clone(ports) })
    }
}

impl Drop for MemoryUdpSocket {
    fn drop(&mut self) {
        self.ports.sockets.borrow_mut().remove(&self.mailbox.address);
    }
}

impl fmt::Debug for MemoryUdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryUdpSocket").field("address", &self.mailbox.address).finish_non_exhaustive()
    }
}

impl UdpSocket for MemoryUdpSocket {
    fn send_to<B: IoBuf>(
        &self,
        buf: B,
        target: SocketAddr,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let (ports, sender) = (Rc::clone(&self.ports), self.mailbox.address);
        async move {
            let sent = deliver(&ports, sender, target, buf.as_bytes());
            (sent, buf)
        }
    }

    fn recv_from<B: IoBufMut>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<(usize, SocketAddr), B>> + use<B> {
        let mailbox = Rc::clone(&self.mailbox);
        let mut buf = Some(buf);
        poll_fn(move |cx| {
            let Some((datagram, sender)) = mailbox.datagrams.borrow_mut().pop_front() else {
                mailbox.receiver.replace(Some(cx.waker().clone()));
                return Poll::Pending;
            };
            let mut buf = buf.take().expect("polled after it was over");
            let count = buf.fill_from(&datagram);
            Poll::Ready((Ok((count, sender)), buf))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.mailbox.address)
    }

    async fn close(self) -> io::Result<()> {
        drop(self);
        Ok(())
    }
}

/// Datagrams that wait for their socket to receive them, oldest first.
pub(super) struct Mailbox {
    address: SocketAddr,
    datagrams: RefCell<VecDeque<(Vec<u8>, SocketAddr)>>,
    receiver: RefCell<Option<Waker>>,
}

fn deliver(ports: &Ports, sender: SocketAddr, target: SocketAddr, datagram: &[u8]) -> io::Result<usize> {
    if datagram.len() > DATAGRAM_BYTES_MAX {
        let message = format!("a datagram has at most {DATAGRAM_BYTES_MAX} bytes, not {}", datagram.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    // A datagram to nobody is lost, and so is one that does not fit.
    let mailbox = ports.sockets.borrow().get(&target).and_then(Weak::upgrade);
    if let Some(mailbox) = mailbox
        && mailbox.datagrams.borrow().len() < MAILBOX_MAX
    {
        mailbox.datagrams.borrow_mut().push_back((datagram.to_vec(), sender));
        let receiver = mailbox.receiver.take();
        receiver.into_iter().for_each(Waker::wake);
    }
    Ok(datagram.len())
}

const DATAGRAM_BYTES_MAX: usize = 65_507;
const MAILBOX_MAX: usize = 1024;
