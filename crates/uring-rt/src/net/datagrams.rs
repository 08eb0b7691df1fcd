//! Sockets of datagrams, of whichever family: a receive belongs to the socket, and the datagram it brings waits for
//! whoever asks next.

use std::cell::{Cell, Ref, RefCell};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Waker;

use samestep_provider_traits::{BufResult, IoBuf, IoBufMut};

use super::closed;
use super::listener::shut_down;
use crate::core::Core;
use crate::op::Op;
use crate::slots::Key;
use crate::sys::{Address, Attendance, Completion, Message, OnDrop, Owner, Prepared, TAG_UNTOLD, Tag};
use crate::waiters::Waiters;

/// A socket, and what came to it.
pub(super) struct Datagrams(Rc<State>);

struct State {
    core: Rc<Core>,
    fd: RefCell<Option<OwnedFd>>,
    /// What a receive has room for.
    bytes_max: usize,
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

impl Datagrams {
    /// Of a socket on which no datagram is longer than `bytes_max`, or else is refused.
    pub(super) fn new(core: Rc<Core>, fd: OwnedFd, bytes_max: usize) -> Self {
        Self(Rc::new(State {
            core,
            fd: RefCell::new(Some(fd)),
            bytes_max,
            datagram: RefCell::default(),
            spare: RefCell::default(),
            receive: Cell::default(),
            waiters: Waiters::default(),
        }))
    }

    /// Sends one to `target`, or to whom the socket is connected to.
    pub(super) fn send<B: IoBuf>(
        &self,
        buf: B,
        target: Option<Address>,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let state = Rc::clone(&self.0);
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

    /// Receives one, and what `look` finds out about who sent it.
    pub(super) fn receive<B: IoBufMut, T>(
        &self,
        mut buf: B,
        look: fn(&Message) -> io::Result<T>,
    ) -> impl Future<Output = BufResult<(usize, T), B>> + use<B, T> {
        let state = Rc::clone(&self.0);
        async move {
            let received = state.waiters.until(|| state.take(&mut buf, look)).await;
            (received, buf)
        }
    }

    pub(super) fn fd(&self) -> io::Result<Ref<'_, OwnedFd>> {
        Ref::filter_map(self.0.fd.borrow(), Option::as_ref).map_err(|_| closed())
    }

    pub(super) async fn close(self) {
        let state = Rc::clone(&self.0);
        drop(self);
        state.waiters.until_true(|| state.receive.get().is_none()).await;
        drop(state.fd.take());
    }
}

impl State {
    fn take<B: IoBufMut, T>(
        self: &Rc<Self>,
        buf: &mut B,
        look: fn(&Message) -> io::Result<T>,
    ) -> Option<io::Result<(usize, T)>> {
        let came = self.datagram.take();
        if let Some(came) = came {
            return Some(came.and_then(|Datagram { bytes, message }| {
                if message.is_cut() {
                    let message =
                        format!("a datagram of more than {} bytes came, and was cut", self.bytes_max);
                    return Err(io::Error::new(ErrorKind::InvalidData, message));
                }
                let sender = look(&message)?;
                let count = buf.fill_from(&bytes);
                self.spare.replace(Some((bytes, message)));
                Ok((count, sender))
            }));
        }
        if self.receive.get().is_none() {
            return self.begin_receive().err().map(Err);
        }
        None
    }

    fn begin_receive(self: &Rc<Self>) -> io::Result<()> {
        let fd = self.fd.borrow();
        let fd = fd.as_ref().ok_or_else(closed)?;
        let spare = self.spare.take();
        let (bytes, message) = spare.unwrap_or_else(|| (Vec::with_capacity(self.bytes_max), Message::new()));
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

impl Drop for Datagrams {
    fn drop(&mut self) {
        if let Some(key) = self.0.receive.get() {
            self.0.core.driver.borrow_mut().cancel(key);
        }
    }
}

const TAG_RECEIVE: Tag = 1;
