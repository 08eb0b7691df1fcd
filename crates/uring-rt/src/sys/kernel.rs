//! The kernel's ring.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use io_uring::types::{self, BufRingEntry, CancelBuilder, Fd, Fixed, FsyncFlags};
use io_uring::{IoUring, opcode, squeue};

use super::arena::Arena;
use super::dma::DmaArena;
use super::message::send_message;
use super::pages::{PageSize, Pages};
use super::perform::PUNCH_HOLE;
use super::remote::Remote;
use super::ring::{Cqe, Full, Registered, Ring, Wait};
use super::sqe::{Op, Sqe};
use crate::file_slots::FileSlots;
use crate::info::{Choice, Feature};
use crate::runtime::TaskRun;

/// A ring of the kernel, used by the thread that made it.
pub(crate) struct KernelRing {
    uring: IoUring,
    /// Submissions since the last enter that took them.
    pending: usize,
    /// The ring's number in the thread's table, which saves looking its descriptor up at each enter.
    registered: Option<u32>,
    enter_flags: u32,
    buffers: Option<BufferRing>,
    /// Memory that was looked up for good, as buffer 0.
    arena: Option<Rc<DmaArena>>,
    /// Files that were looked up for good.
    files: FileSlots,
    /// Whether its completions are the device's to be asked for.
    is_polled: bool,
    /// Whether the kernel has the operation.
    can_truncate: bool,
    /// Times the queue of completions had overflowed.
    overflows: u64,
    /// Sends messages to this ring, until it is told that the ring goes.
    reached_by: Option<Arc<Remote>>,
}

impl KernelRing {
    /// Makes a ring for `entries` submissions, and tells in `choices` how and why so.
    ///
    /// # Errors
    ///
    /// Those of `io_uring_setup`.
    pub(crate) fn new(entries: u32, mode: TaskRun, choices: &mut Vec<Choice>) -> io::Result<Self> {
        Self::build(entries, Kind::Interrupting(mode), choices)
    }

    /// Makes a ring for reads and writes whose completions the device is asked for, by each [`Ring::enter`], which
    /// never waits.
    ///
    /// # Errors
    ///
    /// Those of `io_uring_setup`.
    pub(crate) fn new_polled(entries: u32) -> io::Result<Self> {
        Self::build(entries, Kind::Polled, &mut Vec::new())
    }

    fn build(entries: u32, kind: Kind, choices: &mut Vec<Choice>) -> io::Result<Self> {
        let builder = |entries| builder(entries, kind);
        let uring = match builder(entries).setup_no_sqarray().build(entries) {
            Ok(uring) => {
                choices.push(Choice::used(Feature::NoSubmissionArray, "saves a load at each submission"));
                uring
            }
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                choices.push(Choice::unused(Feature::NoSubmissionArray, "the kernel is older than 6.6"));
                builder(entries).build(entries)?
            }
            Err(error) => return Err(error),
        };
        choices.push(match kind {
            Kind::Interrupting(TaskRun::Cooperative) => {
                Choice::unused(Feature::DeferredTaskRun, "the builder asked for cooperative task run")
            }
            _ => Choice::used(Feature::DeferredTaskRun, "completions are made when they are asked for"),
        });
        let mut this = Self {
            uring,
            pending: 0,
            registered: None,
            enter_flags: 0,
            buffers: None,
            arena: None,
            files: FileSlots::default(),
            can_truncate: false,
            overflows: 0,
            is_polled: kind == Kind::Polled,
            reached_by: None,
        };
        this.registered = this.register().ok();
        let registered = match this.registered {
            Some(_) => Choice::used(Feature::RegisteredRing, "saves looking the descriptor up at each enter"),
            None => Choice::unused(Feature::RegisteredRing, "the kernel has no room for it"),
        };
        choices.push(registered);
        choices.push(match this.uring.submitter().register_files_sparse(FILES_MAX.into()) {
            Ok(()) => {
                this.files = FileSlots::new(FILES_MAX);
                Choice::used(Feature::RegisteredFiles, "direct files are looked up once")
            }
            // For instance if the process may not have so many files open.
            Err(_) => Choice::unused(Feature::RegisteredFiles, "the kernel refused"),
        });
        if this.uring.params().is_feature_no_iowait() {
            this.enter_flags |= ENTER_NO_IOWAIT;
            choices
                .push(Choice::used(Feature::NoIoWait, "a parked shard does not count as waiting for a disk"));
        } else {
            choices.push(Choice::unused(Feature::NoIoWait, "the kernel is older than 6.15"));
        }
        Ok(this)
    }

    /// Has the ring tell `event` of its completions, when that is switched on.
    pub(crate) fn register_event(&mut self, event: &impl AsRawFd) -> io::Result<()> {
        self.uring.submitter().register_eventfd(event.as_raw_fd())?;
        self.signal_events(false);
        Ok(())
    }

    /// Has other threads wake the one that waits here by a message, if the kernel can do that.
    pub(crate) fn reach_by(&mut self, remote: &Arc<Remote>) -> Choice {
        // To itself, as a trial: it comes out as a completion that says nothing.
        if send_message(self.uring.as_raw_fd()).is_err() {
            return Choice::unused(Feature::RingMessage, "the kernel is older than 6.13");
        }
        remote.set_ring(Some(self.uring.as_raw_fd()));
        self.reached_by = Some(Arc::clone(remote));
        Choice::used(Feature::RingMessage, "other threads wake a sleeping shard by it")
    }

    /// Has at most so many threads of the kernel do what would block, for all rings of this thread: as many again for
    /// what may block for ever, such as reads of a pipe.
    pub(crate) fn limit_workers(&mut self, count: u32) -> Choice {
        match self.uring.submitter().register_iowq_max_workers(&mut [count, count]) {
            Ok(()) => {
                Choice::used(Feature::WorkerLimit, "threads of the kernel for what would block are few")
            }
            Err(_) => Choice::unused(Feature::WorkerLimit, "the kernel refused"),
        }
    }

    /// The opcodes of [`REQUIRED`] that the kernel does not know. Of others it learns meanwhile whether it does, and tells
    /// that in `choices`.
    pub(crate) fn missing(&mut self, choices: &mut Vec<Choice>) -> io::Result<Vec<&'static str>> {
        let mut probe = io_uring::Probe::new();
        self.uring.submitter().register_probe(&mut probe)?;
        self.can_truncate = probe.is_supported(opcode::Ftruncate::CODE);
        choices.push(if self.can_truncate {
            Choice::used(Feature::Truncate, "files are cut on the ring")
        } else {
            Choice::unused(Feature::Truncate, "files are cut on threads, as the kernel is older than 6.9")
        });
        Ok(REQUIRED.iter().filter(|(code, _)| !probe.is_supported(*code)).map(|(_, name)| *name).collect())
    }

    fn register(&self) -> io::Result<u32> {
        let fd = self.uring.as_raw_fd();
        let mut update =
            RingUpdate { offset: u32::MAX, reserved: 0, data: u64::try_from(fd).expect("a descriptor") };
        let at = ptr::from_mut(&mut update);
        // SAFETY: the call reads and writes one `struct io_uring_rsrc_update`, which `update` is.
        let result = unsafe { libc::syscall(libc::SYS_io_uring_register, fd, REGISTER_RING_FDS, at, 1) };
        if result == 1 { Ok(update.offset) } else { Err(io::Error::last_os_error()) }
    }

    /// `io_uring_enter`; gives how many submissions were taken.
    fn call(
        &self,
        to_submit: u32,
        min_complete: u32,
        mut flags: u32,
        argument: Option<&WaitArgument>,
    ) -> io::Result<u32> {
        flags |= self.enter_flags;
        let fd = match self.registered {
            Some(index) => {
                flags |= ENTER_REGISTERED_RING;
                index
            }
            None => u32::try_from(self.uring.as_raw_fd()).expect("a descriptor"),
        };
        let (at, size) = argument.map_or((ptr::null(), 0), |argument| {
            flags |= ENTER_EXT_ARG;
            (ptr::from_ref(argument), size_of::<WaitArgument>())
        });
        // SAFETY: the argument, if any, is a `struct io_uring_getevents_arg` that points at a timespec which lives
        // until the call returns. What the submissions point at was promised to `push`.
        let result =
            unsafe { libc::syscall(libc::SYS_io_uring_enter, fd, to_submit, min_complete, flags, at, size) };
        u32::try_from(result).map_err(|_| io::Error::last_os_error())
    }
}

impl Ring for KernelRing {
    unsafe fn push(&mut self, sqe: Sqe) -> Result<(), Full> {
        let fixed = self
            .arena
            .as_ref()
            .filter(|arena| sqe.op.memory().is_some_and(|(at, len)| arena.contains(at, len)));
        if let Some(arena) = fixed {
            arena.note_operation();
        }
        let slot = match sqe.op {
            Op::Read { fd, .. } | Op::Write { fd, .. } => self.files.of(fd),
            _ => None,
        };
        let entry = entry_of(&sqe, fixed.is_some(), slot);
        // SAFETY: the caller's promise is what this asks for.
        unsafe { self.uring.submission().push(&entry) }.map_err(|_| Full)?;
        self.pending += 1;
        Ok(())
    }

    fn room(&self) -> usize {
        self.uring.params().sq_entries() as usize - self.pending
    }

    fn pending(&self) -> usize {
        self.pending
    }

    fn enter(&mut self, wait: Wait) -> io::Result<()> {
        let to_submit = u32::try_from(self.pending).expect("rings are small");
        // What did not fit is with the kernel, which now moves it to where there is room.
        self.overflows += u64::from(self.uring.submission().cq_overflow());
        // The kernel would ask the device in a loop, and nobody else would get a turn.
        let wait = if self.is_polled { Wait::No } else { wait };
        let entered = match wait {
            Wait::No => self.call(to_submit, 0, ENTER_GETEVENTS, None),
            Wait::AtMost(None) => self.call(to_submit, 1, ENTER_GETEVENTS, None),
            Wait::AtMost(Some(patience)) => {
                let timespec = types::Timespec::from(patience.min(PATIENCE_MAX));
                let argument = WaitArgument {
                    sigmask: 0,
                    sigmask_bytes: 0,
                    min_wait_us: 0,
                    timespec: ptr::from_ref(&timespec),
                };
                self.call(to_submit, 1, ENTER_GETEVENTS, Some(&argument))
            }
        };
        self.pending = self.uring.submission().len();
        entered.map(|_| ())
    }

    fn reap(&mut self, into: &mut Vec<Cqe>) {
        into.extend(self.uring.completion().map(|entry| Cqe {
            user_data: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }));
    }

    fn has_events(&self) -> bool {
        // SAFETY: the queues are used by this thread only, and by `&mut self` elsewhere, so no other view of either
        // exists now.
        let completions = unsafe { self.uring.completion_shared() };
        if !completions.is_empty() {
            return true;
        }
        // SAFETY: as above.
        let submissions = unsafe { self.uring.submission_shared() };
        submissions.taskrun() || submissions.cq_overflow()
    }

    fn can_truncate(&self) -> bool {
        self.can_truncate
    }

    fn overflows(&self) -> u64 {
        self.overflows
    }

    fn completions_max(&self) -> usize {
        self.uring.params().cq_entries() as usize
    }

    unsafe fn give_arena(&mut self, arena: &Arena) -> io::Result<()> {
        let mut buffers = BufferRing::new(arena.count().next_power_of_two())?;
        let (at, entries) = (buffers.entries().expose_provenance() as u64, buffers.count);
        // SAFETY: the memory is page-aligned, as long as that many entries, and is freed after the ring was closed
        // and idle, see `Drop` of both.
        unsafe { self.uring.submitter().register_buf_ring_with_flags(at, entries, BUFFER_GROUP, 0) }?;
        (0..arena.count()).for_each(|buffer| buffers.put(arena, buffer));
        self.buffers = Some(buffers);
        Ok(())
    }

    unsafe fn give_buffer(&mut self, arena: &Arena, buffer: u16) {
        self.buffers.as_mut().expect("the arena was given before").put(arena, buffer);
    }

    fn register_arena(&mut self, arena: &Rc<DmaArena>) -> io::Result<Registered> {
        let submitter = self.uring.submitter();
        let fd = self.uring.as_raw_fd();
        let source = arena.registered_in();
        let registered = match source.get() {
            Some(source) if submitter.register_buffers_clone(source).is_ok() => Registered::Once,
            first => {
                // SAFETY: the memory stays mapped until the ring is gone, as the ring keeps the arena. It is read and
                // written by operations only, which own the buffers that they name.
                unsafe { submitter.register_buffers(&[arena.vector()]) }?;
                if first.is_none() {
                    source.set(Some(fd));
                }
                if first.is_none() { Registered::Once } else { Registered::Each }
            }
        };
        self.arena = Some(Rc::clone(arena));
        Ok(registered)
    }

    fn keep_file(&mut self, fd: RawFd) {
        let Some(slot) = self.files.take(fd) else { return };
        if self.uring.submitter().register_files_update(slot.into(), &[fd]).is_err() {
            self.files.give(fd);
        }
    }

    fn forget_file(&mut self, fd: RawFd) {
        if let Some(slot) = self.files.give(fd) {
            // Nothing else is in the slot, which is within the table.
            let emptied = self.uring.submitter().register_files_update(slot.into(), &[-1]);
            debug_assert!(emptied.is_ok(), "{emptied:?}");
        }
    }

    fn signal_events(&mut self, are_signalled: bool) {
        let completions = self.uring.completion();
        if are_signalled {
            completions.enable_eventfd();
        } else {
            completions.disable_eventfd();
        }
    }
}

impl Drop for KernelRing {
    fn drop(&mut self) {
        if let Some(remote) = &self.reached_by {
            // Its number may be another file's as soon as it is closed.
            remote.set_ring(None);
        }
        if let Some(index) = self.registered {
            let mut update = RingUpdate { offset: index, reserved: 0, data: 0 };
            let (fd, at) = (self.uring.as_raw_fd(), ptr::from_mut(&mut update));
            // The table of the thread holds the ring open otherwise. That it fails is news to nobody.
            // SAFETY: the call reads one `struct io_uring_rsrc_update`, which `update` is.
            let _ = unsafe { libc::syscall(libc::SYS_io_uring_register, fd, UNREGISTER_RING_FDS, at, 1) };
        }
        if let Some(arena) = &self.arena {
            // The number may be another file's as soon as the ring is closed.
            if arena.registered_in().get() == Some(self.uring.as_raw_fd()) {
                arena.registered_in().set(None);
            }
            // Closing alone unlocks the memory some time later, and the next ring may want to lock some.
            let _ = self.uring.submitter().unregister_buffers();
        }
        if self.buffers.is_some() {
            let _ = self.uring.submitter().unregister_buf_ring(BUFFER_GROUP);
        }
    }
}

/// Whether the device is asked for completions, or interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Polled,
    Interrupting(TaskRun),
}

/// The queue through which a ring is given buffers.
struct BufferRing {
    pages: Pages,
    count: u16,
    tail: u16,
}

impl BufferRing {
    fn new(count: u16) -> io::Result<Self> {
        let pages = Pages::new(usize::from(count) * size_of::<BufRingEntry>(), PageSize::Usual)?;
        Ok(Self { pages, count, tail: 0 })
    }

    /// Of so many, zeroed at first.
    fn entries(&self) -> *mut BufRingEntry {
        self.pages.start().as_ptr().cast()
    }

    fn put(&mut self, arena: &Arena, buffer: u16) {
        let index = usize::from(self.tail & (self.count - 1));
        // SAFETY: the index is below the count, so within the pages.
        let entry = unsafe { self.entries().add(index) };
        // SAFETY: the entry is in the pages, zeroed or written before, and the kernel does not read it before the
        // tail has passed it.
        let entry = unsafe { &mut *entry };
        entry.set_addr(arena.address(buffer).expose_provenance() as u64);
        entry.set_len(u32::try_from(arena.buffer_bytes()).expect("buffers are small"));
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the pages start with an entry.
        let tail = unsafe { BufRingEntry::tail(self.entries()) };
        // SAFETY: the tail is within the first entry, aligned, and shared with the kernel by atomic access only.
        unsafe { AtomicU16::from_ptr(tail.cast_mut()) }.store(self.tail, Ordering::Release);
    }
}

fn builder(entries: u32, kind: Kind) -> io_uring::Builder {
    let mut builder = IoUring::builder();
    match kind {
        Kind::Polled => builder.setup_iopoll().setup_defer_taskrun(),
        Kind::Interrupting(TaskRun::Deferred) => builder.setup_defer_taskrun(),
        Kind::Interrupting(TaskRun::Cooperative) => builder.setup_coop_taskrun(),
    };
    builder
        .dontfork()
        .setup_single_issuer()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(entries.saturating_mul(4));
    builder
}

/// The kernel's form of a submission, by way of registered buffer 0 if its memory is in that, and of the file in a slot.
fn entry_of(sqe: &Sqe, is_fixed: bool, slot: Option<u16>) -> squeue::Entry {
    let file = slot.map(|slot| Fixed(slot.into()));
    let entry = match sqe.op {
        Op::Read { fd, to, len, offset } => match (file, is_fixed) {
            (Some(file), true) => opcode::ReadFixed::new(file, to, len, 0).offset(offset).build(),
            (Some(file), false) => opcode::Read::new(file, to, len).offset(offset).build(),
            (None, true) => opcode::ReadFixed::new(Fd(fd), to, len, 0).offset(offset).build(),
            (None, false) => opcode::Read::new(Fd(fd), to, len).offset(offset).build(),
        },
        Op::Write { fd, from, len, offset } => match (file, is_fixed) {
            (Some(file), true) => opcode::WriteFixed::new(file, from, len, 0).offset(offset).build(),
            (Some(file), false) => opcode::Write::new(file, from, len).offset(offset).build(),
            (None, true) => opcode::WriteFixed::new(Fd(fd), from, len, 0).offset(offset).build(),
            (None, false) => opcode::Write::new(Fd(fd), from, len).offset(offset).build(),
        },
        Op::Fsync { fd, data_only } => {
            let flags = if data_only { FsyncFlags::DATASYNC } else { FsyncFlags::empty() };
            opcode::Fsync::new(Fd(fd)).flags(flags).build()
        }
        Op::Fallocate { fd, len } => opcode::Fallocate::new(Fd(fd), len).build(),
        Op::Deallocate { fd, offset, len } => {
            opcode::Fallocate::new(Fd(fd), len).offset(offset).mode(PUNCH_HOLE).build()
        }
        Op::Truncate { fd, len } => opcode::Ftruncate::new(Fd(fd), len).build(),
        Op::Recv { fd, to, len } => opcode::Recv::new(Fd(fd), to, len).build(),
        Op::RecvMulti { fd, group } => opcode::RecvMulti::new(Fd(fd), group).build(),
        Op::Send { fd, from, len } => opcode::Send::new(Fd(fd), from, len).flags(libc::MSG_NOSIGNAL).build(),
        Op::SendZeroCopy { fd, from, len } => {
            let buffer = is_fixed.then_some(0);
            opcode::SendZc::new(Fd(fd), from, len).buf_index(buffer).flags(libc::MSG_NOSIGNAL).build()
        }
        Op::RecvMsg { fd, header } => opcode::RecvMsg::new(Fd(fd), header).build(),
        Op::SendMsg { fd, header } => {
            opcode::SendMsg::new(Fd(fd), header).flags(libc::MSG_NOSIGNAL.cast_unsigned()).build()
        }
        Op::AcceptMulti { fd } => opcode::AcceptMulti::new(Fd(fd)).flags(libc::SOCK_CLOEXEC).build(),
        Op::Connect { fd, address, len } => opcode::Connect::new(Fd(fd), address, len).build(),
        // Offset -1 reads where the descriptor stands, as `read` does.
        Op::ReadEvent { fd, to } => opcode::Read::new(Fd(fd), to.cast(), 8).offset(u64::MAX).build(),
        Op::OpenAt { folder, path, flags, mode } => {
            opcode::OpenAt::new(Fd(folder), path).flags(flags).mode(mode).build()
        }
        Op::RenameAt { folder, from, to } => opcode::RenameAt::new(Fd(folder), from, Fd(folder), to).build(),
        Op::LinkAt { folder, from, to } => opcode::LinkAt::new(Fd(folder), from, Fd(folder), to).build(),
        Op::UnlinkAt { folder, path, flags } => opcode::UnlinkAt::new(Fd(folder), path).flags(flags).build(),
        Op::MkDirAt { folder, path, mode } => opcode::MkDirAt::new(Fd(folder), path).mode(mode).build(),
        Op::Statx { fd, path, mask, to } => {
            opcode::Statx::new(Fd(fd), path, to.cast()).flags(libc::AT_EMPTY_PATH).mask(mask).build()
        }
        Op::Close { fd } => opcode::Close::new(Fd(fd)).build(),
        Op::Timeout { after } => opcode::Timeout::new(after.cast()).build(),
        Op::Cancel { user_data } => opcode::AsyncCancel::new(user_data).build(),
        Op::CancelAll => opcode::AsyncCancel2::new(CancelBuilder::any().all()).build(),
    };
    let entry = entry.user_data(sqe.user_data);
    if sqe.is_linked { entry.flags(squeue::Flags::IO_LINK) } else { entry }
}

/// `struct io_uring_rsrc_update` of `linux/io_uring.h`.
#[repr(C)]
struct RingUpdate {
    offset: u32,
    reserved: u32,
    data: u64,
}

/// `struct io_uring_getevents_arg` of `linux/io_uring.h`.
#[repr(C)]
struct WaitArgument {
    sigmask: u64,
    sigmask_bytes: u32,
    min_wait_us: u32,
    timespec: *const types::Timespec,
}

/// What a kernel of the floor, 6.1, knows, as far as this crate uses it.
const REQUIRED: &[(u8, &str)] = &[
    (opcode::AcceptMulti::CODE, "accept"),
    (opcode::RecvMulti::CODE, "recv"),
    (opcode::SendZc::CODE, "send_zc"),
    (opcode::SendMsg::CODE, "sendmsg"),
    (opcode::RecvMsg::CODE, "recvmsg"),
    (opcode::MsgRingData::CODE, "msg_ring"),
    (opcode::RenameAt::CODE, "renameat"),
    (opcode::UnlinkAt::CODE, "unlinkat"),
    (opcode::MkDirAt::CODE, "mkdirat"),
    (opcode::Statx::CODE, "statx"),
    (opcode::Fallocate::CODE, "fallocate"),
    (opcode::LinkAt::CODE, "linkat"),
];

const BUFFER_GROUP: u16 = 0;
/// Files of a ring that are looked up for good.
const FILES_MAX: u16 = 256;
/// Longer waits are cut: whoever waits looks at the clock again.
const PATIENCE_MAX: Duration = Duration::from_secs(1 << 20);

// Of `linux/io_uring.h`.
const ENTER_GETEVENTS: u32 = 1 << 0;
const ENTER_EXT_ARG: u32 = 1 << 3;
const ENTER_REGISTERED_RING: u32 = 1 << 4;
const ENTER_NO_IOWAIT: u32 = 1 << 7;
const REGISTER_RING_FDS: u32 = 20;
const UNREGISTER_RING_FDS: u32 = 21;
