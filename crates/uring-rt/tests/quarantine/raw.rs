//! What goes wrong without a drain: a ring that is closed with reads under way, and their buffers freed.

use std::os::fd::AsRawFd;

use io_uring::{IoUring, opcode, types};
use samestep_provider_traits::{AlignedBuf, IoBufMut};

use crate::alloc::BLOCK_BYTES;

/// Starts as many reads as there is file, closes the ring, and frees the buffers. The memory is the quarantine's, so
/// that the kernel's late writes hurt nobody.
pub(crate) fn close_without_drain(file: &std::fs::File) -> std::io::Result<()> {
    let mut ring = IoUring::new(64)?;
    let mut buffers: Vec<AlignedBuf> = (0..32).map(|_| AlignedBuf::zeroed(BLOCK_BYTES, 4096)).collect();
    for (number, buffer) in (0..).zip(&mut buffers) {
        let len = u32::try_from(BLOCK_BYTES).expect("a MiB");
        let read = opcode::Read::new(types::Fd(file.as_raw_fd()), buffer.stable_mut_ptr(), len);
        let entry = read.offset(number * BLOCK_BYTES as u64).build();
        // SAFETY: deliberately not kept: the buffers go to the quarantine below while the kernel writes to them. They
        // stay mapped and belong to nobody.
        unsafe { ring.submission().push(&entry) }.expect("there is room");
    }
    ring.submit()?;
    drop(ring);
    drop(buffers);
    Ok(())
}
