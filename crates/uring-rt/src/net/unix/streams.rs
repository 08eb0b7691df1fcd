//! Connections: as those of TCP.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

use rustix::net::{SocketAddrUnix, SocketType};
use samestep_provider_traits::{BufResult, IoBuf, IoBufMut, TcpStream};

use super::{pair, socket};
use crate::core::Core;
use crate::net::UringStream;
use crate::net::listener::Accepts;
use crate::sys::{Address, Prepared};

/// A Unix socket that listens: from [`UringNetwork::bind_unix`](crate::UringNetwork::bind_unix).
///
/// As a [`UringListener`](crate::UringListener) it hands connections over as they come, and an accept that is given up
/// takes none with it.
pub struct UringUnixListener {
    accepts: Accepts,
}

/// One end of a connection between Unix sockets.
///
/// A [`TcpStream`] to programs that want one: it reads and writes as a [`UringStream`] does, with the same promises, but
/// has no addresses, and copies all that it sends.
#[derive(Clone)]
pub struct UringUnixStream(UringStream);

impl UringUnixListener {
    with_fd!(self, self.accepts.fd());

    pub(in crate::net) fn bind(core: &Rc<Core>, path: &Path) -> io::Result<Self> {
        // The same checks as for whoever connects.
        Address::unix(path)?;
        let fd = socket(SocketType::STREAM)?;
        rustix::net::bind(&fd, &SocketAddrUnix::new(path)?)?;
        Ok(Self { accepts: Accepts::listen(Rc::clone(core), fd)? })
    }

    /// The next connection. Given up, it leaves it to the next call.
    pub fn accept(&self) -> impl Future<Output = io::Result<UringUnixStream>> + use<> {
        let (next, core) = (self.accepts.next(|_| Some(())), Rc::clone(self.accepts.core()));
        async move { Ok(UringUnixStream(UringStream::of_other_family(core, next.await?.0))) }
    }

    /// Closes it: connections that nobody took are closed, and nobody can connect any more when this ends.
    pub async fn close(self) -> io::Result<()> {
        self.accepts.close().await;
        Ok(())
    }
}

impl UringUnixStream {
    with_fd!(self, self.0.fd());

    pub(in crate::net) async fn connect(core: Rc<Core>, address: Address) -> io::Result<Self> {
        let fd = socket(SocketType::STREAM)?;
        let prepared = Prepared::connect(&fd, address);
        UringStream::of_other_family(core, fd).connected(prepared).await.map(Self)
    }

    pub(in crate::net) fn pair(core: &Rc<Core>) -> io::Result<(Self, Self)> {
        let (one, other) = pair(SocketType::STREAM)?;
        let stream = |fd| Self(UringStream::of_other_family(Rc::clone(core), fd));
        Ok((stream(one), stream(other)))
    }
}

impl TcpStream for UringUnixStream {
    fn read<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        self.0.read(buf)
    }

    fn write<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        self.0.write(buf)
    }

    fn shutdown(&self) -> impl Future<Output = io::Result<()>> + use<> {
        self.0.shutdown()
    }

    fn close(self) -> impl Future<Output = io::Result<()>> + use<> {
        self.0.close()
    }

    /// [`Unsupported`](io::ErrorKind::Unsupported): it has none of this kind.
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// As [`Self::local_addr`].
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }
}

impl fmt::Debug for UringUnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UringUnixListener").finish_non_exhaustive()
    }
}

impl fmt::Debug for UringUnixStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UringUnixStream").finish_non_exhaustive()
    }
}
