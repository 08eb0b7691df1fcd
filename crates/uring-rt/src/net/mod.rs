//! The network: accepts and receives belong to the socket, not to the future that waits for them, so that giving one
//! up loses nothing.

/// The way of every socket to options that have no call here; `$fd` is its descriptor, or the error of a closed socket.
macro_rules! with_fd {
    ($this:ident, $fd:expr) => {
        /// Has a look at the descriptor, or sets an option that has no call here: how often a connection is probed, how
        /// much the system keeps, groups of multicast, who the peer is.
        ///
        /// It is the socket's: who reads, writes or listens by it, makes it non-blocking or closes it takes from the
        /// operations under way what is theirs.
        ///
        /// # Errors
        ///
        /// What `use_it` gives; [`NotConnected`](std::io::ErrorKind::NotConnected) if a handle closed the socket.
        pub fn with_fd<T>(
            &$this,
            use_it: impl FnOnce(std::os::fd::BorrowedFd<'_>) -> std::io::Result<T>,
        ) -> std::io::Result<T> {
            let fd = $fd?;
            use_it(std::os::fd::AsFd::as_fd(&*fd))
        }
    };
}

mod bind;
mod datagrams;
mod listener;
mod stream;
mod udp;
mod unix;

use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use samestep_provider_traits::NetworkProvider;

pub(crate) use bind::bind;
pub use listener::UringListener;
pub use stream::UringStream;
pub use udp::UringSocket;
pub use unix::{UringUnixDatagram, UringUnixListener, UringUnixStream};

use crate::core::Core;
use crate::sys::Address;

/// The network of this machine.
#[derive(Clone)]
pub struct UringNetwork(pub(crate) Rc<Core>);

impl NetworkProvider for UringNetwork {
    type TcpStream = UringStream;
    type TcpListener = UringListener;
    type UdpSocket = UringSocket;

    /// As the trait says; an address that is in use is tried again for a second, as the ring of a process that was
    /// killed gives its own up a little after the process.
    fn bind(&self, address: SocketAddr) -> impl Future<Output = io::Result<UringListener>> + use<> {
        bind(Rc::clone(&self.0), move |core| UringListener::bind(core, address))
    }

    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<UringStream>> + use<> {
        let core = Rc::clone(&self.0);
        async move { UringStream::connect(core, address).await }
    }

    /// As the trait says, and as for [`bind`](Self::bind).
    fn bind_udp(&self, address: SocketAddr) -> impl Future<Output = io::Result<UringSocket>> + use<> {
        bind(Rc::clone(&self.0), move |core| UringSocket::bind(core, address))
    }

    /// As the trait says, by the system's resolver, on a thread of its own.
    fn lookup(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + use<> {
        let core = Rc::clone(&self.0);
        let host = host.to_owned();
        async move {
            if let Ok(address) = host.parse::<IpAddr>() {
                return Ok(vec![SocketAddr::new(address, port)]);
            }
            let is_name = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_name {
                let message = format!("{host:?} is no host name");
                return Err(io::Error::new(ErrorKind::InvalidInput, message));
            }
            let found =
                core.pool.run(move || Ok((host.as_str(), port).to_socket_addrs()?.collect::<Vec<_>>()));
            match found.await? {
                Ok(found) if found.is_empty() => Err(ErrorKind::NotFound.into()),
                found => found,
            }
        }
    }
}

impl UringNetwork {
    /// Listens at `path`, which this makes: relative paths are those of the process, not of a storage. Whoever is done
    /// with it removes it.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](ErrorKind::AddrInUse) if there is something at the path, also if nobody listens there any more;
    /// [`InvalidInput`](ErrorKind::InvalidInput) if it is empty or longer than 107 bytes.
    pub fn bind_unix(&self, path: &Path) -> impl Future<Output = io::Result<UringUnixListener>> + use<> {
        let bound = UringUnixListener::bind(&self.0, path);
        async move { bound }
    }

    /// Connects to who listens at `path`.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there is nothing at the path,
    /// [`ConnectionRefused`](ErrorKind::ConnectionRefused) if nobody listens there.
    pub fn connect_unix(&self, path: &Path) -> impl Future<Output = io::Result<UringUnixStream>> + use<> {
        let (core, address) = (Rc::clone(&self.0), Address::unix(path));
        async move { UringUnixStream::connect(core, address?).await }
    }

    /// A socket of datagrams at `path`, which this makes, as [`Self::bind_unix`] does.
    ///
    /// # Errors
    ///
    /// As for that.
    pub fn bind_unix_datagram(&self, path: &Path) -> io::Result<UringUnixDatagram> {
        UringUnixDatagram::bind(&self.0, path)
    }

    /// A socket of datagrams without a path: one that sends, and nobody can answer.
    pub fn unix_datagram(&self) -> io::Result<UringUnixDatagram> {
        UringUnixDatagram::unbound(&self.0)
    }

    /// Two sockets of datagrams that are connected to each other.
    pub fn unix_datagram_pair(&self) -> io::Result<(UringUnixDatagram, UringUnixDatagram)> {
        UringUnixDatagram::pair(&self.0)
    }

    /// Two streams that are connected to each other.
    pub fn unix_pair(&self) -> io::Result<(UringUnixStream, UringUnixStream)> {
        UringUnixStream::pair(&self.0)
    }
}

impl fmt::Debug for UringNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UringNetwork").finish_non_exhaustive()
    }
}

/// A blocking socket: a ring waits where a plain call would.
fn socket(address: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    Ok(rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?)
}

fn local_addr(fd: &OwnedFd) -> io::Result<SocketAddr> {
    address_of(rustix::net::getsockname(fd)?)
}

fn peer_addr(fd: &OwnedFd) -> io::Result<SocketAddr> {
    address_of(rustix::net::getpeername(fd)?.ok_or(ErrorKind::NotConnected)?)
}

fn address_of(address: rustix::net::SocketAddrAny) -> io::Result<SocketAddr> {
    SocketAddr::try_from(address)
        .map_err(|_| io::Error::new(ErrorKind::Unsupported, "an address of another family"))
}

/// Has closing the socket reset the connection, and drop what was not sent.
fn reset_on_close(fd: &OwnedFd) {
    // A connection that is gone already has nothing to reset.
    let _ = sockopt::set_socket_linger(fd, Some(std::time::Duration::ZERO));
}

/// What calls get on a handle that was closed.
fn closed() -> io::Error {
    io::Error::new(ErrorKind::NotConnected, "the socket was closed by a handle to it")
}
