//! The limits: the same work by bare loops, with no runtime around them.

mod cross;
mod files;
mod net;
mod tasks;

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use io_uring::{IoUring, cqueue, squeue};

use crate::Result;
use crate::figures::Figures;
use crate::one::DATA;
use crate::rows::Work;

/// Does a row's work with nothing that need not be.
pub(crate) fn run(work: Work, size: u64, folder: &Path) -> Result<Figures> {
    let (data, zeros) = (folder.join(DATA), folder.join("zeros"));
    Ok(match work {
        Work::RoundTrip => files::round_trips(size)?,
        Work::Yield { tasks } => tasks::yields(tasks, size),
        Work::SpawnJoin { batch } => tasks::spawns(batch, size),
        Work::TimersFire => tasks::timers_fired(size),
        Work::TimersCancel => tasks::timers_cancelled(size),
        Work::Reads { depth } => files::reads(&data, depth, size)?,
        Work::Append { writers } => files::appends(&zeros, writers, size)?,
        Work::Stream { direction, chunk_kib } => files::stream(&data, direction, chunk_kib * 1024)?,
        Work::Echo { connections } => net::echoes(connections, size)?,
        Work::Accept => net::accepts(size)?,
        Work::PingPong(waiting) | Work::Call(waiting) => cross::ping_pong(waiting, size),
        Work::Idle => tasks::idle(size),
        Work::MemoryTasks | Work::MemoryConnections => return Err("tasks are a runtime's".into()),
    })
}

/// A ring with all that makes it fast, one file and some buffers registered.
struct Ring {
    // Before the buffers, which are freed after it.
    uring: IoUring,
    buffers: Vec<crate::pages::Pages>,
    entered: u64,
}

impl Ring {
    fn new(file: &impl AsRawFd, buffers: usize, buffer_bytes: usize) -> io::Result<Self> {
        let entries = u32::try_from(buffers.max(2)).expect("rings are small").next_power_of_two();
        let uring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_cqsize(2 * entries)
            .build(entries)?;
        uring.submitter().register_files(&[file.as_raw_fd()])?;
        let mut buffers: Vec<_> = (0..buffers).map(|_| crate::pages::Pages::new(buffer_bytes)).collect();
        let vectors: Vec<_> = buffers
            .iter_mut()
            .map(|buffer| {
                let bytes = buffer.bytes_mut();
                vector_of(bytes)
            })
            .collect();
        // SAFETY: the buffers live as long as the ring, and are looked at while no operation has them.
        unsafe { uring.submitter().register_buffers(&vectors) }?;
        Ok(Self { uring, buffers, entered: 0 })
    }

    /// Queues an operation on a registered buffer, of which there are as many as operations at a time.
    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: entries are of registered buffers, which live as long as the ring; a ring's operations are awaited
        // before it is dropped.
        unsafe { self.uring.submission().push(entry) }.expect("there are as many entries as buffers");
    }

    /// Submits, and waits for so many completions.
    fn enter(&mut self, wanted: usize) -> io::Result<()> {
        self.entered += 1;
        self.uring.submit_and_wait(wanted).map(|_| ())
    }

    fn next(&mut self) -> Option<cqueue::Entry> {
        self.uring.completion().next()
    }
}

fn vector_of(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() }
}
