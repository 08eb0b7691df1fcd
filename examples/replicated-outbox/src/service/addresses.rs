//! Where nodes of one machine listen.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

/// So many addresses of this machine that nobody listens at.
///
/// They are taken and given back together, and whoever connects to anything in the meantime must not be given one of
/// their ports: where all of 127.0.0.0/8 is this machine, each process has an address of its own there, which no
/// connection begins at.
///
/// # Errors
///
/// If the system has none.
pub(crate) fn free(count: usize) -> io::Result<Vec<SocketAddr>> {
    let listen = |_| TcpListener::bind((own_ip(), 0));
    let taken = (0..count).map(listen).collect::<io::Result<Vec<_>>>()?;
    taken.iter().map(TcpListener::local_addr).collect()
}

#[expect(clippy::disallowed_methods, reason = "it is about which process this is")]
fn own_ip() -> IpAddr {
    if !cfg!(target_os = "linux") {
        return Ipv4Addr::LOCALHOST.into();
    }
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    // Neither 127.0.0.1 nor, with the last byte, a broadcast.
    Ipv4Addr::new(127, 64 | (high & 0x3f), middle, low.clamp(1, 254)).into()
}
