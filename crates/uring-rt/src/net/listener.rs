//! Listening sockets: one multishot accept a socket, whose connections wait for whoever asks next.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Waker;

use rustix::net::{SocketType, sockopt};
use samestep_provider_traits::TcpListener;

use super::{UringStream, closed, local_addr, peer_addr, reset_on_close, socket};
use crate::core::Core;
use crate::slots::Key;
use crate::sys::{Attendance, Completion, Owner, Prepared, own};
use crate::waiters::Waiters;

/// A TCP socket that listens.
///
/// From the first [`accept`](TcpListener::accept) on, the kernel hands connections over as they come, at most
/// 128 ahead of whoever takes them; the others wait in the kernel. An accept that is given up takes none with it.
pub struct UringListener {
    state: Rc<State>,
}

struct State {
    core: Rc<Core>,
    fd: RefCell<Option<OwnedFd>>,
    /// Accepted and not yet asked for.
    ready: RefCell<VecDeque<OwnedFd>>,
    error: RefCell<Option<io::Error>>,
    /// The accept under way.
    accept: Cell<Option<Key>>,
    /// It was asked to end, as enough connections wait or nobody will take them.
    is_ending: Cell<bool>,
    is_closed: Cell<bool>,
    waiters: Waiters,
}

impl UringListener {
    pub(crate) fn bind(core: Rc<Core>, address: SocketAddr) -> io::Result<Self> {
        let fd = socket(address, SocketType::STREAM)?;
        sockopt::set_socket_reuseaddr(&fd, true)?;
        rustix::net::bind(&fd, &address)?;
        rustix::net::listen(&fd, BACKLOG)?;
        let state = State {
            core,
            fd: RefCell::new(Some(fd)),
            ready: RefCell::default(),
            error: RefCell::default(),
            accept: Cell::default(),
            is_ending: Cell::default(),
            is_closed: Cell::default(),
            waiters: Waiters::default(),
        };
        Ok(Self { state: Rc::new(state) })
    }
}

impl State {
    /// The connection that has waited longest, or why there will be none; else has the kernel look for some.
    fn take(self: &Rc<Self>) -> Option<io::Result<(OwnedFd, SocketAddr)>> {
        loop {
            let accepted = self.ready.borrow_mut().pop_front();
            let Some(accepted) = accepted else { break };
            // One that was reset before anybody took it has no peer any more, and nothing to say.
            if let Ok(peer) = peer_addr(&accepted) {
                return Some(Ok((accepted, peer)));
            }
        }
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        if self.is_closed.get() {
            return Some(Err(closed()));
        }
        if self.accept.get().is_none() {
            return self.look().err().map(Err);
        }
        None
    }

    fn look(self: &Rc<Self>) -> io::Result<()> {
        let fd = self.fd.borrow();
        let prepared = Prepared::accept_multi(fd.as_ref().ok_or_else(closed)?);
        let owner: Rc<dyn Owner> = Rc::clone(self) as Rc<dyn Owner>;
        let ring = self.core.ring_now();
        let started =
            self.core.driver.borrow_mut().start(ring, prepared, Some(owner), 0, Attendance::Detached);
        let key = started.map_err(|_| shut_down())?;
        self.accept.set(Some(key));
        self.is_ending.set(false);
        Ok(())
    }

    fn end_accept(&self) {
        if let Some(key) = self.accept.get()
            && !self.is_ending.replace(true)
        {
            self.core.driver.borrow_mut().cancel(key);
        }
    }
}

impl Owner for State {
    fn completed(self: Rc<Self>, completion: Completion) {
        match u32::try_from(completion.result) {
            Ok(accepted) => {
                let accepted = own(accepted);
                if self.is_closed.get() {
                    reset_on_close(&accepted);
                } else {
                    self.ready.borrow_mut().push_back(accepted);
                }
            }
            Err(_) if completion.result == -libc::ECANCELED => {}
            Err(_) => {
                self.error.replace(Some(io::Error::from_raw_os_error(-completion.result)));
            }
        }
        if completion.is_last {
            self.accept.set(None);
        } else if self.ready.borrow().len() >= READY_MAX {
            self.end_accept();
        }
        self.waiters.notify();
    }

    fn each_waiter(&self, each: &mut dyn FnMut(&Waker, Option<&'static str>)) {
        self.waiters.each(|waker| each(waker, None));
    }
}

impl TcpListener for UringListener {
    type Stream = UringStream;

    fn accept(&self) -> impl Future<Output = io::Result<(UringStream, SocketAddr)>> + use<> {
        let state = Rc::clone(&self.state);
        async move {
            let (accepted, peer) = state.waiters.until(|| state.take()).await?;
            Ok((UringStream::new(Rc::clone(&state.core), accepted)?, peer))
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        local_addr(self.state.fd.borrow().as_ref().ok_or_else(closed)?)
    }

    async fn close(self) -> io::Result<()> {
        let state = Rc::clone(&self.state);
        drop(self);
        state.waiters.until_true(|| state.accept.get().is_none()).await;
        drop(state.fd.take());
        Ok(())
    }
}

impl Drop for UringListener {
    fn drop(&mut self) {
        self.state.is_closed.set(true);
        self.state.end_accept();
        let ready = self.state.ready.take();
        ready.iter().for_each(reset_on_close);
        self.state.waiters.notify();
    }
}

impl fmt::Debug for UringListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UringListener").field("local_addr", &self.local_addr().ok()).finish_non_exhaustive()
    }
}

/// What calls get after the runtime's end.
pub(super) fn shut_down() -> io::Error {
    io::Error::other("the runtime was shut down")
}

/// What the kernel keeps of connections that nobody accepted.
const BACKLOG: i32 = 1024;
/// Connections that are accepted ahead of demand.
const READY_MAX: usize = 128;
