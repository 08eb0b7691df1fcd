//! TCP: a backlog of connections, and two pipes a connection.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};

use samestep_provider_traits::{BufResult, IoBuf, IoBufMut, TcpListener, TcpStream};

use super::{Ports, take_address};

/// A listening socket of a [`MemoryNetworkProvider`](super::MemoryNetworkProvider).
pub struct MemoryTcpListener {
    backlog: Rc<Backlog>,
    ports: Rc<Ports>,
}

impl MemoryTcpListener {
    pub(super) fn bind(ports: &Rc<Ports>, address: SocketAddr) -> io::Result<Self> {
        let mut listeners = ports.listeners.borrow_mut();
        let address = take_address(ports, &listeners, address)?;
        let backlog = Rc::new(Backlog { address, waiting: RefCell::default(), acceptor: RefCell::default() });
        listeners.insert(address, Rc::downgrade(&backlog));
        Ok(Self { backlog, ports: Rc::clone(ports) })
    }
}

impl Drop for MemoryTcpListener {
    fn drop(&mut self) {
        self.ports.listeners.borrow_mut().remove(&self.backlog.address);
        // Connections that nobody accepted are cut; a pending accept may hold the backlog for a while yet.
        let unaccepted = self.backlog.waiting.take();
        drop(unaccepted);
    }
}

impl fmt::Debug for MemoryTcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTcpListener").field("address", &self.backlog.address).finish_non_exhaustive()
    }
}

impl TcpListener for MemoryTcpListener {
    type Stream = MemoryTcpStream;

    fn accept(&self) -> impl Future<Output = io::Result<(MemoryTcpStream, SocketAddr)>> + use<> {
        let backlog = Rc::clone(&self.backlog);
        poll_fn(move |cx| {
            if let Some(stream) = backlog.waiting.borrow_mut().pop_front() {
                let peer = stream.end.peer;
                return Poll::Ready(Ok((stream, peer)));
            }
            backlog.acceptor.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.backlog.address)
    }

    async fn close(self) -> io::Result<()> {
        drop(self);
        Ok(())
    }
}

/// Connections that wait for a listener to accept them, oldest first.
pub(super) struct Backlog {
    address: SocketAddr,
    waiting: RefCell<VecDeque<MemoryTcpStream>>,
    acceptor: RefCell<Option<Waker>>,
}

/// One end of a connection of a [`MemoryNetworkProvider`](super::MemoryNetworkProvider). 64 KiB fit on the way in
/// each direction.
#[derive(Clone)]
pub struct MemoryTcpStream {
    end: Rc<End>,
}

impl MemoryTcpStream {
    pub(super) fn connect(ports: &Ports, address: SocketAddr) -> io::Result<Self> {
        let backlog = ports.listeners.borrow().get(&address).and_then(Weak::upgrade);
        let backlog = backlog.filter(|backlog| backlog.waiting.borrow().len() < BACKLOG_MAX);
        let backlog = backlog.ok_or(io::ErrorKind::ConnectionRefused)?;
        let local = SocketAddr::new(address.ip(), ports.free_port());
        let (one, two) = (Rc::<Pipe>::default(), Rc::<Pipe>::default());
        let near = End { incoming: Rc::clone(&one), outgoing: Rc::clone(&two), local, peer: address };
        let far = End { incoming: two, outgoing: one, local: address, peer: local };
        backlog.waiting.borrow_mut().push_back(Self { end: Rc::new(far) });
        let acceptor = backlog.acceptor.take();
        acceptor.into_iter().for_each(Waker::wake);
        Ok(Self { end: Rc::new(near) })
    }
}

impl fmt::Debug for MemoryTcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTcpStream")
            .field("local", &self.end.local)
            .field("peer", &self.end.peer)
            .finish_non_exhaustive()
    }
}

impl TcpStream for MemoryTcpStream {
    fn read<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let end = Rc::clone(&self.end);
        let mut buf = Some(buf);
        poll_fn(move |cx| {
            let target = buf.as_mut().expect("polled after it was over");
            let count = ready!(end.incoming.poll_read(cx, target));
            Poll::Ready((count, buf.take().expect("taken once")))
        })
    }

    fn write<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let end = Rc::clone(&self.end);
        let mut buf = Some(buf);
        poll_fn(move |cx| {
            let bytes = buf.as_ref().expect("polled after it was over").as_bytes();
            let count = ready!(end.outgoing.poll_write(cx, bytes));
            Poll::Ready((count, buf.take().expect("taken once")))
        })
    }

    fn shutdown(&self) -> impl Future<Output = io::Result<()>> + use<> {
        let end = Rc::clone(&self.end);
        async move {
            end.outgoing.end();
            Ok(())
        }
    }

    async fn close(self) -> io::Result<()> {
        self.end.hang_up();
        Ok(())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.end.local)
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.end.peer)
    }
}

/// What all handles to one end share.
struct End {
    incoming: Rc<Pipe>,
    outgoing: Rc<Pipe>,
    local: SocketAddr,
    peer: SocketAddr,
}

impl End {
    fn hang_up(&self) {
        if self.incoming.abandon() == Unread::Some {
            self.outgoing.reset();
        } else {
            self.outgoing.end();
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.hang_up();
    }
}

/// Bytes on their way in one direction.
#[derive(Default)]
struct Pipe {
    bytes: RefCell<VecDeque<u8>>,
    /// Nobody writes any more: a read behind the last byte is the end.
    has_ended: Cell<bool>,
    /// Nobody reads any more.
    is_abandoned: Cell<bool>,
    /// The writer's end was cut: reads fail.
    is_reset: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Waker>>,
}

/// Whether bytes were left that nobody will read.
#[derive(PartialEq)]
enum Unread {
    None,
    Some,
}

impl Pipe {
    fn poll_read<B: IoBufMut>(&self, cx: &mut Context<'_>, buf: &mut B) -> Poll<io::Result<usize>> {
        if buf.bytes_total() == 0 {
            return Poll::Ready(Ok(0));
        }
        if self.is_reset.get() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if self.is_abandoned.get() {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        let mut bytes = self.bytes.borrow_mut();
        if bytes.is_empty() {
            if self.has_ended.get() {
                buf.fill_from(&[]);
                return Poll::Ready(Ok(0));
            }
            self.reader.replace(Some(cx.waker().clone()));
            return Poll::Pending;
        }
        let count = buf.fill_from(bytes.as_slices().0);
        bytes.drain(..count);
        drop(bytes);
        wake(&self.writer);
        Poll::Ready(Ok(count))
    }

    fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.has_ended.get() || self.is_reset.get() || self.is_abandoned.get() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut bytes = self.bytes.borrow_mut();
        let count = buf.len().min(PIPE_BYTES_MAX - bytes.len());
        if count == 0 && !buf.is_empty() {
            self.writer.replace(Some(cx.waker().clone()));
            return Poll::Pending;
        }
        bytes.extend(&buf[..count]);
        drop(bytes);
        wake(&self.reader);
        Poll::Ready(Ok(count))
    }

    fn end(&self) {
        self.has_ended.set(true);
        wake(&self.reader);
        wake(&self.writer);
    }

    fn reset(&self) {
        self.is_reset.set(true);
        self.end();
    }

    fn abandon(&self) -> Unread {
        let is_first = !self.is_abandoned.replace(true);
        wake(&self.reader);
        wake(&self.writer);
        if is_first && !self.bytes.take().is_empty() { Unread::Some } else { Unread::None }
    }
}

/// Wakes whoever waits there, outside of any borrow.
fn wake(waiter: &RefCell<Option<Waker>>) {
    let waker = waiter.take();
    waker.into_iter().for_each(Waker::wake);
}

const BACKLOG_MAX: usize = 128;
const PIPE_BYTES_MAX: usize = 64 * 1024;
