//! TCP, UDP and names.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use crate::BufResult;
use crate::io_buf::{IoBuf, IoBufMut};

/// The network as one node sees it.
pub trait NetworkProvider: Clone + 'static {
    /// A TCP connection.
    type TcpStream: TcpStream;
    /// A TCP socket that listens.
    type TcpListener: TcpListener<Stream = Self::TcpStream>;
    /// A UDP socket.
    type UdpSocket: UdpSocket;

    /// Listens on `address`; port 0 takes a free one, see [`TcpListener::local_addr`].
    ///
    /// Connections wait in a backlog of at least 128 from when this returns, accepted or not.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if another listener has the port,
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) if the address is not this node's.
    fn bind(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::TcpListener>> + use<Self>;

    /// Connects to `address`. The stream sends small writes without delay (TCP_NODELAY).
    ///
    /// A dropped call may leave a connection at the peer, which then sees its end.
    ///
    /// # Errors
    ///
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if nobody listens there.
    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::TcpStream>> + use<Self>;

    /// Opens a UDP socket on `address`; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// As for [`Self::bind`].
    fn bind_udp(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::UdpSocket>> + use<Self>;

    /// Addresses of `host` (a name, or an IP address as text), each with `port`, in the order in which they
    /// should be tried; at least one.
    ///
    /// # Errors
    ///
    /// If the name is malformed, unknown, or cannot be looked up now. The kind depends on the resolver.
    fn lookup(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + use<Self>;
}

/// A TCP socket that listens. Stops listening when dropped; connections nobody accepted are reset.
pub trait TcpListener: 'static {
    /// A connection.
    type Stream: TcpStream;

    /// Takes the connection that has waited longest, and its peer's address.
    ///
    /// A dropped call loses no connection: the next call gets it.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + use<Self>;

    /// The address that is listened on, with the port that was taken.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Stops listening and reports what went wrong. The port is free afterwards.
    fn close(self) -> impl Future<Output = io::Result<()>> + use<Self>;
}

/// One end of a TCP connection.
///
/// Clones are handles to the same end, so that one task may read while another writes. Of reads, and of writes,
/// one at a time may be under way; which bytes a second one would get is not defined. The end is closed when its
/// last handle is dropped: what was written is still sent, and what was received and not read is lost, in which
/// case the peer sees a reset.
pub trait TcpStream: Clone + 'static {
    /// Receives at least one byte into the front of `buf`, at most its
    /// [`bytes_total`](IoBufMut::bytes_total), and tells how many. 0 is the end of the stream (or no room).
    ///
    /// A dropped call loses no byte: the next one gets them, in order.
    ///
    /// # Errors
    ///
    /// [`ConnectionReset`](io::ErrorKind::ConnectionReset) if the peer, or the network, cut the connection.
    fn read<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> + use<Self, B>;

    /// Sends at least one byte from the front of `buf` (none only if it is empty), and tells how many were
    /// taken. Taken means handed to the network, not received.
    ///
    /// After a dropped call any part of `buf` from its front may have been sent, and may still be.
    ///
    /// # Errors
    ///
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) after [`Self::shutdown`], and that or
    /// [`ConnectionReset`](io::ErrorKind::ConnectionReset) after the peer closed.
    fn write<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> + use<Self, B>;

    /// Ends the stream to the peer, behind all that was written. Reading goes on.
    fn shutdown(&self) -> impl Future<Output = io::Result<()>> + use<Self>;

    /// Ends both directions of the connection for all handles, and reports what went wrong.
    fn close(self) -> impl Future<Output = io::Result<()>> + use<Self>;

    /// Address of this end.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Address of the other end.
    fn peer_addr(&self) -> io::Result<SocketAddr>;

    /// Sends all of `buf`, by as many writes as it takes.
    ///
    /// # Errors
    ///
    /// As [`Self::write`]; how much was sent before is not told.
    fn write_all<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<(), B>> + use<Self, B> {
        let stream = self.clone();
        async move {
            let total = buf.bytes_init();
            let mut rest = buf.slice(0..total);
            while rest.bytes_init() > 0 {
                let outcome;
                (outcome, rest) = stream.write(rest).await;
                match outcome {
                    Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), rest.into_inner()),
                    Ok(sent) => rest = rest.advance(sent),
                    Err(error) => return (Err(error), rest.into_inner()),
                }
            }
            (Ok(()), rest.into_inner())
        }
    }

    /// Fills all of `buf`, by as many reads as it takes.
    ///
    /// # Errors
    ///
    /// As [`Self::read`], and [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends before; what
    /// came until then stands at the front of the buffer. Dropping the future loses that much.
    fn read_exact<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<(), B>> + use<Self, B> {
        let stream = self.clone();
        async move {
            let total = buf.bytes_total();
            let mut rest = buf.slice_mut(0..total);
            while rest.bytes_total() > 0 {
                let outcome;
                (outcome, rest) = stream.read(rest).await;
                match outcome {
                    Ok(0) => return (Err(io::ErrorKind::UnexpectedEof.into()), rest.into_inner()),
                    Ok(received) => rest = rest.advance(received),
                    Err(error) => return (Err(error), rest.into_inner()),
                }
            }
            (Ok(()), rest.into_inner())
        }
    }
}

/// A UDP socket. Closed when dropped.
///
/// Datagrams may be lost, doubled and reordered on the way; each arrives whole or not at all.
pub trait UdpSocket: 'static {
    /// Sends one datagram with the bytes of `buf` and tells how many those were.
    ///
    /// # Errors
    ///
    /// If the datagram is larger than the network takes; the kind depends on the platform.
    fn send_to<B: IoBuf>(
        &self,
        buf: B,
        target: SocketAddr,
    ) -> impl Future<Output = BufResult<usize, B>> + use<Self, B>;

    /// Receives one datagram into the front of `buf`, and tells its length and sender. What does not fit is
    /// lost, and the length is then that of the buffer.
    ///
    /// A dropped call loses no datagram: the next one gets it.
    fn recv_from<B: IoBufMut>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<(usize, SocketAddr), B>> + use<Self, B>;

    /// The address of the socket, with the port that was taken.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Closes the socket and reports what went wrong. The port is free afterwards.
    fn close(self) -> impl Future<Output = io::Result<()>> + use<Self>;
}
