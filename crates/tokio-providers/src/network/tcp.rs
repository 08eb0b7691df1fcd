//! TCP.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Poll, ready};

use rustix::net::Shutdown;
use samestep_provider_traits::{BufResult, IoBuf, IoBufMut, TcpListener, TcpStream};
use tokio::net;

use super::shared::{Direction, Shared};

/// A TCP socket that listens.
#[derive(Debug)]
pub struct TokioTcpListener {
    socket: Rc<Shared<net::TcpListener>>,
}

impl TokioTcpListener {
    pub(super) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = net::TcpListener::bind(address).await?;
        Ok(Self { socket: Rc::new(Shared::new(socket)) })
    }
}

impl TcpListener for TokioTcpListener {
    type Stream = TokioTcpStream;

    /// As the trait says. A connection whose peer left before it was accepted is skipped where the platform
    /// tells; elsewhere it is accepted, and its end is read.
    fn accept(&self) -> impl Future<Output = io::Result<(TokioTcpStream, SocketAddr)>> + use<> {
        let socket = Rc::clone(&self.socket);
        async move {
            let accepted = socket.when_ready(Direction::In, |socket, cx| {
                loop {
                    match ready!(socket.poll_accept(cx)) {
                        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                        outcome => return Poll::Ready(outcome),
                    }
                }
            });
            let (stream, peer) = accepted.await?;
            // Fails if the peer is gone already, which the first read tells better.
            let _ = stream.set_nodelay(true);
            Ok((TokioTcpStream::new(stream), peer))
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.with(net::TcpListener::local_addr)
    }

    /// As the trait says. Calls of `accept` that still wait fail with
    /// [`NotConnected`](io::ErrorKind::NotConnected).
    async fn close(self) -> io::Result<()> {
        drop(self.socket.take());
        Ok(())
    }
}

impl Drop for TokioTcpListener {
    /// Calls that still wait hold the listener, too; the port must be free without them.
    fn drop(&mut self) {
        drop(self.socket.take());
    }
}

/// One end of a TCP connection.
#[derive(Clone, Debug)]
pub struct TokioTcpStream {
    socket: Rc<Shared<net::TcpStream>>,
}

impl TokioTcpStream {
    pub(super) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self::new(stream))
    }

    fn new(stream: net::TcpStream) -> Self {
        Self { socket: Rc::new(Shared::new(stream)) }
    }
}

impl TcpStream for TokioTcpStream {
    /// As the trait says. Receives at most 64 KiB in one call.
    fn read<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let socket = Rc::clone(&self.socket);
        async move {
            let room = buf.bytes_total().min(READ_BYTES_MAX);
            if room == 0 {
                return (Ok(0), buf);
            }
            // No more of the buffer than this, as its uninitialised bytes are zeroed before each attempt.
            let mut part = buf.slice_mut(0..room);
            let outcome = socket.when_ready(Direction::In, |socket, cx| {
                loop {
                    ready!(socket.poll_read_ready(cx))?;
                    match part.fill_with(|bytes| socket.try_read(bytes)) {
                        Err(error) if is_not_over(&error) => {}
                        outcome => return Poll::Ready(outcome),
                    }
                }
            });
            let outcome = outcome.await;
            (outcome, part.into_inner())
        }
    }

    /// As the trait says. A dropped call has sent nothing if it was not over.
    fn write<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let socket = Rc::clone(&self.socket);
        async move {
            if buf.bytes_init() == 0 {
                return (Ok(0), buf);
            }
            let outcome = socket.when_ready(Direction::Out, |socket, cx| {
                loop {
                    ready!(socket.poll_write_ready(cx))?;
                    match socket.try_write(buf.as_bytes()) {
                        Err(error) if is_not_over(&error) => {}
                        outcome => return Poll::Ready(outcome),
                    }
                }
            });
            let outcome = outcome.await.map_err(|error| match error.kind() {
                // A handle closed the stream: to a writer the same as its end.
                io::ErrorKind::NotConnected => io::Error::new(io::ErrorKind::BrokenPipe, error),
                _ => error,
            });
            (outcome, buf)
        }
    }

    fn shutdown(&self) -> impl Future<Output = io::Result<()>> + use<> {
        let socket = Rc::clone(&self.socket);
        async move { socket.with(|socket| shut(socket, Shutdown::Write)) }
    }

    /// As the trait says. Reads and writes of other handles that still wait fail, with
    /// [`NotConnected`](io::ErrorKind::NotConnected) and [`BrokenPipe`](io::ErrorKind::BrokenPipe).
    async fn close(self) -> io::Result<()> {
        let Some(stream) = self.socket.take() else { return Ok(()) };
        let pending_error = stream.take_error()?;
        // Closing resets the connection if something was received and not read, and what was sent may be
        // lost with it. The end of the stream goes out first.
        shut(&stream, Shutdown::Write)?;
        pending_error.map_or(Ok(()), Err)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.with(net::TcpStream::local_addr)
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.with(net::TcpStream::peer_addr)
    }
}

/// Whether the socket is to be asked again, perhaps after it is ready.
fn is_not_over(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Ends one direction. A connection that is gone has no directions left, which is no error.
fn shut(stream: &net::TcpStream, how: Shutdown) -> io::Result<()> {
    match rustix::net::shutdown(stream, how) {
        Err(rustix::io::Errno::NOTCONN) | Ok(()) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// As much as a socket's receive buffer usually holds.
const READ_BYTES_MAX: usize = 64 * 1024;
