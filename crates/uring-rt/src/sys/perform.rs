//! Operations as plain system calls, for rings that are not the kernel's.

use std::os::fd::RawFd;
use std::ptr;

use super::sqe::Op;

/// Does `op` by a system call, and tells what a ring would; or that it would have to wait for a peer.
///
/// # Safety
///
/// What the addresses of `op` point at is valid, and touched by nobody else as the operation may touch it.
pub(super) unsafe fn perform(op: &Op) -> Option<i32> {
    // SAFETY: the caller's promise.
    unsafe { perform_short(op, u32::MAX) }
}

/// As [`perform`], moving at most `bytes_max` bytes.
///
/// # Safety
///
/// As for [`perform`].
#[expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "one call of the C library an arm, each with one promise"
)]
pub(super) unsafe fn perform_short(op: &Op, bytes_max: u32) -> Option<i32> {
    let cut = |len: u32| len.min(bytes_max) as usize;
    // SAFETY: each call is given the addresses of the operation, valid by the caller's promise, with lengths that are
    // the operation's or less.
    let result = unsafe {
        match *op {
            Op::Timeout { .. } | Op::Cancel { .. } | Op::CancelAll => 0,
            Op::Read { fd, to, len, offset } => {
                call(|| libc::pread64(fd, to.cast(), cut(len), offset_of(offset)))
            }
            Op::Write { fd, from, len, offset } => {
                call(|| libc::pwrite64(fd, from.cast(), cut(len), offset_of(offset)))
            }
            Op::Fsync { fd, data_only: true } => call(|| libc::fdatasync(fd) as isize),
            Op::Fsync { fd, .. } => call(|| libc::fsync(fd) as isize),
            Op::Fallocate { fd, len } => call(|| libc::fallocate64(fd, 0, 0, offset_of(len)) as isize),
            Op::Deallocate { fd, offset, len } => {
                call(|| libc::fallocate64(fd, PUNCH_HOLE, offset_of(offset), offset_of(len)) as isize)
            }
            Op::Truncate { fd, len } => call(|| libc::ftruncate64(fd, offset_of(len)) as isize),
            Op::Recv { fd, to, len } => call(|| libc::recv(fd, to.cast(), cut(len), libc::MSG_DONTWAIT)),
            Op::Send { fd, from, len } | Op::SendZeroCopy { fd, from, len } => {
                call(|| libc::send(fd, from.cast(), cut(len), libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL))
            }
            Op::RecvMsg { fd, header } => call(|| libc::recvmsg(fd, header, libc::MSG_DONTWAIT)),
            Op::SendMsg { fd, header } => {
                call(|| libc::sendmsg(fd, header, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL))
            }
            Op::AcceptMulti { fd } => {
                if !is_ready(fd, libc::POLLIN) {
                    return None;
                }
                call(|| libc::accept4(fd, ptr::null_mut(), ptr::null_mut(), libc::SOCK_CLOEXEC) as isize)
            }
            Op::Connect { fd, address, len } => return connect(fd, address, len),
            Op::ReadEvent { fd, to } => {
                if !is_ready(fd, libc::POLLIN) {
                    return None;
                }
                call(|| libc::read(fd, to.cast(), 8))
            }
            Op::OpenAt { folder, path, flags, mode } => {
                call(|| libc::openat(folder, path, flags, mode) as isize)
            }
            Op::RenameAt { folder, from, to } => call(|| libc::renameat(folder, from, folder, to) as isize),
            Op::LinkAt { folder, from, to } => call(|| libc::linkat(folder, from, folder, to, 0) as isize),
            Op::UnlinkAt { folder, path, flags } => call(|| libc::unlinkat(folder, path, flags) as isize),
            Op::MkDirAt { folder, path, mode } => call(|| libc::mkdirat(folder, path, mode) as isize),
            Op::Statx { fd, path, mask, to } => {
                call(|| libc::statx(fd, path, libc::AT_EMPTY_PATH, mask, to) as isize)
            }
            Op::Close { fd } => call(|| libc::close(fd) as isize),
            Op::RecvMulti { .. } => unreachable!("the ring picks a buffer, and performs a plain receive"),
        }
    };
    (result != -libc::EAGAIN).then_some(result)
}

/// Receives into a buffer of a ring, as [`perform`] does.
///
/// # Safety
///
/// `to` points at `len` bytes that nobody else touches.
pub(super) unsafe fn receive(fd: RawFd, to: *mut u8, len: u32) -> Option<i32> {
    // SAFETY: the caller's promise.
    unsafe { perform(&Op::Recv { fd, to, len }) }
}

/// Whether `fd` has one of `events` now, or an error to tell of.
pub(super) fn is_ready(fd: RawFd, events: libc::c_short) -> bool {
    let mut poll = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: the call reads and writes one `pollfd`.
    let result = unsafe { libc::poll(&raw mut poll, 1, 0) };
    result != 0
}

/// Starts to connect, or tells how that went: the socket knows which.
fn connect(fd: RawFd, address: *const libc::sockaddr, len: u32) -> Option<i32> {
    let fd_flags = libc::O_NONBLOCK;
    // SAFETY: the call takes no address.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    // SAFETY: as above. Sockets of this crate are blocking, as the kernel's ring wants them; while a connection is
    // being made this one must not be.
    unsafe { libc::fcntl(fd, libc::F_SETFL, flags | fd_flags) };
    // SAFETY: the caller of `perform` promises that the address is valid.
    let result = call(|| unsafe { libc::connect(fd, address, len) } as isize);
    // SAFETY: as above.
    unsafe { libc::fcntl(fd, libc::F_SETFL, flags) };
    match -result {
        libc::EINPROGRESS | libc::EALREADY | libc::EAGAIN => None,
        libc::EISCONN => Some(0),
        _ => Some(result),
    }
}

/// Makes a call, again while signals interrupt it, and tells its result as a ring does.
fn call(mut system_call: impl FnMut() -> isize) -> i32 {
    loop {
        match system_call() {
            -1 => {}
            result => return i32::try_from(result).unwrap_or(i32::MAX),
        }
        let error = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        if error != libc::EINTR {
            return -error;
        }
    }
}

fn offset_of(offset: u64) -> i64 {
    // Out of range is negative, which the call refuses.
    i64::try_from(offset).unwrap_or(-1)
}

/// Takes room away, and leaves the length.
pub(super) const PUNCH_HOLE: i32 = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
