//! The network of a node.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use samestep_provider_traits::{
    BufResult, IoBuf, IoBufMut, NetworkProvider, TcpListener, TcpStream, UdpSocket,
};

use crate::kernel::{Kernel, NodeId};
use crate::net::{Accepted, CallId, EndId, ListenerId, Network, SocketId};
use crate::world::due::Due;
use crate::world::registry::{Home, WorldId};
use crate::world::waker::TaskRef;
use crate::world::{Core, enter, try_enter};

/// The network as one boot of a node sees it.
///
/// Names: those of nodes; names of groups, such as `server` for all nodes called `server-0`, `server-1` and so on;
/// `localhost`; and addresses as text. Once its node is down, its calls fail.
#[derive(Clone, Copy, Debug)]
pub struct SimNetworkProvider {
    home: Home,
}

impl SimNetworkProvider {
    pub(crate) const fn of(home: Home) -> Self {
        Self { home }
    }
}

impl NetworkProvider for SimNetworkProvider {
    type TcpStream = SimTcpStream;
    type TcpListener = SimTcpListener;
    type UdpSocket = SimUdpSocket;

    fn bind(&self, address: SocketAddr) -> impl Future<Output = io::Result<SimTcpListener>> + use<> {
        let home = self.home;
        async move {
            Delay::new(home).await;
            let bound = at_home(home, |network, _, node| network.listen(node, address))?;
            let (id, address) = bound?;
            Ok(SimTcpListener { world: home.world, id, address })
        }
    }

    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<SimTcpStream>> + use<> {
        let home = self.home;
        async move {
            let begun = at_home(home, |network, kernel, node| network.connect(kernel, node, address))?;
            let stream = SimTcpStream::new(home.world, begun?);
            let end = Rc::clone(&stream.end);
            poll_fn(move |cx| {
                let ask = |network: &mut Network, _: &mut Kernel<Due>| network.connect_outcome(end.id);
                poll_in(end.world, cx, ask, |network, kernel, waker| {
                    network.wait_to_connect(kernel, end.id, waker);
                })
            })
            .await?;
            Ok(stream)
        }
    }

    fn bind_udp(&self, address: SocketAddr) -> impl Future<Output = io::Result<SimUdpSocket>> + use<> {
        let home = self.home;
        async move {
            Delay::new(home).await;
            let bound = at_home(home, |network, _, node| network.bind_datagrams(node, address))?;
            let (id, address) = bound?;
            Ok(SimUdpSocket { world: home.world, id, address })
        }
    }

    fn lookup(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + use<> {
        let (home, host) = (self.home, host.to_owned());
        async move {
            Delay::new(home).await;
            let found = at_home(home, |network, kernel, node| network.lookup(kernel, node, &host))?;
            let ips = found.map_err(|error| io::Error::new(error.kind(), error))?;
            Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
        }
    }
}

/// Does something in the network, for a boot of a node that is there.
fn at_home<R>(home: Home, body: impl FnOnce(&mut Network, &mut Kernel<Due>, NodeId) -> R) -> io::Result<R> {
    enter(home.world, |core| match home.node {
        Some(node) if core.is_there(home) => Ok(body(&mut core.network, &mut core.kernel, node)),
        // The node went down, or this is the test itself, which is on no node.
        _ => Err(io::ErrorKind::NetworkDown.into()),
    })
}

/// A socket of a node that listens. Stops listening when dropped; connections nobody accepted are reset.
pub struct SimTcpListener {
    world: WorldId,
    id: ListenerId,
    address: SocketAddr,
}

impl SimTcpListener {
    /// Its number among the sockets that listen now, as dumps of waiting tasks have it.
    pub fn number(&self) -> u64 {
        self.id.number()
    }
}

impl TcpListener for SimTcpListener {
    type Stream = SimTcpStream;

    fn accept(&self) -> impl Future<Output = io::Result<(SimTcpStream, SocketAddr)>> + use<> {
        let (world, id) = (self.world, self.id);
        poll_fn(move |cx| {
            let accepted = poll_in(
                world,
                cx,
                |network, kernel| network.accept(kernel, id),
                |network, kernel, waker| network.wait_for_connection(kernel, id, waker),
            );
            accepted.map(|accepted| {
                let accepted = accepted?;
                Ok((SimTcpStream::new(world, accepted), accepted.peer))
            })
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    async fn close(self) -> io::Result<()> {
        drop(self);
        Ok(())
    }
}

impl Drop for SimTcpListener {
    fn drop(&mut self) {
        try_enter(self.world, |core| core.network.close_listener(&mut core.kernel, self.id));
    }
}

impl fmt::Debug for SimTcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimTcpListener").field("address", &self.address).finish_non_exhaustive()
    }
}

/// One end of a connection.
#[derive(Clone)]
pub struct SimTcpStream {
    end: Rc<End>,
}

impl SimTcpStream {
    fn new(world: WorldId, accepted: Accepted) -> Self {
        let Accepted { end: id, local, peer } = accepted;
        Self { end: Rc::new(End { world, id, local, peer }) }
    }

    /// Cuts the connection at once, whatever was written: the peer sees a reset.
    pub fn abort(&self) {
        enter(self.end.world, |core| core.network.abort(&mut core.kernel, self.end.id));
    }

    /// The connection's number in the run, as messages and recorded events have it; none if it is no more.
    pub fn connection(&self) -> Option<u64> {
        try_enter(self.end.world, |core| core.network.connection_number(self.end.id)).flatten()
    }

    pub(crate) fn world(&self) -> WorldId {
        self.end.world
    }

    pub(crate) fn end(&self) -> EndId {
        self.end.id
    }
}

impl TcpStream for SimTcpStream {
    fn read<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let end = Rc::clone(&self.end);
        let mut buf = Some(buf);
        poll_fn(move |cx| {
            let target = buf.as_mut().expect("polled after it was over");
            let room = target.bytes_total();
            let outcome = end.poll_read(cx, room, |bytes| target.fill_from(bytes)).map_err(io::Error::from);
            outcome.map(|count| {
                let mut buf = buf.take().expect("taken once");
                if matches!(count, Ok(0)) && room > 0 {
                    buf.fill_from(&[]);
                }
                (count, buf)
            })
        })
    }

    fn write<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let end = Rc::clone(&self.end);
        let mut buf = Some(buf);
        poll_fn(move |cx| {
            let bytes = buf.as_ref().expect("polled after it was over").as_bytes();
            let outcome = end.poll_write(cx, bytes).map_err(io::Error::from);
            outcome.map(|count| (count, buf.take().expect("taken once")))
        })
    }

    fn read_exact<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<(), B>> + use<B> {
        let end = Rc::clone(&self.end);
        let total = buf.bytes_total();
        let (mut buf, mut filled) = (Some(buf), 0);
        poll_fn(move |cx| {
            let outcome = loop {
                if filled >= total {
                    break Ok(());
                }
                let target = &mut buf;
                match end.poll_read(cx, total - filled, |bytes| fill_behind(target, filled, bytes)) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(0)) => {
                        fill_behind(target, filled, &[]);
                        break Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    Poll::Ready(Ok(count)) => filled += count,
                    Poll::Ready(Err(kind)) => break Err(kind.into()),
                }
            };
            Poll::Ready((outcome, buf.take().expect("polled after it was over")))
        })
    }

    fn write_all<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<(), B>> + use<B> {
        let end = Rc::clone(&self.end);
        let (mut buf, mut sent) = (Some(buf), 0);
        poll_fn(move |cx| {
            let bytes = buf.as_ref().expect("polled after it was over").as_bytes();
            let outcome = loop {
                let rest = &bytes[sent..];
                if rest.is_empty() {
                    break Ok(());
                }
                match end.poll_write(cx, rest) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(count)) => sent += count,
                    Poll::Ready(Err(kind)) => break Err(kind.into()),
                }
            };
            Poll::Ready((outcome, buf.take().expect("it is there above")))
        })
    }

    fn shutdown(&self) -> impl Future<Output = io::Result<()>> + use<> {
        let end = Rc::clone(&self.end);
        async move { Ok(enter(end.world, |core| core.network.shutdown(&mut core.kernel, end.id))?) }
    }

    async fn close(self) -> io::Result<()> {
        self.end.close();
        Ok(())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.end.local)
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.end.peer)
    }
}

impl fmt::Debug for SimTcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimTcpStream")
            .field("local", &self.end.local)
            .field("peer", &self.end.peer)
            .finish_non_exhaustive()
    }
}

/// What all handles to one end share.
struct End {
    world: WorldId,
    id: EndId,
    local: SocketAddr,
    peer: SocketAddr,
}

/// Fills a buffer, of which the first `filled` bytes are full, and tells how many bytes fitted.
fn fill_behind<B: IoBufMut>(buf: &mut Option<B>, filled: usize, bytes: &[u8]) -> usize {
    if filled > 0 {
        let whole = buf.take().expect("it is put back below");
        let total = whole.bytes_total();
        let mut part = whole.slice_mut(filled..total);
        let count = part.fill_from(bytes);
        *buf = Some(part.into_inner());
        return count;
    }
    buf.as_mut().expect("polled after it was over").fill_from(bytes)
}

impl End {
    /// Reads into `take` at most `room` bytes, or waits for some.
    #[inline]
    fn poll_read(
        &self,
        cx: &Context<'_>,
        room: usize,
        take: impl FnOnce(&[u8]) -> usize,
    ) -> Poll<Result<usize, io::ErrorKind>> {
        enter_with_waker(self.world, cx, |Core { network, kernel, .. }, waker| {
            network.read(kernel, self.id, room, take, || waker.take())
        })
    }

    /// Writes from the front of `bytes`, or waits until there is room.
    #[inline]
    fn poll_write(&self, cx: &Context<'_>, bytes: &[u8]) -> Poll<Result<usize, io::ErrorKind>> {
        enter_with_waker(self.world, cx, |Core { network, kernel, .. }, waker| {
            network.write(kernel, self.id, bytes, || waker.take())
        })
    }

    fn close(&self) {
        try_enter(self.world, |core| core.network.close_end(&mut core.kernel, self.id));
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.close();
    }
}

/// A socket of a node for datagrams. Closed when dropped.
pub struct SimUdpSocket {
    world: WorldId,
    id: SocketId,
    address: SocketAddr,
}

impl UdpSocket for SimUdpSocket {
    fn send_to<B: IoBuf>(
        &self,
        buf: B,
        target: SocketAddr,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let (world, id) = (self.world, self.id);
        async move {
            let sent =
                enter(world, |core| core.network.send_datagram(&mut core.kernel, id, buf.as_bytes(), target));
            (sent.map_err(Into::into), buf)
        }
    }

    fn recv_from<B: IoBufMut>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<(usize, SocketAddr), B>> + use<B> {
        let (world, id) = (self.world, self.id);
        let mut buf = Some(buf);
        poll_fn(move |cx| {
            let target = buf.as_mut().expect("polled after it was over");
            let outcome = poll_in(
                world,
                cx,
                |network, _| network.receive_datagram(id, |bytes| target.fill_from(bytes)),
                |network, kernel, waker| network.wait_for_datagram(kernel, id, waker),
            );
            outcome.map(|received| (received, buf.take().expect("taken once")))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    async fn close(self) -> io::Result<()> {
        drop(self);
        Ok(())
    }
}

impl Drop for SimUdpSocket {
    fn drop(&mut self) {
        try_enter(self.world, |core| core.network.close_socket(&mut core.kernel, self.id));
    }
}

impl fmt::Debug for SimUdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimUdpSocket").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Asks the network; if the answer has to be waited for, leaves a waker there.
#[inline]
fn poll_in<T>(
    world: WorldId,
    cx: &Context<'_>,
    ask: impl FnOnce(&mut Network, &mut Kernel<Due>) -> Poll<Result<T, io::ErrorKind>>,
    wait: impl FnOnce(&mut Network, &mut Kernel<Due>, Waker),
) -> Poll<io::Result<T>> {
    let outcome = enter_with_waker(world, cx, |Core { network, kernel, .. }, waker| {
        let outcome = ask(network, kernel);
        if outcome.is_pending() {
            wait(network, kernel, waker.take());
        }
        outcome
    });
    outcome.map_err(Into::into)
}

/// Enters the world with a waker that may be needed there.
#[inline]
fn enter_with_waker<R>(
    world: WorldId,
    cx: &Context<'_>,
    body: impl FnOnce(&mut Core, &mut AskedWaker<'_>) -> R,
) -> R {
    let waker = cx.waker();
    let other = if TaskRef::of(waker).is_some() { None } else { Some(waker.clone()) };
    let mut asked = AskedWaker { waker, other };
    let outcome = enter(world, |core| body(core, &mut asked));
    drop(asked);
    outcome
}

/// A waker of whoever asks. One that is not of a world is cloned, and dropped if it is not needed, with nothing
/// borrowed.
struct AskedWaker<'a> {
    waker: &'a Waker,
    other: Option<Waker>,
}

impl AskedWaker<'_> {
    #[inline]
    fn take(&mut self) -> Waker {
        let waker = self.other.take().or_else(|| TaskRef::clone_of(self.waker));
        waker.expect("it is of a world, or was cloned, and is asked for once")
    }
}

/// Takes as long as a call that opens a socket or looks a name up.
struct Delay {
    home: Home,
    call: Option<CallId>,
    has_begun: bool,
}

impl Delay {
    const fn new(home: Home) -> Self {
        Self { home, call: None, has_begun: false }
    }
}

impl Future for Delay {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.has_begun {
            self.has_begun = true;
            self.call = enter(self.home.world, |core| core.network.begin_call(&mut core.kernel));
        }
        let Some(call) = self.call else { return Poll::Ready(()) };
        let ask = |network: &mut Network, _: &mut Kernel<Due>| network.poll_call(call).map(Ok);
        let over = poll_in(self.home.world, cx, ask, |network, kernel, waker| {
            network.wait_for_call(kernel, call, waker);
        });
        over.map(|_| ())
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            try_enter(self.home.world, |core| core.network.end_call(&mut core.kernel, call));
        }
    }
}
