//! TCP whose operations take a random time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use samestep_memory_providers::{MemoryTcpListener, MemoryTcpStream};
use samestep_provider_traits::{BufResult, IoBuf, IoBufMut, TcpListener, TcpStream};

use super::wait::Waiters;
use super::{Defect, Deferral};

/// A listening socket of a deferred world.
#[derive(Debug)]
pub(crate) struct DeferredListener {
    inner: Rc<MemoryTcpListener>,
    deferral: Deferral,
    accepts: Rc<Accepts>,
}

/// What accepts have brought, and whether one is under way.
#[derive(Debug, Default)]
struct Accepts {
    accepted: RefCell<VecDeque<io::Result<(MemoryTcpStream, SocketAddr)>>>,
    is_under_way: Cell<bool>,
    waiters: Waiters,
}

impl DeferredListener {
    pub(super) fn new(inner: MemoryTcpListener, deferral: Deferral) -> Self {
        Self { inner: Rc::new(inner), deferral, accepts: Rc::default() }
    }
}

impl TcpListener for DeferredListener {
    type Stream = DeferredStream;

    fn accept(&self) -> impl Future<Output = io::Result<(DeferredStream, SocketAddr)>> + use<> {
        let (inner, deferral, accepts) =
            (Rc::clone(&self.inner), self.deferral.clone(), Rc::clone(&self.accepts));
        async move {
            if accepts.accepted.borrow().is_empty() && !accepts.is_under_way.replace(true) {
                let (accepting, accepts) = (inner.accept(), Rc::clone(&accepts));
                drop(deferral.begin(async move {
                    let accepted = accepting.await;
                    accepts.accepted.borrow_mut().push_back(accepted);
                    accepts.is_under_way.set(false);
                    accepts.waiters.notify();
                }));
            }
            accepts.waiters.until(|| !accepts.accepted.borrow().is_empty()).await;
            let accepted = accepts.accepted.borrow_mut().pop_front().expect("there is one");
            let (stream, peer) = accepted?;
            Ok((DeferredStream::new(stream, deferral), peer))
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    async fn close(self) -> io::Result<()> {
        drop(self);
        Ok(())
    }
}

/// One end of a connection of a deferred world.
#[derive(Clone)]
pub(crate) struct DeferredStream {
    inner: MemoryTcpStream,
    deferral: Deferral,
    state: Rc<State>,
}

#[derive(Default)]
struct State {
    /// Received by a read whose future was gone.
    stash: RefCell<VecDeque<u8>>,
    /// Of a read whose future was gone; the next read reports it.
    orphan_error: RefCell<Option<io::Error>>,
    is_reading: Cell<bool>,
    is_writing: Cell<bool>,
    waiters: Waiters,
}

impl DeferredStream {
    pub(super) fn new(inner: MemoryTcpStream, deferral: Deferral) -> Self {
        Self { inner, deferral, state: Rc::default() }
    }
}

impl fmt::Debug for DeferredStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeferredStream").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl State {
    /// Waits for the write that is under way, whosever it was.
    async fn written(&self) {
        self.waiters.until(|| !self.is_writing.get()).await;
    }

    /// Keeps for the next read what one brought whose future was gone.
    fn keep<B: IoBuf>(&self, (count, buf): &BufResult<usize, B>, defect: Defect) {
        match count {
            _ if defect == Defect::ByteLostOnDroppedReceive => {}
            Ok(count) => self.stash.borrow_mut().extend(&buf.as_bytes()[..*count]),
            Err(error) => drop(self.orphan_error.replace(Some(error.kind().into()))),
        }
    }
}

/// Where a read's operation leaves its outcome. The operation may be over and the future not yet have looked:
/// what is left here when the future goes is for the next read.
struct Handover<B: IoBuf> {
    outcome: Rc<RefCell<Option<BufResult<usize, B>>>>,
    state: Rc<State>,
    defect: Defect,
}

impl<B: IoBuf> Handover<B> {
    fn take(self) -> BufResult<usize, B> {
        self.outcome.take().expect("the operation is over")
    }
}

impl<B: IoBuf> Drop for Handover<B> {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            self.state.keep(&outcome, self.defect);
        }
    }
}

impl TcpStream for DeferredStream {
    fn read<B: IoBufMut>(&self, mut buf: B) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let (inner, deferral, state) = (self.inner.clone(), self.deferral.clone(), Rc::clone(&self.state));
        async move {
            // A read whose future is gone still owns the next bytes: wait for it, then take what it brought.
            state.waiters.until(|| !state.is_reading.get()).await;
            if !state.stash.borrow().is_empty() {
                let mut stash = state.stash.borrow_mut();
                let count = buf.fill_from(stash.make_contiguous());
                stash.drain(..count);
                return (Ok(count), buf);
            }
            if let Some(error) = state.orphan_error.take() {
                return (Err(error), buf);
            }
            state.is_reading.set(true);
            let handover = Handover { outcome: Rc::default(), state, defect: deferral.defect };
            let (outcome, state) = (Rc::clone(&handover.outcome), Rc::clone(&handover.state));
            let begun = deferral.begin(async move {
                *outcome.borrow_mut() = Some(inner.read(buf).await);
                state.is_reading.set(false);
                // The future is gone, and with it the other handle: what came is for the next read.
                if let Some(outcome) = Rc::into_inner(outcome).and_then(RefCell::into_inner) {
                    state.keep(&outcome, deferral.defect);
                }
                state.waiters.notify();
            });
            begun.await.expect("operations do not panic");
            handover.take()
        }
    }

    fn write<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let (inner, deferral, state) = (self.inner.clone(), self.deferral.clone(), Rc::clone(&self.state));
        async move {
            state.written().await;
            state.is_writing.set(true);
            let begun = deferral.begin(async move {
                let written = inner.write(buf).await;
                state.is_writing.set(false);
                state.waiters.notify();
                written
            });
            begun.await.expect("operations do not panic")
        }
    }

    fn shutdown(&self) -> impl Future<Output = io::Result<()>> + use<> {
        let (inner, state) = (self.inner.clone(), Rc::clone(&self.state));
        async move {
            state.written().await;
            inner.shutdown().await
        }
    }

    async fn close(self) -> io::Result<()> {
        self.state.written().await;
        self.inner.close().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }
}
