//! Addresses of processes: IP, port and flags.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a process listens: an IPv4 or IPv6 address, a port, and flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NetworkAddress {
    /// The IP address.
    pub ip: IpAddr,
    /// The port.
    pub port: u16,
    /// A sum of [`flags`].
    pub flags: u16,
}

impl NetworkAddress {
    /// An address without flags.
    pub const fn new(ip: IpAddr, port: u16) -> Self {
        Self { ip, port, flags: 0 }
    }

    /// An address with these [`flags`].
    pub const fn with_flags(ip: IpAddr, port: u16, flags: u16) -> Self {
        Self { ip, port, flags }
    }

    /// Reads `127.0.0.1:4500` or `[::1]:4500`, either with `:tls` behind it.
    ///
    /// # Errors
    ///
    /// [`NetworkAddressParseError`], which says what part it is that cannot be read. An IPv6 address without
    /// brackets is an [`InvalidIp`](NetworkAddressParseError::InvalidIp), as its last group might be the port.
    pub fn parse(text: &str) -> Result<Self, NetworkAddressParseError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(NetworkAddressParseError::TooLong { bytes: text.len(), bytes_max: TEXT_BYTES_MAX });
        }
        let (text, flags) = match text.strip_suffix(TLS_SUFFIX) {
            Some(text) => (text, flags::FLAG_TLS),
            None => (text, 0),
        };
        let (ip, port) = if let Some(rest) = text.strip_prefix('[') {
            let (ip, rest) = rest.split_once(']').ok_or(NetworkAddressParseError::InvalidIp)?;
            let port = rest.strip_prefix(':').ok_or(NetworkAddressParseError::MissingPort)?;
            (ip.parse().map(IpAddr::V6), port)
        } else {
            let (ip, port) = text.rsplit_once(':').ok_or(NetworkAddressParseError::MissingPort)?;
            (ip.parse().map(IpAddr::V4), port)
        };
        let ip = ip.map_err(|_| NetworkAddressParseError::InvalidIp)?;
        // The standard library's reader of numbers would take a sign.
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NetworkAddressParseError::InvalidPort);
        }
        let port = port.parse().map_err(|_| NetworkAddressParseError::InvalidPort)?;
        Ok(Self { ip, port, flags })
    }

    /// Whether connections to it are encrypted.
    pub const fn is_tls(&self) -> bool {
        self.flags & flags::FLAG_TLS != 0
    }

    /// Whether it can be reached from outside.
    pub const fn is_public(&self) -> bool {
        self.flags & flags::FLAG_PUBLIC != 0
    }

    /// IP and port.
    pub const fn to_socket_addr(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }
}

impl From<SocketAddr> for NetworkAddress {
    fn from(address: SocketAddr) -> Self {
        Self::new(address.ip(), address.port())
    }
}

impl FromStr for NetworkAddress {
    type Err = NetworkAddressParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// As [`NetworkAddress::parse`] reads it. That an address is public is not told.
impl fmt::Display for NetworkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", SocketAddr::new(self.ip, self.port))?;
        if self.is_tls() { f.write_str(TLS_SUFFIX) } else { Ok(()) }
    }
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkAddressParseError {
    /// What stands before the port is no IP address, or an IPv6 address without brackets.
    #[error("no IP address: write 127.0.0.1:4500 or [::1]:4500")]
    InvalidIp,
    /// The port is no number below 65536.
    #[error("no port: write a number from 0 to 65535")]
    InvalidPort,
    /// There is no port.
    #[error("no port behind the IP address: add a colon and a number")]
    MissingPort,
    /// No address is that long.
    #[error("{bytes} bytes are longer than any address, which has at most {bytes_max}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
        /// The longest that is read.
        bytes_max: usize,
    },
}

/// Flags of a [`NetworkAddress`].
pub mod flags {
    /// Connections to it are encrypted.
    pub const FLAG_TLS: u16 = 1;
    /// It can be reached from outside.
    pub const FLAG_PUBLIC: u16 = 2;
}

const TLS_SUFFIX: &str = ":tls";
/// The longest IPv6 address has 45 bytes; brackets, port and suffix add 12. The rest is slack.
const TEXT_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::{NetworkAddress, NetworkAddressParseError as E, flags};

    #[test]
    fn both_families_are_read_and_written() {
        let four = NetworkAddress::new(IpAddr::V4(Ipv4Addr::new(192, 168, 1, 1)), 4500);
        let six = NetworkAddress::with_flags(IpAddr::V6(Ipv6Addr::LOCALHOST), 80, flags::FLAG_TLS);
        assert_eq!(NetworkAddress::parse("192.168.1.1:4500"), Ok(four));
        assert_eq!("[::1]:80:tls".parse(), Ok(six));
        assert_eq!([four.to_string(), six.to_string()], ["192.168.1.1:4500", "[::1]:80:tls"]);
        assert!(six.is_tls() && !six.is_public() && !four.is_tls());
        assert!(NetworkAddress::with_flags(four.ip, 1, flags::FLAG_PUBLIC).is_public());
        assert_eq!(NetworkAddress::from(four.to_socket_addr()), four);
    }

    #[test]
    fn each_wrong_part_is_named() {
        let cases = [
            ("", E::MissingPort),
            ("127.0.0.1", E::MissingPort),
            ("[::1]", E::MissingPort),
            ("[::1]x80", E::MissingPort),
            ("[::1:80", E::InvalidIp),
            ("::1:80", E::InvalidIp),
            ("[127.0.0.1]:80", E::InvalidIp),
            ("localhost:80", E::InvalidIp),
            ("1.2.3.4:", E::InvalidPort),
            ("1.2.3.4:+80", E::InvalidPort),
            ("1.2.3.4:65536", E::InvalidPort),
            ("1.2.3.4:80:TLS", E::InvalidIp),
        ];
        for (text, expected) in cases {
            assert_eq!(NetworkAddress::parse(text), Err(expected), "{text:?}");
        }
        let long = "1".repeat(1 << 20);
        assert_eq!(NetworkAddress::parse(&long), Err(E::TooLong { bytes: 1 << 20, bytes_max: 64 }));
    }
}
