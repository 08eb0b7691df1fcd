//! Operations: what a ring is asked to do, and what it may touch while it does.
//!
//! An [`Op`] holds addresses. It comes into being here only, in a [`Prepared`] beside the owner of what those
//! addresses point at, and a prepared operation can only be given to the driver, which keeps the owner until the
//! operation's last completion.

use std::ffi::CString;
use std::os::fd::{AsRawFd, RawFd};

use samestep_provider_traits::{IoBuf, IoBufMut};

use super::address::Address;
use super::erased::Erased;
use crate::schedule::{Charge, Direction, Transfer};

/// One submission. The addresses in it stay valid until its last completion, see [`Prepared`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sqe {
    /// Comes back with each completion.
    pub(crate) user_data: u64,
    /// Whether the next submission starts only when this one succeeded in full.
    pub(crate) is_linked: bool,
    pub(crate) op: Op,
}

/// What a ring can be asked. Descriptors are kept open by the owner of the record.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// Reads a file at an offset.
    Read { fd: RawFd, to: *mut u8, len: u32, offset: u64 },
    /// Writes a file at an offset.
    Write { fd: RawFd, from: *const u8, len: u32, offset: u64 },
    /// Makes a file durable: its data, or all.
    Fsync { fd: RawFd, data_only: bool },
    /// Gives a file room up to this length.
    Fallocate { fd: RawFd, len: u64 },
    /// Takes the room of a part of a file away, which then reads as zeros.
    Deallocate { fd: RawFd, offset: u64, len: u64 },
    /// Cuts a file to this length, or makes it longer by a hole. Not before Linux 6.9, see [`Ring::can_truncate`].
    ///
    /// [`Ring::can_truncate`]: super::ring::Ring::can_truncate
    Truncate { fd: RawFd, len: u64 },
    /// Receives from a stream.
    Recv { fd: RawFd, to: *mut u8, len: u32 },
    /// Receives from a stream into buffers of the ring, until cancelled or out of buffers.
    RecvMulti { fd: RawFd, group: u16 },
    /// Sends to a stream.
    Send { fd: RawFd, from: *const u8, len: u32 },
    /// Sends to a stream without copying; two completions.
    SendZeroCopy { fd: RawFd, from: *const u8, len: u32 },
    /// Receives a datagram.
    RecvMsg { fd: RawFd, header: *mut libc::msghdr },
    /// Sends a datagram.
    SendMsg { fd: RawFd, header: *const libc::msghdr },
    /// Takes connections, whose descriptors are the results, until cancelled.
    AcceptMulti { fd: RawFd },
    /// Connects a stream.
    Connect { fd: RawFd, address: *const libc::sockaddr, len: u32 },
    /// Reads the eight bytes of an event counter, and clears it.
    ReadEvent { fd: RawFd, to: *mut u64 },
    /// Opens a file, relative to a folder.
    OpenAt { folder: RawFd, path: *const libc::c_char, flags: i32, mode: u32 },
    /// Renames a file, relative to a folder.
    RenameAt { folder: RawFd, from: *const libc::c_char, to: *const libc::c_char },
    /// Gives a file a second name, relative to a folder.
    LinkAt { folder: RawFd, from: *const libc::c_char, to: *const libc::c_char },
    /// Removes a file, or with `AT_REMOVEDIR` an empty folder, relative to a folder.
    UnlinkAt { folder: RawFd, path: *const libc::c_char, flags: i32 },
    /// Makes a folder, relative to another.
    MkDirAt { folder: RawFd, path: *const libc::c_char, mode: u32 },
    /// Tells what is at a path, or of an open file if the path is empty.
    Statx { fd: RawFd, path: *const libc::c_char, mask: u32, to: *mut libc::statx },
    /// Closes a descriptor that the operation owns.
    Close { fd: RawFd },
    /// Ends when this much time has passed.
    Timeout { after: *const [i64; 2] },
    /// Asks for an early end of one operation.
    Cancel { user_data: u64 },
    /// Asks for an early end of all operations.
    CancelAll,
}

impl Op {
    /// The part of a read or write that begins `start` bytes behind its begin and is `len` long; `None` of others.
    pub(super) fn part(self, start: u32, len: u32) -> Option<Self> {
        let (skip, at) = (start as usize, u64::from(start));
        match self {
            Self::Read { fd, to, len: whole, offset }
                if u64::from(start) + u64::from(len) <= u64::from(whole) =>
            {
                Some(Self::Read { fd, to: to.wrapping_add(skip), len, offset: offset + at })
            }
            Self::Write { fd, from, len: whole, offset }
                if u64::from(start) + u64::from(len) <= u64::from(whole) =>
            {
                Some(Self::Write { fd, from: from.wrapping_add(skip), len, offset: offset + at })
            }
            _ => None,
        }
    }

    /// How many bytes a read or write is to move.
    pub(crate) fn transfer_bytes(&self) -> Option<u32> {
        match *self {
            Self::Read { len, .. } | Self::Write { len, .. } => Some(len),
            _ => None,
        }
    }

    /// The memory that it reads or writes, of those for which a ring can look that up beforehand.
    pub(super) fn memory(&self) -> Option<(*const u8, u32)> {
        match *self {
            Self::Read { to, len, .. } => Some((to.cast_const(), len)),
            Self::Write { from, len, .. } | Self::SendZeroCopy { from, len, .. } => Some((from, len)),
            _ => None,
        }
    }

    /// The operation's name, for people.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
            Self::Fsync { data_only: true, .. } => "fdatasync",
            Self::Fsync { .. } => "fsync",
            Self::Fallocate { .. } => "fallocate",
            Self::Deallocate { .. } => "deallocate",
            Self::Truncate { .. } => "truncate",
            Self::Recv { .. } | Self::RecvMulti { .. } => "recv",
            Self::Send { .. } => "send",
            Self::SendZeroCopy { .. } => "zero-copy send",
            Self::RecvMsg { .. } => "recvmsg",
            Self::SendMsg { .. } => "sendmsg",
            Self::AcceptMulti { .. } => "accept",
            Self::Connect { .. } => "connect",
            Self::ReadEvent { .. } => "wake-up",
            Self::OpenAt { .. } => "open",
            Self::RenameAt { .. } => "rename",
            Self::LinkAt { .. } => "link",
            Self::UnlinkAt { .. } => "unlink",
            Self::MkDirAt { .. } => "mkdir",
            Self::Statx { .. } => "statx",
            Self::Close { .. } => "close",
            Self::Timeout { .. } => "timeout",
            Self::Cancel { .. } | Self::CancelAll => "cancel",
        }
    }

    /// The descriptor it works on, if any.
    pub(crate) fn fd(&self) -> Option<RawFd> {
        match *self {
            Self::Read { fd, .. }
            | Self::Write { fd, .. }
            | Self::Fsync { fd, .. }
            | Self::Fallocate { fd, .. }
            | Self::Deallocate { fd, .. }
            | Self::Truncate { fd, .. }
            | Self::Recv { fd, .. }
            | Self::RecvMulti { fd, .. }
            | Self::Send { fd, .. }
            | Self::SendZeroCopy { fd, .. }
            | Self::RecvMsg { fd, .. }
            | Self::SendMsg { fd, .. }
            | Self::AcceptMulti { fd }
            | Self::Connect { fd, .. }
            | Self::ReadEvent { fd, .. }
            | Self::Statx { fd, .. }
            | Self::Close { fd } => Some(fd),
            _ => None,
        }
    }
}

/// An operation, and all that it may touch.
pub(crate) struct Prepared {
    pub(super) op: Op,
    pub(super) owned: Erased,
    /// How many bytes it may put into the buffer that it owns, if it fills one.
    pub(super) fills: Option<u32>,
    /// What it was admitted for to its device, if that is scheduled.
    pub(super) charge: Option<Charge>,
}

impl Prepared {
    fn new(op: Op, owned: Erased) -> Self {
        Self { op, owned, fills: None, charge: None }
    }

    /// How many bytes a read or write is to move; `None` of others.
    pub(crate) fn transfer_bytes(&self) -> Option<u32> {
        self.op.transfer_bytes()
    }

    /// What a read or write is to move, and whither; `None` of others.
    pub(crate) fn transfer(&self) -> Option<Transfer> {
        let direction = match self.op {
            Op::Read { .. } => Direction::Read,
            _ => Direction::Write,
        };
        self.transfer_bytes().map(|bytes| Transfer { direction, bytes })
    }

    /// With what it was admitted for, which is kept until it has ended.
    pub(crate) fn charged(self, charge: Charge) -> Self {
        Self { charge: Some(charge), ..self }
    }

    /// From where to where a write writes; `None` of others.
    pub(crate) fn written_range(&self) -> Option<std::ops::Range<u64>> {
        match self.op {
            Op::Write { len, offset, .. } => Some(offset..offset.saturating_add(u64::from(len))),
            _ => None,
        }
    }

    /// Owns `buf`, as all operations with a buffer do.
    pub(crate) fn read<B: IoBufMut>(fd: &impl AsRawFd, mut buf: B, offset: u64) -> Self {
        let (to, len) = (buf.stable_mut_ptr(), clip(buf.bytes_total()));
        let op = Op::Read { fd: fd.as_raw_fd(), to, len, offset };
        Self { op, owned: Erased::new(buf), fills: Some(len), charge: None }
    }

    pub(crate) fn write<B: IoBuf>(fd: &impl AsRawFd, buf: B, offset: u64) -> Self {
        let (from, len) = (buf.stable_ptr(), clip(buf.bytes_init()));
        Self::new(Op::Write { fd: fd.as_raw_fd(), from, len, offset }, Erased::new(buf))
    }

    pub(crate) fn recv<B: IoBufMut>(fd: &impl AsRawFd, mut buf: B) -> Self {
        let (to, len) = (buf.stable_mut_ptr(), clip(buf.bytes_total()));
        Self {
            op: Op::Recv { fd: fd.as_raw_fd(), to, len },
            owned: Erased::new(buf),
            fills: Some(len),
            charge: None,
        }
    }

    /// The buffers are the ring's own.
    pub(crate) fn recv_multi(fd: &impl AsRawFd, group: u16) -> Self {
        Self::new(Op::RecvMulti { fd: fd.as_raw_fd(), group }, Erased::new(()))
    }

    pub(crate) fn send<B: IoBuf>(fd: &impl AsRawFd, buf: B) -> Self {
        let (from, len) = (buf.stable_ptr(), clip(buf.bytes_init()));
        Self::new(Op::Send { fd: fd.as_raw_fd(), from, len }, Erased::new(buf))
    }

    pub(crate) fn send_zero_copy<B: IoBuf>(fd: &impl AsRawFd, buf: B) -> Self {
        let (from, len) = (buf.stable_ptr(), clip(buf.bytes_init()));
        Self::new(Op::SendZeroCopy { fd: fd.as_raw_fd(), from, len }, Erased::new(buf))
    }

    pub(crate) fn accept_multi(fd: &impl AsRawFd) -> Self {
        Self::new(Op::AcceptMulti { fd: fd.as_raw_fd() }, Erased::new(()))
    }

    pub(crate) fn connect(fd: &impl AsRawFd, address: Address) -> Self {
        let address = Box::new(address);
        let (at, len) = address.as_raw();
        Self::new(Op::Connect { fd: fd.as_raw_fd(), address: at, len }, Erased::new(address))
    }

    pub(crate) fn fsync(fd: &impl AsRawFd) -> Self {
        Self::new(Op::Fsync { fd: fd.as_raw_fd(), data_only: false }, Erased::new(()))
    }

    pub(crate) fn fdatasync(fd: &impl AsRawFd) -> Self {
        Self::new(Op::Fsync { fd: fd.as_raw_fd(), data_only: true }, Erased::new(()))
    }

    pub(crate) fn fallocate(fd: &impl AsRawFd, len: u64) -> Self {
        Self::new(Op::Fallocate { fd: fd.as_raw_fd(), len }, Erased::new(()))
    }

    pub(crate) fn deallocate(fd: &impl AsRawFd, range: std::ops::Range<u64>) -> Self {
        let (offset, len) = (range.start, range.end - range.start);
        Self::new(Op::Deallocate { fd: fd.as_raw_fd(), offset, len }, Erased::new(()))
    }

    pub(crate) fn truncate(fd: &impl AsRawFd, len: u64) -> Self {
        Self::new(Op::Truncate { fd: fd.as_raw_fd(), len }, Erased::new(()))
    }

    /// The counter is read into a box that the operation owns.
    pub(crate) fn read_event(fd: &impl AsRawFd) -> Self {
        let mut value = Box::new(0_u64);
        let to = std::ptr::from_mut(&mut *value);
        Self::new(Op::ReadEvent { fd: fd.as_raw_fd(), to }, Erased::new(value))
    }

    pub(crate) fn open_at(folder: &impl AsRawFd, path: CString, flags: i32, mode: u32) -> Self {
        let op = Op::OpenAt { folder: folder.as_raw_fd(), path: path.as_ptr(), flags, mode };
        Self::new(op, Erased::new(path))
    }

    pub(crate) fn rename_at(folder: &impl AsRawFd, from: CString, to: CString) -> Self {
        let op = Op::RenameAt { folder: folder.as_raw_fd(), from: from.as_ptr(), to: to.as_ptr() };
        Self::new(op, Erased::new((from, to)))
    }

    pub(crate) fn link_at(folder: &impl AsRawFd, from: CString, to: CString) -> Self {
        let op = Op::LinkAt { folder: folder.as_raw_fd(), from: from.as_ptr(), to: to.as_ptr() };
        Self::new(op, Erased::new((from, to)))
    }

    pub(crate) fn unlink_at(folder: &impl AsRawFd, path: CString) -> Self {
        Self::remove_at(folder, path, 0)
    }

    pub(crate) fn remove_dir_at(folder: &impl AsRawFd, path: CString) -> Self {
        Self::remove_at(folder, path, libc::AT_REMOVEDIR)
    }

    fn remove_at(folder: &impl AsRawFd, path: CString, flags: i32) -> Self {
        let op = Op::UnlinkAt { folder: folder.as_raw_fd(), path: path.as_ptr(), flags };
        Self::new(op, Erased::new(path))
    }

    pub(crate) fn mk_dir_at(folder: &impl AsRawFd, path: CString, mode: u32) -> Self {
        Self::new(Op::MkDirAt { folder: folder.as_raw_fd(), path: path.as_ptr(), mode }, Erased::new(path))
    }

    /// Of the file at `path` in the folder `fd`, or of `fd` itself if `path` is empty. The outcome is a
    /// [`Stat`].
    pub(crate) fn statx(fd: &impl AsRawFd, path: CString) -> Self {
        let mut stat = Box::new(Stat::default());
        let to = std::ptr::from_mut(&mut stat.raw);
        let op = Op::Statx { fd: fd.as_raw_fd(), path: path.as_ptr(), mask: STATX_WANTED, to };
        Self::new(op, Erased::new((stat, path)))
    }

    /// Closes a descriptor, which nobody else may use from here on.
    pub(crate) fn close(fd: &impl AsRawFd) -> Self {
        Self::new(Op::Close { fd: fd.as_raw_fd() }, Erased::new(()))
    }

    pub(crate) fn timeout(after: std::time::Duration) -> Self {
        let seconds = i64::try_from(after.as_secs()).unwrap_or(i64::MAX);
        let after = Box::new([seconds, i64::from(after.subsec_nanos())]);
        Self::new(Op::Timeout { after: std::ptr::from_ref(&*after) }, Erased::new(after))
    }

    /// Receives a datagram through `message`, which is given back.
    pub(crate) fn recv_msg<B: IoBufMut>(
        fd: &impl AsRawFd,
        mut message: Box<super::address::Message>,
        mut buf: B,
    ) -> Self {
        let len = clip(buf.bytes_total());
        let header = message.point_at_room(buf.stable_mut_ptr(), len);
        let op = Op::RecvMsg { fd: fd.as_raw_fd(), header };
        Self { op, owned: Erased::new((buf, message)), fills: Some(len), charge: None }
    }

    /// Sends a datagram through `message`, which is given back; without a target to whom the socket is connected to.
    pub(crate) fn send_msg<B: IoBuf>(
        fd: &impl AsRawFd,
        mut message: Box<super::address::Message>,
        buf: B,
        target: Option<Address>,
    ) -> Self {
        let header = message.point_at(buf.stable_ptr().cast_mut(), clip(buf.bytes_init()), target);
        Self::new(Op::SendMsg { fd: fd.as_raw_fd(), header }, Erased::new((buf, message)))
    }
}

/// What `statx` said.
pub(crate) struct Stat {
    raw: libc::statx,
}

impl Default for Stat {
    fn default() -> Self {
        // SAFETY: the type consists of integers, for which zero is a value.
        Self { raw: unsafe { std::mem::zeroed() } }
    }
}

impl Stat {
    pub(crate) fn len(&self) -> u64 {
        self.raw.stx_size
    }

    /// The bits of `S_IFMT`.
    pub(crate) fn file_type(&self) -> u32 {
        u32::from(self.raw.stx_mode) & libc::S_IFMT
    }

    /// Alignments of memory and of offsets for direct I/O, if the file system tells (6.1 and later) and has it.
    pub(crate) fn direct_alignment(&self) -> Option<(u32, u32)> {
        let is_told = self.raw.stx_mask & libc::STATX_DIOALIGN != 0;
        let alignment = (self.raw.stx_dio_mem_align, self.raw.stx_dio_offset_align);
        (is_told && alignment.0 > 0 && alignment.1 > 0).then_some(alignment)
    }

    /// Bytes of a block of the file system.
    pub(crate) fn block_bytes(&self) -> u64 {
        u64::from(self.raw.stx_blksize)
    }

    /// Major and minor number of the device that the file is on.
    pub(crate) fn device(&self) -> (u32, u32) {
        (self.raw.stx_dev_major, self.raw.stx_dev_minor)
    }

    /// Whether the file system told whether it has direct I/O at all.
    pub(crate) fn tells_direct(&self) -> bool {
        self.raw.stx_mask & libc::STATX_DIOALIGN != 0
    }
}

/// A length that the kernel takes in one go; it moves at most 2 GiB at once, and says how much it was.
fn clip(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX).min(BYTES_MAX)
}

/// The largest multiple of a page that one operation moves.
const BYTES_MAX: u32 = 0x7fff_f000;
const STATX_WANTED: u32 = libc::STATX_TYPE | libc::STATX_SIZE | libc::STATX_DIOALIGN;
