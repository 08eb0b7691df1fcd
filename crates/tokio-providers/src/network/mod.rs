//! TCP, UDP and names.

mod names;
mod shared;
mod tcp;
mod udp;

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use samestep_provider_traits::NetworkProvider;

pub use tcp::{TokioTcpListener, TokioTcpStream};
pub use udp::TokioUdpSocket;

/// The operating system's network. Its sockets belong to the runtime that they were opened on.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioNetworkProvider {
    _private: (),
}

impl TokioNetworkProvider {
    /// A handle to the network.
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

impl NetworkProvider for TokioNetworkProvider {
    type TcpStream = TokioTcpStream;
    type TcpListener = TokioTcpListener;
    type UdpSocket = TokioUdpSocket;

    fn bind(&self, address: SocketAddr) -> impl Future<Output = io::Result<TokioTcpListener>> + use<> {
        TokioTcpListener::bind(address)
    }

    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<TokioTcpStream>> + use<> {
        TokioTcpStream::connect(address)
    }

    fn bind_udp(&self, address: SocketAddr) -> impl Future<Output = io::Result<TokioUdpSocket>> + use<> {
        TokioUdpSocket::bind(address)
    }

    /// As the trait says, by the operating system's resolver. A name that no host can have is refused with
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) without asking it.
    fn lookup(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + use<> {
        names::lookup(host.to_owned(), port)
    }
}
