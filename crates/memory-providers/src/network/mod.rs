//! A network of one node: sockets on loopback addresses, in one table.

mod tcp;
mod udp;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, ready};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::{Rc, Weak};

use samestep_provider_traits::NetworkProvider;

pub use tcp::{MemoryTcpListener, MemoryTcpStream};
pub use udp::MemoryUdpSocket;

/// The network of a [`MemoryWorld`](crate::MemoryWorld): TCP and UDP between its own loopback addresses.
///
/// Names: IP addresses as text, and `localhost`. A listener's backlog holds 128 connections; a further one is
/// refused. A UDP socket holds 1024 datagrams of at most 65,507 bytes; a further one is lost.
#[derive(Clone)]
pub struct MemoryNetworkProvider {
    ports: Rc<Ports>,
}

impl MemoryNetworkProvider {
    pub(crate) fn new() -> Self {
        Self { ports: Rc::default() }
    }
}

impl fmt::Debug for MemoryNetworkProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryNetworkProvider").finish_non_exhaustive()
    }
}

impl NetworkProvider for MemoryNetworkProvider {
    type TcpStream = MemoryTcpStream;
    type TcpListener = MemoryTcpListener;
    type UdpSocket = MemoryUdpSocket;

    fn bind(&self, address: SocketAddr) -> impl Future<Output = io::Result<MemoryTcpListener>> + use<> {
        let ports = Rc::clone(&self.ports);
        async move { MemoryTcpListener::bind(&ports, address) }
    }

    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<MemoryTcpStream>> + use<> {
        let ports = Rc::clone(&self.ports);
        async move { MemoryTcpStream::connect(&ports, address) }
    }

    fn bind_udp(&self, address: SocketAddr) -> impl Future<Output = io::Result<MemoryUdpSocket>> + use<> {
        let ports = Rc::clone(&self.ports);
        async move { MemoryUdpSocket::bind(&ports, address) }
    }

    fn lookup(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + use<> {
        let found = match host.parse::<IpAddr>() {
            Ok(address) => Ok(vec![SocketAddr::new(address, port)]),
            Err(_) if host == "localhost" => Ok(vec![
                SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
                SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port),
            ]),
            Err(_) => {
                let message = format!("no address is known for {host:?}; in memory there is only localhost");
                Err(io::Error::new(io::ErrorKind::NotFound, message))
            }
        };
        ready(found)
    }
}

/// Who has which address. Sockets leave the tables when they are dropped.
#[derive(Default)]
struct Ports {
    listeners: RefCell<BTreeMap<SocketAddr, Weak<tcp::Backlog>>>,
    sockets: RefCell<BTreeMap<SocketAddr, Weak<udp::Mailbox>>>,
    last_given: Cell<u16>,
}

/// The address to take for a socket that asked for `wanted`, in the table `taken`.
fn take_address<T>(
    ports: &Ports,
    taken: &BTreeMap<SocketAddr, T>,
    wanted: SocketAddr,
) -> io::Result<SocketAddr> {
    if !wanted.ip().is_loopback() && !wanted.ip().is_unspecified() {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    }
    if wanted.port() != 0 {
        return if taken.contains_key(&wanted) { Err(io::ErrorKind::AddrInUse.into()) } else { Ok(wanted) };
    }
    (0..=u16::MAX)
        .map(|_| SocketAddr::new(wanted.ip(), ports.free_port()))
        .find(|address| !taken.contains_key(address))
        .ok_or_else(|| io::ErrorKind::AddrInUse.into())
}

impl Ports {
    /// The next port of those that systems give away, 49152 and up, in turn.
    fn free_port(&self) -> u16 {
        let port = self.last_given.get().wrapping_add(1).max(FIRST_FREE_PORT);
        self.last_given.set(port);
        port
    }
}

const FIRST_FREE_PORT: u16 = 49152;
