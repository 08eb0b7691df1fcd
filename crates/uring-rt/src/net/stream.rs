//! Connections: one multishot receive a connection, whose bytes wait for whoever reads next.

use std::cell::{Cell, Ref, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Waker;

use rustix::net::{Shutdown, SocketType, sockopt};
use samestep_provider_traits::{BufResult, IoBuf, IoBufMut, TcpStream};

use super::listener::shut_down;
use super::{closed, local_addr, peer_addr, reset_on_close, socket};
use crate::core::Core;
use crate::op::Op;
use crate::slots::Key;
use crate::sys::{Address, Attendance, Completion, OnDrop, Owner, Picked, Prepared, TAG_UNTOLD, Tag};
use crate::waiters::Waiters;

/// One end of a TCP connection.
///
/// From the first [`read`](TcpStream::read) on, the kernel hands bytes over as they come, at most some buffers ahead
/// of the reader; the others wait in the kernel. A read that is given up takes none with it.
#[derive(Clone)]
pub struct UringStream {
    handle: Rc<Handle>,
}

/// Dropped with the last handle.
struct Handle(Rc<State>);

struct State {
    core: Rc<Core>,
    fd: RefCell<Option<OwnedFd>>,
    /// Received and not yet read.
    inbox: RefCell<VecDeque<Chunk>>,
    end: RefCell<Option<End>>,
    /// The receive under way.
    receive: Cell<Option<Key>>,
    is_ending: Cell<bool>,
    /// The ring had no buffer left when one was needed.
    is_starved: Cell<bool>,
    /// Sends of so many bytes are not copied, if any.
    zero_copy_bytes: Option<usize>,
    /// A send is under way.
    is_sending: Cell<bool>,
    readers: Waiters,
    writers: Waiters,
}

/// Bytes that came, from `start` on.
struct Chunk {
    bytes: Bytes,
    start: usize,
    end: usize,
}

enum Bytes {
    /// In a buffer of the ring.
    Picked(Picked),
    /// In one of their own, as the ring had none.
    Own(Vec<u8>),
}

/// What comes after the last byte.
enum End {
    Eof,
    /// Told once.
    Failed(io::Error),
}

impl UringStream {
    with_fd!(self, self.fd());

    /// One of TCP, that sends at once what it is given: those that a listener accepts do, as it does.
    pub(super) fn new(core: Rc<Core>, fd: OwnedFd) -> Self {
        let zero_copy_bytes = core.zero_copy_bytes;
        Self { handle: Rc::new(Handle(Rc::new(State::new(core, fd, zero_copy_bytes)))) }
    }

    /// One that is not TCP, and copies all that it sends.
    pub(super) fn of_other_family(core: Rc<Core>, fd: OwnedFd) -> Self {
        Self { handle: Rc::new(Handle(Rc::new(State::new(core, fd, None)))) }
    }

    pub(super) async fn connect(core: Rc<Core>, address: SocketAddr) -> io::Result<Self> {
        let fd = socket(address, SocketType::STREAM)?;
        sockopt::set_tcp_nodelay(&fd, true)?;
        let prepared = Prepared::connect(&fd, Address::new(address));
        Self::new(core, fd).connected(prepared).await
    }

    /// Ends when `connect` has, which is an operation of this socket.
    pub(super) async fn connected(self, connect: Prepared) -> io::Result<Self> {
        let (stream, core) = (&self, &self.state().core);
        let owner = Rc::clone(&stream.handle.0) as Rc<dyn Owner>;
        let ring = core.ring_now();
        Op::start(core, ring, connect, Some(owner), TAG_UNTOLD, OnDrop::Cancel).await.result()?;
        Ok(self)
    }

    /// The socket, until a handle closes it.
    pub(super) fn fd(&self) -> io::Result<Ref<'_, OwnedFd>> {
        Ref::filter_map(self.state().fd.borrow(), Option::as_ref).map_err(|_| closed())
    }

    fn state(&self) -> &Rc<State> {
        &self.handle.0
    }
}

impl State {
    fn new(core: Rc<Core>, fd: OwnedFd, zero_copy_bytes: Option<usize>) -> Self {
        Self {
            core,
            fd: RefCell::new(Some(fd)),
            inbox: RefCell::default(),
            end: RefCell::default(),
            receive: Cell::default(),
            is_ending: Cell::default(),
            is_starved: Cell::default(),
            zero_copy_bytes,
            is_sending: Cell::default(),
            readers: Waiters::default(),
            writers: Waiters::default(),
        }
    }

    /// Moves bytes that came to `buf`, or tells that there are no more; else has the kernel look for some.
    fn take<B: IoBufMut>(self: &Rc<Self>, buf: &mut B) -> Option<io::Result<usize>> {
        let first = self.inbox.borrow_mut().pop_front();
        if let Some(mut chunk) = first {
            let count = match &chunk.bytes {
                Bytes::Picked(_) if self.core.driver.borrow().is_drained() => return Some(Err(shut_down())),
                Bytes::Picked(buffer) => {
                    self.core.driver.borrow().copy_out(buffer, chunk.start, chunk.end, buf)
                }
                Bytes::Own(bytes) => buf.fill_from(&bytes[chunk.start..chunk.end]),
            };
            chunk.start += count;
            if chunk.start < chunk.end {
                self.inbox.borrow_mut().push_front(chunk);
            } else {
                self.give_back(chunk.bytes);
            }
            return Some(Ok(count));
        }
        let end = self.end.take();
        if let Some(end) = end {
            self.end.replace(Some(End::Eof));
            return Some(match end {
                // None came, and so many are in it.
                End::Eof => Ok(buf.fill_from(&[])),
                End::Failed(error) => Err(error),
            });
        }
        if self.receive.get().is_none() {
            return self.look().err().map(Err);
        }
        None
    }

    fn look(self: &Rc<Self>) -> io::Result<()> {
        let fd = self.fd.borrow();
        let fd = fd.as_ref().ok_or_else(closed)?;
        let (prepared, tag) = if self.is_starved.replace(false) {
            (Prepared::recv(fd, Vec::with_capacity(OWN_BYTES)), TAG_RECEIVE_OWN)
        } else {
            (Prepared::recv_multi(fd, 0), TAG_RECEIVE)
        };
        let owner = Rc::clone(self) as Rc<dyn Owner>;
        let ring = self.core.ring_now();
        let started =
            self.core.driver.borrow_mut().start(ring, prepared, Some(owner), tag, Attendance::Detached);
        self.receive.set(Some(started.map_err(|_| shut_down())?));
        self.is_ending.set(false);
        Ok(())
    }

    fn end_receive(&self) {
        if let Some(key) = self.receive.get()
            && !self.is_ending.replace(true)
        {
            self.core.driver.borrow_mut().cancel(key);
        }
    }

    fn give_back(&self, bytes: Bytes) {
        if let Bytes::Picked(buffer) = bytes {
            self.core.driver.borrow_mut().give_back(buffer);
        }
    }

    fn received(&self, completion: Completion) {
        let count = usize::try_from(completion.result);
        match count {
            Ok(0) => {
                self.end.replace(Some(End::Eof));
            }
            Ok(count) => {
                let bytes = match (completion.buffer, completion.owned) {
                    (Some(buffer), _) => Bytes::Picked(buffer),
                    (None, Some(owned)) => Bytes::Own(owned.into_filled()),
                    (None, None) => unreachable!("bytes came, and are nowhere"),
                };
                self.inbox.borrow_mut().push_back(Chunk { bytes, start: 0, end: count });
            }
            Err(_) => match -completion.result {
                libc::ECANCELED => {}
                libc::ENOBUFS => self.is_starved.set(true),
                error => {
                    self.end.replace(Some(End::Failed(io::Error::from_raw_os_error(error))));
                }
            },
        }
        if completion.is_last {
            self.receive.set(None);
        } else if self.inbox.borrow().len() >= INBOX_MAX {
            self.end_receive();
        }
        self.readers.notify();
    }
}

impl Owner for State {
    fn completed(self: Rc<Self>, completion: Completion) {
        if completion.was_told {
            // The rest of a send that nobody awaits any more: a buffer.
        } else if completion.tag == TAG_SEND {
            self.is_sending.set(false);
            self.writers.notify();
        } else if completion.tag != TAG_UNTOLD {
            self.received(completion);
        }
    }

    fn each_waiter(&self, each: &mut dyn FnMut(&Waker, Option<&'static str>)) {
        self.readers.each(|waker| each(waker, Some("recv")));
        self.writers.each(|waker| each(waker, Some("a turn to send")));
    }
}

impl TcpStream for UringStream {
    fn read<B: IoBufMut>(&self, mut buf: B) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let stream = self.clone();
        async move {
            if buf.bytes_total() == 0 {
                return (Ok(0), buf);
            }
            let state = stream.state();
            let count = state.readers.until(|| state.take(&mut buf)).await;
            (count, buf)
        }
    }

    fn write<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let stream = self.clone();
        async move {
            let state = stream.state();
            state.writers.until_true(|| !state.is_sending.get()).await;
            if buf.bytes_init() == 0 {
                return (Ok(0), buf);
            }
            let prepared = match state.fd.borrow().as_ref() {
                Some(fd) if state.zero_copy_bytes.is_some_and(|least| buf.bytes_init() >= least) => {
                    Prepared::send_zero_copy(fd, buf)
                }
                Some(fd) => Prepared::send(fd, buf),
                None => return (Err(closed()), buf),
            };
            let owner = Rc::clone(state) as Rc<dyn Owner>;
            let op = Op::start(
                &state.core,
                state.core.ring_now(),
                prepared,
                Some(owner),
                TAG_SEND,
                OnDrop::Cancel,
            );
            if op.is_started() {
                state.is_sending.set(true);
            }
            op.await.into_sent()
        }
    }

    fn shutdown(&self) -> impl Future<Output = io::Result<()>> + use<> {
        let stream = self.clone();
        async move {
            let state = stream.state();
            state.writers.until_true(|| !state.is_sending.get()).await;
            let fd = state.fd.borrow();
            Ok(rustix::net::shutdown(fd.as_ref().ok_or_else(closed)?, Shutdown::Write)?)
        }
    }

    async fn close(self) -> io::Result<()> {
        let state = self.state();
        state.writers.until_true(|| !state.is_sending.get()).await;
        let shut = match state.fd.borrow().as_ref() {
            Some(fd) => rustix::net::shutdown(fd, Shutdown::Both),
            None => Ok(()),
        };
        state.end_receive();
        state.readers.until_true(|| state.receive.get().is_none()).await;
        drop(state.fd.take());
        match shut {
            // The peer was faster.
            Err(rustix::io::Errno::NOTCONN) => Ok(()),
            shut => Ok(shut?),
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        local_addr(&*self.fd()?)
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        peer_addr(&*self.fd()?)
    }
}

impl Drop for Handle {
    /// Nobody will read or write. The descriptor is closed when what is under way has ended.
    fn drop(&mut self) {
        let state = &self.0;
        state.end_receive();
        let inbox = state.inbox.take();
        if !inbox.is_empty()
            && let Some(fd) = state.fd.borrow().as_ref()
        {
            // As the kernel does when what it received is not read.
            reset_on_close(fd);
        }
        for chunk in inbox {
            state.give_back(chunk.bytes);
        }
    }
}

impl Drop for State {
    /// What came after the last handle was gone.
    fn drop(&mut self) {
        for chunk in self.inbox.take() {
            self.give_back(chunk.bytes);
        }
    }
}

impl fmt::Debug for UringStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (local, peer) = (self.local_addr().ok(), self.peer_addr().ok());
        f.debug_struct("UringStream").field("local", &local).field("peer", &peer).finish_non_exhaustive()
    }
}

const TAG_RECEIVE: Tag = 1;
const TAG_RECEIVE_OWN: Tag = 2;
const TAG_SEND: Tag = 3;
/// Chunks that are received ahead of the reader.
const INBOX_MAX: usize = 8;
const OWN_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use samestep_provider_traits::{NetworkProvider, Providers, TcpListener};

    use super::sockopt;
    use crate::{DriverChoice, Runtime};

    /// What is written goes at once, also by whoever was accepted: that is the listener's doing.
    #[test]
    fn both_ends_send_at_once() {
        let runtime = Runtime::builder().driver(DriverChoice::RingOrThreads).build().unwrap();
        let world = runtime.providers(".", 1).unwrap();
        runtime.block_on(async {
            let listener = world.network().bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            let connected = world.network().connect(listener.local_addr().unwrap()).await.unwrap();
            let (accepted, _) = listener.accept().await.unwrap();
            for stream in [connected, accepted] {
                assert!(stream.with_fd(|fd| Ok(sockopt::tcp_nodelay(fd)?)).unwrap());
            }
        });
    }
}
