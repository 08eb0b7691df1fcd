//! UDP: a receive belongs to the socket, and the datagram it brings waits for whoever asks next.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Waker;

use rustix::net::SocketType;
use samestep_provider_traits::{BufResult, IoBuf, IoBufMut, UdpSocket};

use super::listener::shut_down;
use super::{closed, local_addr, socket};
use crate::core::Core;
use crate::op::Op;
use crate::slots::Key;
use crate::sys::{Attendance, Completion, Message, OnDrop, Owner, Prepared, TAG_UNTOLD, Tag};
use crate::waiters::Waiters;

/// A UDP socket. A receive that is given up takes no datagram with it.
pub struct UringSocket {
    state: Rc<State>,
}

struct State {
    core: Rc<Core>,
    fd: RefCell<Option<OwnedFd>>,
    /// Came, and was not yet asked for.
    datagram: RefCell<Option<io::Result<Datagram>>>,
    /// What the last receive used, for the next.
    spare: RefCell<Option<(Vec<u8>, Box<Message>)>>,
    receive: Cell<Option<Key>>,
    waiters: Waiters,
}

struct Datagram {
    bytes: Vec<u8>,
    message: Box<Message>,
}

impl UringSocket {
    pub(super) fn bind(core: Rc<Core>, address: SocketAddr) -> io::Result<Self> {
        let fd = socket(address, SocketType::DGRAM)?;
        rustix::net::bind(&fd, &address)?;
        let state = State {
            core,
            fd: RefCell::new(Some(fd)),
            datagram: RefCell::default(),
            spare: RefCell::default(),
            receive: Cell::default(),
            waiters: Waiters::default(),
        };
        Ok(Self { state: Rc::new(state) })
    }
}

impl State {
    fn take<B: IoBufMut>(self: &Rc<Self>, buf: &mut B) -> Option<io::Result<(usize, SocketAddr)>> {
        let came = self.datagram.take();
        if let Some(came) = came {
            return Some(came.and_then(|Datagram { bytes, message }| {
                let sender = message.sender().ok_or(io::ErrorKind::Unsupported)?;
                let count = buf.fill_from(&bytes);
                self.spare.replace(Some((bytes, message)));
                Ok((count, sender))
            }));
        }
        if self.receive.get().is_none() {
            return self.look().err().map(Err);
        }
        None
    }

    fn look(self: &Rc<Self>) -> io::Result<()> {
        let fd = self.fd.borrow();
        let fd = fd.as_ref().ok_or_else(closed)?;
        let spare = self.spare.take();
        let (bytes, message) =
            spare.unwrap_or_else(|| (Vec::with_capacity(DATAGRAM_BYTES_MAX), Message::new()));
        let prepared = Prepared::recv_msg(fd, message, bytes);
        let owner = Rc::clone(self) as Rc<dyn Owner>;
        let ring = self.core.ring_now();
        let started = self.core.driver.borrow_mut().start(
            ring,
            prepared,
            Some(owner),
            TAG_RECEIVE,
            Attendance::Detached,
        );
        self.receive.set(Some(started.map_err(|_| shut_down())?));
        Ok(())
    }

    fn end_receive(&self) {
        if let Some(key) = self.receive.get() {
            self.core.driver.borrow_mut().cancel(key);
        }
    }
}

impl Owner for State {
    fn completed(self: Rc<Self>, completion: Completion) {
        if completion.tag != TAG_RECEIVE {
            return;
        }
        self.receive.set(None);
        if let Some(owned) = completion.owned
            && completion.result >= 0
        {
            let (bytes, message) = owned.into_filled_with();
            self.datagram.replace(Some(Ok(Datagram { bytes, message })));
        } else if completion.result != -libc::ECANCELED {
            self.datagram.replace(Some(Err(io::Error::from_raw_os_error(-completion.result))));
        }
        self.waiters.notify();
    }

    fn each_waiter(&self, each: &mut dyn FnMut(&Waker, Option<&'static str>)) {
        self.waiters.each(|waker| each(waker, Some("recvmsg")));
    }
}

impl UdpSocket for UringSocket {
    fn send_to<B: IoBuf>(
        &self,
        buf: B,
        target: SocketAddr,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let state = Rc::clone(&self.state);
        async move {
            let prepared = match state.fd.borrow().as_ref() {
                Some(fd) => Prepared::send_msg(fd, Message::new(), buf, target),
                None => return (Err(closed()), buf),
            };
            let owner = Rc::clone(&state) as Rc<dyn Owner>;
            let ring = state.core.ring_now();
            let op = Op::start(&state.core, ring, prepared, Some(owner), TAG_UNTOLD, OnDrop::Cancel);
            let (count, (buf, _)) = op.await.take::<(B, Box<Message>)>();
            (count.map(|count| count as usize), buf)
        }
    }

    fn recv_from<B: IoBufMut>(
        &self,
        mut buf: B,
    ) -> impl Future<Output = BufResult<(usize, SocketAddr), B>> + use<B> {
        let state = Rc::clone(&self.state);
        async move {
            let received = state.waiters.until(|| state.take(&mut buf)).await;
            (received, buf)
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        local_addr(self.state.fd.borrow().as_ref().ok_or_else(closed)?)
    }

    async fn close(self) -> io::Result<()> {
        let state = Rc::clone(&self.state);
        drop(self);
        state.waiters.until_true(|| state.receive.get().is_none()).await;
        drop(state.fd.take());
        Ok(())
    }
}

impl Drop for UringSocket {
    fn drop(&mut self) {
        self.state.end_receive();
    }
}

impl fmt::Debug for UringSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UringSocket").field("local_addr", &self.local_addr().ok()).finish_non_exhaustive()
    }
}

const TAG_RECEIVE: Tag = 1;
/// No datagram is longer.
const DATAGRAM_BYTES_MAX: usize = 65_535;
