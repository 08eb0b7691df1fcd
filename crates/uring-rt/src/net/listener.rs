//! Listening sockets: one multishot accept a socket, whose connections wait for whoever asks next.

use std::cell::{Cell, Ref, RefCell};
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
    accepts: Accepts,
}

/// A socket that listens, of whichever family, and what it has accepted.
pub(super) struct Accepts(Rc<State>);

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
    with_fd!(self, self.accepts.fd());

    pub(crate) fn bind(core: Rc<Core>, address: SocketAddr) -> io::Result<Self> {
        let fd = socket(address, SocketType::STREAM)?;
        sockopt::set_socket_reuseaddr(&fd, true)?;
        // What it accepts has this from it, which saves a call for each.
        sockopt::set_tcp_nodelay(&fd, true)?;
        rustix::net::bind(&fd, &address)?;
        Ok(Self { accepts: Accepts::listen(core, fd)? })
    }
}

impl Accepts {
    /// Has a socket that has its address listen.
    pub(super) fn listen(core: Rc<Core>, fd: OwnedFd) -> io::Result<Self> {
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
        Ok(Self(Rc::new(state)))
    }

    /// The next connection, with what `look` finds out about it; one of which it finds nothing is dropped.
    pub(super) fn next<T>(
        &self,
        look: fn(&OwnedFd) -> Option<T>,
    ) -> impl Future<Output = io::Result<(OwnedFd, T)>> + use<T> {
        let state = Rc::clone(&self.0);
        async move { state.waiters.until(|| state.take(look)).await }
    }

    pub(super) fn core(&self) -> &Rc<Core> {
        &self.0.core
    }

    pub(super) fn fd(&self) -> io::Result<Ref<'_, OwnedFd>> {
        Ref::filter_map(self.0.fd.borrow(), Option::as_ref).map_err(|_| closed())
    }

    /// Takes no more, and ends when the kernel does so, too.
    pub(super) async fn close(self) {
        let state = Rc::clone(&self.0);
        drop(self);
        state.waiters.until_true(|| state.accept.get().is_none()).await;
        drop(state.fd.take());
    }
}

impl State {
    /// The connection that has waited longest, or why there will be none; else has the kernel look for some.
    fn take<T>(self: &Rc<Self>, look: fn(&OwnedFd) -> Option<T>) -> Option<io::Result<(OwnedFd, T)>> {
        loop {
            let accepted = self.ready.borrow_mut().pop_front();
            let Some(accepted) = accepted else { break };
            if let Some(found) = look(&accepted) {
                return Some(Ok((accepted, found)));
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
        // One that was reset before anybody took it has no peer any more, and nothing to say.
        let next = self.accepts.next(|accepted| peer_addr(accepted).ok());
        let core = Rc::clone(self.accepts.core());
        async move {
            let (accepted, peer) = next.await?;
            Ok((UringStream::new(core, accepted), peer))
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        local_addr(&*self.accepts.fd()?)
    }

    async fn close(self) -> io::Result<()> {
        self.accepts.close().await;
        Ok(())
    }
}

impl Drop for Accepts {
    fn drop(&mut self) {
        self.0.is_closed.set(true);
        self.0.end_accept();
        let ready = self.0.ready.take();
        ready.iter().for_each(reset_on_close);
        self.0.waiters.notify();
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
