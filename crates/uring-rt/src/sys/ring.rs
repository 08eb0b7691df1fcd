//! What a ring is to the driver: submissions go in, completions come out, and nothing else happens.
//!
//! Three implementations: the kernel's ring, threads that make the same system calls, and for tests one that does
//! everything as late, as short and in as odd an order as a ring may.

use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use super::arena::Arena;
use super::dma::DmaArena;
use super::sqe::Sqe;

/// A queue of submissions and a queue of completions.
pub(crate) trait Ring {
    /// Queues a submission, unless there is no room before the next [`Self::enter`].
    ///
    /// # Safety
    ///
    /// What the operation's addresses point at is valid, and touched by nobody else as the operation may touch
    /// it, until its last completion was reaped: the one that does not say that more follow.
    unsafe fn push(&mut self, sqe: Sqe) -> Result<(), Full>;

    /// How many submissions can be queued now.
    fn room(&self) -> usize;

    /// How many submissions wait for [`Self::enter`].
    fn pending(&self) -> usize;

    /// Submits what is queued, and waits if asked to. Returns early for no reason at times.
    ///
    /// # Errors
    ///
    /// Those of `io_uring_enter`. After one that is [harmless](is_harmless) the call may be repeated once
    /// completions were reaped; some submissions may have been taken.
    fn enter(&mut self, wait: Wait) -> io::Result<()>;

    /// Moves completions to `into`. Any order, but those of one operation are in theirs.
    fn reap(&mut self, into: &mut Vec<Cqe>);

    /// Whether there are completions, or would be after [`Self::enter`]. Costs no system call.
    fn has_events(&self) -> bool;

    /// Whether it can cut files, which the kernel's cannot before 6.9.
    fn can_truncate(&self) -> bool {
        true
    }

    /// How often the ring was entered when completions had found no room in its queue.
    fn overflows(&self) -> u64 {
        0
    }

    /// How many completions are kept without the kernel's having to store them elsewhere.
    fn completions_max(&self) -> usize;

    /// Gives the ring the buffers of `arena`, as group 0, for operations that pick one themselves. They stay the
    /// ring's until a completion names them.
    ///
    /// # Safety
    ///
    /// The arena lives, and its buffers are touched by nobody else while they are the ring's, until the ring is
    /// dropped and idle.
    unsafe fn give_arena(&mut self, arena: &Arena) -> io::Result<()>;

    /// Gives a buffer back to the ring.
    ///
    /// # Safety
    ///
    /// As for [`Self::give_arena`]: from now on the buffer is the ring's.
    unsafe fn give_buffer(&mut self, arena: &Arena, buffer: u16);

    /// Looks the memory of `arena` up for good, which the ring keeps until it is gone: reads and writes whose buffers are
    /// in it then need that no more.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported) if the ring looks nothing up; those of `io_uring_register`.
    fn register_arena(&mut self, arena: &Rc<DmaArena>) -> io::Result<Registered> {
        let _ = arena;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Looks a file up for good, so that reads and writes of it need that no more; if there is room for it. It is held
    /// open by that until [`Self::forget_file`].
    fn keep_file(&mut self, fd: RawFd) {
        let _ = fd;
    }

    /// Undoes [`Self::keep_file`], before the descriptor is closed. What is under way goes on.
    fn forget_file(&mut self, fd: RawFd) {
        let _ = fd;
    }

    /// Whether [`Self::has_events`] is also told by the event counter that was given at set-up. Off while the
    /// thread is awake.
    fn signal_events(&mut self, are_signalled: bool);
}

/// How often the kernel looked up an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registered {
    /// Once, as rings take it over from each other.
    Once,
    /// Once for each ring.
    Each,
}

/// No room for another submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// Whether entering a ring waits for completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// It does not.
    No,
    /// For at least one, but not longer than this.
    AtMost(Option<Duration>),
}

/// One completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cqe {
    pub(crate) user_data: u64,
    /// Not negative, or an error number with its sign changed.
    pub(crate) result: i32,
    pub(crate) flags: u32,
}

impl Cqe {
    /// Whether more completions of the same operation follow.
    pub(crate) const fn has_more(self) -> bool {
        self.flags & FLAG_MORE != 0
    }

    /// Whether this tells only that a zero-copy send is done with its buffer.
    pub(crate) const fn is_notification(self) -> bool {
        self.flags & FLAG_NOTIFICATION != 0
    }
}

/// The buffer that a completion with these flags has filled, if it picked one.
pub(crate) const fn picked_buffer(flags: u32) -> Option<u16> {
    if flags & FLAG_BUFFER != 0 { Some((flags >> 16) as u16) } else { None }
}

/// Interrupted, timed out, or busy with completions that are to be reaped first.
pub(crate) fn is_harmless(error: &io::Error) -> bool {
    let number = error.raw_os_error();
    [libc::EINTR, libc::ETIME, libc::EBUSY, libc::EAGAIN].iter().any(|harmless| number == Some(*harmless))
}

/// `IORING_CQE_F_BUFFER`, `IORING_CQE_F_MORE` and `IORING_CQE_F_NOTIF` of `linux/io_uring.h`.
pub(crate) const FLAG_BUFFER: u32 = 1 << 0;
pub(crate) const FLAG_MORE: u32 = 1 << 1;
pub(crate) const FLAG_NOTIFICATION: u32 = 1 << 3;
