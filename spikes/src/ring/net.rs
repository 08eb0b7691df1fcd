//! TCP: accepts, reads and writes on the ring. UDP: readiness on the ring, datagrams by plain system calls.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{self, IpAddr, Shutdown, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use samestep_provider_traits::{
    BufResult, IoBuf, IoBufMut, NetworkProvider, TcpListener, TcpStream, UdpSocket,
};

use super::executor::Core;
use super::op::{OnDrop, Op};
use super::sys::{self, Ring};
use crate::wait::Waiters;

/// The network of this machine.
#[derive(Clone)]
pub struct RingNetwork(pub(super) Rc<Core>);

impl NetworkProvider for RingNetwork {
    type TcpStream = RingStream;
    type TcpListener = RingListener;
    type UdpSocket = RingSocket;

    fn bind(&self, address: SocketAddr) -> impl Future<Output = io::Result<RingListener>> + use<> {
        let core = Rc::clone(&self.0);
        async move {
            let listener = net::TcpListener::bind(address)?;
            Ok(RingListener { core, listener: Rc::new(listener), accepts: Rc::default() })
        }
    }

    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<RingStream>> + use<> {
        let core = Rc::clone(&self.0);
        // Loopback answers at once, so the spike may wait.
        async move { RingStream::new(core, net::TcpStream::connect(address)?) }
    }

    fn bind_udp(&self, address: SocketAddr) -> impl Future<Output = io::Result<RingSocket>> + use<> {
        let core = Rc::clone(&self.0);
        async move {
            let socket = net::UdpSocket::bind(address)?;
            socket.set_nonblocking(true)?;
            Ok(RingSocket { core, socket: Rc::new(socket) })
        }
    }

    fn lookup(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + use<> {
        let is_literal = host.parse::<IpAddr>();
        let host = host.to_owned();
        async move {
            if let Ok(address) = is_literal {
                return Ok(vec![SocketAddr::new(address, port)]);
            }
            let is_name = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_name {
                return Err(ErrorKind::InvalidInput.into());
            }
            Ok((host.as_str(), port).to_socket_addrs()?.collect())
        }
    }
}

/// A listening socket on the ring.
pub struct RingListener {
    core: Rc<Core>,
    listener: Rc<net::TcpListener>,
    accepts: Rc<Accepts>,
}

/// One accept is under way at a time; what one brought whose future was gone is for the next.
#[derive(Default)]
struct Accepts {
    stash: RefCell<VecDeque<OwnedFd>>,
    is_under_way: Cell<bool>,
    waiters: Waiters,
}

impl TcpListener for RingListener {
    type Stream = RingStream;

    fn accept(&self) -> impl Future<Output = io::Result<(RingStream, SocketAddr)>> + use<> {
        let (core, listener, accepts) =
            (Rc::clone(&self.core), Rc::clone(&self.listener), Rc::clone(&self.accepts));
        async move {
            accepts.waiters.until(|| !accepts.is_under_way.get()).await;
            let stashed = accepts.stash.borrow_mut().pop_front();
            let accepted = match stashed {
                Some(accepted) => accepted,
                None => accept(&core, &listener, &accepts).await?,
            };
            let stream = net::TcpStream::from(accepted);
            let peer = stream.peer_addr()?;
            Ok((RingStream::new(core, stream)?, peer))
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    async fn close(self) -> io::Result<()> {
        self.accepts.waiters.until(|| !self.accepts.is_under_way.get()).await;
        Ok(())
    }
}

async fn accept(
    core: &Rc<Core>,
    listener: &Rc<net::TcpListener>,
    accepts: &Rc<Accepts>,
) -> io::Result<OwnedFd> {
    accepts.is_under_way.set(true);
    let orphan = |accepts: &dyn Any, accepted: io::Result<u32>, ()| {
        let accepts: &Accepts = accepts.downcast_ref().expect("what was given");
        if let Ok(accepted) = accepted {
            accepts.stash.borrow_mut().push_back(sys::own(accepted));
        }
    };
    let on_drop = OnDrop { is_cancelled: true, orphan, state: Rc::clone(accepts) as Rc<dyn Any> };
    let (kept, ended) = (Rc::clone(listener), Rc::clone(accepts));
    let op = Op::start(
        core,
        |ring| ring.accept(listener.as_raw_fd()),
        on_drop,
        move || {
            drop(kept);
            ended.is_under_way.set(false);
            ended.waiters.notify();
        },
    );
    op.await.0.map(sys::own)
}

/// One end of a connection on the ring.
#[derive(Clone)]
pub struct RingStream {
    core: Rc<Core>,
    state: Rc<State>,
}

struct State {
    stream: net::TcpStream,
    /// Received by reads whose futures were gone.
    stash: RefCell<VecDeque<u8>>,
    orphan_error: RefCell<Option<io::Error>>,
    is_reading: Cell<bool>,
    is_writing: Cell<bool>,
    waiters: Waiters,
}

impl RingStream {
    fn new(core: Rc<Core>, stream: net::TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let state = State {
            stream,
            stash: RefCell::default(),
            orphan_error: RefCell::default(),
            is_reading: Cell::default(),
            is_writing: Cell::default(),
            waiters: Waiters::default(),
        };
        Ok(Self { core, state: Rc::new(state) })
    }

    fn fd(&self) -> RawFd {
        self.state.stream.as_raw_fd()
    }
}

impl State {
    fn take_stashed<B: IoBufMut>(&self, buf: &mut B) -> Option<io::Result<usize>> {
        let mut stash = self.stash.borrow_mut();
        if stash.is_empty() {
            return self.orphan_error.take().map(Err);
        }
        let count = buf.fill_from(stash.make_contiguous());
        stash.drain(..count);
        Some(Ok(count))
    }
}

impl TcpStream for RingStream {
    fn read<B: IoBufMut>(&self, mut buf: B) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let stream = self.clone();
        async move {
            let state = &stream.state;
            state.waiters.until(|| !state.is_reading.get()).await;
            if buf.bytes_total() == 0 {
                return (Ok(0), buf);
            }
            if let Some(count) = state.take_stashed(&mut buf) {
                return (count, buf);
            }
            state.is_reading.set(true);
            let orphan = |state: &dyn Any, count: io::Result<u32>, buf: B| {
                let state: &State = state.downcast_ref().expect("what was given");
                match count {
                    Ok(count) => state.stash.borrow_mut().extend(&buf.as_bytes()[..count as usize]),
                    Err(error) if is_cancelled(&error) => {}
                    Err(error) => drop(state.orphan_error.replace(Some(error))),
                }
            };
            let on_drop = OnDrop { is_cancelled: true, orphan, state: Rc::clone(state) as Rc<dyn Any> };
            let ended = Rc::clone(state);
            let op = Op::start(
                &stream.core,
                |ring: &mut Ring| ring.recv(stream.fd(), buf),
                on_drop,
                move || {
                    ended.is_reading.set(false);
                    ended.waiters.notify();
                },
            );
            let (count, buf) = op.await;
            (count.map(|count| count as usize), buf)
        }
    }

    fn write<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let stream = self.clone();
        async move {
            let state = &stream.state;
            state.waiters.until(|| !state.is_writing.get()).await;
            if buf.bytes_init() == 0 {
                return (Ok(0), buf);
            }
            state.is_writing.set(true);
            let on_drop = OnDrop {
                is_cancelled: true,
                orphan: |_, _, _: B| {},
                state: Rc::clone(state) as Rc<dyn Any>,
            };
            let ended = Rc::clone(state);
            let op = Op::start(
                &stream.core,
                |ring: &mut Ring| ring.send(stream.fd(), buf),
                on_drop,
                move || {
                    ended.is_writing.set(false);
                    ended.waiters.notify();
                },
            );
            let (count, buf) = op.await;
            (count.map(|count| count as usize), buf)
        }
    }

    fn shutdown(&self) -> impl Future<Output = io::Result<()>> + use<> {
        let state = Rc::clone(&self.state);
        async move {
            state.waiters.until(|| !state.is_writing.get()).await;
            state.stream.shutdown(Shutdown::Write)
        }
    }

    async fn close(self) -> io::Result<()> {
        self.state.waiters.until(|| !self.state.is_writing.get()).await;
        self.state.stream.shutdown(Shutdown::Both)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.state.stream.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.state.stream.peer_addr()
    }
}

fn is_cancelled(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::CANCELED.raw_os_error())
}

/// A UDP socket: the ring says when a datagram is there.
pub struct RingSocket {
    core: Rc<Core>,
    socket: Rc<net::UdpSocket>,
}

impl UdpSocket for RingSocket {
    fn send_to<B: IoBuf>(
        &self,
        buf: B,
        target: SocketAddr,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let socket = Rc::clone(&self.socket);
        async move { (socket.send_to(buf.as_bytes(), target), buf) }
    }

    fn recv_from<B: IoBufMut>(
        &self,
        mut buf: B,
    ) -> impl Future<Output = BufResult<(usize, SocketAddr), B>> + use<B> {
        let (core, socket) = (Rc::clone(&self.core), Rc::clone(&self.socket));
        async move {
            loop {
                let mut sender = None;
                let received = buf.fill_with(|bytes| {
                    let (count, from) = socket.recv_from(bytes)?;
                    sender = Some(from);
                    Ok(count)
                });
                match received {
                    Ok(count) => return (Ok((count, sender.expect("set with the count"))), buf),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return (Err(error), buf),
                }
                let on_drop = OnDrop { is_cancelled: true, orphan: |_, _, ()| {}, state: Rc::new(()) };
                let kept = Rc::clone(&socket);
                let ready =
                    Op::start(&core, |ring| ring.poll(socket.as_raw_fd(), POLLIN), on_drop, || drop(kept));
                if let (Err(error), ()) = ready.await {
                    return (Err(error), buf);
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    async fn close(self) -> io::Result<()> {
        drop(self);
        Ok(())
    }
}

const POLLIN: u32 = 1;
