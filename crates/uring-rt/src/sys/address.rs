//! Socket addresses and message headers as the kernel has them.

use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;

/// A socket address of any of three families, at a fixed place.
pub(crate) struct Address {
    storage: libc::sockaddr_storage,
    len: u32,
}

impl Address {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let mut this = Self::empty();
        match address {
            SocketAddr::V4(v4) => {
                let raw = libc::sockaddr_in {
                    sin_family: family(libc::AF_INET),
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                    sin_zero: [0; 8],
                };
                this.put(raw);
            }
            SocketAddr::V6(v6) => {
                let raw = libc::sockaddr_in6 {
                    sin6_family: family(libc::AF_INET6),
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: v6.scope_id(),
                };
                this.put(raw);
            }
        }
        this
    }

    /// Of the socket at `path`.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the path is empty or longer than 107 bytes, or has a zero byte
    /// within.
    pub(crate) fn unix(path: &Path) -> io::Result<Self> {
        let bytes = path.as_os_str().as_bytes();
        let mut raw = libc::sockaddr_un { sun_family: family(libc::AF_UNIX), sun_path: [0; UNIX_PATH_BYTES] };
        if bytes.is_empty() || bytes.len() >= UNIX_PATH_BYTES || bytes.contains(&0) {
            let message = format!("a socket's path has 1 to {} bytes, none zero", UNIX_PATH_BYTES - 1);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        for (to, from) in raw.sun_path.iter_mut().zip(bytes) {
            *to = from.cast_signed();
        }
        let mut this = Self::empty();
        this.put(raw);
        Ok(this)
    }

    /// Room for any address.
    fn empty() -> Self {
        // SAFETY: the type consists of integers, for which zero is a value.
        let storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
        Self { storage, len: size::<libc::sockaddr_storage>() }
    }

    fn put<R>(&mut self, raw: R) {
        const { assert!(size_of::<R>() <= size_of::<libc::sockaddr_storage>()) };
        const { assert!(align_of::<R>() <= align_of::<libc::sockaddr_storage>()) };
        // SAFETY: the storage is large enough and aligned for every address, as asserted.
        unsafe { ptr::from_mut(&mut self.storage).cast::<R>().write(raw) };
        self.len = size::<R>();
    }

    pub(super) fn as_raw(&self) -> (*const libc::sockaddr, u32) {
        (ptr::from_ref(&self.storage).cast(), self.len)
    }

    /// The address that the kernel put here, if it is one of the two families.
    fn get(&self) -> Option<SocketAddr> {
        match i32::from(self.storage.ss_family) {
            libc::AF_INET => {
                // SAFETY: the storage is large enough and aligned for it, and all its bytes are initialised.
                let raw = unsafe { ptr::from_ref(&self.storage).cast::<libc::sockaddr_in>().read() };
                let ip = Ipv4Addr::from(u32::from_be(raw.sin_addr.s_addr));
                Some(SocketAddr::new(IpAddr::V4(ip), u16::from_be(raw.sin_port)))
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let raw = unsafe { ptr::from_ref(&self.storage).cast::<libc::sockaddr_in6>().read() };
                let ip = Ipv6Addr::from(raw.sin6_addr.s6_addr);
                let port = u16::from_be(raw.sin6_port);
                Some(SocketAddr::V6(SocketAddrV6::new(ip, port, raw.sin6_flowinfo, raw.sin6_scope_id)))
            }
            _ => None,
        }
    }

    /// The path that the kernel put here, in an address of so many bytes; `None` if it is that of a socket without one, or
    /// of another family.
    fn path(&self, len: u32) -> Option<PathBuf> {
        let behind_family = (len as usize).checked_sub(std::mem::offset_of!(libc::sockaddr_un, sun_path))?;
        if i32::from(self.storage.ss_family) != libc::AF_UNIX {
            return None;
        }
        // SAFETY: the storage is large enough and aligned for it, and all its bytes are initialised.
        let raw = unsafe { ptr::from_ref(&self.storage).cast::<libc::sockaddr_un>().read() };
        let bytes: Vec<u8> = raw.sun_path.iter().map(|byte| byte.cast_unsigned()).collect();
        let bytes = &bytes[..behind_family.min(UNIX_PATH_BYTES)];
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        // An abstract name begins with a zero.
        (end > 0).then(|| PathBuf::from(OsStr::from_bytes(&bytes[..end])))
    }
}

/// A message header with its one vector and its address, at a fixed place: one is reused for all datagrams of a
/// socket and a direction.
pub(crate) struct Message {
    header: libc::msghdr,
    vector: libc::iovec,
    address: Address,
}

impl Message {
    pub(crate) fn new() -> Box<Self> {
        // SAFETY: the type consists of integers and pointers, for which zero is a value.
        let header: libc::msghdr = unsafe { std::mem::zeroed() };
        let vector = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        Box::new(Self { header, vector, address: Address::empty() })
    }

    /// Points at `len` bytes, and at room for who sent them.
    pub(super) fn point_at_room(&mut self, bytes: *mut u8, len: u32) -> *mut libc::msghdr {
        self.point_at(bytes, len, Some(Address::empty()))
    }

    /// Points at `len` bytes, and at `name`; at none if the socket knows where they go.
    pub(super) fn point_at(&mut self, bytes: *mut u8, len: u32, name: Option<Address>) -> *mut libc::msghdr {
        self.vector = libc::iovec { iov_base: bytes.cast(), iov_len: len as usize };
        (self.header.msg_name, self.header.msg_namelen) = (ptr::null_mut(), 0);
        if let Some(name) = name {
            self.address = name;
            self.header.msg_name = ptr::from_mut(&mut self.address.storage).cast();
            self.header.msg_namelen = self.address.len;
        }
        self.header.msg_iov = ptr::from_mut(&mut self.vector);
        self.header.msg_iovlen = 1;
        self.header.msg_control = ptr::null_mut();
        self.header.msg_controllen = 0;
        self.header.msg_flags = 0;
        ptr::from_mut(&mut self.header)
    }

    /// Who sent the datagram that was received.
    pub(crate) fn sender(&self) -> Option<SocketAddr> {
        self.address.get()
    }

    /// The same, of a Unix socket that is bound to a path.
    pub(crate) fn sender_path(&self) -> Option<PathBuf> {
        self.address.path(self.header.msg_namelen)
    }

    /// Whether the datagram was longer than there was room for.
    pub(crate) fn is_cut(&self) -> bool {
        self.header.msg_flags & libc::MSG_TRUNC != 0
    }
}

fn size<T>() -> u32 {
    u32::try_from(size_of::<T>()).expect("addresses are small")
}

fn family(family: i32) -> libc::sa_family_t {
    libc::sa_family_t::try_from(family).expect("families are small")
}

/// Of `sun_path`, with the zero behind it.
const UNIX_PATH_BYTES: usize = 108;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Address;

    #[test]
    fn addresses_come_back() {
        for text in ["127.0.0.1:80", "255.1.2.3:65535", "[::1]:443", "[fe80::1%3]:9"] {
            let address = text.parse().unwrap();
            assert_eq!(Address::new(address).get(), Some(address));
        }
        assert_eq!(Address::empty().get(), None);
    }

    #[test]
    fn paths_come_back() {
        let longest = "x".repeat(107);
        for path in ["s", "/run/s", &longest] {
            let address = Address::unix(Path::new(path)).unwrap();
            // The kernel counts the zero behind it, or does not.
            for len in [2 + path.len(), 3 + path.len(), 110] {
                assert_eq!(address.path(len.try_into().unwrap()), Some(path.into()), "{len}");
            }
            assert_eq!([0, 1, 2].map(|len| address.path(len)), [None, None, None]);
        }
        assert_eq!(Address::new("1.2.3.4:5".parse().unwrap()).path(16), None);
    }

    /// The bytes of `struct sockaddr_in` as ip(7) gives them: port and address in network order.
    #[test]
    fn the_layout_is_the_kernels() {
        let address = Address::new("1.2.3.4:258".parse().unwrap());
        let (at, len) = address.as_raw();
        // SAFETY: the address lives, and `len` of its bytes are initialised.
        let bytes = unsafe { std::slice::from_raw_parts(at.cast::<u8>(), len as usize) };
        assert_eq!(bytes[2..8], [1, 2, 1, 2, 3, 4]);
        assert_eq!(len, 16);
    }
}
