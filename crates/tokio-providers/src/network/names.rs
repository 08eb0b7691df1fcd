//! Names of hosts.

use std::io;
use std::net::{IpAddr, SocketAddr};

/// Addresses of `host`, in the resolver's order.
pub(super) async fn lookup(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    if !is_well_formed(&host) {
        let message = format!("{host:?} is no name of a host");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), port)).await?.collect();
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("{host:?} has no address")));
    }
    Ok(found)
}

/// Whether the resolver may be asked for `host`: a domain name in ASCII (RFC 1123, and underscores, which are in
/// use), or an IPv6 address with a zone.
///
/// Resolvers differ in what they make of other text, from an error to a question to the root servers.
fn is_well_formed(host: &str) -> bool {
    let is_address_with_zone = host.contains(':') && host.contains('%');
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_name = name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label);
    is_name || (is_address_with_zone && host.bytes().all(|byte| byte.is_ascii_graphic()))
}

fn is_label(label: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !label.is_empty()
        && label.len() <= LABEL_BYTES_MAX
        && label.bytes().all(is_allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// RFC 1035, section 2.3.4, without the root's empty label and the first length.
const NAME_BYTES_MAX: usize = 253;

/// RFC 1035, section 2.3.4.
const LABEL_BYTES_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::is_well_formed;

    #[test]
    fn names_are_told_from_other_text() {
        let long_label = "a".repeat(64);
        let long_name = ["a".repeat(63).as_str(); 4].join(".");
        let check = |host: &str, expected| assert_eq!(is_well_formed(host), expected, "{host:?}");
        for host in ["localhost", "a", "db-1.example.com", "example.com.", "_srv.x", "10.1", "fe80::1%eth0"] {
            check(host, true);
        }
        for host in
            ["", ".", "a..b", "two words", "a\0b", "-a", "a-", "b\u{fc}cher", "a/b", &long_label, &long_name]
        {
            check(host, false);
        }
    }
}
