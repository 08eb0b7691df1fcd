//! UDP.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use rustix::net::SocketType;
use samestep_provider_traits::{BufResult, IoBuf, IoBufMut, UdpSocket};

use super::datagrams::Datagrams;
use super::{local_addr, socket};
use crate::core::Core;
use crate::sys::Address;

/// A UDP socket. A receive that is given up takes no datagram with it.
pub struct UringSocket(Datagrams);

impl UringSocket {
    with_fd!(self, self.0.fd());

    pub(super) fn bind(core: Rc<Core>, address: SocketAddr) -> io::Result<Self> {
        let fd = socket(address, SocketType::DGRAM)?;
        rustix::net::bind(&fd, &address)?;
        Ok(Self(Datagrams::new(core, fd, DATAGRAM_BYTES_MAX)))
    }
}

impl UdpSocket for UringSocket {
    fn send_to<B: IoBuf>(
        &self,
        buf: B,
        target: SocketAddr,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        self.0.send(buf, Some(Address::new(target)))
    }

    fn recv_from<B: IoBufMut>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<(usize, SocketAddr), B>> + use<B> {
        self.0.receive(buf, |message| message.sender().ok_or_else(|| io::ErrorKind::Unsupported.into()))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        local_addr(&*self.0.fd()?)
    }

    async fn close(self) -> io::Result<()> {
        self.0.close().await;
        Ok(())
    }
}

impl fmt::Debug for UringSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UringSocket").field("local_addr", &self.local_addr().ok()).finish_non_exhaustive()
    }
}

/// No datagram is longer.
const DATAGRAM_BYTES_MAX: usize = 65_535;
