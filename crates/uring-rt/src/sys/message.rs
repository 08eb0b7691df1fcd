//! A message to a ring: a completion that another thread puts there, without a ring of its own.

use std::io;
use std::os::fd::RawFd;
use std::ptr;

use io_uring::opcode;
use io_uring::types::Fd;

/// The `user_data` of completions that say nothing: cancellations and messages. No key has this value, as generations
/// end below it.
pub(super) const USER_DATA_SILENT: u64 = 0xffff_ffff_0000_0000;

/// Puts a completion that says nothing into `ring`, whose thread wakes if it waits there.
///
/// # Errors
///
/// If the kernel is older than 6.13, if the descriptor is no ring, or if there is no memory.
pub(super) fn send_message(ring: RawFd) -> io::Result<()> {
    let entry = opcode::MsgRingData::new(Fd(ring), 0, USER_DATA_SILENT, None).build();
    // SAFETY: the call reads one `struct io_uring_sqe`, which `entry` is, and keeps nothing of it.
    let result = unsafe {
        libc::syscall(libc::SYS_io_uring_register, -1, REGISTER_SEND_MSG_RING, ptr::from_ref(&entry), 1)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `IORING_REGISTER_SEND_MSG_RING` of `linux/io_uring.h`.
const REGISTER_SEND_MSG_RING: u32 = 31;
