//! Datagrams: as those of UDP, but none is lost, and who sends waits for room.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::net::{SocketAddrUnix, SocketType};
use samestep_provider_traits::{BufResult, IoBuf, IoBufMut};

use super::{pair, socket};
use crate::core::Core;
use crate::net::datagrams::Datagrams;
use crate::sys::Address;

/// A Unix socket of datagrams: from [`UringNetwork::bind_unix_datagram`](crate::UringNetwork::bind_unix_datagram),
/// [`unix_datagram`](crate::UringNetwork::unix_datagram) or
/// [`unix_datagram_pair`](crate::UringNetwork::unix_datagram_pair).
///
/// Datagrams come whole, in order, and are not lost: who sends waits until the receiver has room. A receive that is given
/// up takes none with it; a send that is given up may or may not have been made.
pub struct UringUnixDatagram(Datagrams);

impl UringUnixDatagram {
    with_fd!(self, self.0.fd());

    pub(in crate::net) fn bind(core: &Rc<Core>, path: &Path) -> io::Result<Self> {
        // The same checks as for whoever sends.
        Address::unix(path)?;
        let fd = socket(SocketType::DGRAM)?;
        rustix::net::bind(&fd, &SocketAddrUnix::new(path)?)?;
        Ok(Self(Datagrams::new(Rc::clone(core), fd, DATAGRAM_BYTES_MAX)))
    }

    pub(in crate::net) fn unbound(core: &Rc<Core>) -> io::Result<Self> {
        Ok(Self(Datagrams::new(Rc::clone(core), socket(SocketType::DGRAM)?, DATAGRAM_BYTES_MAX)))
    }

    pub(in crate::net) fn pair(core: &Rc<Core>) -> io::Result<(Self, Self)> {
        let (one, other) = pair(SocketType::DGRAM)?;
        let datagrams = |fd| Self(Datagrams::new(Rc::clone(core), fd, DATAGRAM_BYTES_MAX));
        Ok((datagrams(one), datagrams(other)))
    }

    /// From here on [`Self::send`] sends to who is bound to `path`, and datagrams of others do not come.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) if there is nothing at the path,
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if nobody is bound there any more.
    pub fn connect(&self, path: &Path) -> io::Result<()> {
        Address::unix(path)?;
        Ok(rustix::net::connect(&*self.0.fd()?, &SocketAddrUnix::new(path)?)?)
    }

    /// Sends one datagram to the other end of a pair, or to whom this is [connected](Self::connect) to.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) if there is no such end,
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) or
    /// [`ConnectionReset`](io::ErrorKind::ConnectionReset) if it is gone; if the datagram is longer than the system takes,
    /// by default some 200 KiB.
    pub fn send<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        self.0.send(buf, None)
    }

    /// Sends one datagram to who is bound to `path`. The driver of threads looks for room there again and again, unlike for
    /// [`Self::send`], as no system call waits for that.
    ///
    /// # Errors
    ///
    /// As for [`Self::connect`] and [`Self::send`].
    pub fn send_to<B: IoBuf>(
        &self,
        buf: B,
        path: &Path,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let send = match Address::unix(path) {
            Ok(target) => Ok(self.0.send(buf, Some(target))),
            Err(error) => Err((error, buf)),
        };
        async move {
            match send {
                Ok(send) => send.await,
                Err((error, buf)) => (Err(error), buf),
            }
        }
    }

    /// Receives one datagram into the front of `buf`, and tells its length and the path of its sender, if that is bound to
    /// one. What does not fit is lost, and the length is then that of the buffer.
    ///
    /// # Errors
    ///
    /// [`InvalidData`](io::ErrorKind::InvalidData) if the datagram has more than 256 KiB: it is lost.
    pub fn recv_from<B: IoBufMut>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<(usize, Option<PathBuf>), B>> + use<B> {
        self.0.receive(buf, |message| Ok(message.sender_path()))
    }

    /// Closes it. Whoever made its path removes that.
    pub async fn close(self) -> io::Result<()> {
        self.0.close().await;
        Ok(())
    }
}

impl fmt::Debug for UringUnixDatagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UringUnixDatagram").finish_non_exhaustive()
    }
}

/// Longer than the system takes by default.
const DATAGRAM_BYTES_MAX: usize = 256 * 1024;
