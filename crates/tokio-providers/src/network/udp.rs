//! UDP.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Poll, ready};

use samestep_provider_traits::{BufResult, IoBuf, IoBufMut, UdpSocket};
use tokio::net;

use super::shared::{Direction, Shared};

/// A UDP socket.
#[derive(Debug)]
pub struct TokioUdpSocket {
    socket: Rc<Shared<net::UdpSocket>>,
}

impl TokioUdpSocket {
    pub(super) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = net::UdpSocket::bind(address).await?;
        Ok(Self { socket: Rc::new(Shared::new(socket)) })
    }
}

impl UdpSocket for TokioUdpSocket {
    /// As the trait says. A dropped call has sent nothing if it was not over.
    fn send_to<B: IoBuf>(
        &self,
        buf: B,
        target: SocketAddr,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let socket = Rc::clone(&self.socket);
        async move {
            let outcome = socket.when_ready(Direction::Out, |socket, cx| {
                loop {
                    ready!(socket.poll_send_ready(cx))?;
                    match socket.try_send_to(buf.as_bytes(), target) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        outcome => return Poll::Ready(outcome),
                    }
                }
            });
            (outcome.await, buf)
        }
    }

    fn recv_from<B: IoBufMut>(
        &self,
        mut buf: B,
    ) -> impl Future<Output = BufResult<(usize, SocketAddr), B>> + use<B> {
        let socket = Rc::clone(&self.socket);
        async move {
            let outcome = socket.when_ready(Direction::In, |socket, cx| {
                loop {
                    ready!(socket.poll_recv_ready(cx))?;
                    let mut sender = None;
                    let filled = buf.fill_with(|bytes| {
                        let (count, from) = socket.try_recv_from(bytes)?;
                        sender = Some(from);
                        Ok(count)
                    });
                    match filled {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Poll::Ready(Err(error)),
                        Ok(count) => {
                            let sender = sender.expect("a datagram that was received has a sender");
                            return Poll::Ready(Ok((count, sender)));
                        }
                    }
                }
            });
            let outcome = outcome.await;
            (outcome, buf)
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.with(net::UdpSocket::local_addr)
    }

    /// As the trait says. Calls that still wait fail with [`NotConnected`](io::ErrorKind::NotConnected).
    async fn close(self) -> io::Result<()> {
        drop(self.socket.take());
        Ok(())
    }
}

impl Drop for TokioUdpSocket {
    /// Calls that still wait hold the socket, too; the port must be free without them.
    fn drop(&mut self) {
        drop(self.socket.take());
    }
}
